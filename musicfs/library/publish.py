"""Writing what was learned: facts and tree of finished folders, in one transaction a batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from musicfs.clock import Clock
from musicfs.library.classify import is_audio_name
from musicfs.library.news import FileEvents
from musicfs.library.plan import fingerprint
from musicfs.library.protocol import ReadResult
from musicfs.model import Entry
from musicfs.store.catalog import Catalog
from musicfs.store.overlays import Trashed
from musicfs.store.records import ObjectKind, ObjectRecord
from musicfs.store.tables import Tables
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import TrashedObject

T = TypeVar("T")

_ATTEMPTS = 4  # a folder whose best three pictures are all damaged waits for its cover until something changes there


class Change(msgspec.Struct, frozen=True, gc=False):
    """One object before and after; ``old`` is None for a new one, ``new`` for one that leaves."""

    object_id: int
    old: ObjectRecord | None
    new: ObjectRecord | None


class Tree(Protocol):
    """What derives the tree from the facts; it lives on a higher floor and is handed in by the composition root."""

    def apply(self, tx: WriteTransaction, changes: Sequence[Change], priorities: Mapping[int, int]) -> None:
        """Follow the changes in the same transaction."""
        ...

    def correct(
        self, tx: WriteTransaction, changes: Sequence[Change], priorities: Mapping[int, int], until_ns: int
    ) -> None:
        """As :meth:`apply`; names that end by it still lead to their files until then."""
        ...


class Learned(msgspec.Struct):
    """A file to write. ``object_id`` is 0 for a new file; ``moved`` keeps the facts of the object it was before.

    ``identity`` is what finds it when it moves. ``moved_from`` is the object, and its path, that a new file probably was.
    """

    name: bytes
    entry: Entry
    object_id: int
    result: ReadResult | None = None
    moved: bool = False
    identity: int = 0
    moved_from: tuple[int, str] | None = None


class FinishedFolder(msgspec.Struct):
    """A folder whose files are all known. ``digest`` is empty when something changed under the reader's hands."""

    path: bytes
    digest: bytes
    files: list[Learned]


class Counts(msgspec.Struct):
    """What a write did to an origin's totals."""

    files: int = 0
    size_bytes: int = 0


class Pictures(Protocol):
    """Pictures that the tree lacks because they are remote; lives on a higher floor, like the tree."""

    @property
    def wanted(self) -> bool:
        """True if the tree asked for some in vain."""
        ...

    def fetch(self) -> None:
        """Get what is wanted, or learn that it cannot be had. Blocks on the network."""
        ...

    def forget(self) -> None:
        """All is written."""
        ...


class Overlays(Protocol):
    """What follows files with the corrections that the user made of them."""

    @property
    def any(self) -> bool:
        """False while there are none at all."""
        ...

    def follow(self, tx: WriteTransaction, object_id: int, before: ObjectRecord | None) -> None:
        """A file was written: a new one, or one that changed or moved, which was ``before``."""
        ...

    def leave(self, tx: WriteTransaction, object_ids: Iterable[int]) -> None:
        """Files are about to be forgotten."""
        ...

    def end_scan(self) -> None:
        """All that a listing showed is written."""
        ...


class Leaving(msgspec.Struct, frozen=True):
    """Tracks on their way to the trash, by object id."""

    tracks: dict[int, Trashed] = {}

    def __contains__(self, object_id: int) -> bool:
        return object_id in self.tracks


class Returning(msgspec.Struct, frozen=True):
    """Deleted tracks on their way out, by object id, and what that means for the tree: restored ones leave it.

    ``files`` are the objects that they are now.
    """

    tracks: dict[int, TrashedObject] = {}
    changes: tuple[Change, ...] = ()
    files: frozenset[int] = frozenset()


class Trash(Protocol):
    """Where tracks go whose files are gone; each pair of calls is around the tree's following."""

    def leaving(self, tx: WriteTransaction, object_ids: Collection[int]) -> Leaving:
        """Which of these objects, about to be removed because their files are gone, move to the trash. Changes nothing."""
        ...

    def bury(self, tx: WriteTransaction, leaving: Leaving) -> None:
        """Move them there; they are no objects any more."""
        ...

    def returning(self, tx: WriteTransaction, changes: Sequence[Change]) -> Returning:
        """Which deleted tracks the files are that were written. Changes nothing."""
        ...

    def forget(self, tx: WriteTransaction, returning: Returning) -> None:
        """Have them leave the trash."""
        ...


class _LackingPicturesError(Exception):
    """Ends a write that is to be done again."""


def write_batch(
    catalog: Catalog, pictures: Pictures | None, write: Callable[[WriteTransaction], T], tables: Tables | None = None
) -> T:
    """Run ``write`` in a transaction, commit, and return what it returned.

    If it lacked pictures, nothing is committed, and it is run again once they are there, so that no transaction waits for
    a network; the last time it goes without those that still lack, as when one after the other turns out to be damaged.
    """
    for attempts_left in range(_ATTEMPTS - 1, -1, -1):
        try:
            with catalog.writing, WriteTransaction(catalog, tables) as tx:
                result = write(tx)
                if pictures is not None and pictures.wanted and attempts_left:
                    raise _LackingPicturesError
            break
        except _LackingPicturesError:
            assert pictures is not None
            pictures.fetch()
    if pictures is not None:
        pictures.forget()
    return result


