"""The content store as the mount uses it: reading at memory speed, and adding blocks.

Reading takes one LMDB transaction a call, copies from the map into the caller's buffer, and never waits for a lock: a
manifest is searched where it lies, so that an open content costs nothing and always sees one consistent state, also while
the keeper re-cuts it. Every piece is verified by its hash when it is first read in this process. What has been verified is
remembered in a table of 1 MiB for 131,072 pieces (some 8 GB of content); a piece that shares another's slot is
verified again, which costs 3 microseconds for 64 KiB.

Whatever is wrong with the store, reading says "missing" and goes on: bytes that are missing can be fetched.
"""

from __future__ import annotations

import logging
import mmap
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import lmdb
import xxhash

from musicfs.clock import Clock, SystemClock
from musicfs.errors import StoreError
from musicfs.store import environment
from musicfs.store.chunks_edit import ContentEdit, clear_contents, discard
from musicfs.store.chunks_manifest import LENGTH_BITS, LENGTH_MASK, WORDS, WORDS_BEFORE, unpack
from musicfs.store.chunks_schema import (
    BLOCK_BYTES,
    HASH_BYTES,
    Content,
    Coverage,
    Piece,
    PieceKind,
    block_key,
    block_range,
)
from musicfs.store.chunks_tables import ChunkTables, Digest, Writing

log = logging.getLogger(__name__)

_SLOT_BITS = 17
_SLOTS_MASK = (1 << _SLOT_BITS) - 1
_BAD_MAX = 4096  # damaged pieces that wait to be taken; more are found again when they are read again

Range = tuple[int, int]
Blocks = Iterable[tuple[int, bytes | bytearray | memoryview]]


