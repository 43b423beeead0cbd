"""Cached readers: always a slice of the whole, each byte asked for once, errors shared and not kept."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from musicfs.clock import SystemClock
from musicfs.content.failover import FailoverReader
from musicfs.content.keeping import Keeping
from musicfs.content.keys import Source
from musicfs.content.ranking import Ranking
from musicfs.content.readers import Reader
from musicfs.content.sources import Manners, Sources
from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.local import LocalOrigin
from musicfs.origins.memory import CAPS, MemoryOrigin
from musicfs.origins.wrappers.trace import Tally, Trace
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.store.chunks_schema import BLOCK_BYTES, Content
from musicfs.testing.faults import FaultyOrigin
from tests.content.worlds import Gate, MemoryStore, Opened, Waits

SIZE = 40 * BLOCK_BYTES + 1234
DATA = random.Random(7).randbytes(SIZE)


class Bench:
    """A file in a memory origin behind a script of faults, and sources that read it."""

    def __init__(
        self, script: str = ".", *, store: bool = True, manners: Manners | None = None, data: bytes = DATA
    ) -> None:
        self.memory = MemoryOrigin("m")
        entry = self.memory.put("a/1.flac", data)
        self.tally = Tally()
        self.faulty = FaultyOrigin(Trace(self.memory, self.tally), script)
        self.store = MemoryStore()
        self.completed: list[Content] = []
        self.waits = Waits()
        keeping = Keeping(self.store, SystemClock(), self.completed.append) if store else None
        self.sources = Sources(
            Opened(self.faulty, keep=store),
            self.waits,
            store=self.store if store else None,
            keeping=keeping,
            manners=manners or Manners(timeout_s=10),
        )
        self.source = Source("m", "a/1.flac", entry.version, len(data))

    def open(self, others: tuple[Source, ...] = ()) -> Reader:
        return self.sources.open(self.source, 0, self.source.size, others)

    @property
    def read_bytes(self) -> int:
        count = self.tally.snapshot().get(Operation.READ)
        return count.size_bytes if count is not None else 0


@contextmanager
def bench(
    script: str = ".", *, store: bool = True, manners: Manners | None = None, data: bytes = DATA
) -> Iterator[Bench]:
    made = Bench(script, store=store, manners=manners, data=data)
    try:
        yield made
    finally:
        made.faulty.release()
        made.sources.close()


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5 * BLOCK_BYTES + 3),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 300_000)), max_size=12),
    st.booleans(),
    st.data(),
)
def test_every_read_is_a_slice_of_the_whole(
    size: int, reads: list[tuple[int, int]], store: bool, draw: st.DataObject
) -> None:
    data = DATA[:size]
    begin = draw.draw(st.integers(0, size))
    length = draw.draw(st.integers(0, size - begin))
    with bench(store=store, data=data) as world:
        reader = world.sources.open(world.source, begin, length)
        assert reader.size == length
        for wish, count in reads:
            start = min(wish, length)
            stop = min(start + count, length)
            assert reader.read(start, stop) == data[begin : begin + length][start:stop]
    if store:
        for (_, number), block in world.store.blocks.items():
            assert block == data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]


def test_reading_straight_through_asks_for_every_byte_once_and_fetches_ahead() -> None:
    with bench() as world:
        reader = world.open()
        for start in range(0, SIZE, BLOCK_BYTES):
            stop = min(start + BLOCK_BYTES, SIZE)
            assert reader.read(start, stop) == DATA[start:stop]
        assert world.read_bytes == SIZE
        calls = world.tally.snapshot()[Operation.READ].calls
        assert calls < 20  # of 41 blocks: ahead, several at a time
    assert [content.size for content in world.completed] == [SIZE]


def test_what_is_stored_is_not_fetched_again() -> None:
    with bench() as world:
        assert world.open().read(0, SIZE) == DATA
    world.memory.fail_with(UnreachableError("away"))
    again = Sources(
        Opened(world.memory, keep=True),
        world.waits,
        store=world.store,
        keeping=Keeping(world.store, SystemClock(), lambda _: None),
    )
    waits = world.waits.count
    assert again.open(world.source, 0, SIZE).read(5, SIZE - 5) == DATA[5 : SIZE - 5]
    assert world.waits.count == waits
    assert again.cached_bytes(world.source) == SIZE
    again.close()


def test_a_seek_costs_the_blocks_it_shows() -> None:
    with bench(store=False) as world:
        reader = world.open()
        start = 20 * BLOCK_BYTES + 17
        assert reader.read(start, start + 4096) == DATA[start : start + 4096]
        assert world.read_bytes == BLOCK_BYTES


def test_the_end_comes_with_the_beginning() -> None:
    with bench(store=False) as world:
        reader = world.open()
        assert reader.read(0, 4096) == DATA[:4096]
        assert reader.read(SIZE - 128, SIZE) == DATA[-128:]
        assert (
            world.read_bytes == BLOCK_BYTES + BLOCK_BYTES + 1234
        )  # the head, and the two blocks that hold the last 64 KiB


def test_many_readers_of_one_range_cause_one_fetch() -> None:
    memory = MemoryOrigin("m")
    entry = memory.put("a", DATA)
    gate, tally = Gate(memory), Tally()
    sources = Sources(Opened(Trace(gate, tally)), Waits())
    start = 9 * BLOCK_BYTES

    def read() -> bytes:
        return bytes(sources.open(Source("m", "a", entry.version, SIZE), 0, SIZE).read(start, start + 100))

    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(read) for _ in range(8)]
        gate.wait_taken()
        gate.open()
        assert all(done.result(10) == DATA[start : start + 100] for done in reads)
    assert tally.snapshot()[Operation.READ].size_bytes == BLOCK_BYTES
    sources.close()


@pytest.mark.parametrize(
    ("letter", "error"),
    [("T", UnreachableError), ("D", DeniedError), ("G", GoneError), ("C", ChangedError), ("S", UnreachableError)],
)
def test_an_error_is_shared_and_not_kept(letter: str, error: type[OriginError]) -> None:
    with bench(letter + ".", store=False) as world:
        reader = world.open()
        start = 9 * BLOCK_BYTES
        with pytest.raises(error):
            reader.read(start, start + 10)
        assert reader.read(start, start + 10) == DATA[start : start + 10]


def test_a_read_that_nobody_answers_ends_at_its_deadline_and_others_go_on() -> None:
    with bench("H.", manners=Manners(timeout_s=0.2)) as world:
        reader = world.open()
        start = 9 * BLOCK_BYTES
        with pytest.raises(UnreachableError, match="no answer in time"):
            reader.read(start, start + 10)
        assert reader.read(0, 10) == DATA[:10]  # another thread carries it


def test_what_was_waited_for_in_vain_is_not_waited_for_again_at_once() -> None:
    """As the kernel does: a range ahead, and when that fails each page of it."""
    with bench("H.", store=False, manners=Manners(timeout_s=1.0)) as world:
        reader = world.open()
        start = 9 * BLOCK_BYTES
        with pytest.raises(UnreachableError, match="no answer in time"):
            reader.read(start, start + 2 * BLOCK_BYTES)
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="no answer in time"):
            reader.read(start + BLOCK_BYTES, start + BLOCK_BYTES + 4096)
        assert time.monotonic() - begun < 0.5
        assert reader.read(0, 10) == DATA[:10]


def test_only_so_many_readers_may_wait() -> None:
    with (
        bench("HHHHHHHH", store=False, manners=Manners(places=2, timeout_s=10)) as world,
        ThreadPoolExecutor(2) as pool,
    ):
        waiting = [pool.submit(world.open().read, start, start + 1) for start in (8 * BLOCK_BYTES, 16 * BLOCK_BYTES)]
        world.faulty.wait_taken(2)
        with pytest.raises(UnreachableError, match="too many reads wait"):
            world.open().read(24 * BLOCK_BYTES, 24 * BLOCK_BYTES + 1)
        world.faulty.release()
        for read in waiting:
            with pytest.raises(UnreachableError):
                read.result(10)


def read_through(reader: Reader, until: int = SIZE) -> None:
    for start in range(0, until, BLOCK_BYTES):
        stop = min(start + BLOCK_BYTES, SIZE)
        assert reader.read(start, stop) == DATA[start:stop]


class Mirrored:
    """One file in two origins; the first of them can be made to fail."""

    def __init__(self, other_data: bytes = DATA, *, probable: bool = True, stable: bool = False) -> None:
        self.waits = Waits()
        caps = msgspec.structs.replace(CAPS, stable_version=stable)
        self.first, self.second = MemoryOrigin("first", caps=caps), MemoryOrigin("second", caps=caps)
        entry, copy = self.first.put("a.flac", DATA), self.second.put("b.flac", other_data, mtime_ns=5)
        self.source = Source("first", "a.flac", entry.version, SIZE)
        self.copy = Source("second", "b.flac", copy.version, len(other_data))
        self.sources = Sources(
            Opened(self.first, self.second),
            self.waits,
            manners=Manners(timeout_s=10, probable=probable),
            ranking=Ranking({"first": 1, "second": 2}),
        )

    def play_until_first_fails(self) -> Reader:
        reader = self.sources.open(self.source, 0, SIZE, (self.copy,))
        read_through(reader, 5 * BLOCK_BYTES)
        self.sources.proofs.wait_idle(10)
        self.first.fail_with(UnreachableError("the first is away"))
        return reader


def test_another_source_of_equal_bytes_steps_in_without_the_reader_noticing() -> None:
    world = Mirrored()
    read_through(world.play_until_first_fails())
    world.sources.close()


@pytest.mark.parametrize("place", [0, SIZE - 1, SIZE // 2])
def test_a_source_of_other_bytes_never_steps_in(place: int) -> None:
    other = bytearray(DATA)
    other[place : place + SIZE // 3] = bytes(len(other[place : place + SIZE // 3]))
    world = Mirrored(bytes(other))
    reader = world.play_until_first_fails()
    with pytest.raises(UnreachableError, match="the first is away"):
        for start in range(0, SIZE, BLOCK_BYTES):
            stop = min(start + BLOCK_BYTES, SIZE)
            assert reader.read(start, stop) == DATA[start:stop]
    world.sources.close()


def test_what_was_not_compared_while_both_answered_never_steps_in() -> None:
    world = Mirrored()
    world.first.fail_with(UnreachableError("the first is away"))
    with pytest.raises(UnreachableError, match="the first is away"):
        world.sources.open(world.source, 0, SIZE, (world.copy,)).read(0, 10)
    world.sources.close()


def test_only_what_is_certain_steps_in_where_probability_is_not_enough() -> None:
    world = Mirrored(probable=False)
    reader = world.play_until_first_fails()
    with pytest.raises(UnreachableError):
        read_through(reader)
    world.sources.close()
    world = Mirrored(probable=False, stable=True)  # equal versions prove equal bytes there
    assert world.copy.version == world.source.version
    read_through(world.play_until_first_fails())
    world.sources.close()


def test_a_file_of_this_machine_is_replaced_in_the_middle_too(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(DATA)
    local, mirror = LocalOrigin("here", str(tmp_path)), MemoryOrigin("there")
    entry = local.stat("a.flac")
    assert entry is not None
    copy = mirror.put("b.flac", DATA)
    sources = Sources(Opened(local, mirror), Waits())
    source, other = Source("here", "a.flac", entry.version, SIZE), Source("there", "b.flac", copy.version, SIZE)
    reader = sources.open(source, 0, SIZE, (other,))
    read_through(reader, 10 * BLOCK_BYTES)
    sources.proofs.wait_idle(10)
    failing = FailoverReader(Broken(reader), lambda: sources.open(other, 0, SIZE), lambda _: None)
    read_through(failing)
    assert sources.proofs.equal(source, (other,)) == [other]
    sources.close()


class Broken:
    """A reader whose disk has died."""

    def __init__(self, inner: Reader) -> None:
        self.size = inner.size
        self.close = inner.close

    def read(self, start: int, stop: int) -> bytes:
        raise OriginError("reading failed: Input/output error")


def test_closing_ends_what_waits() -> None:
    with bench("HHHH") as world, ThreadPoolExecutor(1) as pool:
        read = pool.submit(world.open().read, 0, 10)
        world.faulty.wait_taken(1)
        world.sources.fetcher.close()
        with pytest.raises(UnreachableError, match="is ending"):
            read.result(10)
        with pytest.raises(UnreachableError, match="is ending"):
            world.open().read(9 * BLOCK_BYTES, 9 * BLOCK_BYTES + 1)


def test_memory_stays_within_its_bounds() -> None:
    with bench(store=False, manners=Manners(memory_bytes=4 * BLOCK_BYTES)) as world:
        reader = world.open()
        for start in range(0, SIZE, BLOCK_BYTES):
            stop = min(start + BLOCK_BYTES, SIZE)
            assert reader.read(start, stop) == DATA[start:stop]
            assert world.sources.fetcher.recent.size_bytes <= 4 * BLOCK_BYTES


def test_streams_share_the_memory_without_fetching_anything_twice() -> None:
    with bench(store=False, manners=Manners(memory_bytes=32 * BLOCK_BYTES)) as world:
        sources = [world.memory.put(f"a/{number}.flac", DATA) for number in range(6)]
        readers = [world.sources.open(Source("m", entry.path, entry.version, SIZE), 0, SIZE) for entry in sources]
        for start in range(0, SIZE, BLOCK_BYTES):
            for reader in readers:
                assert reader.read(start, min(start + BLOCK_BYTES, SIZE)) == DATA[start : start + BLOCK_BYTES]
        assert world.read_bytes <= 6 * (SIZE + 2 * BLOCK_BYTES)


def test_no_thread_outlives_its_sources() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    with bench() as world:
        assert world.open().read(0, SIZE) == DATA
    left = [thread for thread in threading.enumerate() if thread.ident not in before]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]
