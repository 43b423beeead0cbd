"""The tables of the content store, and its values.

All integers in keys are big-endian so that byte order is numeric order; those in values are little-endian, except a
manifest's, which are read in place and so in the machine's own order (``byteorder`` in ``meta``; another machine's store is
put aside). A *content* is one version of one file, named by a key of 16 bytes that is derived elsewhere.

=============  ========================================  ==================================================================
table          key                                       value
=============  ========================================  ==================================================================
meta           name                                      ``schema``, ``byteorder``, ``seed`` u64, ``totals`` (msgpack
                                                         :class:`Totals`); ``adopted/`` and a content key: msgpack
                                                         :class:`Adopted`, until the content was compared
contents       content key                               :class:`Record`: size, last use, cached and mapped bytes, then one
                                                         bit for each block that is stored
uses           tier u8, last use u64, content key        empty: the order of eviction
blocks         content key, block number u32             hash of 16 bytes, then the block's bytes
manifests      content key                               hash of 16 bytes, then entries of 32 (:mod:`.chunks_manifest`)
chunks         chunk key (its hash)                      the chunk's bytes
refs           chunk key                                 u32: how many manifest entries name the chunk, if more than one
lost           chunk key                                 empty: entries name this chunk, its bytes were found damaged
=============  ========================================  ==================================================================

**What was fetched** is stored as aligned blocks of :data:`BLOCK_BYTES`, the last one shorter. They are 128 KiB because the
kernel reads 128 KiB: with the 256 KiB that such stores often use, a seek would fetch twice what was asked for.
**What is complete** is re-cut into chunks that are shared by all contents with the same bytes. A manifest need not be
whole: re-cutting moves a content from blocks to manifest part by part, each part in one transaction, and a new version of a
file starts with a manifest of what is known of it, its gaps being filled with blocks.

**Hashes** are xxh3_128 with the store's random seed. A chunk's key is its hash; if other bytes have it, the hash plus one (as
a little-endian number), and so on. The hash of a block or manifest is seeded with the content key (and number) as well, so
that a page that turns up in another's place fails like a damaged one. Nothing leaves the store unverified, and that is
also why LMDB's own pages need no checksum: a damaged tree can lead to other bytes, but those do not have the right hash.

**Counters** are in ``totals`` and are written with what they count; everything else that is reported comes from LMDB's own
statistics of each table, which are transactional too. Space is measured in whole pages in use. The file does not shrink:
pages that are freed are used again, and a file that ran with a limit is about a fifth larger than it.

Writers: the mount adds blocks, notes uses, discards damaged pieces and forgets contents; only the keeper changes manifests
in other ways. LMDB's write lock serialises both. A crash leaves the last committed transaction, after which all of the above
holds; a power cut may undo the last one.
"""

from __future__ import annotations

import struct
from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

# Raised whenever a key or value changes its form. A store of another schema is put aside: its content can be fetched again.
SCHEMA = 1
TABLES = ("meta", "contents", "uses", "blocks", "manifests", "chunks", "refs", "lost")

ADOPTED = b"adopted/"  # the beginning of keys in ``meta``

BLOCK_BYTES = 128 << 10
HASH_BYTES = 16
EDGE_BLOCKS_AT_END = 2  # and one at the beginning

U64 = struct.Struct(">Q")
REFS = struct.Struct("<I")
_RECORD = struct.Struct("<QQQQ")


class Content(msgspec.Struct, frozen=True):
    """One version of one file: ``key`` of 16 bytes, ``size`` in bytes."""

    key: bytes
    size: int


class Tier(IntEnum):
    """Where a content counts: with the rest, or among those of which only the edges are stored."""

    MAIN = 0
    EDGES = 1


class PieceKind(StrEnum):
    """What can be damaged by itself."""

    BLOCK = "block"
    CHUNK = "chunk"
    MANIFEST = "manifest"


class Piece(NamedTuple):
    """Something stored, by its key in its table."""

    kind: PieceKind
    key: bytes


class Coverage(msgspec.Struct, frozen=True):
    """How much of a content is stored."""

    cached_bytes: int
    complete: bool


class Reuse(msgspec.Struct, frozen=True):
    """The bytes ``[start, stop)`` of a new content are those of a known one from ``source_start``."""

    start: int
    stop: int
    source: bytes  # its key
    source_start: int


class Adopted(msgspec.Struct, frozen=True, array_like=True):
    """A content some of whose bytes were taken over from another one, without proof. ``path`` is in the origin's bytes."""

    key: bytes
    size: int
    origin_id: str
    path: bytes
    version: str
    object_id: int  # the catalog's
    ranges: tuple[tuple[int, int], ...]  # what was taken over


