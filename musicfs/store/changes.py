"""What changed: the log that the mount follows, for the kernel, and the one that the full-text index follows.

Both are numbered from 1 on, in one row each; who follows remembers a number, and trims what it has seen.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from itertools import islice

import lmdb
import msgspec

from musicfs.store.records import U64
from musicfs.store.tables import Tables

_decode = msgspec.msgpack.decode
_change_decoder = msgspec.msgpack.Decoder(list[tuple[int, int, bytes, int]])
_ids_decoder = msgspec.msgpack.Decoder(list[int])

CHANGES_TRIMMED = b"trimmed"
TOUCHED_TRIMMED = b"touched_trimmed"

EVERYTHING = b"\x90"  # an empty list

Touched = tuple[int, Set[int] | None]  # sequence number; ids of objects, None for all there are


class ChangeLogs:
    """The part of a catalog that says what changed."""

    env: lmdb.Environment
    tables: Tables

    def last_change(self) -> int:
        """The sequence number of the newest change, 0 if there is none."""
        with self.env.begin() as txn:
            return last_sequence(txn, self.tables.changes, self.tables.meta, CHANGES_TRIMMED)

    def changes_after(self, sequence: int) -> list[tuple[int, list[tuple[int, int, bytes, int]]]]:
        """(sequence, [(op, parent inode, name, inode)]) of every batch newer than ``sequence``, oldest first."""
        batches = []
        with self.env.begin() as txn, txn.cursor(self.tables.changes) as cursor:
            if cursor.set_range(U64.pack(sequence + 1)):
                for key, value in cursor:
                    batches.append((U64.unpack(key)[0], _change_decoder.decode(value)))
        return batches

    @property
    def identity(self) -> int:
        """A number, 63 bits, that no other catalog has: sequence numbers of two catalogs say nothing of each other."""
        with self.env.begin() as txn:
            raw = txn.get(b"identity", db=self.tables.meta)
        return 0 if raw is None else _decode(raw, type=int)

    @property
    def last_touched(self) -> int:
        """The sequence number of the newest write that touched objects, 0 if there was none."""
        with self.env.begin() as txn:
            return last_sequence(txn, self.tables.touched, self.tables.meta, TOUCHED_TRIMMED)

    @property
    def first_touched(self) -> int:
        """The sequence number from which on the log is whole: one more than the last if it is trimmed to its end."""
        with self.env.begin() as txn, txn.cursor(self.tables.touched) as cursor:
            if cursor.first():
                return int(U64.unpack(cursor.key())[0])
            return last_sequence(txn, self.tables.touched, self.tables.meta, TOUCHED_TRIMMED) + 1

    def touched_after(self, sequence: int, limit: int) -> list[Touched]:
        """The next ``limit`` writes after ``sequence``: the objects of which something changed, None for all there are.

        That is an object's own record, its corrections, which others are one track with it, or which of these is served.
        An object may have gone meanwhile, and may be no audio.
        """
        with self.env.begin() as txn, txn.cursor(self.tables.touched) as cursor:
            found = islice(cursor, limit) if cursor.set_range(U64.pack(sequence + 1)) else ()
            return [(U64.unpack(key)[0], unpack_ids(raw)) for key, raw in found]


def last_sequence(txn: lmdb.Transaction[bytes], log: lmdb._Database, meta: lmdb._Database, trimmed: bytes) -> int:
    """The number of a log's newest entry; of one that is trimmed to its end, from ``meta``."""
    with txn.cursor(log) as cursor:
        if cursor.last():
            return int(U64.unpack(cursor.key())[0])
    raw = txn.get(trimmed, db=meta)
    return 0 if raw is None else _decode(raw, type=int)


def trim_log(txn: lmdb.Transaction[bytes], log: lmdb._Database, upto: int) -> None:
    """Drop the entries of a log up to and including ``upto``."""
    with txn.cursor(log) as cursor:
        while cursor.first() and U64.unpack(cursor.key())[0] <= upto:
            cursor.delete()


def pack_ids(object_ids: Collection[int]) -> bytes:
    """A set of ids, not empty, as runs: what a scan finds first is one run."""
    runs: list[int] = []  # gap before the run, length of the run, and so on
    stop = 0
    for object_id in sorted(object_ids):
        if runs and object_id == stop:
            runs[-1] += 1
        else:
            runs += (object_id - stop, 1)
        stop = object_id + 1
    return msgspec.msgpack.encode(runs)


def unpack_ids(raw: bytes) -> Set[int] | None:
    """Undo :func:`pack_ids`; None for :data:`EVERYTHING`."""
    runs = _ids_decoder.decode(raw)
    ids: set[int] = set()
    stop = 0
    for gap, length in zip(runs[::2], runs[1::2], strict=True):
        start = stop + gap
        stop = start + length
        ids.update(range(start, stop))
    return ids if runs else None
