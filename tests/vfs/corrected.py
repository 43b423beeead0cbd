"""A small library whose tags are corrected: the keeper's own parts around :class:`~tests.vfs.world.World`, without audio.

The files of the world are kept twice: ``own`` as the origins have them, ``files`` as the tree must see them, worked out from
the user's state. What is promised of a tree is therefore checked by the same oracle, over effective facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import msgspec

from musicfs.errors import FormatError, UnreachableError
from musicfs.formats.plans import Edit as TagEdit
from musicfs.formats.plans import Extra, Literal, Plan, Range
from musicfs.library.attaching import Attachments
from musicfs.library.classify import is_audio_name
from musicfs.library.correcting import Corrector, Edit, Edited
from musicfs.library.overlays import Wanted, effective_tags
from musicfs.library.protocol import ReadResult
from musicfs.library.publish import FinishedFolder, Learned, Pictures, Publisher
from musicfs.library.rendering import Renderer
from musicfs.model import Entry, Picture, Technical
from musicfs.store.corrections import GIVEN_CODING, NO_COVER, OWN_COVER, front_covers
from musicfs.store.overlays import Action, Overlay
from musicfs.store.records import Node, ObjectRecord, pack_facts
from musicfs.store.state import State, open_state
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.world import SECOND_NS, Content, File, Key, Move, Put, Remove, Step, World

REFUSED = "cannot be written"  # a title that no file can be given
KEEP_NAMES_S = 600.0


class FakeRenderer(Renderer):
    """Plans that say what they were made of. Origins can be down, and a title can be one that no container holds."""

    def __init__(self, world: CorrectedWorld) -> None:
        super().__init__(world, world.state)  # type: ignore[arg-type] # nothing is opened
        self._world = world
        self.down: set[int] = set()
        self.rendered: list[int] = []
        self.during: Callable[[int], object] = lambda _: None

    def _plan(self, object_id: int, record: ObjectRecord, edit: TagEdit) -> Plan:
        self.rendered.append(object_id)
        self.during(object_id)
        located = self._world.catalog.locate(object_id)
        if located is not None and located[0] in self.down:
            raise UnreachableError("the origin is down")
        if edit.fields.get("title") == (REFUSED,):
            raise FormatError("this title " + REFUSED)
        said = msgspec.json.encode((dict(sorted(edit.fields.items())), edit.remove_cover))
        extra = edit.cover.data if edit.cover is not None else b""
        return Plan((Literal(said), *((Extra(0, len(extra)),) if extra else ()), Range(0, record.size)), extra)


class CorrectedWorld(World):
    """Files of three origins, a tree, and what the user changed."""

    def __init__(
        self, path: Path, views: Sequence[View], options: TreeOptions, pictures: Pictures | None = None
    ) -> None:
        path.mkdir()
        self.state: State = open_state(str(path / "state"))
        self.own: dict[Key, Content] = {}
        self.ids: dict[Key, int] = {}
        self.commits = 0
        self.on_commit: Callable[[], object] = lambda: None
        self.pictures = pictures
        super().__init__(path / "catalog", views, options)
        self._connect()

    def _connect(self) -> None:
        self.renderer = FakeRenderer(self)
        self.corrector = Corrector(
            self.catalog, self.state, self.builder, self.renderer, self.clock, lambda: self.priorities, self._commit,
            self.pictures, KEEP_NAMES_S,
        )  # fmt: skip
        self.attachments = Attachments(self.catalog, self.state, self.corrector, self.renderer)
        self.publisher = Publisher(
            self.catalog, self.builder, self.clock, lambda: self.priorities, self._commit, self.pictures,
            self.attachments,
        )  # fmt: skip

    @property
    def size_bytes(self) -> int:
        return sum(holds.size for holds in self.own.values())

    def _commit(self) -> None:
        self.commits += 1
        self.on_commit()

    def close(self) -> None:
        super().close()
        self.state.close()

    def restart(self) -> None:
        """The keeper is gone and comes again: what it only had in mind is lost."""
        down = self.renderer.down
        self._connect()
        self.renderer.down = down
        self.attachments.recall()

    # What happens to files.

    def scan(self, steps: Iterable[Step], *, settle: bool = True) -> None:
        """What scans learn, origin by origin: files that come, change or move first, then those that are gone."""
        self.clock.now_ns += SECOND_NS
        steps = _within_origins(list(steps), self.own)
        arriving = [step for step in steps if not isinstance(step, Remove)]
        for origin, of_origin in groupby(sorted(arriving, key=lambda step: step.key[0]), lambda step: step.key[0]):
            by_folder: dict[bytes, list[Learned]] = {}
            for step in of_origin:
                to, learned = self.learn(step)
                by_folder.setdefault(to[1], []).append(learned)
            folders = [FinishedFolder(path, b"digest", files) for path, files in sorted(by_folder.items())]
            self.publisher.publish(origin, folders)
        gone = [step.key for step in steps if isinstance(step, Remove)]
        if gone:
            self.publisher.remove([self.ids[key] for key in gone], ())
        for key in gone:
            del self.own[key]
        self.publisher.end_scan()
        self.look()
        if settle:
            self.settle()

    def learn(self, step: Step) -> tuple[Key, Learned]:
        """What a scan says of a file, and where that lies now."""
        assert not isinstance(step, Remove)
        object_id = self.ids.get(step.key, 0) if step.key in self.own else 0
        if isinstance(step, Move):
            holds, to, result = self.own.pop(step.key), step.to, None
        else:
            holds, to = step.content, step.key
            facts = holds.facts()
            result = ReadResult(pack_facts(facts) if facts is not None else b"", "" if facts else "unreadable")
        self.own[to] = holds
        entry = Entry(to[2].decode(), holds.size, holds.mtime_ns, f"{holds.size:x}-{holds.mtime_ns:x}")
        return to, Learned(to[2], entry, object_id, result, moved=isinstance(step, Move))

    def publish(self, key: Key, learned: Learned) -> None:
        """One file that a scan has learned of."""
        self.publisher.publish(key[0], [FinishedFolder(key[1], b"digest", [learned])])

    def settle(self) -> None:
        """What the keeper does after a scan."""
        while self.attachments.waiting:
            self.attachments.settle()
        self.look()

    # What the user does.

    def edit(self, *edits: tuple[Key, Wanted], action: Action = "set") -> list[Edited]:
        """Correct tracks, each another one."""
        self.clock.now_ns += SECOND_NS
        done = self.corrector.apply(
            [Edit(self.ids[key], wanted) for key, wanted in edits], action=action, author="someone"
        )
        self.look()
        return done

    def set(self, key: Key, cover: str | None = None, **fields: str) -> Edited:
        """Set fields of a track; an empty value removes one."""
        given = {field: (value,) if value else () for field, value in fields.items()}
        return self.edit((key, Wanted(given, cover=cover)))[0]

    # What there is.

    def overlay(self, key: Key) -> Overlay | None:
        return self.state.overlay_at(f"origin{key[0]}", _path(key))

    def look(self) -> None:
        """Work out how every file must be seen."""
        self.ids = {}
        for number in self.priorities:
            for folder_id, folder in self.catalog.folders_under(number, b""):
                for name, (object_id, _) in self.catalog.files_of(folder_id).items():
                    self.ids[number, folder, name] = object_id
        assert self.ids.keys() == self.own.keys()
        self.files = {key: self._file(key, holds) for key, holds in self.own.items()}

    def _file(self, key: Key, own: Content) -> File:
        object_id = self.ids[key]
        record = self.catalog.object(object_id)
        assert record is not None
        assert (record.size, record.mtime_ns) == (own.size, own.mtime_ns)
        correction = self.catalog.correction(object_id)
        overlay = self.overlay(key)
        assert (correction is None) == (overlay is None), f"{key}: {correction} for {overlay}"
        if overlay is None or correction is None:
            return File(object_id, key, own, record)
        assert correction.overlay == overlay.id
        assert correction.changed_ns >= overlay.changed_ns
        holds = effective(own, overlay, self.state, correction.changed_ns, key[2])
        version = record.version
        if correction.mark:
            assert not correction.pending
            assert not correction.reason
            node = self._placed(object_id)
            if node.ref == object_id:
                serving = self.catalog.serving(node)
                assert serving is not None
                assert (serving.size, bool(serving.plan)) == (correction.size, True)
            version += b"\0" + correction.mark
            holds = msgspec.structs.replace(holds, size=correction.size)
        seen = msgspec.structs.replace(record, size=holds.size, mtime_ns=holds.mtime_ns, version=version)
        return File(object_id, key, holds, seen)

    def _placed(self, object_id: int) -> Node:
        node = self.catalog.node(self.catalog.place_of(object_id))
        assert node is not None
        return node

    def path_of(self, key: Key) -> bytes:
        """Where a file is in the tree; empty if it is nowhere."""
        inode = self.catalog.place_of(self.ids[key])
        return (self.catalog.path_of(inode) or b"") if inode else b""


def effective(own: Content, overlay: Overlay, state: State, changed_ns: int, name: bytes) -> Content:
    """A file with an overlay, as it is to be seen."""
    facts = own.facts() if is_audio_name(name) else None
    suffix = name.rpartition(b".")[2].decode()
    mtime_ns = max(own.mtime_ns, changed_ns)
    if facts is None and not overlay.fields:
        return msgspec.structs.replace(own, mtime_ns=mtime_ns)
    tags = effective_tags(facts.tags if facts is not None else {}, overlay.fields)
    return msgspec.structs.replace(
        own,
        tags=tuple((field, values[0]) for field, values in tags.items()),
        mtime_ns=mtime_ns,
        pictures=effective_pictures(own.pictures if facts is not None else (), overlay, state),
        audio=own.audio if facts is not None else 0,
        technical=own.technical if facts is not None else Technical(),
        format=own.format if facts is not None else suffix,
    )


def effective_pictures(own: tuple[Picture, ...], overlay: Overlay, state: State) -> tuple[Picture, ...]:
    """Its pictures, a given cover first."""
    if overlay.cover == OWN_COVER:
        return own
    others = tuple(one for one in own if one not in front_covers(own))
    if overlay.cover == NO_COVER:
        return others
    data = state.image(overlay.cover)
    assert data is not None
    return (Picture(3, "image/png", 0, len(data), GIVEN_CODING + overlay.cover), *others)


def _within_origins(steps: Sequence[Step], own: Mapping[Key, Content]) -> list[Step]:
    """Steps as scans see them: a file that goes to another origin leaves one and comes to the other."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, Move) and step.to[0] != step.key[0]:
            found += [Put(step.to, own[step.key]), Remove(step.key)]
        else:
            found.append(step)
    return found


def _path(key: Key) -> bytes:
    return (key[1] + b"/" if key[1] else b"") + key[2]


Make = Callable[..., CorrectedWorld]


@contextmanager
def corrected_worlds(folder: Path, *views: View) -> Iterator[Make]:
    """What makes worlds below ``folder``, of ``views`` unless told otherwise, and closes them in the end."""
    made: list[CorrectedWorld] = []

    def build(*other: View) -> CorrectedWorld:
        made.append(CorrectedWorld(folder / str(len(made)), other or views, TreeOptions()))
        return made[-1]

    try:
        yield build
    finally:
        for world in made:
            world.close()