class Publisher:
    """Writes batches; used from the keeper's one writing thread."""

    def __init__(
        self,
        catalog: Catalog,
        tree: Tree,
        clock: Clock,
        priorities: Callable[[], Mapping[int, int]],
        on_commit: Callable[[], object],
        pictures: Pictures | None = None,
        overlays: Overlays | None = None,
        news: FileEvents | None = None,
        trash: Trash | None = None,
    ) -> None:
        self.catalog = catalog
        self._news = news
        self._trash = trash
        self._overlays = overlays
        self._tree = tree
        self._clock = clock
        self._priorities = priorities
        self._on_commit = on_commit
        self._pictures = pictures

    def publish(self, origin: int, folders: Sequence[FinishedFolder]) -> Counts:
        """Write the folders' files and their places in the tree. Blocks for the commit."""

        def write(tx: WriteTransaction) -> tuple[Counts, list[Change], frozenset[int]]:
            counts = Counts()
            changes: list[Change] = []
            overlays = self._overlays if self._overlays is not None and self._overlays.any else None
            for folder in folders:
                folder_id = tx.folder_id(origin, folder.path)
                if folder_id is None:
                    folder_id = tx.add_folder(origin, folder.path)
                changes += [self._write(tx, folder_id, learned, counts, overlays) for learned in folder.files]
                tx.set_digest(folder_id, tx.folder(folder_id), folder.digest)
            returning = self._trash.returning(tx, changes) if self._trash is not None else Returning()
            self._tree.apply(tx, [*changes, *returning.changes], self._priorities())
            if self._trash is not None:
                self._trash.forget(tx, returning)
            tx.count_files(origin, counts.files, counts.size_bytes)
            return counts, changes, returning.files

        counts, changes, returned = write_batch(self.catalog, self._pictures, write)
        self._on_commit()
        if self._news is not None:
            self._news.written(origin, [(one.object_id, one.old, one.new) for one in changes], returned)
        return counts

    def _write(
        self, tx: WriteTransaction, folder_id: int, learned: Learned, counts: Counts, overlays: Overlays | None
    ) -> Change:
        entry, result = learned.entry, learned.result
        old = tx.object(learned.object_id) if learned.object_id else None
        old_served = tx.as_served(learned.object_id, old) if old is not None else None
        facts, problem = msgspec.Raw(b"\xc0"), ""
        kind = ObjectKind.SIDECAR
        if learned.moved and old is not None:
            kind, facts = ObjectKind(old.kind), old.facts
        elif is_audio_name(learned.name) and result is not None:
            kind = ObjectKind.AUDIO if result.facts else ObjectKind.OPAQUE
            facts = msgspec.Raw(result.facts or b"\xc0")
            problem = result.reason
        new = ObjectRecord(
            folder_id,
            learned.name,
            kind,
            entry.size,
            entry.mtime_ns,
            entry.version.encode(),
            learned.identity,
            old.added_ns if old is not None else self._clock.time_ns(),
            facts,
        )
        object_id = tx.put_object(learned.object_id if old is not None else 0, new, fingerprint(entry), problem)
        counts.files += old is None
        counts.size_bytes += new.size - (old.size if old is not None else 0)
        if overlays is not None:
            overlays.follow(tx, object_id, old)
        return Change(object_id, old_served, tx.as_served(object_id, new))

    def end_scan(self) -> None:
        """All that a listing showed is written, and what it no longer showed removed."""
        if self._overlays is not None:
            self._overlays.end_scan()
            self._on_commit()

    def remove(self, objects: Sequence[int], folders: Sequence[int]) -> Counts:
        """Take objects whose files are gone out of the tree: to the trash, or forget them; then folders that hold nothing.

        Blocks for the commit.
        """
        return self._remove(objects, folders, self._trash)

    def withdraw(self, objects: Sequence[int], folders: Sequence[int]) -> Counts:
        """As :meth:`remove`, where nobody has deleted the files: nothing of it comes to the trash."""
        return self._remove(objects, folders, None)

    def _remove(self, objects: Sequence[int], folders: Sequence[int], trash: Trash | None) -> Counts:

        news = self._news.leaving(objects) if self._news is not None else {}

        def write(tx: WriteTransaction) -> tuple[Counts, dict[int, list[int]], Leaving]:
            counts = Counts()
            changes = []
            sizes: dict[int, list[int]] = {}  # origin number -> sizes of the files that leave it
            removed: dict[int, list[int]] = {}  # origin number -> their ids
            for object_id in objects:
                old = tx.object(object_id)
                if old is not None:
                    changes.append(Change(object_id, tx.as_served(object_id, old), None))
                    counts.files -= 1
                    counts.size_bytes -= old.size
                    origin = tx.folder(old.folder).origin
                    sizes.setdefault(origin, []).append(old.size)
                    removed.setdefault(origin, []).append(object_id)
            leaving = trash.leaving(tx, objects) if trash is not None else Leaving()
            for origin, gone in sizes.items():
                tx.count_files(origin, -len(gone), -sum(gone))
            self._tree.apply(tx, changes, self._priorities())
            if self._overlays is not None:
                self._overlays.leave(tx, objects)
            if trash is not None:
                trash.bury(tx, leaving)
            for object_id in objects:
                if object_id not in leaving:
                    tx.remove_object(object_id)
            for folder_id in folders:
                if not tx.files_of(folder_id):
                    tx.remove_folder(folder_id)
            return counts, removed, leaving

        counts, removed, leaving = write_batch(self.catalog, self._pictures, write)
        self._on_commit()
        if self._news is not None:
            self._news.removed(removed, news, leaving.tracks)
        return counts
