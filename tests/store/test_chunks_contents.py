"""Storing contents: blocks come in any order, chunks are shared, and bytes are right or missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from musicfs.errors import StoreError
from musicfs.store import chunks_recut
from musicfs.store.chunks_schema import BLOCK_BYTES, Content, Coverage, Reuse
from musicfs.store.chunks_tables import map_size_bytes
from tests.store.chunk_world import World, assert_right, content_of, noise


def test_nothing_is_stored_at_first(world: World) -> None:
    content = Content(b"k" * 16, 300_000)
    assert world.read(content) == (bytes(300_000), [(0, 300_000)])
    assert world.store.coverage(content) == Coverage(0, False)
    assert not world.keep.recut(content, world.cut)
    world.store.forget(content)


@pytest.mark.parametrize("size", [1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES, 700_001])
def test_blocks_come_back(world: World, size: int) -> None:
    data = noise(size, size)
    content = content_of(data)
    world.put(content, data)
    assert world.read(content) == (data, [])
    assert world.store.coverage(content) == Coverage(size, True)
    world.check()
    assert world.keep.recut(content, world.cut)
    assert world.read(content) == (data, [])
    assert world.keep.stats().blocks == 0
    assert world.keep.recut(content, world.cut)  # and again


def test_what_is_missing_is_said_exactly(world: World) -> None:
    data = noise(1, 5 * BLOCK_BYTES + 17)
    content = content_of(data)
    world.put(content, data, 1, 5)
    stored = world.store.open(content)
    view = memoryview(bytearray(len(data)))
    assert stored.read_into(view, 0) == [(0, BLOCK_BYTES), (2 * BLOCK_BYTES, 5 * BLOCK_BYTES)]
    assert view[BLOCK_BYTES : 2 * BLOCK_BYTES] == data[BLOCK_BYTES : 2 * BLOCK_BYTES]
    assert stored.read_into(view[:10], BLOCK_BYTES - 5) == [(BLOCK_BYTES - 5, BLOCK_BYTES)]
    assert view[5:10] == data[BLOCK_BYTES : BLOCK_BYTES + 5]
    assert stored.read_into(view[:0], 0) == []
    assert world.store.coverage(content) == Coverage(BLOCK_BYTES + 17, False)


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 101), (101, 0)])
def test_a_range_outside_of_the_content_is_refused(world: World, start: int, length: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        world.store.open(Content(b"k" * 16, 100)).read_into(memoryview(bytearray(length)), start)


@pytest.mark.parametrize(("number", "length"), [(0, 100), (1, BLOCK_BYTES), (2, 100), (-1, BLOCK_BYTES)])
def test_a_block_of_the_wrong_length_is_refused(world: World, number: int, length: int) -> None:
    with pytest.raises(ValueError, match="block"):
        world.store.put_blocks(Content(b"k" * 16, BLOCK_BYTES + 100), [(number, bytes(length))])


def test_another_size_under_one_key_is_refused(world: World) -> None:
    world.store.put_blocks(Content(b"k" * 16, 100), [(0, bytes(100))])
    with pytest.raises(StoreError, match="100 bytes, not 101"):
        world.store.put_blocks(Content(b"k" * 16, 101), [(0, bytes(101))])


def test_what_is_stored_is_not_written_again(world: World) -> None:
    data = noise(2, 3 * BLOCK_BYTES)
    content = content_of(data)
    blocks = [(number, data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]) for number in range(3)]
    assert world.store.put_blocks(content, blocks[:2]) == 2
    assert world.store.put_blocks(content, blocks) == 1
    assert world.keep.recut(content, world.cut)
    assert world.store.put_blocks(content, blocks) == 0
    assert world.keep.stats().blocks == 0


def test_an_open_content_sees_what_becomes_of_it(world: World) -> None:
    data = noise(3, 700_000)
    content = content_of(data)
    stored = world.store.open(content)
    view = memoryview(bytearray(len(data)))
    assert stored.read_into(view, 0) == [(0, len(data))]
    world.put(content, data)
    assert stored.read_into(view, 0) == [] and view == data
    assert world.keep.recut(content, world.cut)
    assert stored.read_into(view, 0) == [] and view == data
    world.store.forget(content)
    assert stored.read_into(view, 0) == [(0, len(data))]


def test_recutting_goes_by_windows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a window ends does not show in the chunks."""
    data = noise(4, 3_000_000)
    first, second = Content(b"1" * 16, len(data)), Content(b"2" * 16, len(data))
    world.put_recut(first, data)
    unique = world.keep.stats().chunks_unique
    monkeypatch.setattr(chunks_recut, "WINDOW_BYTES", 300_000)
    world.put_recut(second, data)
    assert world.keep.stats().chunks_unique == unique
    assert world.read(second) == (data, [])


