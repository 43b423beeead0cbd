"""A content store to try things on, and a recount of everything in it that shares no code with the store's own counting."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from pathlib import Path

import xxhash

from musicfs.content.chunker import Chunker
from musicfs.store.chunks import ChunkStore, StoredContent
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Totals, decode_record
from musicfs.store.chunks_tables import Digest, prepare_chunks
from musicfs.store.chunks_upkeep import ChunkUpkeep

LIMIT_BYTES = 1 << 30


class Ticks:
    """A clock that goes on by one with every question: everything has an order."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)

    def time_ns(self) -> int:
        return next(self._ticks)

    def monotonic(self) -> float:
        return float(next(self._ticks))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class World:
    """A prepared and opened store with both its sides."""

    def __init__(self, path: Path, digest: Digest = xxhash.xxh3_128_digest) -> None:
        self.path = path
        assert not prepare_chunks(str(path))
        self.store = ChunkStore(str(path), limit_bytes=LIMIT_BYTES, clock=Ticks(), digest=digest)
        self.keep = ChunkUpkeep(self.store)
        self.cut = Chunker()

    def close(self) -> None:
        self.store.close()

    def put(self, content: Content, data: bytes, *numbers: int) -> None:
        """Store these blocks, or all of them."""
        chosen = numbers or range(-(-len(data) // BLOCK_BYTES))
        self.store.put_blocks(content, [(number, block(data, number)) for number in chosen])

    def put_recut(self, content: Content, data: bytes) -> None:
        self.put(content, data)
        assert self.keep.recut(content, self.cut)

    def read(self, content: Content) -> tuple[bytes, list[tuple[int, int]]]:
        return read_all(self.store.open(content))

    def check(self) -> None:
        check_tables(self.store)


def block(data: bytes, number: int) -> bytes:
    return data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]


def content_of(data: bytes) -> Content:
    return Content(xxhash.xxh3_128_digest(data), len(data))


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def read_all(stored: StoredContent, step: int = 100_000) -> tuple[bytes, list[tuple[int, int]]]:
    """Everything, in calls that keep to no border, with zeros for what is missing, and what is missing."""
    found = bytearray(stored.size)
    missing: list[tuple[int, int]] = []
    for start in range(0, stored.size, step):
        view = memoryview(found)[start : start + step]
        for first, last in stored.read_into(view, start):
            view[first - start : last - start] = bytes(last - first)
            joins = bool(missing) and missing[-1][1] == first
            missing.append((missing.pop()[0] if joins else first, last))
    return bytes(found), missing


def assert_right(found: bytes, missing: list[tuple[int, int]], data: bytes) -> None:
    """What is not missing is as it should be."""
    expected = bytearray(data)
    for start, stop in missing:
        expected[start:stop] = bytes(stop - start)
    assert found == expected


def check_tables(store: ChunkStore) -> None:
    """Every count, reference and record agrees with what is stored."""
    tables = store.tables
    with tables.env.begin() as txn:

        def rows(table: object) -> dict[bytes, bytes]:
            with txn.cursor(table) as cursor:  # type: ignore[arg-type] # the stubs have no public name for a table
                return dict(cursor)

        chunks, refs, lost, blocks = map(rows, (tables.chunks, tables.refs, tables.lost, tables.blocks))
        manifests, contents, uses = map(rows, (tables.manifests, tables.contents, tables.uses))
    with tables.reading() as reading:
        totals = tables.totals(reading)
    counted = Totals(bad=totals.bad, leaked=totals.leaked, recount=totals.recount)
    names: Counter[bytes] = Counter()
    expected_uses = set()
    for key, raw in contents.items():
        record = decode_record(raw)
        present = bytearray(record.size)
        mapped, previous = 0, 0
        entries = manifests.pop(key, b"")[16:]
        for at in range(0, len(entries), 32):
            start, span = (int.from_bytes(entries[at + word : at + word + 8], "little") for word in (0, 8))
            length, offset, whole = span & 0x1FFFFF, span >> 21 & 0x1FFFFF, span >> 42
            name = entries[at + 16 : at + 32]
            assert previous <= start and start + length <= record.size and length > 0
            assert offset + length <= whole and (name in lost or len(chunks[name]) == whole)
            names[name] += 1
            mapped += length
            previous = start + length
            present[start:previous] = b"\1" * length
        numbers = [int.from_bytes(one[16:], "big") for one in blocks if one[:16] == key]
        last = -(-record.size // BLOCK_BYTES) - 1
        for number in numbers:
            value = blocks.pop(key + number.to_bytes(4, "big"))
            length = len(value) - 16
            present[number * BLOCK_BYTES : number * BLOCK_BYTES + length] = b"\1" * length
            counted.block_bytes += length
            if number in (0, last - 1, last):
                counted.edge_bytes += tables.block_page_bytes(length)
        assert record.blocks == sum(1 << number for number in numbers)
        assert (record.mapped, record.cached) == (mapped, present.count(1))
        counted.references += len(entries) // 32
        counted.logical_bytes += mapped
        counted.complete += record.cached == record.size
        only_edges = not mapped and set(numbers) <= {0, last - 1, last}
        expected_uses.add(bytes((only_edges,)) + record.last_use_ns.to_bytes(8, "big") + key)
    assert not manifests and not blocks, "something belongs to no content"
    assert set(uses) == expected_uses
    counted.chunk_bytes = sum(map(len, chunks.values()))
    assert {*chunks, *lost} == set(names) and not set(chunks) & set(lost)
    assert {key: int.from_bytes(raw, "little") for key, raw in refs.items()} == {
        key: count for key, count in names.items() if count > 1
    }
    assert totals == counted
