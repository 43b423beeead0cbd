"""Looking at everything: finding what is damaged, and what damage left behind.

LMDB has no checksums, but every piece of content has one. Pieces are read in short transactions, a range of keys at a
time; what is damaged is removed and counts as missing. Then the references of that range's chunks are counted in the
manifests: a chunk that nothing names goes, an entry whose chunk is gone goes, a wrong count is put right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import lmdb

from musicfs.store.chunks_edit import ContentEdit, discard
from musicfs.store.chunks_manifest import Manifest
from musicfs.store.chunks_recut import read_manifest
from musicfs.store.chunks_schema import (
    HASH_BYTES,
    REFS,
    Content,
    Piece,
    PieceKind,
)
from musicfs.store.chunks_tables import ChunkTables, Writing

_SLICE_BYTES = 16 << 20  # hashed in one read transaction: a few milliseconds, or as long as the disk takes for it
_SLICE_PIECES = 1024
_RANGE_CHUNKS = 50_000  # whose references are counted at once: some 10 MB of memory

OnBad = Callable[[Piece], None]
Stop = Callable[[], bool]


def verify(tables: ChunkTables, on_bad: OnBad, stop: Stop) -> bool:
    """Read everything, remove what is damaged, and put references and counters right; False if it was told to stop.

    ``on_bad`` is called for every damaged piece, ``stop`` is asked between slices. Blocks for as long as the disk takes.
    """
    found = 0
    for kind in (PieceKind.MANIFEST, PieceKind.BLOCK):
        for _, bad in _slices(tables, kind):
            found += _report(discard(tables, bad), on_bad)
            if stop():
                return False
    seen: list[bytes] = []
    low = b""
    for keys, bad in _slices(tables, PieceKind.CHUNK):
        found += _report(discard(tables, bad), on_bad)
        seen += keys
        if len(seen) >= _RANGE_CHUNKS:
            _check_references(tables, low, seen[-1], frozenset(seen))
            low, seen = seen[-1], []
        if stop():
            return False
    _check_references(tables, low, b"\xff" * HASH_BYTES, frozenset(seen))
    _check_records(tables)
    drop_lost(tables)
    recount(tables)
    return True


def _report(pieces: list[Piece], on_bad: OnBad) -> int:
    for piece in pieces:
        on_bad(piece)
    return len(pieces)


def _slices(tables: ChunkTables, kind: PieceKind) -> Iterator[tuple[list[bytes], list[Piece]]]:
    """(keys, damaged pieces) of one table, a slice at a time in key order."""
    after = b""
    while True:
        keys: list[bytes] = []
        bad: list[Piece] = []
        left = _SLICE_BYTES
        with tables.reading() as txn, txn.cursor(tables.table_of(kind)) as cursor:
            more = cursor.set_range(after + b"\0") if after else cursor.first()
            while more and left > 0 and len(keys) < _SLICE_PIECES:
                key, value = cursor.item()
                keys.append(bytes(key))
                left -= len(value)
                piece = Piece(kind, keys[-1])
                if not tables.is_sound(piece, value):
                    bad.append(piece)
                more = cursor.next()
        if not keys:
            return
        after = keys[-1]
        yield keys, bad


# References.


def _check_references(tables: ChunkTables, low: bytes, high: bytes, seen: frozenset[bytes]) -> None:
    """Compare what manifests name in the key range ``(low, high]`` with the chunks that were seen there, and their counts."""
    with tables.reading() as txn:
        counts = _count_references(tables, txn, lambda key: low < key <= high)
        suspects = {key for key in seen.symmetric_difference(counts)}
        suspects |= {key for key in counts if counts[key] != _stored_count(tables, txn, key)}
        suspects |= {key for key in _keys_between(txn, tables.refs, low, high) if key not in counts}
        suspects |= {key for key in _keys_between(txn, tables.lost, low, high) if key not in counts}
    if not suspects:
        return
    with Writing(tables) as write:  # what was seen may have changed since: now nothing does
        exact = _count_references(tables, write.txn, suspects.__contains__)
        for key in sorted(suspects):
            _set_references(write, key, exact[key])


def _count_references(
    tables: ChunkTables, txn: lmdb.Transaction[memoryview], wanted: Callable[[bytes], bool]
) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for _, manifest in _manifests(tables, txn):
        counts.update(entry.key for entry in manifest if wanted(entry.key))
    return counts


def _manifests(tables: ChunkTables, txn: lmdb.Transaction[memoryview]) -> Iterator[tuple[bytes, Manifest]]:
    """(content key, manifest) of all contents whose manifest is sound."""
    with txn.cursor(tables.manifests) as cursor:
        for key in cursor.iternext(values=False):
            content_key = bytes(key)
            manifest = read_manifest(tables, txn, content_key)
            if manifest is not None:
                yield content_key, manifest


def _stored_count(tables: ChunkTables, txn: lmdb.Transaction[memoryview], key: bytes) -> int:
    raw = txn.get(key, db=tables.refs)
    return 1 if raw is None else REFS.unpack(raw)[0]


def _keys_between(txn: lmdb.Transaction[memoryview], table: lmdb._Database, low: bytes, high: bytes) -> Iterator[bytes]:
    with txn.cursor(table) as cursor:
        more = cursor.set_range(low + b"\0" if low else b"\0")
        while more and (key := bytes(cursor.key())) <= high:
            yield key
            more = cursor.next()


def _set_references(write: Writing, key: bytes, count: int) -> None:
    tables, txn = write.tables, write.txn
    has_bytes = txn.get(key, db=tables.chunks) is not None
    if count > 1:
        txn.put(key, REFS.pack(count), db=tables.refs)
    else:
        txn.delete(key, db=tables.refs)
    if count and not has_bytes:
        txn.put(key, b"", db=tables.lost)
    else:
        txn.delete(key, db=tables.lost)
    if not count and has_bytes:
        txn.delete(key, db=tables.chunks)
    write.totals.recount = True


def drop_lost(tables: ChunkTables) -> int:
    """Take the entries out of manifests whose chunks were found damaged; returns how many. Cheap when there are none."""
    with tables.reading() as txn:
        lost = frozenset(_keys_between(txn, tables.lost, b"", b"\xff" * HASH_BYTES))
        if not lost:
            return 0
        concerned = [key for key, manifest in _manifests(tables, txn) if any(entry.key in lost for entry in manifest)]
    count = 0
    for key in concerned:
        with Writing(tables) as write:
            record = tables.record(write.txn, key)
            if record is None:
                continue
            still = frozenset(one for one in lost if write.txn.get(one, db=tables.lost) is not None)
            edit = ContentEdit(write, Content(key, record.size))
            count += edit.remove_keys(still)
            edit.save()
    return count


# Records and counters.


def _check_records(tables: ChunkTables) -> None:
    """See that every record says what is stored, and stands in the order of eviction."""
    raise NotImplementedError


def recount(tables: ChunkTables) -> None:
    """Count anew what ``totals`` says, if damage may have changed it."""
    raise NotImplementedError
