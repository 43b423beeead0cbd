"""The keeper's thread beside a real content store: it re-cuts, evicts, does what it is asked, and goes on whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.clock import SystemClock
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import DiskFullError, StoreError, UnreachableError
from musicfs.store.chunks_schema import Content
from musicfs.store.chunks_upkeep import ChunkUpkeep
from tests.faults.living import wait_for
from tests.store.chunk_world import World, content_of, noise

SIZE = 1_500_000
MB = 1 << 20


class Set(SystemClock):
    """Monotonic time goes on when the test says so, or by ``step_s`` with every look at it; waits are short."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step_s = 0.0

    def monotonic(self) -> float:
        self.now += self.step_s
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(0.01)


class Bench:
    """A store with contents 0, 1, 2 ... used in that order, and its upkeep."""

    def __init__(self, folder: Path, limit_bytes: int, edge_limit_bytes: int) -> None:
        self.world = World(folder)
        self.clock = Set()
        self.pinned: Callable[[], frozenset[bytes]] = frozenset
        self.upkeep = Upkeep(self.world.store, limit_bytes, edge_limit_bytes, self._keys, self.clock)
        self.data = [noise(seed, SIZE) for seed in range(8)]
        self.contents = [content_of(data) for data in self.data]

    def _keys(self) -> frozenset[bytes]:
        return self.pinned()

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.world.put(self.contents[number], self.data[number])

    def is_whole(self, number: int) -> bool:
        return self.world.store.coverage(self.contents[number]).complete

    def cached(self, number: int) -> int:
        return self.world.store.coverage(self.contents[number]).cached_bytes

    def round(self) -> None:
        """Return after a whole round of the thread: all it would do by itself after some seconds."""
        for _ in range(2):  # the first may join a round that is nearly over
            self.upkeep.begin(lambda _: None).wait(20)
        self.clock.now += 5

    def check(self) -> None:
        for content, data in zip(self.contents, self.data, strict=True):
            found, missing = self.world.read(content)
            assert missing or found == data
        self.world.check()


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def bench(limit_bytes: int = 1 << 30, edge_limit_bytes: int = 0) -> Bench:
        made.append(Bench(tmp_path / "chunks", limit_bytes, edge_limit_bytes))
        return made[-1]

    yield bench
    for one in made:
        assert one.upkeep.close()
        one.check()
        one.world.close()


def test_what_was_complete_at_the_start_is_cut(make: Make) -> None:
    bench = make()
    bench.put(0, 1)
    bench.world.put(bench.contents[2], bench.data[2], 0, 1)
    bench.upkeep.start()
    wait_for("both are chunks", lambda: bench.upkeep.stats().blocks == 2)
    stats = bench.upkeep.stats()
    assert (stats.contents, stats.complete) == (3, 2)
    assert stats.chunks_unique > 20
    assert {content.key for content in bench.upkeep.contents()} == {content.key for content in bench.contents[:3]}


def test_what_becomes_complete_is_cut(make: Make) -> None:
    bench = make()
    bench.upkeep.start()
    bench.put(0)
    assert bench.upkeep.stats().blocks
    bench.upkeep.note_complete(bench.contents[0])
    bench.upkeep.note_complete(Content(b"x" * 16, 5))  # it is gone again
    wait_for("it is chunks", lambda: not bench.upkeep.stats().blocks)


def test_the_least_recently_used_makes_room_and_what_is_pinned_stays(make: Make) -> None:
    bench = make(limit_bytes=8 * MB)
    bench.pinned = lambda: frozenset({bench.contents[0].key})
    bench.put(*range(6))
    bench.upkeep.start()
    bench.round()
    assert bench.upkeep.stats().used_bytes <= 8 * MB
    assert [bench.is_whole(number) for number in (0, 1, 2, 3, 5)] == [True, False, False, False, True]
    assert bench.upkeep.evictions >= 1 and bench.upkeep.evicted_bytes > MB
    bench.pinned = frozenset
    bench.put(6)
    bench.round()
    assert [bench.is_whole(number) for number in (0, 5, 6)] == [False, True, True]
    assert bench.upkeep.stats().used_bytes <= 8 * MB


def test_what_is_just_being_fetched_has_room_where_no_edges_are_kept(make: Make) -> None:
    bench = make(limit_bytes=1 << 30, edge_limit_bytes=0)
    bench.upkeep.start()
    bench.world.put(bench.contents[0], bench.data[0], 0, 1)
    bench.round()
    assert bench.cached(0) == 2 << 17


def test_edges_take_half_of_a_small_store_at_most(make: Make) -> None:
    """With the usual 2 GB for edges, a store of 4 MB must still hold whole files."""
    bench = make(limit_bytes=4 * MB, edge_limit_bytes=2 << 30)
    bench.upkeep.start()
    bench.put(0, 1, 2)
    bench.round()
    stats = bench.upkeep.stats()
    assert bench.is_whole(2)
    assert 0 < bench.cached(0) < SIZE, "its edges are left"
    assert 0 < stats.edge_bytes <= 2 * MB
    assert stats.used_bytes <= 4 * MB


