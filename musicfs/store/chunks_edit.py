"""Changing what is stored of one content, within one transaction, so that every counter stays exact.

All writes to blocks, manifests and records go through a :class:`ContentEdit`; what a change means for the record, the order
of eviction and the totals is worked out once, in :meth:`ContentEdit.save`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from musicfs.errors import StoreError
from musicfs.store.chunks_manifest import Entry, Manifest
from musicfs.store.chunks_schema import (
    HASH_BYTES,
    Content,
    Piece,
    PieceKind,
    Record,
    Tier,
    bits,
    block_bytes,
    block_count,
    block_key,
    block_range,
    edge_mask,
    encode_record,
    range_mask,
    use_key,
)
from musicfs.store.chunks_tables import ChunkTables, Writing

SLICE_PIECES = 1024  # chunks and blocks that one transaction removes: some 64 MiB, and a few milliseconds


class ContentEdit:
    """One content in the making. Nothing is in the tables for good before :meth:`save` and the commit."""

    def __init__(self, write: Writing, content: Content) -> None:
        """A content that is not stored yet begins empty. Raises StoreError if it is stored with another size."""
        self._write = write
        self._tables = write.tables
        self.content = content
        self._base = self._tables.base(content.key)
        found = self._tables.record(write.txn, content.key)
        if found is not None and found.size != content.size:
            raise StoreError(f"content {content.key.hex()} is stored with {found.size} bytes, not {content.size}")
        self._was = found
        self.record = Record(content.size) if found is None else found
        self._before = (self.record.blocks, self.record.is_complete and found is not None)
        self._old_use = b"" if found is None else use_key(found, content.key)
        self._old_raw = b"" if found is None else encode_record(found)
        self._manifest: Manifest | None = None
        self._manifest_changed = False

    @property
    def is_stored(self) -> bool:
        """True if something was stored before this edit."""
        return self._was is not None

    @property
    def manifest(self) -> Manifest:
        """The manifest; a damaged one is taken for empty and goes, and its references are counted anew later."""
        if self._manifest is None:
            raw = self._write.txn.get(self.content.key, db=self._tables.manifests) if self.record.mapped else None
            if raw is not None and self._tables.is_block(raw, self._tables.block_seed(self._base, -1)):
                self._manifest = Manifest(bytes(raw[HASH_BYTES:]))
            else:
                self._manifest = Manifest()
                if self.record.mapped:
                    self._manifest_changed = True
                    self._write.totals.leaked += 1
                    self._write.totals.recount = True
        return self._manifest

    # Blocks.

    def has_block(self, number: int) -> bool:
        """True if the block is stored."""
        return number >= 0 and bool(self.record.blocks >> number & 1)

    def get_block(self, number: int) -> memoryview | None:
        """The block's bytes, verified, valid until the next change; None if it is not stored or damaged."""
        value = self._write.txn.get(block_key(self.content.key, number), db=self._tables.blocks)
        start, stop = block_range(number, self.content.size)
        if value is None or len(value) != HASH_BYTES + stop - start:
            return None
        return value[HASH_BYTES:] if self._tables.is_block(value, self._tables.block_seed(self._base, number)) else None

    def put_block(self, number: int, data: bytes | bytearray | memoryview) -> None:
        """Store a block, in place of what is there. Raises ValueError if it is not as long as it must be."""
        start, stop = block_range(number, self.content.size)
        if not 0 <= number < block_count(self.content.size) or len(data) != stop - start:
            raise ValueError(f"block {number} of a content of {self.content.size} bytes has not {len(data)} bytes")
        digest = self._tables.digest(data, self._tables.block_seed(self._base, number))
        value = b"".join((digest, data))
        self._write.txn.put(block_key(self.content.key, number), value, db=self._tables.blocks)
        self.record.blocks |= 1 << number

    def drop_blocks(self, mask: int) -> None:
        """Remove the blocks of ``mask`` that are stored."""
        for number in bits(mask & self.record.blocks):
            self._write.txn.delete(block_key(self.content.key, number), db=self._tables.blocks)
        self.record.blocks &= ~mask

    def drop_mapped_blocks(self, start: int, stop: int) -> None:
        """Remove the blocks around ``[start, stop)`` whose every byte is in the manifest."""
        for number in bits(self.record.blocks & range_mask(start, stop)):
            if self.manifest.covers(*block_range(number, self.content.size)):
                self.drop_blocks(1 << number)

    # Manifest.

    def insert(self, entries: Iterable[Entry]) -> None:
        """Add entries whose references have been taken; they fill gaps, in order."""
        new = list(entries)
        self.manifest.insert(new)
        self._count(new, 1)

    def remove_last(self, count: int) -> int:
        """Remove up to ``count`` entries from the end, and their references; returns how many."""
        return self._release(self.manifest.pop_last(count))

    def remove_keys(self, keys: frozenset[bytes]) -> int:
        """Remove every entry that names one of these chunks; returns how many."""
        return self._release(self.manifest.remove_keys(keys))

    def _release(self, entries: list[Entry]) -> int:
        for entry in entries:
            self._write.release(entry.key, entry.chunk_bytes)
        self._count(entries, -1)
        return len(entries)

    def _count(self, entries: Collection[Entry], sign: int) -> None:
        length = sign * sum(entry.length for entry in entries)
        self.record.mapped += length
        self._write.totals.logical_bytes += length
        self._write.totals.references += sign * len(entries)
        self._manifest_changed |= bool(entries)

    def get_bytes(self, start: int, stop: int) -> bytes | None:
        """The bytes ``[start, stop)`` out of the manifest's chunks, verified; None if one is missing."""
        parts = []
        position = start
        for entry in self.manifest.between(start, stop):
            data = self._write.txn.get(entry.key, db=self._tables.chunks)
            if entry.start > position or data is None or not self._tables.is_chunk(data, entry.key):
                return None
            upto = min(entry.stop, stop)
            first = entry.offset + position - entry.start
            parts.append(bytes(data[first : first + upto - position]))
            position = upto
        return b"".join(parts) if position == stop else None

    def clear(self, count: int, kept_blocks: int = 0) -> int:
        """Remove the manifest and all blocks but those of a mask, up to ``count`` pieces; returns how many: less is all."""
        removed = self.remove_last(count) if self.record.mapped else 0
        dropped = bits(self.record.blocks & ~kept_blocks)[: count - removed]
        self.drop_blocks(sum(1 << number for number in dropped))
        return removed + len(dropped)

    # The end.

    def save(self, used_ns: int | None = None) -> None:
        """Write the record and what follows from it; ``used_ns`` is a new last use."""
        record, txn, key, totals = self.record, self._write.txn, self.content.key, self._write.totals
        if self._manifest_changed:
            self._save_manifest()
        record.cached = self._cached()
        if used_ns is not None:
            record.last_use_ns = used_ns
        was_blocks, was_complete = self._before
        edge_page_bytes = self._tables.edge_page_bytes
        totals.edge_bytes += edge_page_bytes(record.blocks, record.size) - edge_page_bytes(was_blocks, record.size)
        totals.block_bytes += block_bytes(record.blocks, 0, record.size) - block_bytes(was_blocks, 0, record.size)
        new_use = b"" if record.is_empty else use_key(record, key)
        if new_use != self._old_use:
            if self._old_use:
                txn.delete(self._old_use, db=self._tables.uses)
            if new_use:
                txn.put(new_use, b"", db=self._tables.uses)
        if record.is_empty:
            totals.complete -= was_complete
            txn.delete(key, db=self._tables.contents)
        else:
            totals.complete += record.is_complete - was_complete
            if (raw := encode_record(record)) != self._old_raw:
                txn.put(key, raw, db=self._tables.contents)

    def _save_manifest(self) -> None:
        raw, tables = self.manifest.raw, self._tables
        self.record.mapped = sum(entry.length for entry in self.manifest)
        if raw:
            digest = tables.digest(raw, tables.block_seed(self._base, -1))
            self._write.txn.put(self.content.key, digest + raw, db=tables.manifests)
        else:
            self._write.txn.delete(self.content.key, db=tables.manifests)

    def _cached(self) -> int:
        record = self.record
        if not record.blocks:
            return record.mapped
        if not record.mapped:
            return block_bytes(record.blocks, 0, record.size)
        gaps = self.manifest.gaps(0, record.size)
        return self.record.mapped + sum(block_bytes(record.blocks, start, stop) for start, stop in gaps)