def test_equal_contents_are_stored_once(world: World) -> None:
    data = noise(5, 2_000_000)
    world.put_recut(Content(b"1" * 16, len(data)), data)
    used = world.keep.stats().used_bytes
    world.put_recut(Content(b"2" * 16, len(data)), data)
    stats = world.keep.stats()
    assert stats.used_bytes < 1.02 * used and stats.dedup_ratio == 2.0
    assert stats.chunk_count == 2 * stats.chunks_unique and stats.complete == stats.contents == 2


def test_a_shifted_content_shares_its_chunks(world: World) -> None:
    data = noise(6, 8_000_000)
    world.put_recut(content_of(data), data)
    unique = world.keep.stats().chunks_unique
    shifted = noise(7, 5_123) + data
    world.put_recut(content_of(shifted), shifted)
    stats = world.keep.stats()
    assert stats.chunks_unique - unique < 0.1 * unique
    assert world.read(content_of(shifted)) == (shifted, [])


@pytest.mark.parametrize("piece", [1_000, 99_999, 20 << 20])
def test_a_whole_content_can_come_in_order(world: World, piece: int) -> None:
    data = noise(8, 19_500_000)
    content = content_of(data)
    world.put(content, data, 3)  # some of it was there
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    assert world.keep.ingest(content, pieces, world.cut)
    assert world.read(content) == (data, [])
    assert world.keep.stats().blocks == 0
    assert world.keep.ingest(content, [], world.cut)  # is there already


@pytest.mark.parametrize("given", [0, 500_000, 999_999, 1_000_001])
def test_another_length_than_was_said_is_refused(world: World, given: int) -> None:
    data = noise(9, 1_000_001)
    content = Content(b"k" * 16, 1_000_000)
    with pytest.raises(ValueError, match="1000000"):
        world.keep.ingest(content, [data[:given]], world.cut)
    assert_right(*world.read(content), data[:1_000_000])


def test_a_new_version_adopts_what_is_known(world: World) -> None:
    """Chunks and blocks of the old version are found at their new offset; what is new is fetched, then all is chunks."""
    old = noise(10, 3_000_000)
    header = noise(11, 4_321)
    new = header + old[1_000:2_500_000]
    world.put_recut(content_of(old), old)
    reuse = Reuse(len(header), len(new), content_of(old).key, 1_000)
    content = content_of(new)
    world.put(content, new, 0, 5)
    used = world.keep.stats().used_bytes
    assert world.keep.adopt(content, [reuse]) == len(new) - len(header)
    assert world.keep.stats().used_bytes < used  # block 5 is not needed any more
    found, missing = world.read(content)
    assert missing == [] and found == new
    world.check()
    assert world.keep.recut(content, world.cut)
    assert world.read(content) == (new, [])
    world.store.forget(content_of(old))
    assert world.read(content) == (new, [])


def test_a_new_version_adopts_blocks(world: World) -> None:
    old = noise(12, 10 * BLOCK_BYTES)
    world.put(content_of(old), old, 0, 2, 3)
    new = b"x" * 1_000 + old
    content = content_of(new)
    assert world.keep.adopt(content, [Reuse(1_000, len(new), content_of(old).key, 0)]) == 3 * BLOCK_BYTES
    found, missing = world.read(content)
    assert_right(found, missing, new)
    assert missing == [
        (0, 1_000),
        (1_000 + BLOCK_BYTES, 1_000 + 2 * BLOCK_BYTES),
        (1_000 + 4 * BLOCK_BYTES, len(new)),
    ]


def test_nothing_is_adopted_from_what_is_not_known(world: World) -> None:
    content = Content(b"n" * 16, 1_000)
    assert world.keep.adopt(content, [Reuse(0, 1_000, b"?" * 16, 0)]) == 0
    assert world.keep.stats().contents == 0
    with pytest.raises(ValueError, match="no range"):
        world.keep.adopt(content, [Reuse(0, 1_001, b"?" * 16, 0)])


def test_a_store_costs_little_disk_and_any_limit_has_a_map(tmp_path: Path) -> None:
    world = World(tmp_path / "chunks")
    assert os.stat(world.path / "data.mdb").st_blocks * 512 < 1 << 20
    world.close()
    assert map_size_bytes(0) == 128 << 30
    assert map_size_bytes(100 << 30) == 512 << 30
    assert map_size_bytes(10**15) == 32 << 40


def test_complete_blocks_wait_to_be_recut(world: World) -> None:
    data = noise(13, 6 * BLOCK_BYTES)
    contents = [Content(bytes((number,)) * 16, len(data)) for number in range(4)]
    world.put(contents[0], data)
    world.put(contents[1], data, 0)
    world.put_recut(contents[2], data)
    world.put(contents[3], data)
    assert world.keep.complete_blocks() == [contents[0], contents[3]]
    assert world.keep.complete_blocks(after=contents[0].key) == [contents[3]]
    assert world.keep.complete_blocks(count=1) == [contents[0]]
