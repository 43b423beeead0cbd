"""From blocks to chunks, and from one version of a file to the next.

A content moves from blocks to manifest in windows of some megabytes: read and cut without the write lock, then written in
one transaction that adds the chunks, names them in the manifest and removes the blocks they replace. So after a crash
every window is either blocks or chunks, nothing refers to what is not there, and nothing is there that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import lmdb

from musicfs.store.chunks_edit import ContentEdit, discard
from musicfs.store.chunks_manifest import Entry, Manifest
from musicfs.store.chunks_schema import (
    BLOCK_BYTES,
    HASH_BYTES,
    Content,
    Piece,
    PieceKind,
    Reuse,
    block_key,
    block_range,
)
from musicfs.store.chunks_tables import ChunkTables, Writing

WINDOW_BYTES = 16 << 20  # one transaction: some 30 ms of the write lock on a disk that writes 600 MB/s
ADOPTED_ENTRIES = 1024  # of one transaction


class Cut(Protocol):
    """A chunker: where the chunks of a window stop; without ``final`` only those that more bytes would not change."""

    def __call__(self, window: bytes | bytearray, final: bool) -> list[int]: ...


class _Window:
    """A run of a content's bytes, cut and hashed, ready to be written."""

    def __init__(self, tables: ChunkTables, start: int, data: bytes | bytearray, stops: list[int]) -> None:
        self.start = start
        self.data = data
        self.length = stops[-1]
        view = memoryview(data)
        begins = [0, *stops[:-1]]
        self.parts = [
            (begin, stop, tables.digest(view[begin:stop], tables.seed))
            for begin, stop in zip(begins, stops, strict=True)
        ]

    def write(self, write: Writing, edit: ContentEdit) -> bool:
        """Add the chunks and what names them; False if the range is not a gap any more."""
        stop = self.start + self.length
        if next(edit.manifest.gaps(self.start, stop), None) != (self.start, stop):
            return False
        entries = []
        for begin, end, digest in self.parts:
            key = write.put_chunk(self.data, begin, end, digest)
            entries.append(Entry(self.start + begin, end - begin, 0, end - begin, key))
        edit.insert(entries)
        edit.drop_mapped_blocks(self.start, stop)
        return True


def recut(tables: ChunkTables, content: Content, cut: Cut) -> bool:
    """Turn a complete content's blocks into chunks; True if it is chunks all through now.

    False if it is not complete, was changed meanwhile, or a piece of it turned out to be damaged (which is removed).
    """
    buffer = bytearray(min(WINDOW_BYTES, content.size))  # filled again and again: new memory costs a fault a page
    while True:
        found = _read_gap(tables, content, buffer)
        if isinstance(found, Piece):
            discard(tables, [found])
            return False
        if found is None:
            return False
        start, data, final = found
        if not data:
            return _drop_leftovers(tables, content)
        window = _Window(tables, start, data, cut(data, final))
        with Writing(tables) as write:
            edit = ContentEdit(write, content)
            if not edit.is_stored or not window.write(write, edit):
                return False
            edit.save()


def _drop_leftovers(tables: ChunkTables, content: Content) -> bool:
    """Remove blocks of what is chunks already: they were fetched while a chunk was damaged."""
    with tables.reading() as txn:
        record = tables.record(txn, content.key)
    if record is not None and record.blocks:
        with Writing(tables) as write:
            edit = ContentEdit(write, content)
            edit.drop_mapped_blocks(0, content.size)
            edit.save()
    return True


def _read_gap(
    tables: ChunkTables, content: Content, buffer: bytearray
) -> tuple[int, bytes | bytearray, bool] | Piece | None:
    """The first window that is blocks: (start, bytes, up to the gap's end); no bytes if there is none.

    A piece that is damaged, or None if the content is not complete. ``buffer`` may be what is returned.
    """
    with tables.reading() as txn:
        record = tables.record(txn, content.key)
        if record is None or record.size != content.size or not record.is_complete:
            return None
        manifest = read_manifest(tables, txn, content.key)
        if manifest is None:
            return Piece(PieceKind.MANIFEST, content.key)
        gap = next(manifest.gaps(0, content.size), None)
        if gap is None:
            return content.size, b"", True
        start, end = gap
        stop = min(end, start + len(buffer))
        view = memoryview(buffer)
        for position, part in _read_blocks(tables, txn, content, start, stop):
            if isinstance(part, Piece):
                return part
            view[position - start : position - start + len(part)] = part
        data = buffer if stop - start == len(buffer) else bytes(view[: stop - start])
        return start, data, stop == end


def _read_blocks(
    tables: ChunkTables, txn: lmdb.Transaction[memoryview], content: Content, start: int, stop: int
) -> Iterator[tuple[int, memoryview | Piece]]:
    """(position, verified bytes) of each block's part of ``[start, stop)``, or the piece in place of its bytes."""
    base = tables.base(content.key)
    for number in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1):
        begin, end = block_range(number, content.size)
        first, last = max(start, begin), min(stop, end)
        key = block_key(content.key, number)
        value = txn.get(key, db=tables.blocks)
        right = value is not None and len(value) == HASH_BYTES + end - begin
        if value is None or not right or not tables.is_block(value, tables.block_seed(base, number)):
            yield first, Piece(PieceKind.BLOCK, key)
        else:
            yield first, value[HASH_BYTES + first - begin : HASH_BYTES + last - begin]


def read_manifest(tables: ChunkTables, txn: lmdb.Transaction[memoryview], content_key: bytes) -> Manifest | None:
    """A content's manifest, empty if it has none; None if it is damaged."""
    raw = txn.get(content_key, db=tables.manifests)
    if raw is None:
        return Manifest()
    if not tables.is_block(raw, tables.block_seed(tables.base(content_key), -1)):
        return None
    return Manifest(bytes(raw[HASH_BYTES:]))


