"""The table of deleted tracks as typed operations inside a write."""

from __future__ import annotations

import msgspec

from musicfs.store.correction_tables import CorrectionTables
from musicfs.store.overlays import Anchor
from musicfs.store.records import U64, U64_U64, encode_record
from musicfs.store.trashed import (
    AUDIO_PREFIX,
    ID_PREFIX,
    OBJECT_PREFIX,
    PLACE_PREFIX,
    TrashedObject,
    iterate_trashed,
    place_key,
    read_ids,
    read_trashed,
)


class TrashTables(CorrectionTables):
    """The part of a write that notes which tracks are deleted."""

    @property
    def has_trash(self) -> bool:
        """False while nothing is deleted, and nothing needs to be looked up."""
        return bool(self.txn.stat(self.tables.trash)["entries"])

    def trashed(self, object_id: int) -> TrashedObject | None:
        """The deleted track that was this object, or None."""
        return read_trashed(self.txn, self.tables, object_id)

    def trashed_from(self, start: int, limit: int) -> list[tuple[int, TrashedObject]]:
        """(object id, deleted track) of up to ``limit`` with this id and higher ones, in their order."""
        found: list[tuple[int, TrashedObject]] = []
        for one in iterate_trashed(self.txn, self.tables, start):
            if len(found) == limit:
                break
            found.append(one)
        return found

    def trashed_object(self, trashed_id: int) -> int:
        """The object id of a deleted track, 0 if there is none."""
        raw = self.txn.get(ID_PREFIX + U64.pack(trashed_id), db=self.tables.trash)
        return 0 if raw is None else int(U64.unpack(raw)[0])

    def trashed_at(self, anchor: Anchor) -> list[int]:
        """Object ids of the deleted tracks that were this file of an origin."""
        return read_ids(self.txn, self.tables, PLACE_PREFIX + place_key(anchor))

    def trashed_with(self, audio_id: int) -> list[int]:
        """Object ids of the deleted tracks that have this audio; none for 0."""
        return read_ids(self.txn, self.tables, AUDIO_PREFIX + U64.pack(audio_id)) if audio_id else []

    def put_trashed(self, object_id: int, trashed: TrashedObject) -> None:
        """Write a deleted track, with all that finds it."""
        key = U64.pack(object_id)
        self.txn.put(OBJECT_PREFIX + key, encode_record(trashed), db=self.tables.trash)
        self.txn.put(ID_PREFIX + U64.pack(trashed.id), key, db=self.tables.trash)
        self.txn.put(PLACE_PREFIX + place_key(trashed.anchor) + key, b"", db=self.tables.trash)
        if trashed.audio_id:
            self.txn.put(AUDIO_PREFIX + U64_U64.pack(trashed.audio_id, object_id), b"", db=self.tables.trash)

    def set_trashed_inode(self, object_id: int, inode: int) -> None:
        """Note where a deleted track is shown; 0 for nowhere."""
        trashed = self.trashed(object_id)
        if trashed is not None:
            self.put_trashed(object_id, msgspec.structs.replace(trashed, inode=inode))

    def remove_trashed(self, object_id: int) -> None:
        """Forget a deleted track, and what is corrected of it. Its node, or the object of a restored one, goes before."""
        trashed = self.trashed(object_id)
        if trashed is None:
            return
        key = U64.pack(object_id)
        self.txn.delete(OBJECT_PREFIX + key, db=self.tables.trash)
        self.txn.delete(PLACE_PREFIX + place_key(trashed.anchor) + key, db=self.tables.trash)
        self.txn.delete(AUDIO_PREFIX + U64_U64.pack(trashed.audio_id, object_id), db=self.tables.trash)
        if self.trashed_object(trashed.id) == object_id:
            self.txn.delete(ID_PREFIX + U64.pack(trashed.id), db=self.tables.trash)
        if self.has_corrections:
            self.remove_correction(object_id)
