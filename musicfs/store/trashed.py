"""Deleted tracks in the catalog, as its readers see them: what is needed to show and play them, made from the user's state.

A deleted track keeps its object id, and what is corrected of it, but is no object any more: no scan, no search and no view
sees it. It has a node of kind :attr:`~musicfs.store.records.NodeKind.TRASHED` below ``/.trash``. One that is restored is an
object again, of :data:`~musicfs.store.records.TRASH_ORIGIN`, which no configuration has: in its folder ``ID/FOLDER`` lies
what was in the folder FOLDER of the origin ID.

Keys of the table ``trash``, by their first byte:

====================================  ==================================================================
0, object id u64                      msgpack :class:`TrashedObject`
1, trashed id u64                     object id u64
2, audio id u64, object id u64        empty
3, hash of the place 128 bits,        empty: of origin id, NUL, path there
object id u64
====================================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import lmdb
import msgspec
import xxhash

from musicfs.store.records import U64, ObjectRecord
from musicfs.store.tables import Tables

if TYPE_CHECKING:
    from musicfs.store.overlays import Anchor

OBJECT_PREFIX, ID_PREFIX, AUDIO_PREFIX, PLACE_PREFIX = (bytes((number,)) for number in range(4))


class TrashedObject(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A deleted track. ``record`` is what its origin had of it; its ``folder`` means nothing unless it is restored.

    ``inode`` is its node below ``/.trash``, where one that is restored has none.
    """

    id: int  # of musicfs.store.overlays.trashed_id
    origin_id: str
    path: bytes
    virtual_path: bytes
    record: ObjectRecord
    audio_id: int = 0
    inode: int = 0
    is_restored: bool = False

    @property
    def anchor(self) -> Anchor:
        """The file that it was."""
        return self.origin_id, self.path


_decode = msgspec.msgpack.Decoder(TrashedObject).decode


def read_trashed(txn: lmdb.Transaction[bytes], tables: Tables, object_id: int) -> TrashedObject | None:
    """The deleted track that was this object, or None."""
    raw = txn.get(OBJECT_PREFIX + U64.pack(object_id), db=tables.trash)
    return None if raw is None else _decode(raw)


def read_trashed_by_id(
    txn: lmdb.Transaction[bytes], tables: Tables, trashed_id: int
) -> tuple[int, TrashedObject] | None:
    """(object id, deleted track) of the one with this id, or None."""
    raw = txn.get(ID_PREFIX + U64.pack(trashed_id), db=tables.trash)
    object_id = 0 if raw is None else int(U64.unpack(raw)[0])
    trashed = read_trashed(txn, tables, object_id)
    return None if trashed is None else (object_id, trashed)


def read_trashed_at(txn: lmdb.Transaction[bytes], tables: Tables, anchor: Anchor) -> list[tuple[int, TrashedObject]]:
    """(object id, deleted track) of those that were this file of an origin."""
    found = [(one, read_trashed(txn, tables, one)) for one in read_ids(txn, tables, PLACE_PREFIX + place_key(anchor))]
    return [(one, trashed) for one, trashed in found if trashed is not None and trashed.anchor == anchor]


def read_ids(txn: lmdb.Transaction[bytes], tables: Tables, prefix: bytes) -> list[int]:
    """The object ids that follow a prefix of the table's keys."""
    found: list[int] = []
    with txn.cursor(tables.trash) as cursor:
        if cursor.set_range(prefix):
            for key in cursor.iternext(values=False):
                if not key.startswith(prefix):
                    break
                found.append(int(U64.unpack(key[len(prefix) :])[0]))
    return found


def iterate_trashed(
    txn: lmdb.Transaction[bytes], tables: Tables, start: int = 0
) -> Iterator[tuple[int, TrashedObject]]:
    """(object id, deleted track) of all with this id and higher ones, in their order. Do not write while iterating."""
    with txn.cursor(tables.trash) as cursor:
        if cursor.set_range(OBJECT_PREFIX + U64.pack(start)):
            for key, raw in cursor:
                if key[:1] != OBJECT_PREFIX:
                    return
                yield int(U64.unpack(key[1:])[0]), _decode(raw)


def place_key(anchor: Anchor) -> bytes:
    """A file of an origin as a key."""
    return xxhash.xxh3_128_digest(anchor[0].encode() + b"\0" + anchor[1])


def trash_path(anchor: Anchor) -> bytes:
    """Where a file of an origin lies in the origin of what is deleted. An origin's id holds no slash."""
    return anchor[0].encode() + b"/" + anchor[1]


def original_anchor(path: bytes) -> Anchor:
    """Undo :func:`trash_path`."""
    origin_id, _, own = path.partition(b"/")
    return origin_id.decode(), own
