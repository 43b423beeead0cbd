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
    Totals,
    block_bytes,
    block_count,
    decode_record,
    encode_record,
    use_key,
)
from musicfs.store.chunks_tables import ChunkTables, Writing

_SLICE_BYTES = 16 << 20  # hashed in one read transaction: a few milliseconds, or as long as the disk takes for it
_SLICE_PIECES = 1024
_RANGE_CHUNKS = 50_000  # whose references are counted at once: some 10 MB of memory

OnBad = Callable[[Piece], None]
Stop = Callable[[], bool]
OnChecked = Callable[[int], object]


def verify(tables: ChunkTables, on_bad: OnBad, stop: Stop, on_checked: OnChecked) -> bool:
    """Read everything, remove what is damaged, and put records, references and counters right; False if it was stopped.

    ``on_bad`` is called for every damaged piece, ``on_checked`` with how many blocks and chunks a slice held, ``stop`` is
    asked between slices, when no transaction is open. Blocks for as long as the disk takes.
    """
    for _, bad in _slices(tables, PieceKind.MANIFEST):
        _discard(tables, bad, on_bad)
        if stop():
            return False
    with tables.reading() as txn:
        leaked = tables.totals(txn).leaked
    if not _verify_blocks(tables, on_bad, stop, on_checked) or not _verify_chunks(tables, on_bad, stop, on_checked):
        return False
    _drop_idle_uses(tables)
    drop_lost(tables)
    recount(tables)
    if leaked:
        with Writing(tables) as write:
            write.totals.leaked -= leaked  # a manifest that was lost meanwhile is for the next time
    return True


def _verify_blocks(tables: ChunkTables, on_bad: OnBad, stop: Stop, on_checked: OnChecked) -> bool:
    """Both tables are ordered by content, so that one walk shows which blocks each record should name."""
    low, content_key, mask = b"", b"", 0
    for keys, bad in _slices(tables, PieceKind.BLOCK):
        _discard(tables, bad, on_bad)
        for key in keys:
            if key[:HASH_BYTES] != content_key:
                if content_key:
                    _check_records(tables, low, content_key, mask)
                low, content_key, mask = content_key, key[:HASH_BYTES], 0
            mask |= 1 << int.from_bytes(key[HASH_BYTES:], "big")
        on_checked(len(keys))
        if stop():
            return False
    if content_key:
        _check_records(tables, low, content_key, mask)
    _check_records(tables, content_key, b"", 0)
    return True


def _verify_chunks(tables: ChunkTables, on_bad: OnBad, stop: Stop, on_checked: OnChecked) -> bool:
    seen: list[bytes] = []
    low = b""
    for keys, bad in _slices(tables, PieceKind.CHUNK):
        _discard(tables, bad, on_bad)
        seen += keys
        if len(seen) >= _RANGE_CHUNKS:
            _check_references(tables, low, seen[-1], frozenset(seen))
            low, seen = seen[-1], []
        on_checked(len(keys))
        if stop():
            return False
    _check_references(tables, low, b"\xff" * HASH_BYTES, frozenset(seen))
    return True


def _discard(tables: ChunkTables, pieces: list[Piece], on_bad: OnBad) -> None:
    if pieces:
        for piece in discard(tables, pieces):
            on_bad(piece)


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
        suspects = set(seen.symmetric_difference(counts))
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


def _check_records(tables: ChunkTables, low: bytes, high: bytes, mask: int) -> None:
    """Check the records after ``low`` (empty: from the first) up to ``high`` (empty: to the last).

    ``mask`` are the blocks that were seen of ``high``; none were seen of those before it. The write that puts a record right
    looks for itself.
    """
    with tables.reading() as txn:
        wrong = []
        found_high = not high
        for key in _keys_between(txn, tables.contents, low, high or b"\xff" * HASH_BYTES):
            found_high |= key == high
            if not _is_right(tables, txn, key, mask if key == high else 0):
                wrong.append(key)
        if not found_high:
            wrong.append(high)
    for key in wrong:
        with Writing(tables) as write:
            _repair(write, key)


