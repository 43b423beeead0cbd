"""Keeping the store below its limits: the oldest first, edges last, pins never."""

from __future__ import annotations

import threading
import time

import pytest

from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Tier
from tests.store.chunk_world import World, assert_right, noise

SIZE = 10 * BLOCK_BYTES
EDGES_BYTES = 3 * 33 * 4096  # three blocks of 32 pages and one for headers


def fill(world: World, count: int, *, recut: bool) -> list[tuple[Content, bytes]]:
    contents = [(Content(bytes((number,)) * 16, SIZE), noise(number, SIZE)) for number in range(count)]
    for content, data in contents:
        (world.put_recut if recut else world.put)(content, data)
    return contents


def edges_of(size: int) -> list[tuple[int, int]]:
    return [(BLOCK_BYTES, size - 2 * BLOCK_BYTES)]


@pytest.mark.parametrize("recut", [True, False])
def test_the_least_recently_used_goes_first_and_leaves_its_edges(world: World, recut: bool) -> None:
    contents = fill(world, 6, recut=recut)
    world.store.touch([contents[0][0].key])
    stats = world.keep.stats()
    used = stats.used_bytes
    evicted = world.keep.evict((used - stats.edge_bytes) * 3 // 4, 1 << 30)
    gone = [content for content, _ in contents if world.read(content)[1]]
    assert gone == [contents[1][0], contents[2][0]] and set(evicted.contents) == {content.key for content in gone}
    assert evicted.freed_bytes == used - world.keep.stats().used_bytes > 0
    for content, data in contents[1:3]:
        found, missing = world.read(content)
        assert missing == edges_of(SIZE)
        assert_right(found, missing, data)
    world.keep.evict(0, 1 << 30)
    assert world.keep.stats().edge_bytes == 6 * EDGES_BYTES
    assert all(world.read(content)[1] == edges_of(SIZE) for content, _ in contents)
    assert world.keep.complete_blocks() == []


def test_edges_have_a_limit_of_their_own(world: World) -> None:
    contents = fill(world, 6, recut=True)
    world.store.touch([contents[0][0].key])
    world.keep.evict(0, 2 * EDGES_BYTES)
    kept = [content for content, _ in contents if world.store.coverage(content).cached_bytes]
    assert kept == [contents[0][0], contents[5][0]]
    world.keep.evict(0, 0)
    assert world.keep.stats().used_bytes == 0


def test_edges_of_what_is_in_use_go_last(world: World) -> None:
    contents = fill(world, 2, recut=False)
    world.keep.evict(0, 1 << 30)
    world.put(*contents[0], 3, 4)  # counts as main again
    world.keep.evict(1 << 30, EDGES_BYTES)
    assert [world.store.coverage(content).cached_bytes for content, _ in contents] == [5 * BLOCK_BYTES, 0]
    world.keep.evict(1 << 30, 0)
    assert [world.store.coverage(content).cached_bytes for content, _ in contents] == [2 * BLOCK_BYTES, 0]


def test_pinned_contents_stay(world: World) -> None:
    contents = fill(world, 4, recut=True)
    pinned = [contents[0][0].key, contents[2][0].key]
    world.keep.evict(0, 0, pinned)
    assert [world.store.coverage(content).complete for content, _ in contents] == [True, False, True, False]


def test_nothing_happens_below_the_limit(world: World) -> None:
    fill(world, 2, recut=True)
    assert world.keep.evict(1 << 30, 1 << 30).contents == ()


def test_shared_chunks_stay_while_one_content_has_them(world: World) -> None:
    data = noise(1, SIZE)
    old, new = Content(b"o" * 16, SIZE), Content(b"n" * 16, SIZE)
    world.put_recut(old, data)
    world.put_recut(new, data)
    world.store.forget(old)
    world.check()
    assert world.read(new) == (data, [])
    world.store.forget(new)
    assert world.keep.stats().used_bytes == 0


def test_damaged_content_leaves_no_wrong_edges(world: World) -> None:
    ((content, data),) = fill(world, 1, recut=True)
    tables = world.store.tables
    with tables.env.begin(write=True) as txn, txn.cursor(tables.chunks) as cursor:
        keys = list(cursor.iternext(values=False))
        for key in keys:
            value = bytearray(txn.get(key, db=tables.chunks) or b"")
            value[7] ^= 1
            txn.put(key, bytes(value), db=tables.chunks)
    world.keep.evict(0, 1 << 30)
    assert_right(*world.read(content), data)
    assert world.store.coverage(content).cached_bytes == 0


@pytest.mark.parametrize(
    ("tier", "left"), [(None, 0), (Tier.MAIN, 3 * BLOCK_BYTES), (Tier.EDGES, 7 * BLOCK_BYTES)], ids=str
)
def test_clearing(world: World, tier: Tier | None, left: int) -> None:
    contents = fill(world, 3, recut=False)
    assert world.keep.clear([contents[0][0].key, b"?" * 16], tier) == 1
    assert world.store.coverage(contents[0][0]).cached_bytes == left
    assert world.keep.clear(tier=tier) == (2 if tier is None else 3)
    assert all(world.store.coverage(content).cached_bytes == left for content, _ in contents)


def test_the_limit_holds_while_somebody_writes(world: World) -> None:
    """The writer adds as fast as it can; each eviction ends, and ends below the limit or what came after its last look."""
    limit = 8 << 20
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        number = 0
        while not stop.is_set():
            number += 1
            content = Content(number.to_bytes(16, "big"), SIZE)
            world.put(content, noise(number % 7, SIZE))
            written += SIZE

    writer = threading.Thread(target=write)
    writer.start()
    try:
        slowest = 0.0
        deadline = time.monotonic() + 60
        while written < 20 * limit and time.monotonic() < deadline:
            began = time.monotonic()
            world.keep.evict(limit, limit)
            slowest = max(slowest, time.monotonic() - began)
    finally:
        stop.set()
        writer.join(60)
    assert written >= 20 * limit
    world.keep.evict(limit, limit)
    stats = world.keep.stats()
    assert stats.used_bytes - stats.edge_bytes <= limit and stats.edge_bytes <= limit
    assert stats.file_bytes < 8 * limit, "freed pages are not used again"
    assert slowest < 10


def test_a_long_life_at_the_limit_does_not_make_the_file_grow(world: World) -> None:
    """Files of many sizes come as blocks, become chunks, and go in order of use."""
    limit = 16 << 20
    largest = []
    for number in range(60):
        size = (1 + number * 7 % 5) * 700_000 + number
        content = Content(number.to_bytes(16, "big"), size)
        world.put_recut(content, noise(number, size))
        world.keep.evict(limit, limit // 8)
        if number % 20 == 19:
            largest.append(world.keep.stats().file_bytes)
    assert largest[-1] < 2 * limit and largest[-1] < 1.3 * largest[0], largest