def clear_contents(tables: ChunkTables, keys: Iterable[bytes], tier: Tier | None = None) -> int:
    """Remove contents in short transactions: all of them, or what counts in one tier; returns how many were stored."""
    count = 0
    for key in keys:
        done = False
        first = True
        while not done:
            with Writing(tables) as write:
                record = tables.record(write.txn, key)
                if record is None:
                    break
                count += first
                first = False
                edit = ContentEdit(write, Content(key, record.size))
                if tier is Tier.EDGES:
                    edit.drop_blocks(edge_mask(record.size))
                    done = True
                else:
                    kept = edge_mask(record.size) if tier is Tier.MAIN else 0
                    done = edit.clear(SLICE_PIECES, kept) < SLICE_PIECES
                edit.save()
    return count


def discard(tables: ChunkTables, pieces: Iterable[Piece]) -> list[Piece]:
    """Remove those of the pieces that are damaged indeed, or not there at all, in one transaction; returns them."""
    found = []
    with Writing(tables) as write:
        for piece in pieces:
            value = write.txn.get(piece.key, db=tables.table_of(piece.kind))
            if value is None and not _is_recorded(write, piece):
                continue
            if value is not None and tables.is_sound(piece, value):
                continue
            found.append(piece)
            write.totals.bad += 1
            _discard(write, piece, 0 if value is None else len(value))
    return found


def _is_recorded(write: Writing, piece: Piece) -> bool:
    """True for a block that is not there although its content's record says so."""
    record = write.tables.record(write.txn, piece.key[:HASH_BYTES]) if piece.kind is PieceKind.BLOCK else None
    return record is not None and bool(record.blocks >> int.from_bytes(piece.key[HASH_BYTES:], "big") & 1)


def _discard(write: Writing, piece: Piece, length: int) -> None:
    if piece.kind is PieceKind.CHUNK:
        write.lose(piece.key, length)
        return
    key = piece.key[:HASH_BYTES]
    record = write.tables.record(write.txn, key)
    if record is None:
        write.txn.delete(piece.key, db=write.tables.table_of(piece.kind))
        write.totals.recount = True
        return
    edit = ContentEdit(write, Content(key, record.size))
    if piece.kind is PieceKind.BLOCK:
        number = int.from_bytes(piece.key[HASH_BYTES:], "big")
        if edit.has_block(number):
            edit.drop_blocks(1 << number)
        else:
            write.txn.delete(piece.key, db=write.tables.blocks)
    else:
        _ = edit.manifest  # a damaged one is taken for empty
    edit.save()
    if piece.kind is PieceKind.MANIFEST:
        write.txn.delete(key, db=write.tables.manifests)
