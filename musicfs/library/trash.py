"""The trash: tracks whose files are gone from every origin, and what becomes of them.

A file that a complete listing no longer shows, and that no other origin has, is not forgotten: it is noted in the user's
state (:class:`~musicfs.store.overlays.Trashed`) and then, in the transaction that takes it out of the tree, in the catalog.
From there it leaves in one of three ways:

* its file returns: the same audio at the same place, or at another when that can only be it (:meth:`Trash.returning`);
* it is restored (:class:`TrashEdits`): it is in the tree again, served from what is stored of it, until its file returns;
* it is forgotten, by whoever empties the trash, in the trash or restored.

The state is written first, each time inside the catalog's transaction and so that doing it twice is doing it once: a crash
in between is put right by :meth:`TrashEdits.reconcile`, which makes the catalog follow the state, and so does a new catalog.
What is corrected of a track, and when it was played, is kept where it always is, and finds the file when that returns.

One copy that is left anywhere keeps a track out of the trash: copies are what shares an entry of the tree. So does a
file that came before it went and has its audio: the track has moved, and its origin could not tell. So does an origin
that is no longer configured: nothing was deleted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from musicfs.clock import Clock
from musicfs.library.publish import Change, Leaving, Returning
from musicfs.store.overlays import Anchor, Trashed, trashed_id
from musicfs.store.records import (
    TRASH_ORIGIN,
    ObjectKind,
    ObjectRecord,
    StoredFacts,
    unpack_stored,
)
from musicfs.store.schema import ROOT_INODE
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import TrashedObject

_BATCH_BYTES = 8 << 20  # in one change of the state: lyrics may be long
_ARRIVALS_MAX = 50_000  # 100 bytes each


class Shelf(Protocol):
    """What shows the trash; it lives on a higher floor, like the tree."""

    def put(self, tx: WriteTransaction, objects: Iterable[tuple[int, TrashedObject]]) -> None:
        """Show deleted tracks, and note where."""
        ...

    def remove(self, tx: WriteTransaction, objects: Iterable[tuple[int, TrashedObject]]) -> None:
        """Show them no more."""
        ...


class Trash:
    """Follows what scans write, in their transactions. Safe from any thread that writes."""

    def __init__(self, state: State, shelf: Shelf, clock: Clock, *, enabled: bool = True) -> None:
        """What is in the trash comes back also when it is not ``enabled``, and nothing more is put there."""
        self._enabled = enabled
        self._state = state
        self._shelf = shelf
        self._clock = clock
        self._lock = threading.Lock()  # of what follows
        # Audio -> the object that came last with it, and the one that went for which this accounts (0: none yet).
        self._arrived: OrderedDict[int, tuple[int, int]] = OrderedDict()

    # In.

    def leaving(self, tx: WriteTransaction, object_ids: Collection[int]) -> Leaving:
        """See :class:`~musicfs.library.publish.Trash`."""
        ids = {number: origin_id for origin_id, number in tx.origin_numbers().items()}
        gone = frozenset(object_ids)
        now_ns = self._clock.time_ns()
        found = {}
        for object_id in object_ids if self._enabled else ():
            record = tx.object(object_id)
            if record is None or record.kind == ObjectKind.SIDECAR or _has_copy(tx, object_id, gone):
                continue
            origin, anchor = _origin_and_anchor(tx, record, ids)
            if origin == TRASH_ORIGIN or not anchor[0]:
                continue
            track = _trashed(tx, object_id, record, anchor, now_ns)
            if not self._has_moved(tx, object_id, track.audio_id, gone):
                found[object_id] = track
        return Leaving(found)

    def _has_moved(self, tx: WriteTransaction, object_id: int, audio_id: int, gone: Collection[int]) -> bool:
        """Whether a file came with the same audio before this one went, as when an origin cannot tell that it was moved."""
        with self._lock:
            arrived, accounts_for = self._arrived.get(audio_id, (0, 0))
            record = tx.object(arrived) if arrived and arrived not in gone else None
            facts = unpack_stored(record.facts) if record is not None else None
            if facts is None or facts.audio_id != audio_id or accounts_for not in (0, object_id):
                return False
            self._arrived[audio_id] = arrived, object_id
            return True

    def _note_arrival(self, object_id: int, audio_id: int) -> None:
        with self._lock:
            self._arrived[audio_id] = object_id, 0
            self._arrived.move_to_end(audio_id)
            if len(self._arrived) > _ARRIVALS_MAX:
                self._arrived.popitem(last=False)

    def bury(self, tx: WriteTransaction, leaving: Leaving) -> None:
        """Move tracks to the trash, which have left the tree. They are on disk in the state when this returns."""
        for batch in _batches(leaving.tracks.values()):
            self._state.put_trashed(batch)
        objects = []
        for object_id, track in leaving.tracks.items():
            earlier = tx.trashed_object(track.id)
            trashed = tx.trashed(earlier) if earlier else None
            if trashed is not None:  # noted before a crash, and made again since
                self.drop(tx, {earlier: trashed})
            record = tx.object(object_id)
            if record is not None:
                tx.detach_object(object_id)
                objects.append((object_id, trashed_object(track, record)))
        self.show(tx, objects)

    def show(self, tx: WriteTransaction, objects: Sequence[tuple[int, TrashedObject]]) -> None:
        """Note deleted tracks in the catalog, and show them."""
        for object_id, trashed in objects:
            tx.put_trashed(object_id, trashed)
        self._shelf.put(tx, objects)

    # Out.

    def returning(self, tx: WriteTransaction, changes: Sequence[Change]) -> Returning:
        """See :class:`~musicfs.library.publish.Trash`."""
        origins = tx.origin_records()
        listed = {one.number: bool(one.last_listing_ns) for one in origins.values()}
        ids = {one.number: origin_id for origin_id, one in origins.items()}
        has_trash = tx.has_trash
        found: dict[int, TrashedObject] = {}
        files = set()
        for change in changes if has_trash or any(listed.values()) else ():
            object_id, record = change.object_id, tx.object(change.object_id)
            if record is None or record.kind == ObjectKind.SIDECAR:
                continue
            origin, anchor = _origin_and_anchor(tx, record, ids)
            is_sure = listed.get(origin, False)
            facts = unpack_stored(record.facts)
            is_new = facts is not None and _audio_id(change.old) != facts.audio_id
            here = _at(tx, anchor, record, facts) if has_trash else {}
            if not here and is_new and facts is not None and facts.audio_id:
                here = _elsewhere(tx, facts, found, is_sure=is_sure)
                if not here and is_sure:
                    self._note_arrival(object_id, facts.audio_id)
            if here:
                files.add(object_id)
            found.update(here)
        return msgspec.structs.replace(self.ending(tx, found), files=frozenset(files))

    def ending(self, tx: WriteTransaction, tracks: dict[int, TrashedObject]) -> Returning:
        """As :meth:`returning`, for tracks that are known. Changes nothing."""
        changes = []
        for object_id, trashed in tracks.items():
            served = tx.served(object_id) if trashed.is_restored else None
            if served is not None:
                changes.append(Change(object_id, served, None))
        return Returning(tracks, tuple(changes))

    def forget(self, tx: WriteTransaction, returning: Returning) -> None:
        """Have tracks leave the trash, whose :attr:`~Returning.changes` are in the tree. On disk when this returns."""
        if returning.tracks:
            self._state.forget_trashed([one.id for one in returning.tracks.values()])
            self.drop(tx, returning.tracks)

    def drop(self, tx: WriteTransaction, tracks: Mapping[int, TrashedObject]) -> None:
        """Have the catalog know nothing of deleted tracks, by object id, that have left the tree."""
        self._shelf.remove(tx, [pair for pair in tracks.items() if not pair[1].is_restored])
        for object_id, trashed in tracks.items():
            if trashed.is_restored:
                tx.remove_object(object_id)
                if not tx.files_of(trashed.record.folder):
                    tx.remove_folder(trashed.record.folder)
            tx.remove_trashed(object_id)


def _audio_id(record: ObjectRecord | None) -> int:
    facts = unpack_stored(record.facts) if record is not None else None
    return facts.audio_id if facts is not None else 0


def trashed_object(track: Trashed, record: ObjectRecord | None = None) -> TrashedObject:
    """A deleted track as the catalog has it; ``record`` is the object's where it is at hand."""
    if record is None:
        record = ObjectRecord(
            0, track.path.rpartition(b"/")[2], track.kind, track.size, track.mtime_ns, track.version, 0, track.added_ns,
            msgspec.Raw(track.facts),
        )  # fmt: skip
    record = msgspec.structs.replace(record, folder=0, identity=0)
    return TrashedObject(track.id, track.origin_id, track.path, track.virtual_path, record, track.audio_id)