class Eviction(msgspec.Struct, frozen=True):
    """What an eviction removed: keys of contents that lost something, and pages in bytes."""

    contents: tuple[bytes, ...] = ()
    freed_bytes: int = 0


class Totals(msgspec.Struct, array_like=True):
    """What cannot be had from LMDB's statistics. Sums of data bytes, except ``edge_bytes``: pages."""

    references: int = 0  # manifest entries
    logical_bytes: int = 0  # of all manifest entries
    chunk_bytes: int = 0
    block_bytes: int = 0
    edge_bytes: int = 0  # pages of all blocks at the edges of their content
    complete: int = 0  # contents
    bad: int = 0  # pieces found damaged, ever
    leaked: int = 0  # manifests that were found damaged: what they named is still counted as named
    recount: bool = False  # damage was found that these sums may not agree with


class StoreStats(msgspec.Struct, frozen=True):
    """What is stored now. ``used_bytes`` are the pages in use by everything, ``edge_bytes`` those of blocks at edges."""

    used_bytes: int
    edge_bytes: int
    file_bytes: int
    chunk_count: int  # references
    chunks_unique: int
    dedup_ratio: float  # bytes that manifests name / bytes of chunks
    blocks: int
    contents: int
    complete: int
    bad: int


class Record(msgspec.Struct):
    """What is stored of one content. ``blocks`` is a bit mask: bit n is block n."""

    size: int
    last_use_ns: int = 0
    cached: int = 0  # bytes in manifest or blocks
    mapped: int = 0  # bytes in the manifest
    blocks: int = 0

    @property
    def tier(self) -> Tier:
        """Where it counts."""
        return Tier.MAIN if self.mapped or self.blocks & ~edge_mask(self.size) else Tier.EDGES

    @property
    def is_complete(self) -> bool:
        """True if every byte is stored."""
        return self.cached == self.size

    @property
    def is_empty(self) -> bool:
        """True if nothing is."""
        return not (self.mapped or self.blocks)


def encode_record(record: Record) -> bytes:
    """The value in ``contents``."""
    mask = record.blocks.to_bytes((record.blocks.bit_length() + 7) // 8, "little")
    return _RECORD.pack(record.size, record.last_use_ns, record.cached, record.mapped) + mask


def decode_record(raw: bytes | memoryview) -> Record:
    """Raises struct.error for what is none."""
    size, last_use_ns, cached, mapped = _RECORD.unpack_from(raw)
    return Record(size, last_use_ns, cached, mapped, int.from_bytes(raw[_RECORD.size :], "little"))


def use_key(record: Record, content_key: bytes) -> bytes:
    """The key in ``uses``."""
    return bytes((record.tier,)) + U64.pack(record.last_use_ns) + content_key


def block_key(content_key: bytes, number: int) -> bytes:
    """The key in ``blocks``."""
    return content_key + number.to_bytes(4, "big")


def block_count(size: int) -> int:
    """How many blocks a content of that size has."""
    return -(-size // BLOCK_BYTES)


def block_range(number: int, size: int) -> tuple[int, int]:
    """Start and stop of a block of a content of that size."""
    start = number * BLOCK_BYTES
    return start, min(start + BLOCK_BYTES, size)


def edge_mask(size: int) -> int:
    """The blocks at a content's edges: tags, covers and indexes are there."""
    count = block_count(size)
    last = ((1 << EDGE_BLOCKS_AT_END) - 1) << max(0, count - EDGE_BLOCKS_AT_END)
    return (1 | last) & ((1 << count) - 1)


def bits(mask: int) -> list[int]:
    """The numbers of the set bits, ascending."""
    numbers = []
    while mask:
        lowest = mask & -mask
        numbers.append(lowest.bit_length() - 1)
        mask ^= lowest
    return numbers


def range_mask(start: int, stop: int) -> int:
    """The blocks that lie in the bytes ``[start, stop)`` at least in part."""
    if stop <= start:
        return 0
    first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
    return ((1 << (last - first + 1)) - 1) << first


def block_bytes(mask: int, start: int, stop: int) -> int:
    """How many of the bytes ``[start, stop)``, which end within the content, lie in the blocks of ``mask``."""
    mask &= range_mask(start, stop)
    if not mask:
        return 0
    first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
    total = mask.bit_count() * BLOCK_BYTES
    if mask >> first & 1:
        total -= start - first * BLOCK_BYTES
    if mask >> last & 1:
        total -= (last + 1) * BLOCK_BYTES - stop
    return total