def _is_right(tables: ChunkTables, txn: lmdb.Transaction[memoryview], key: bytes, mask: int) -> bool:
    record = tables.record(txn, key)
    if record is None or record.blocks != mask or record.is_empty:
        return False
    manifest = read_manifest(tables, txn, key)
    if manifest is None or sum(entry.length for entry in manifest) != record.mapped:
        return False
    gaps = manifest.gaps(0, record.size)
    cached = record.mapped + sum(block_bytes(mask, start, stop) for start, stop in gaps)
    return cached == record.cached and txn.get(use_key(record, key), db=tables.uses) is not None


def _repair(write: Writing, key: bytes) -> None:
    """Make a record say what is stored; what has none goes."""
    tables, txn = write.tables, write.txn
    record = tables.record(txn, key)
    manifest = read_manifest(tables, txn, key)
    mask = 0
    for block in list(_keys_between(txn, tables.blocks, key, key + b"\xff" * 4)):
        number = int.from_bytes(block[HASH_BYTES:], "big")
        if record is not None and number < block_count(record.size):
            mask |= 1 << number
        else:
            txn.delete(block, db=tables.blocks)
    if record is None or manifest is None or (manifest.raw and manifest.stop > record.size):
        txn.delete(key, db=tables.manifests)
        manifest = Manifest()
    write.totals.recount = True
    if record is None:
        return
    txn.delete(use_key(record, key), db=tables.uses)
    record.blocks = mask
    record.mapped = sum(entry.length for entry in manifest)
    txn.put(key, encode_record(record), db=tables.contents)
    ContentEdit(write, Content(key, record.size)).save()  # counts what is cached
    if record.is_empty:
        return
    txn.put(use_key(record, key), b"", db=tables.uses)


def _drop_idle_uses(tables: ChunkTables) -> None:
    """Remove entries of the order of eviction that no record stands behind."""
    with tables.reading() as txn:
        idle = [use for use in _keys_between(txn, tables.uses, b"", b"\xff") if not _is_in_use(tables, txn, use)]
    if idle:
        with Writing(tables) as write:
            for use in idle:
                if not _is_in_use(tables, write.txn, use):
                    write.txn.delete(use, db=tables.uses)


def _is_in_use(tables: ChunkTables, txn: lmdb.Transaction[memoryview], use: bytes) -> bool:
    key = use[-HASH_BYTES:]
    record = tables.record(txn, key)
    return record is not None and use_key(record, key) == use


def recount(tables: ChunkTables) -> None:
    """Count anew what ``totals`` says, if damage may have changed it: in one transaction, a second for 10 GB."""
    with tables.reading() as txn:
        if not tables.totals(txn).recount:
            return
    with Writing(tables) as write:
        write.totals = count_totals(tables, write.txn)


def count_totals(tables: ChunkTables, txn: lmdb.Transaction[memoryview]) -> Totals:
    """The counters from what they count. Reads records and manifests, no content."""
    known = tables.totals(txn)
    totals = Totals(bad=known.bad, leaked=known.leaked)
    with txn.cursor(tables.contents) as cursor:
        for raw in cursor.iternext(keys=False):
            record = decode_record(raw)
            totals.complete += record.is_complete
            totals.block_bytes += block_bytes(record.blocks, 0, record.size)
            totals.edge_bytes += tables.edge_page_bytes(record.blocks, record.size)
    shared: dict[bytes, int] = {}
    for _, manifest in _manifests(tables, txn):
        for entry in manifest:
            totals.references += 1
            totals.logical_bytes += entry.length
            if txn.get(entry.key, db=tables.lost) is not None:
                continue
            if txn.get(entry.key, db=tables.refs) is None:
                totals.chunk_bytes += entry.chunk_bytes
            else:
                shared[entry.key] = entry.chunk_bytes
    totals.chunk_bytes += sum(shared.values())
    return totals
