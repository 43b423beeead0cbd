"""Any history of files and of corrections of them: every promise about the tree holds over what is to be seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.library.classify import is_audio_name
from musicfs.library.correcting import Edit
from musicfs.library.overlays import Wanted, changed_fields
from musicfs.store.corrections import NO_COVER, OWN_COVER
from musicfs.store.records import NodeKind
from musicfs.testing.images import make_png
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.corrected import REFUSED, CorrectedWorld
from tests.vfs.oracle import Tree, check_step, check_tree, read_log
from tests.vfs.test_tree_model import DEFAULT, FLAT, POSIX, WINDOWS, Batch, Shape, downs, intents, named, nth, plan
from tests.vfs.world import SECOND_NS, Key

MODEL = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
SHAPES: tuple[Shape, ...] = (
    ((View(0, "", DEFAULT, folders=False, names=POSIX),), TreeOptions(playlists=True)),
    ((View(0, "", FLAT, folders=False, names=POSIX),), TreeOptions()),
    ((View(0, "", FLAT, folders=False, names=WINDOWS),), TreeOptions(ignore_case=True, versions=True)),
    (
        (View(1, "Albums", DEFAULT, folders=False, names=POSIX), View(2, "Files", FLAT, folders=True, names=POSIX)),
        TreeOptions(),
    ),
    ((View(0, "", "$title", folders=False, names=POSIX),), TreeOptions(sidecars=False, prefer_quality=True)),
)
COVERS = (make_png(1, width=4, height=4), make_png(2, width=5, height=4))


class Correct(msgspec.Struct, frozen=True):
    """Corrections of some of the files at once; ``cover`` is the number of one, or what the state calls it."""

    tracks: tuple[int, ...]
    fields: tuple[tuple[str, str | None], ...]  # None: as the file has it
    revert_all: bool
    cover: str | int | None


class Undo(msgspec.Struct, frozen=True):
    """The last change of a file is taken back."""

    track: int


class Down(msgspec.Struct, frozen=True):
    """Origins that cannot be read from here on; with ``restarts`` the keeper is a new one."""

    origins: frozenset[int]
    restarts: bool


corrections = st.builds(
    Correct,
    st.lists(nth, min_size=1, max_size=4).map(tuple),
    st.fixed_dictionaries(
        {},
        optional={
            "title": st.sampled_from(("A", "a", "A (2)", "B", "", REFUSED, None)),
            "artist": st.sampled_from(("X", "Y", "", None)),
            "album": st.sampled_from(("K", "k", "L", "", None)),
            "disc": st.sampled_from(("1", "2", "", None)),
            "disc_total": st.sampled_from(("2", "", None)),
            "label": st.sampled_from(("K", "", None)),
        },
    ).map(lambda found: tuple(found.items())),
    st.sampled_from((False, False, True)),
    st.sampled_from((None, None, None, 0, 1, OWN_COVER, NO_COVER)),
)
Event = Batch | Correct | Undo | Down
histories = st.lists(
    st.one_of(
        st.lists(intents, min_size=1, max_size=6),
        st.lists(intents, min_size=1, max_size=6),
        corrections,
        corrections,
        corrections,
        nth.map(Undo),
        st.builds(Down, downs, st.booleans()),
    ),
    min_size=2,
    max_size=10,
)


@contextmanager
def a_world(shape: Shape) -> Iterator[CorrectedWorld]:
    with tempfile.TemporaryDirectory(prefix="musicfs-corrected-") as folder:
        world = CorrectedWorld(Path(folder, "world"), *shape)
        try:
            yield world
        finally:
            world.close()


def happen(world: CorrectedWorld, event: Event) -> None:
    if isinstance(event, Correct):
        correct(world, event)
    elif isinstance(event, Undo):
        undo(world, event)
    elif isinstance(event, Down):
        world.renderer.down = set(event.origins)
        if event.restarts:
            world.restart()
        world.corrector.catch_up()
        world.clock.now_ns += SECOND_NS
        world.attachments.render_pending(frozenset(f"origin{number}" for number in {1, 2, 3} - event.origins))
        world.look()
    else:
        assert not isinstance(event, frozenset)
        world.scan(plan(world, event))


def correct(world: CorrectedWorld, event: Correct) -> None:
    edits: dict[int, tuple[Key, Wanted]] = {}
    keys = tracks(world)
    overlays: set[int] = set()
    for number in event.tracks if keys else ():
        key = keys[number % len(keys)]
        served = world.catalog.track_of(world.ids[key])[0]
        theirs = {one.id for one in world.corrector.track(served).overlays}
        if served in edits or theirs & overlays:
            continue
        overlays |= theirs
        fields = {field: (value,) if value else () for field, value in event.fields if value is not None}
        revert = tuple(field for field, value in event.fields if value is None)
        cover = world.state.put_image(COVERS[event.cover]) if isinstance(event.cover, int) else event.cover
        edits[served] = (key, Wanted(fields, revert, revert_all=event.revert_all, cover=cover))
    before = {key: world.overlay(key) for key, _ in edits.values()}
    done = world.edit(*edits.values())
    for (key, wanted), edited in zip(edits.values(), done, strict=True):
        overlay, old = world.overlay(key), before[key]
        source = next(one for one, object_id in world.ids.items() if object_id == edited.object_ids[0])
        facts = world.own[source].facts()
        own = facts.tags if facts is not None else {}
        expected = changed_fields(own, old.fields if old is not None else {}, wanted)
        assert (overlay.fields if overlay is not None else {}) == expected


def undo(world: CorrectedWorld, event: Undo) -> None:
    keys = tracks(world)
    key = keys[event.track % len(keys)] if keys else None
    overlay = world.overlay(key) if key is not None else None
    if key is None or overlay is None:
        return
    standing = [one for one in world.state.history(overlay.id, 100) if not one.undoes and not one.undone_by]
    if standing:
        last = standing[0]
        wanted = Wanted(last.before.fields, revert_all=True, cover=last.before.cover)
        world.clock.now_ns += SECOND_NS
        world.corrector.apply([Edit(world.ids[key], wanted, last.sequence)], action="undo", author="someone")
        world.look()
        assert last.sequence not in {
            one.sequence for one in world.state.history(overlay.id, 100) if not one.undone_by and not one.undoes
        }, "what is taken back no longer stands"


def tracks(world: CorrectedWorld) -> list[Key]:
    return sorted(key for key in world.own if is_audio_name(key[2]))


class Watch:
    """Looks at the tree after every commit: what the kernel is told of each, and that no time goes back."""

    def __init__(self, world: CorrectedWorld) -> None:
        self._world = world
        self.tree = Tree(world)
        self._sequence = world.catalog.last_change()
        world.on_commit = self.look

    def look(self) -> None:
        after = Tree(self._world)
        check_step(self.tree, after, read_log(self._world, self._sequence))
        self.tree, self._sequence = after, self._world.catalog.last_change()


def check(world: CorrectedWorld, before: Tree, event: Event) -> Tree:
    after = check_tree(world)
    if not isinstance(event, list):
        times = {place: before.nodes[inode] for place, inode in before.places.items()}
        for place, inode in after.places.items():
            old, new = times[place], after.nodes[inode]
            assert new.mtime_ns >= old.mtime_ns or new.ref != old.ref, f"the time of {new.name!r} went back"
    return after


@MODEL
@given(st.sampled_from(SHAPES), histories)
def test_every_promise_holds_whatever_is_corrected(shape: Shape, history: list[Event]) -> None:
    with a_world(shape) as world:
        tree = check_tree(world)
        Watch(world)
        for event in history:
            happen(world, event)
            tree = check(world, tree, event)
        rebuilt_is_the_same(world, tree)


def rebuilt_is_the_same(world: CorrectedWorld, tree: Tree) -> None:
    """A tree derived anew: what stands under the name it had has the number it had; covers, if they are of the same file."""
    names = named(world)
    world.rebuild()
    world.look()
    rebuilt = check_tree(world)
    before, after = tree.by_path(), rebuilt.by_path()
    is_same = names == named(world)  # numbers of names, and so which file comes first, may tell of history
    for path in before.keys() & after.keys():
        old, new = before[path], after[path]
        if is_same or (old.kind == NodeKind.OBJECT and (old.ref, old.start) == (new.ref, new.start)):
            assert old.inode == new.inode, path
