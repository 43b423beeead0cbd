"""The content store's environment: opening it, the hashes of what is in it, and one write to it.

A :class:`Writing` is a transaction that commits as a whole, counters included, or leaves no trace. Keep it short: LMDB has
one write lock for all processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

import lmdb
import msgspec
import xxhash

from musicfs.errors import SchemaError, StoreError
from musicfs.store import environment
from musicfs.store.chunks_schema import (
    HASH_BYTES,
    REFS,
    SCHEMA,
    TABLES,
    U64,
    Piece,
    PieceKind,
    Record,
    Tier,
    Totals,
    bits,
    block_range,
    decode_record,
    edge_mask,
)

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: consecutive numbers get seeds that are far apart
_KEY_BITS = 8 * HASH_BYTES
_COLLISIONS_MAX = 1024
_SMALLEST_MAP_BYTES = 128 << 30
_LARGEST_MAP_BYTES = 32 << 40  # a quarter of what a process can address on x86-64
_UNCLEAN = "unclean"
_UNCLEAN_MAX = 3

# The hash of bytes with a seed: 16 bytes. Tests put a weak one in its place.
Digest = Callable[[bytes | bytearray | memoryview, int], bytes]
_encode = msgspec.msgpack.encode
# LMDB's own errors, and values that do not decode: somebody else wrote them, or a disk did.
_FAILURES = (lmdb.Error, msgspec.MsgspecError, struct.error)
_totals_decoder = msgspec.msgpack.Decoder(Totals)


def map_size_bytes(limit_bytes: int) -> int:
    """The map for a store of that limit, a power of two with room for more than the limit: the same in every process.

    Not simply as large as can be: machines with 39 bits of address space (64-bit kernels of small ARM boards) have 512 GiB.
    """
    wanted = max(_SMALLEST_MAP_BYTES, 4 * limit_bytes)
    return min(_LARGEST_MAP_BYTES, 1 << (wanted - 1).bit_length())


def prepare_chunks(path: str) -> bool:
    """Make the store in ``path`` fit to be opened, before any process does; True if a damaged one was replaced.

    A store that is damaged or foreign, or was in use at three unclean stops in a row without being confirmed
    (:func:`confirm_chunks`), goes and an empty one takes its place: its content can be fetched again. Blocks; after an
    unclean stop for the seconds of a probe in a child process, so that a mount may want to do this beside its other work.
    """
    if _count_unclean_stops(path) >= _UNCLEAN_MAX:
        environment.note_damage(path)
    aside = environment.prepare(path, create=_create, check_schema=_check_schema)
    if aside is None:
        return False
    confirm_chunks(path)
    shutil.rmtree(aside, ignore_errors=True)  # unlike the user's own files: it may be as large as the limit
    return True


def _count_unclean_stops(path: str) -> int:
    """How many of the last stops were unclean without the store having been confirmed before."""
    if os.path.exists(os.path.join(path, "clean")) or not os.path.exists(os.path.join(path, "data.mdb")):
        confirm_chunks(path)
        return 0
    try:
        with open(os.path.join(path, _UNCLEAN), "ab", buffering=0) as file:
            file.write(b".")
            return os.fstat(file.fileno()).st_size
    except OSError:
        return 1  # a disk that cannot be written cannot count


def confirm_chunks(path: str) -> None:
    """Note that the store has served for a while, ten seconds say: earlier crashes were not its fault."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(path, _UNCLEAN))


def _create(path: str) -> None:
    with environment.open_environment(path) as env:
        tables = {name: env.open_db(name.encode()) for name in TABLES}
        with env.begin(tables["meta"], write=True) as txn:
            txn.put(b"schema", _encode(SCHEMA))
            txn.put(b"byteorder", sys.byteorder.encode())
            txn.put(b"seed", os.urandom(8))
            txn.put(b"totals", _encode(Totals()))


def _check_schema(path: str) -> None:
    with environment.open_environment(path, readonly=True) as env:
        try:
            meta = env.open_db(b"meta", create=False)
            with env.begin(meta) as txn:
                found = (txn.get(b"schema"), txn.get(b"byteorder"), len(txn.get(b"seed", b"")))
                _totals_decoder.decode(txn.get(b"totals", b""))
            if found != (_encode(SCHEMA), sys.byteorder.encode(), 8):
                raise SchemaError(f"{path}: not a content store that this version wrote on such a machine")
            for name in TABLES:
                env.open_db(name.encode(), create=False)
        except lmdb.NotFoundError:
            raise SchemaError(f"{path}: not a content store of MusicFS") from None
        except (lmdb.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"{path}: {error}") from error