def test_a_full_disk_pauses_and_nothing_is_forgotten(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(limit_bytes=5 * MB)
    full = threading.Event()
    full.set()
    recut = ChunkUpkeep.recut
    tries = []

    def recut_if_there_is_room(self: ChunkUpkeep, content: Content, cut: object) -> bool:
        tries.append(content)
        if full.is_set():
            raise DiskFullError("full", remedy="make room")
        return recut(self, content, cut)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(ChunkUpkeep, "recut", recut_if_there_is_room)
    bench.put(0)
    bench.upkeep.start()
    wait_for("it was tried", lambda: tries)
    bench.put(*range(1, 6))
    bench.round()
    assert bench.upkeep.stats().used_bytes <= 5 * MB, "eviction goes on: it is what makes room"
    assert bench.is_whole(5)
    bench.upkeep.note_complete(bench.contents[5])
    full.clear()
    bench.clock.now += 31
    wait_for("what came later is chunks", lambda: bench.upkeep.stats().chunks_unique > 5)
    assert tries.count(bench.contents[0]) > 1, "what could not be cut was not forgotten"
    assert "content store: full; make room" in caplog.text


def test_whatever_fails_the_thread_goes_on(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make(limit_bytes=2 * MB)

    def fail() -> frozenset[bytes]:
        raise KeyError("the catalog is damaged")

    bench.pinned = fail
    bench.put(0, 1, 2)
    bench.upkeep.start()
    bench.round()
    assert "the upkeep of the content store failed" in caplog.text
    assert bench.is_whole(0)
    bench.pinned = frozenset
    bench.round()
    assert bench.upkeep.stats().used_bytes <= 2 * MB


def test_tasks(make: Make) -> None:
    bench = make()
    early = bench.upkeep.begin(lambda chunks: chunks.stats().contents)
    assert not early.wait(0)
    bench.put(0)
    bench.upkeep.start()
    assert early.wait(10)
    assert early.result() == 1

    def fail(error: Exception) -> Callable[[ChunkUpkeep], None]:
        def run(_: ChunkUpkeep) -> None:
            raise error

        return run

    for error in (StoreError("damaged"), ValueError("a bug")):
        task = bench.upkeep.begin(fail(error))
        assert task.wait(10)
        with pytest.raises(type(error)):
            task.result()
    assert bench.upkeep.begin(lambda _: 7).wait(10), "the thread lives"


def test_long_tasks_keep_the_limits_and_end_with_the_keeper(make: Make) -> None:
    bench = make(limit_bytes=3 * MB)
    bench.upkeep.start()
    entered, going = threading.Event(), threading.Event()
    used = []

    def work(chunks: ChunkUpkeep) -> bool:
        entered.set()
        assert going.wait(20)
        ended = bench.upkeep.breathe()
        used.append(chunks.stats().used_bytes)
        while not bench.upkeep.breathe():
            pass
        return ended

    task = bench.upkeep.begin(work)
    waiting = bench.upkeep.begin(lambda _: None)
    assert entered.wait(10)
    bench.put(0, 1, 2, 3)
    bench.clock.now += 60
    going.set()
    wait_for("it has breathed", lambda: used)
    assert used[0] <= 3 * MB
    assert bench.upkeep.close()
    assert task.result() is False
    assert waiting.wait(0)
    for abandoned in (waiting, bench.upkeep.begin(lambda _: None)):
        assert abandoned.wait(0)
        with pytest.raises(UnreachableError, match="ending"):
            abandoned.result()


def test_a_thread_that_does_not_end_is_told(make: Make) -> None:
    bench = make()
    bench.upkeep.start()
    entered, going = threading.Event(), threading.Event()

    def work(_: ChunkUpkeep) -> None:
        entered.set()
        assert going.wait(20)

    bench.upkeep.begin(work)
    assert entered.wait(10)
    assert not bench.upkeep.close(timeout_s=0.05), "the store must not be closed under it"
    going.set()
    assert bench.upkeep.close()


def test_damage_is_removed(make: Make) -> None:
    bench = make()
    bench.put(0)
    tables = bench.world.store.tables
    key = bench.contents[0].key + (3).to_bytes(4, "big")
    with tables.env.begin(write=True) as txn:
        value = bytearray(txn.get(key, db=tables.blocks) or b"")
        value[500] ^= 1
        txn.put(key, bytes(value), db=tables.blocks)
    _, missing = bench.world.read(bench.contents[0])
    assert missing == [(3 << 17, 4 << 17)]
    bench.upkeep.start()
    wait_for("the block is gone", lambda: not bench.is_whole(0))
    assert bench.upkeep.stats().bad == 1
