"""A small library without files: facts are made up, and go through the real builder into a real catalog."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from musicfs.library.classify import is_audio_name
from musicfs.library.publish import Change
from musicfs.model import Facts, Layout, Picture, Technical
from musicfs.store import catalog as catalogs
from musicfs.store.catalog import Catalog
from musicfs.store.records import ObjectKind, ObjectRecord, OriginRecord, StoredFacts, pack_facts, stored_facts
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.generation import rebuild
from musicfs.vfs.items import UNHEALTHY_PENALTY
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import View

SECOND_NS = 1_000_000_000
START_NS = 1_600_000_000 * SECOND_NS
ORDINARY = Technical(duration_ms=61_499)
PRIORITIES: Mapping[int, int] = {1: 100, 2: 50, 3: 100}

Key = tuple[int, bytes, bytes]  # origin number, folder, name


class Ticking:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def time_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / SECOND_NS

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("nothing here waits")


class Content(msgspec.Struct, frozen=True):
    """What a file holds. ``tags`` is None for a file that cannot be read."""

    tags: tuple[tuple[str, str], ...] | None = ()
    size: int = 1000
    mtime_ns: int = START_NS
    pictures: tuple[Picture, ...] = ()
    audio: int = 0
    technical: Technical = ORDINARY
    format: str = "flac"

    def facts(self) -> Facts | None:
        if self.tags is None:
            return None
        tags: dict[str, tuple[str, ...]] = {field: (value,) for field, value in self.tags if value}
        layout = Layout("flac", 10, self.size)
        return Facts(self.format, tags, self.technical, layout, self.pictures, self.audio)

    def stored(self) -> StoredFacts | None:
        facts = self.facts()
        return stored_facts(facts) if facts is not None else None


def content(
    size: int = 1000,
    mtime_ns: int = START_NS,
    pictures: Sequence[Picture] = (),
    audio: int = 0,
    technical: Technical = ORDINARY,
    **tags: str,
) -> Content:
    """A tagged file: ``content(title="A", artist="X")``."""
    return Content(tuple(tags.items()), size, mtime_ns, tuple(pictures), audio, technical)


class File(msgspec.Struct, frozen=True):
    """A file that is in the catalog."""

    object_id: int
    key: Key
    content: Content
    record: ObjectRecord


class Put(msgspec.Struct, frozen=True):
    """A file that is new, or has another content."""

    key: Key
    content: Content


class Move(msgspec.Struct, frozen=True):
    """A file that goes by another path, its content unread."""

    key: Key
    to: Key


class Remove(msgspec.Struct, frozen=True):
    """A file that is gone."""

    key: Key


Step = Put | Move | Remove


def fake_cover(origin: int, path: bytes, size: int, picture: Picture | None) -> bytes:
    """Stands for the conversion of a PNG; a picture of odd size cannot be converted."""
    span = size if picture is None else picture.stop - picture.start
    if span % 2:
        return b""
    return b"JPEG of %d bytes" % span


class World:
    """Files in the catalog, and the tree derived from them."""

    def __init__(self, path: Path, views: Sequence[View], options: TreeOptions) -> None:
        self.path = path
        self.views = tuple(views)
        self.options = options
        self.clock = Ticking()
        self.files: dict[Key, File] = {}
        self.priorities = dict(PRIORITIES)
        catalogs.prepare(str(path))
        self.catalog = Catalog(str(path), readonly=False, durable=False)
        self.builder = self._builder(fresh=False)
        with WriteTransaction(self.catalog) as tx:
            for number in PRIORITIES:
                assert tx.new_origin_number() == number
                tx.put_origin(f"origin{number}", OriginRecord(number, "local", f"/music{number}", last_listing_ns=1))

    def _builder(self, *, fresh: bool) -> TreeBuilder:
        return TreeBuilder(self.views, self.options, self.clock, fake_cover, fresh=fresh)

    def close(self) -> None:
        self.catalog.close()

    @property
    def size_bytes(self) -> int:
        """What the origins hold."""
        return sum(file.content.size for file in self.files.values())

    def apply(self, steps: Iterable[Step]) -> None:
        """One batch: facts and tree in one transaction, as the keeper writes it."""
        self.clock.now_ns += SECOND_NS
        with WriteTransaction(self.catalog) as tx:
            changes = [self._write(tx, step) for step in steps]
            self.builder.apply(tx, changes, self.priorities)
            for change in changes:
                if change.new is None:
                    tx.remove_object(change.object_id)

    def rebuild(self) -> None:
        """Derive everything anew and swap."""
        self.clock.now_ns += SECOND_NS
        rebuild(self.catalog, self._builder(fresh=True), self.priorities)
        self.catalog.drop_old_trees()

    def rerank(self, down: Collection[int], at_once: int = 2) -> None:
        """Some origins cannot be reached, all others can; ``at_once`` tracks in one transaction."""
        self.clock.now_ns += SECOND_NS
        self.priorities = {
            number: priority + UNHEALTHY_PENALTY * (number in down) for number, priority in PRIORITIES.items()
        }
        after = -1
        while after:
            with WriteTransaction(self.catalog) as tx:
                after = self.builder.rerank(tx, self.priorities, max(after, 0), at_once)

    def _write(self, tx: WriteTransaction, step: Step) -> Change:
        old = self.files.get(step.key)
        if isinstance(step, Remove):
            assert old is not None
            del self.files[step.key]
            return Change(old.object_id, old.record, None)
        key = step.key
        if isinstance(step, Move):
            assert old is not None
            del self.files[step.key]
            key = step.to
        holds = step.content if isinstance(step, Put) else self.files_content(old)
        record = self._record(tx, key, holds)
        object_id = tx.put_object(old.object_id if old is not None else 0, record, fingerprint=holds.mtime_ns)
        self.files[key] = File(object_id, key, holds, record)
        return Change(object_id, old.record if old is not None else None, record)

    @staticmethod
    def files_content(file: File | None) -> Content:
        assert file is not None
        return file.content

    def _record(self, tx: WriteTransaction, key: Key, holds: Content) -> ObjectRecord:
        origin, folder, name = key
        folder_id = tx.folder_id(origin, folder)
        if folder_id is None:
            folder_id = tx.add_folder(origin, folder)
        facts = holds.facts() if is_audio_name(name) else None
        kind = ObjectKind.SIDECAR if not is_audio_name(name) else ObjectKind.AUDIO if facts else ObjectKind.OPAQUE
        raw = msgspec.Raw(pack_facts(facts)) if facts is not None else msgspec.Raw(b"\xc0")
        version = b"%x-%x" % (holds.size, holds.mtime_ns)
        return ObjectRecord(folder_id, name, kind, holds.size, holds.mtime_ns, version, 0, START_NS, raw)