def _trashed(tx: WriteTransaction, object_id: int, record: ObjectRecord, anchor: Anchor, now_ns: int) -> Trashed:
    return Trashed(
        id=trashed_id(anchor, record.version, record.size),
        origin_id=anchor[0],
        path=anchor[1],
        virtual_path=_virtual_path(tx, object_id) or b"/" + record.name,
        deleted_ns=now_ns,
        size=record.size,
        mtime_ns=record.mtime_ns,
        version=record.version,
        kind=record.kind,
        added_ns=record.added_ns,
        facts=bytes(record.facts),
        audio_id=_audio_id(record),
        identity=record.identity,
    )


def _has_copy(tx: WriteTransaction, object_id: int, gone: Collection[int]) -> bool:
    """Whether the track is read from elsewhere when all of ``gone`` are gone. What is only remembered is no copy."""
    for inode in tx.places(object_id):
        for source in tx.sources(inode):
            record = tx.object(source) if source not in gone else None
            if record is not None and tx.folder(record.folder).origin != TRASH_ORIGIN:
                return True
    return False


def _origin_and_anchor(tx: WriteTransaction, record: ObjectRecord, ids: dict[int, str]) -> tuple[int, Anchor]:
    folder = tx.folder(record.folder)
    path = (folder.path + b"/" if folder.path else b"") + record.name
    return folder.origin, (ids.get(folder.origin, ""), path)