def ingest(tables: ChunkTables, content: Content, data: Iterable[bytes], cut: Cut, used_ns: int) -> bool:
    """Store a whole content that arrives in order, as chunks at once; True if it is stored.

    ``data`` comes in pieces of any length. A content that is complete already is left as it is, another one is begun anew.
    Raises ValueError if ``data`` is not ``content.size`` bytes long; what came first stays.
    """
    with tables.reading() as txn:
        record = tables.record(txn, content.key)
    if record is not None and record.is_complete:
        return True
    if record is not None and record.mapped:
        with Writing(tables) as write:
            edit = ContentEdit(write, content)
            edit.remove_last(len(edit.manifest))
            edit.save(used_ns)
    buffer = bytearray(min(WINDOW_BYTES, content.size))  # filled again and again: new memory costs a fault a page
    view = memoryview(buffer)
    start = filled = 0
    for more in data:
        rest = memoryview(more)
        if start + filled + len(rest) > content.size:
            raise ValueError(f"more than {content.size} bytes came for a content of that size")
        while rest:
            count = min(len(rest), len(buffer) - filled)
            view[filled : filled + count] = rest[:count]
            filled, rest = filled + count, rest[count:]
            final = start + filled == content.size
            if filled < len(buffer) and not final:
                continue
            window = buffer if filled == len(buffer) else bytes(view[:filled])
            prepared = _Window(tables, start, window, cut(window, final))
            with Writing(tables) as write:
                edit = ContentEdit(write, content)
                if not prepared.write(write, edit):
                    return False
                edit.save(used_ns)
            left = filled - prepared.length
            view[:left] = view[prepared.length : filled]
            start, filled = start + prepared.length, left
    if start != content.size:
        raise ValueError(f"{start + filled} bytes came for a content of {content.size}")
    return True


def adopt(tables: ChunkTables, content: Content, pieces: Sequence[Reuse], used_ns: int) -> int:
    """Give a new content what is known of it: ranges that other contents hold. Returns how many bytes it has got so.

    Bytes that a known content has as chunks are shared; those it has as blocks are copied into chunks. What the manifest of
    the new content has already stays; what the source does not have, or has damaged, stays missing. Raises ValueError if a
    range is not within its content.
    """
    gained = 0
    for piece in sorted(pieces, key=lambda piece: piece.start):
        if not 0 <= piece.start <= piece.stop <= content.size or piece.source_start < 0 or piece.source == content.key:
            raise ValueError(f"{piece} is no range for a content of {content.size} bytes")
        position = piece.start
        while position < piece.stop:
            with Writing(tables) as write:
                edit = ContentEdit(write, content)
                before = edit.record.mapped
                done = _adopt_some(write, edit, piece, position)
                gained += edit.record.mapped - before
                edit.drop_mapped_blocks(position, done)
                edit.save(used_ns)
            position = done
    return gained


def _adopt_some(write: Writing, edit: ContentEdit, piece: Reuse, position: int) -> int:
    """Adopt from ``position`` on, as much as one transaction should hold; returns how far that went."""
    tables = write.tables
    record = tables.record(write.txn, piece.source)
    manifest = None if record is None else read_manifest(tables, write.txn, piece.source)
    if record is None or manifest is None:
        return piece.stop
    shift = piece.start - piece.source_start
    if piece.stop - shift > record.size:
        raise ValueError(f"{piece}: the known content has {record.size} bytes")
    source = Content(piece.source, record.size)
    new: list[Entry] = []
    budget = ADOPTED_ENTRIES
    done = piece.stop
    for known in _parts(manifest, source, position - shift, piece.stop - shift):
        if budget <= 0:
            done = known.start + shift
            break
        for start, stop in edit.manifest.gaps(known.start + shift, known.stop + shift):
            if known.key:
                write.take(known.key)
                new.append(known.part(start - shift, stop - shift, start))
                budget -= 1
            else:
                new += _copy_block(write, source, start - shift, stop - shift, shift)
                budget -= ADOPTED_ENTRIES * BLOCK_BYTES // WINDOW_BYTES
    edit.insert(new)
    return done


def _parts(manifest: Manifest, source: Content, start: int, stop: int) -> Iterator[Entry]:
    """The range as entries of the manifest, and between them, without a key, one for each block."""
    for begin, end, entry in _alternate(manifest, start, stop):
        if entry is not None:
            yield entry.part(begin, end, begin)
            continue
        for number in range(begin // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1):
            first, last = block_range(number, source.size)
            first, last = max(first, begin), min(last, end)
            yield Entry(first, last - first, 0, 0, b"")


def _alternate(manifest: Manifest, start: int, stop: int) -> Iterator[tuple[int, int, Entry | None]]:
    """The range in order: (start, stop, the entry that has it or None)."""
    for entry in manifest.between(start, stop):
        if entry.start > start:
            yield start, entry.start, None
        begin = max(start, entry.start)
        start = min(entry.stop, stop)
        yield begin, start, entry
    if start < stop:
        yield start, stop, None


def _copy_block(write: Writing, source: Content, start: int, stop: int, shift: int) -> list[Entry]:
    """A chunk with these bytes of a block of the source; nothing if they are not stored."""
    tables = write.tables
    ((_, found),) = _read_blocks(tables, write.txn, source, start, stop)
    if isinstance(found, Piece):
        return []
    data = bytes(found)
    key = write.put_chunk(data, 0, len(data), tables.digest(data, tables.seed))
    return [Entry(start + shift, len(data), 0, len(data), key)]