class ChunkStore:
    """An opened content store. Reading is safe from any thread; writing waits for LMDB's write lock, and for the disk."""

    def __init__(
        self,
        path: str,
        *,
        limit_bytes: int,
        clock: Clock | None = None,
        digest: Digest = xxhash.xxh3_128_digest,
    ) -> None:
        """Open a store that was prepared (:func:`~musicfs.store.chunks_tables.prepare_chunks`).

        ``limit_bytes``, of all tiers, only decides the size of the map, and must be the same in every process. Raises
        StoreError, DiskFullError.
        """
        self.path = path
        self.clock: Clock = SystemClock() if clock is None else clock
        self.tables = ChunkTables(path, limit_bytes, digest)
        # Anonymous memory is zero, and no page of it exists before it is used. A slot holds the tag of its last piece.
        self._verified = memoryview(mmap.mmap(-1, 8 << _SLOT_BITS)).cast("Q")
        self._verified[0] = 1  # a tag that belongs elsewhere: no tag is found before it was put there
        self._bad: dict[Piece, None] = {}
        self._lock = threading.Lock()  # of the two below and of nothing that waits
        self._bad_found = 0
        self._is_damaged = False

    def close(self) -> None:
        """Unmap the file. No call may be under way."""
        self.tables.close()

    # Reading.

    def open(self, content: Content) -> StoredContent:
        """What is stored of a content, now and later: cheap, holds nothing, need not be closed."""
        return StoredContent(self, self.tables, self._verified, content)

    def coverage(self, content: Content) -> Coverage:
        """How much of a content is stored. Raises StoreError."""
        with self.tables.reading() as txn:
            record = self.tables.record(txn, content.key)
        if record is None or record.size != content.size:
            return Coverage(0, content.size == 0)
        return Coverage(record.cached, record.is_complete)

    @property
    def is_damaged(self) -> bool:
        """True once LMDB's own pages were found damaged: everything is missing until the store is prepared anew."""
        return self._is_damaged

    @property
    def bad_found(self) -> int:
        """How many damaged pieces this process has met."""
        return self._bad_found

    def report_bad(self, piece: Piece) -> None:
        """Note a damaged piece, once until it is taken."""
        with self._lock:
            if piece in self._bad or len(self._bad) >= _BAD_MAX:
                return
            self._bad[piece] = None
            self._bad_found += 1
        log.info("content store: a damaged %s is fetched again", piece.kind)

    def take_bad(self) -> list[Piece]:
        """The damaged pieces since the last call, to be given to :meth:`discard` by a thread that may wait."""
        with self._lock:
            found = list(self._bad)
            self._bad.clear()
        return found

    def report_error(self, error: lmdb.Error) -> None:
        """LMDB failed while reading: damage is noted for the next start, said once, and ends reading until then."""
        if not environment.is_damage(error):
            return  # no reader slot, or closed: this call's bytes count as missing, nothing more
        with self._lock:
            known, self._is_damaged = self._is_damaged, True
        if not known:
            environment.note_damage(self.path)
            log.error("the content store is damaged: %s; it begins empty when you unmount and mount again", error)

    # Writing.

    def put_blocks(self, content: Content, blocks: Blocks) -> int:
        """Store fetched blocks of one content; see :meth:`put_batch`."""
        return self.put_batch([(content, blocks)])

    def put_batch(self, batch: Iterable[tuple[Content, Blocks]]) -> int:
        """Store fetched blocks (number, bytes) of some contents in one transaction; returns how many were new.

        Each is :data:`BLOCK_BYTES` long, or the content's last and shorter. What is there already and sound is not written
        again. Raises DiskFullError when the disk or the map is full: then nothing was stored, and reading goes on.
        """
        self._refuse_if_damaged()
        with Writing(self.tables) as write:
            return sum(self._put(ContentEdit(write, content), blocks) for content, blocks in batch)

    def _put(self, edit: ContentEdit, blocks: Blocks) -> int:
        count = 0
        for number, data in blocks:
            start, stop = block_range(number, edit.content.size)
            if edit.has_block(number) and edit.get_block(number) is not None:
                continue
            if edit.record.mapped and edit.get_bytes(start, stop) is not None:
                continue
            edit.put_block(number, data)
            count += 1
        edit.save(self.clock.time_ns())
        return count

    def touch(self, keys: Iterable[bytes]) -> None:
        """Note that these contents are used now, in one transaction; those that are not stored are left out."""
        self._refuse_if_damaged()
        now_ns = self.clock.time_ns()
        with Writing(self.tables) as write:
            for key in keys:
                record = self.tables.record(write.txn, key)
                if record is not None:
                    ContentEdit(write, Content(key, record.size)).save(now_ns)

    def forget(self, content: Content) -> None:
        """Remove a content, in short transactions."""
        self._refuse_if_damaged()
        clear_contents(self.tables, [content.key])

    def discard(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Remove those of the pieces that are damaged indeed, in one transaction; returns them."""
        self._refuse_if_damaged()
        return discard(self.tables, pieces) if pieces else []

    def discard_bad(self) -> None:
        """Remove what was found damaged since the last call."""
        self.discard(self.take_bad())

    def _refuse_if_damaged(self) -> None:
        if self._is_damaged:
            raise StoreError(f"{self.path}: the content store is damaged", remedy="unmount, and mount again")


class StoredContent:
    """What is stored of one content."""

    __slots__ = ("_base", "_store", "_tables", "_verified", "key", "size")

    def __init__(self, store: ChunkStore, tables: ChunkTables, verified: memoryview[int], content: Content) -> None:
        self.key = content.key
        self.size = content.size
        self._store = store
        self._tables = tables
        self._verified = verified
        self._base = tables.base(content.key)

    def read_into(self, view: memoryview, start: int) -> list[Range]:
        """Fill ``view`` with the bytes from ``start``; returns the ranges ``(start, stop)`` that are missing, in order.

        An empty list: filled completely. Missing ranges are the content's, within what was asked for, and what ``view``
        holds there is undefined. Does not raise for anything that is wrong with the store. Waits for the disk when the
        page cache does not hold the bytes, without the GIL.
        """
        stop = start + len(view)
        if start < 0 or stop > self.size:
            raise ValueError(f"[{start}, {stop}) is not within {self.size} bytes")
        if self._store.is_damaged:
            return [(start, stop)] if stop > start else []
        try:
            with self._tables.env.begin(buffers=True) as txn:
                manifest = txn.get(self.key, db=self._tables.manifests)
                gaps = [(start, stop)]
                if manifest is not None:
                    gaps = self._copy_chunks(txn, manifest, view, start, stop)
                return self._copy_blocks(txn, view, start, gaps) if gaps else gaps
        except lmdb.Error as error:
            self._store.report_error(error)
            return [(start, stop)]

    def missing(self, start: int, stop: int) -> list[Range]:
        """The ranges of ``[start, stop)`` that are not stored, in order. Damage that nobody has met yet counts as stored."""
        if stop <= start or self._store.is_damaged:
            return [(start, stop)] if stop > start else []
        try:
            with self._tables.env.begin(buffers=True) as txn:
                record = self._tables.record(txn, self.key)
                if record is None:
                    return [(start, stop)]
                if record.is_complete:
                    return []
                manifest = txn.get(self.key, db=self._tables.manifests) if record.mapped else None
                gaps = _gaps(manifest[HASH_BYTES:], start, stop) if manifest is not None else [(start, stop)]
                return [gap for gap in gaps for gap in self._absent_blocks(record.blocks, *gap)]
        except lmdb.Error as error:
            self._store.report_error(error)
            return [(start, stop)]

    def _absent_blocks(self, blocks: int, start: int, stop: int) -> Iterator[Range]:
        """The parts of a range that lie in no block of the mask, one for each run of blocks."""
        begin = -1
        for number in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
            if blocks >> number & 1:
                if begin >= 0:
                    yield begin, number * BLOCK_BYTES
                begin = -1
            elif begin < 0:
                begin = max(start, number * BLOCK_BYTES)
        if begin >= 0:
            yield begin, stop

    def _copy_chunks(
        self, txn: lmdb.Transaction[memoryview], manifest: memoryview, view: memoryview, start: int, stop: int
    ) -> list[Range]:
        """Copy what the manifest has of ``[start, stop)``; returns the rest."""
        tables, verified = self._tables, self._verified
        if len(manifest) % 8:
            return [(start, stop)]
        words = manifest.cast("Q")
        tag = words[0] ^ self._base
        if verified[tag & _SLOTS_MASK] != tag and not self._verify_manifest(manifest, tag):
            return [(start, stop)]
        gaps = []
        position = start
        at = WORDS_BEFORE + WORDS * max(0, bisect_right(words[WORDS_BEFORE::WORDS], start) - 1)
        while position < stop and at < len(words):
            begin, span = words[at], words[at + 1]
            if begin >= stop:
                break
            end = begin + (span & LENGTH_MASK)
            if end > position:
                if begin > position:
                    gaps.append((position, begin))
                    position = begin
                upto = min(end, stop)
                key = manifest[8 * at + 16 : 8 * at + 32]
                data = txn.get(key, db=tables.chunks)
                tag = words[at + 2]
                first = position - begin + (span >> LENGTH_BITS & LENGTH_MASK)
                last = first + upto - position
                if data is not None and (
                    verified[tag & _SLOTS_MASK] == tag or self._verify_chunk(data, key, tag)
                ) and last <= len(data):  # fmt: skip
                    view[position - start : upto - start] = data[first:last]
                else:
                    gaps.append((position, upto))
                position = upto
            at += WORDS
        if position < stop:
            gaps.append((position, stop))
        return gaps

    def _copy_blocks(
        self, txn: lmdb.Transaction[memoryview], view: memoryview, origin: int, ranges: list[Range]
    ) -> list[Range]:
        """Copy what blocks have of these ranges; returns the rest, ranges that touch joined. ``view`` is from ``origin``."""
        tables, verified = self._tables, self._verified
        missing: list[Range] = []
        for start, stop in ranges:
            for number in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1):
                begin, end = block_range(number, self.size)
                first, last = max(start, begin), min(stop, end)
                value = txn.get(block_key(self.key, number), db=tables.blocks)
                if value is not None and len(value) == HASH_BYTES + end - begin:
                    seed = tables.block_seed(self._base, number)
                    tag = int.from_bytes(value[:8], "little") ^ seed
                    if verified[tag & _SLOTS_MASK] == tag or self._verify_block(value, number, seed, tag):
                        data = value[HASH_BYTES + first - begin : HASH_BYTES + last - begin]
                        view[first - origin : last - origin] = data
                        continue
                if missing and missing[-1][1] == first:
                    missing[-1] = (missing[-1][0], last)
                else:
                    missing.append((first, last))
        return missing

    # The first time that a piece is read.

    def _verify_manifest(self, manifest: memoryview, tag: int) -> bool:
        seed = self._tables.block_seed(self._base, -1)
        if len(manifest) % (8 * WORDS) == HASH_BYTES and self._tables.is_block(manifest, seed):
            self._verified[tag & _SLOTS_MASK] = tag
            return True
        self._store.report_bad(Piece(PieceKind.MANIFEST, self.key))
        return False

    def _verify_chunk(self, data: memoryview, key: memoryview, tag: int) -> bool:
        if self._tables.is_chunk(data, bytes(key)):
            self._verified[tag & _SLOTS_MASK] = tag
            return True
        self._store.report_bad(Piece(PieceKind.CHUNK, bytes(key)))
        return False

    def _verify_block(self, value: memoryview, number: int, seed: int, tag: int) -> bool:
        if self._tables.is_block(value, seed):
            self._verified[tag & _SLOTS_MASK] = tag
            return True
        self._store.report_bad(Piece(PieceKind.BLOCK, block_key(self.key, number)))
        return False


def _gaps(entries: memoryview, start: int, stop: int) -> list[Range]:
    """What no entry of a manifest covers of ``[start, stop)``."""
    gaps = []
    for entry in unpack(entries):
        if entry.start >= stop:
            break
        if entry.start > start:
            gaps.append((start, entry.start))
        start = max(start, entry.stop)
    if start < stop:
        gaps.append((start, stop))
    return gaps