class ChunkTables:
    """The opened environment with its tables."""

    def __init__(self, path: str, limit_bytes: int, digest: Digest = xxhash.xxh3_128_digest) -> None:
        """``limit_bytes`` decides the size of the map. Raises StoreError, DiskFullError."""
        self.path = path
        self.digest = digest
        self.env = environment.open_environment(path, readahead=True, map_size_bytes=map_size_bytes(limit_bytes))
        try:
            self.env.reader_check()
            self.meta, self.contents, self.uses, self.blocks = (self._table(name) for name in TABLES[:4])
            self.manifests, self.chunks, self.refs, self.lost = (self._table(name) for name in TABLES[4:])
            with self.env.begin(self.meta) as txn:
                self.seed: int = U64.unpack(txn.get(b"seed", b""))[0]
            self.page_bytes = int(self.env.stat()["psize"])
        except BaseException:
            self.env.close()
            raise

    def _table(self, name: str) -> lmdb._Database:
        return self.env.open_db(name.encode(), create=False)

    def close(self) -> None:
        """Unmap the file."""
        self.env.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[lmdb.Transaction[memoryview]]:
        """A snapshot whose values are views of the map, valid within; never held across a wait. Raises StoreError."""
        try:
            with self.env.begin(buffers=True) as txn:
                yield txn
        except _FAILURES as error:
            raise self.failed(error) from error

    def failed(self, error: Exception) -> StoreError:
        """What to raise for an error of LMDB, or for a value that nobody wrote; damage is noted for the next start."""
        if environment.is_damage(error):
            environment.note_damage(self.path)
        if isinstance(error, lmdb.Error):
            return environment.store_error(self.path, error)
        return StoreError(f"{self.path}: {error}", remedy="unmount, and mount again: the content store begins empty")

    # Hashes.

    def base(self, content_key: bytes) -> int:
        """What the seeds of a content's blocks and manifest are derived from."""
        return self.seed ^ int.from_bytes(content_key[:8], "little") ^ int.from_bytes(content_key[8:], "little")

    def block_seed(self, base: int, number: int) -> int:
        """The seed of a block's hash; number -1 is the manifest."""
        return (base + (number + 1) * _GOLDEN) & _MASK

    def is_block(self, value: memoryview, seed: int) -> bool:
        """True if a value of ``blocks`` or ``manifests`` is as it was written."""
        return self.digest(value[HASH_BYTES:], seed) == bytes(value[:HASH_BYTES])

    def is_chunk(self, data: memoryview, key: bytes) -> bool:
        """True if these bytes are the ones that were stored under that key."""
        found = self.digest(data, self.seed)
        if found == key:
            return True
        salt = int.from_bytes(key, "little") - int.from_bytes(found, "little")
        return salt % (1 << _KEY_BITS) < _COLLISIONS_MAX

    def is_sound(self, piece: Piece, value: memoryview) -> bool:
        """True if a piece's value is as it was written."""
        if piece.kind is PieceKind.CHUNK:
            return self.is_chunk(value, piece.key)
        content_key, number = piece.key[:HASH_BYTES], -1
        if piece.kind is PieceKind.BLOCK:
            number = int.from_bytes(piece.key[HASH_BYTES:], "big")
        return self.is_block(value, self.block_seed(self.base(content_key), number))

    def table_of(self, kind: PieceKind) -> lmdb._Database:
        """Where pieces of that kind are."""
        return {PieceKind.BLOCK: self.blocks, PieceKind.CHUNK: self.chunks, PieceKind.MANIFEST: self.manifests}[kind]

    # Sizes.

    def used_bytes(self, txn: lmdb.Transaction[memoryview]) -> int:
        """Pages in use by all tables, exact in this snapshot."""
        pages = 0
        for table in (self.contents, self.uses, self.blocks, self.manifests, self.chunks, self.refs, self.lost):
            found = txn.stat(table)
            pages += int(found["branch_pages"]) + int(found["leaf_pages"]) + int(found["overflow_pages"])
        return pages * self.page_bytes

    def block_page_bytes(self, data_bytes: int) -> int:
        """What a block of so many bytes takes: whole pages with one header of 16 bytes, or a part of a leaf page."""
        value = HASH_BYTES + data_bytes
        if value + 28 > self.page_bytes // 2:  # liblmdb 0.9 mdb.c: me_nodemax; a node has 8 bytes and here a key of 20
            return -(-(value + 16) // self.page_bytes) * self.page_bytes
        return value + 28

    def edge_page_bytes(self, mask: int, size: int) -> int:
        """What those blocks of ``mask`` take that are at the edges of a content of that size."""
        ranges = (block_range(number, size) for number in bits(mask & edge_mask(size)))
        return sum(self.block_page_bytes(stop - start) for start, stop in ranges)

    def totals(self, txn: lmdb.Transaction[memoryview]) -> Totals:
        """The counters in this snapshot."""
        return _totals_decoder.decode(txn.get(b"totals", b"", db=self.meta))

    def record(self, txn: lmdb.Transaction[memoryview], content_key: bytes) -> Record | None:
        """What is stored of a content, or None."""
        raw = txn.get(content_key, db=self.contents)
        return None if raw is None else decode_record(raw)

    def oldest(self, txn: lmdb.Transaction[memoryview], tier: Tier, after: bytes, count: int) -> list[bytes]:
        """Up to ``count`` keys of ``uses`` in one tier that come after ``after`` (empty: from the first), in order."""
        prefix = bytes((tier,))
        found: list[bytes] = []
        with txn.cursor(self.uses) as cursor:
            more = cursor.set_range(after + b"\0" if after else prefix)
            while more and len(found) < count and (key := bytes(cursor.key())).startswith(prefix):
                found.append(key)
                more = cursor.next()
        return found


class Writing:
    """One write transaction. A view that ``txn.get`` returned is valid until the next change."""

    def __init__(self, tables: ChunkTables) -> None:
        """Waits for the write lock."""
        self.tables = tables
        try:
            self.txn = tables.env.begin(write=True, buffers=True)
        except lmdb.Error as error:
            raise tables.failed(error) from error
        try:
            self.totals = tables.totals(self.txn)
        except _FAILURES as error:
            self.txn.abort()  # the lock must not stay taken
            raise tables.failed(error) from error

    def __enter__(self) -> Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self.save_totals()
                self.txn.commit()
            except lmdb.Error as failed:
                self.txn.abort()
                raise self.tables.failed(failed) from failed
            return
        self.txn.abort()
        if isinstance(error, _FAILURES):
            raise self.tables.failed(error) from error

    def save_totals(self) -> None:
        """Write the counters, so that they can be read in this transaction; the commit does so anyway."""
        self.txn.put(b"totals", _encode(self.totals), db=self.tables.meta)

    # Chunks and how often they are referred to.

    def put_chunk(self, window: bytes | bytearray, start: int, stop: int, found: bytes) -> bytes:
        """Take one more reference to the chunk with the bytes ``window[start:stop]`` of hash ``found``; returns its key."""
        tables, txn = self.tables, self.txn
        number = int.from_bytes(found, "little")
        for salt in range(_COLLISIONS_MAX):
            key = found if not salt else ((number + salt) % (1 << _KEY_BITS)).to_bytes(HASH_BYTES, "little")
            stored = txn.get(key, db=tables.chunks)
            if stored is None:
                self._store_chunk(key, window, start, stop)
                return key
            if len(stored) == stop - start and window.startswith(stored, start):
                self.take(key)
                return key
            if not tables.is_chunk(stored, key):  # damaged: these are the bytes that were meant
                self.lose(key, len(stored))
                self._store_chunk(key, window, start, stop)
                return key
        raise StoreError(f"{tables.path}: {_COLLISIONS_MAX} chunks have one hash")

    def _store_chunk(self, key: bytes, window: bytes | bytearray, start: int, stop: int) -> None:
        self.txn.put(key, memoryview(window)[start:stop], db=self.tables.chunks)
        self.totals.chunk_bytes += stop - start
        if self.txn.delete(key, db=self.tables.lost):  # else the first reference, which leaves no trace in ``refs``
            self.take(key)

    def take(self, key: bytes) -> None:
        """One more manifest entry names the chunk, which at least one does already."""
        raw = self.txn.get(key, db=self.tables.refs)
        self.txn.put(key, REFS.pack(2 if raw is None else REFS.unpack(raw)[0] + 1), db=self.tables.refs)

    def release(self, key: bytes, chunk_bytes: int) -> None:
        """One manifest entry less names the chunk, whose length is given; with the last one it goes."""
        tables, txn = self.tables, self.txn
        raw = txn.get(key, db=tables.refs)
        if raw is None:
            if txn.delete(key, db=tables.lost):
                return
            if txn.delete(key, db=tables.chunks):
                self.totals.chunk_bytes -= chunk_bytes
            return
        count = REFS.unpack(raw)[0]
        if count > 2:
            txn.put(key, REFS.pack(count - 1), db=tables.refs)
        else:
            txn.delete(key, db=tables.refs)

    def lose(self, key: bytes, length: int) -> None:
        """A chunk's bytes are damaged: they go, its references stay until the manifests have been seen."""
        self.txn.delete(key, db=self.tables.chunks)
        self.txn.put(key, b"", db=self.tables.lost)
        self.totals.chunk_bytes -= length
        self.totals.recount = True  # if the length was damaged too