def _virtual_path(tx: WriteTransaction, object_id: int) -> bytes:
    """Where an object is in the first view that has it; empty if it is nowhere."""
    parts: list[bytes] = []
    inode = next(iter(tx.places(object_id)), 0)
    while inode not in (0, ROOT_INODE):
        node = tx.node(inode)
        if node is None:
            return b""
        parts.append(node.name)
        inode = node.parent
    return b"/" + b"/".join(reversed(parts)) if parts else b""


def _at(
    tx: WriteTransaction, anchor: Anchor, record: ObjectRecord, facts: StoredFacts | None
) -> dict[int, TrashedObject]:
    """The deleted tracks that a file at their place is: by its audio, or where that is not known by its size."""
    found = {}
    for object_id in tx.trashed_at(anchor):
        trashed = tx.trashed(object_id)
        if trashed is None or trashed.anchor != anchor:
            continue
        audio_id = facts.audio_id if facts is not None else 0
        is_known = bool(audio_id and trashed.audio_id)
        if trashed.audio_id == audio_id if is_known else trashed.record.size == record.size:
            found[object_id] = trashed
    return found


def _elsewhere(
    tx: WriteTransaction, facts: StoredFacts, taken: Collection[int], *, is_sure: bool
) -> dict[int, TrashedObject]:
    """The deleted track that a new file at another place is: one with its audio and tags, else the only one with its audio.

    The latter only if ``is_sure`` that the file is new, and not just the catalog.
    """
    alike = {}
    for object_id in tx.trashed_with(facts.audio_id):
        trashed = tx.trashed(object_id) if object_id not in taken else None
        if trashed is not None:
            alike[object_id] = trashed
    for object_id, trashed in alike.items():
        own = unpack_stored(trashed.record.facts)
        if own is not None and own.tags == facts.tags:
            return {object_id: trashed}
    return alike if is_sure and len(alike) == 1 else {}


def _batches(tracks: Iterable[Trashed]) -> Iterator[list[Trashed]]:
    batch: list[Trashed] = []
    size_bytes = 0
    for one in tracks:
        batch.append(one)
        size_bytes += len(one.facts)
        if size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch
