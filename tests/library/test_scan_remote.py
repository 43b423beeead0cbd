"""Scans of an origin that costs round trips: what is asked for, how much at once, and what an outage does to it."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from musicfs import formats
from musicfs.errors import DeniedError, UnreachableError
from musicfs.formats import LocalSource, RangeReader, read
from musicfs.library.ranges import BLOCK_BYTES, BUDGET_BYTES
from musicfs.model import Entry, Facts
from musicfs.origins.compose import Manners, compose
from musicfs.origins.contract import Caps, Origin, RangeCost
from musicfs.origins.memory import MemoryOrigin
from musicfs.origins.wrappers.trace import Tally
from musicfs.origins.wrappers.wrapper import Operation, Wrapper
from musicfs.store.records import unpack_facts
from musicfs.testing.faults import FaultyOrigin
from tests.library.collection import Collection, flac

CAPS = Caps(parallel=32, range_cost=RangeCost.ROUND_TRIP, stable_version=True, slow_stat=True, case_sensitive=True)
SIZE_OF_MUSIC = 1 << 20  # tests' tracks are short; what is behind the first block matters

Open = Callable[..., Collection]
Kept = tuple[str, int, bytes]


@pytest.fixture
def collect(tmp_path: Path) -> Iterator[Open]:
    made: list[Collection] = []

    def make(origin: Origin, **options: object) -> Collection:
        made.append(Collection(tmp_path / str(len(made)), origin, **options))  # type: ignore[arg-type] # by name
        return made[-1]

    yield make
    for one in made:
        one.close()


class Ranged(Wrapper):
    """Remembers every range that was read, by path."""

    def __init__(self, inner: Origin) -> None:
        super().__init__(inner)
        self.ranges: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        self.ranges[path].append((start, stop))
        return super().read(path, start, stop, version)


class Gated(Wrapper):
    """Reads wait until they are let through; counts how many do."""

    def __init__(self, inner: Origin) -> None:
        super().__init__(inner)
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.waiting = self.most = self.reads = 0

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        with self.lock:
            self.reads += 1
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        try:
            if not self.gate.wait(20.0):
                raise UnreachableError("timed out")
            return super().read(path, start, stop, version)
        finally:
            with self.lock:
                self.waiting -= 1


def album(name: str, tracks: int) -> dict[str, bytes]:
    return {f"{name}/{n:03}.flac": flac(title=f"{n:03}", album=name) for n in range(1, tracks + 1)}


def memory(*, parallel: int = 32, **albums: int) -> MemoryOrigin:
    files: dict[str, bytes] = {}
    for name, tracks in albums.items():
        files |= album(name, tracks)
    return MemoryOrigin("memory", files, caps=msgspec.structs.replace(CAPS, parallel=parallel))


def of_folder(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def reads(faulty: FaultyOrigin) -> int:
    return sum(operation == Operation.READ for operation, _ in faulty.taken)


def facts_of(collection: Collection) -> Mapping[str, Facts | None]:
    found = {}
    for path, object_id in collection.ids().items():
        record = collection.catalog.object(object_id)
        assert record is not None
        found[path] = unpack_facts(record.facts)
    return found


def test_many_files_of_every_format_say_what_they_say_locally(collect: Open, generated_library: Path) -> None:
    origin = Ranged(MemoryOrigin("memory", of_folder(generated_library), caps=CAPS))
    collection = collect(origin)
    collection.scan()
    for path, facts in facts_of(collection).items():
        if path in origin.ranges:
            with LocalSource.open(generated_library / path) as source:
                assert facts == read(source, path.rpartition("/")[2]), path
    assert len(origin.ranges) == collection.catalog.totals().tracks
    requests = Counter(len(ranges) for ranges in origin.ranges.values())
    assert max(requests) <= 3, requests
    assert max(sum(stop - start for start, stop in ranges) for ranges in origin.ranges.values()) <= BUDGET_BYTES


def test_what_was_fetched_is_offered_to_be_kept(collect: Open) -> None:
    music = bytes(range(256)) * 4096  # 1 MiB
    data = flac(title="1", album="A") + music + b"end"
    origin = Ranged(MemoryOrigin("memory", {"A/1.flac": data, "A/2.flac": flac(title="2", album="A")}, caps=CAPS))
    collection = collect(origin)
    kept: list[tuple[str, Entry, int, bytes]] = []
    collection.scanner._keep = lambda *what: kept.append(what)
    collection.scan()
    assert {origin_id for origin_id, _, _, _ in kept} == {"memory"}
    by_path = {(entry.path, start): (entry, part) for _, entry, start, part in kept}
    assert sorted(by_path) == [("A/1.flac", 0), ("A/1.flac", 8 * BLOCK_BYTES), ("A/2.flac", 0)]
    assert by_path["A/1.flac", 0][1] == data[:BLOCK_BYTES]
    assert by_path["A/1.flac", 8 * BLOCK_BYTES][1] == data[8 * BLOCK_BYTES :]  # the last block, whole
    assert by_path["A/1.flac", 0][0] == origin.stat("A/1.flac")


def test_many_are_read_at_once_and_not_too_many(collect: Open) -> None:
    gated = Gated(memory(A=100))
    collection = collect(gated)
    opener = threading.Timer(0.3, gated.gate.set)
    opener.start()
    collection.scan()
    assert gated.most == 32
    assert len(collection.shown()) == 100


def test_no_more_at_once_than_the_origin_likes(collect: Open) -> None:
    gated = Gated(memory(parallel=3, A=20))
    collection = collect(gated)
    opener = threading.Timer(0.2, gated.gate.set)
    opener.start()
    collection.scan()
    assert gated.most == 3


def test_threads_end_with_the_scan(collect: Open) -> None:
    before = threading.active_count()
    collect(memory(A=50)).scan()
    assert threading.active_count() == before


def test_an_unchanged_rescan_asks_for_nothing(collect: Open) -> None:
    faulty = FaultyOrigin(memory(A=20, B=20))
    collection = collect(faulty)
    collection.scan()
    assert reads(faulty) == 40
    before = len(faulty.taken)
    outcome = collection.scan()
    assert (outcome.listed, outcome.read) == (40, 0)
    assert {operation for operation, _ in faulty.taken[before:]} == {Operation.LIST, Operation.LIST_NEXT}
    assert reads(faulty) == 40


class Outage(Wrapper):
    """Lets some reads through, then the line is dead; ``reads`` counts all of them."""

    def __init__(self, inner: Origin, after: int) -> None:
        super().__init__(inner)
        self.left: int | None = after
        self.lock = threading.Lock()
        self.read_paths: list[str] = []

    def check(self) -> None:
        if self.left is not None and self.left <= 0:
            raise UnreachableError("no route to host")

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        with self.lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise UnreachableError("no route to host")
            self.read_paths.append(path)
        return super().read(path, start, stop, version)


def test_an_outage_ends_the_scan_and_what_was_learned_stays(collect: Open) -> None:
    origin = Outage(memory(A=20, B=20, C=60, D=20), after=70)
    collection = collect(origin)
    with pytest.raises(UnreachableError, match="no route"):
        collection.scan()
    assert len(origin.read_paths) == 70
    shown = collection.shown()
    assert shown and collection.catalog.count_problems() == 0
    assert {path[0] for path in shown} >= {"A", "B"}
    assert len(shown) == len(collection.ids()) == 70  # everything that was read, in folders that were not finished too
    origin.left = None
    outcome = collection.scan()
    assert outcome.read == 50
    assert len(origin.read_paths) == len(set(origin.read_paths)) == 120
    assert len(collection.shown()) == 120


def test_an_outage_in_the_middle_of_a_refreshed_listing_deletes_nothing(collect: Open) -> None:
    inner = memory(A=20, B=20)
    collection = collect(Outage(inner, after=1000))
    collection.scan()
    for path in album("A", 20):
        inner.put(path, flac(title="new " + path, album="A"))
    inner.remove("B/001.flac")
    outage = collection.origin = Outage(inner, after=0)
    with pytest.raises(UnreachableError):
        collection.scan()
    assert len(collection.shown()) == 40
    outage.left = None
    assert collection.scan().removed == 1
    assert sum("new" in path for path in collection.shown()) == 20


@pytest.mark.parametrize("script", ["RRTES.", "EEEEEE.", "TRTRTR."])
def test_a_file_that_cannot_be_read_though_the_origin_answers_costs_itself(collect: Open, script: str) -> None:
    faulty = FaultyOrigin(memory(A=20, B=20), script)
    collection = collect(faulty)
    outcome = collection.scan()
    failed = sum(letter not in "R." for letter in script)
    assert outcome.unread == failed
    assert len(collection.shown()) == 40 - failed
    assert collection.catalog.count_problems() == 0
    outcome = collection.scan()
    assert (outcome.read, outcome.unread, reads(faulty)) == (failed, 0, 40 + failed)
    assert len(collection.shown()) == 40


def test_a_retry_hides_what_went_wrong_once(collect: Open) -> None:
    faulty = FaultyOrigin(memory(A=20), "RRTES.")
    collection = collect(compose(faulty, Manners(retry_delays_s=(0.0, 0.0, 0.0))))
    assert collection.scan().unread == 0
    assert len(collection.shown()) == 20


def test_nothing_can_be_read_though_the_origin_answers(collect: Open) -> None:
    faulty = FaultyOrigin(memory(A=300), "E" * 1000)
    collection = collect(faulty)
    with pytest.raises(UnreachableError, match="input/output"):
        collection.scan()
    assert reads(faulty) < 100
    assert collection.shown() == [] and collection.catalog.count_problems() == 0


def test_credentials_that_are_refused_are_an_outage_and_one_file_is_not(collect: Open) -> None:
    inner = memory(A=100)
    collection = collect(FaultyOrigin(inner, "D."))
    collection.scan()
    assert (len(collection.shown()), collection.catalog.count_problems()) == (100, 1)
    refused = FaultyOrigin(inner, "D" * 1000, {Operation.CHECK: "D" * 1000})
    other = collect(refused)
    with pytest.raises(DeniedError):
        other.scan()
    assert other.shown() == [] and other.catalog.count_problems() == 0
    assert reads(refused) <= 64


def test_a_scan_that_is_told_to_stop_does_so_though_reads_hang(collect: Open) -> None:
    gated = Gated(memory(A=10, B=200))
    collection = collect(gated)
    stopping = threading.Event()
    threading.Timer(0.3, stopping.set).start()
    began = time.monotonic()
    outcome = collection.scan(stopping=stopping.is_set)
    assert time.monotonic() - began < 0.3 + 2.0
    assert outcome.read == 0 or outcome.unread
    assert collection.record.last_listing_ns == 0
    assert gated.reads == 32
    gated.gate.set()
    assert collection.scan().read == 210
    assert len(collection.shown()) == 210


def test_memory_is_bounded_by_what_is_under_way(collect: Open) -> None:
    """However many files wait, only those at whose ranges a thread is are in memory: ranges come before new files."""
    data = flac(title="1", album="A") + bytes(SIZE_OF_MUSIC)
    origin = Ranged(MemoryOrigin("memory", {f"A/{n:03}.flac": data for n in range(40)}, caps=CAPS))
    order: list[str] = []
    inner = origin.read

    def note(path: str, start: int, stop: int, version: str) -> bytes:
        order.append(path)
        return inner(path, start, stop, version)

    origin.read = note  # type: ignore[method-assign] # to see the order
    collection = collect(origin)
    collection.scan()
    open_at_once, begun = 0, Counter[str]()
    for path in order:
        begun[path] += 1
        open_at_once = max(open_at_once, sum(count < 2 for count in begun.values()))
    assert sum(begun.values()) == 80
    assert open_at_once <= 33


def test_a_bandwidth_limit_holds_for_a_scan(collect: Open) -> None:
    tally = Tally()
    inner = MemoryOrigin("memory", {f"A/{n}.wav": bytes(BLOCK_BYTES) for n in range(16)}, caps=CAPS)
    collection = collect(compose(inner, Manners(parallel=8, bandwidth_limit=2 << 20), tally=tally))
    began = time.monotonic()
    collection.scan()
    took_s = time.monotonic() - began
    assert tally.snapshot()[Operation.READ].size_bytes == 2 << 20
    assert took_s >= 0.4  # 2 MiB at 2 MiB/s, half a second of which an idle line has saved up


def test_a_moved_file_is_recognised_by_its_version(collect: Open) -> None:
    inner = memory(A=5, B=10)
    faulty = FaultyOrigin(inner)
    collection = collect(faulty)
    collection.scan()
    ids, before = collection.ids(), reads(faulty)
    inner.move("B/001.flac", "A/zero.flac")
    inner.move("A/001.flac", "C/one.flac")
    outcome = collection.scan()
    assert (outcome.new, outcome.read, outcome.removed, reads(faulty)) == (0, 0, 0, before)
    assert collection.ids()["A/zero.flac"] == ids["B/001.flac"]
    assert collection.ids()["C/one.flac"] == ids["A/001.flac"]
    assert len(collection.ids()) == collection.record.files == 15
    assert len(collection.shown()) == 15
    assert collection.scan().read == 0


class Twins(MemoryOrigin):
    """Equal bytes have equal versions, as ETags have."""

    def put(self, path: str, data: bytes, *, mtime_ns: int | None = None) -> Entry:
        import hashlib

        entry = super().put(path, data, mtime_ns=mtime_ns)
        file = self._files[path]
        entry = msgspec.structs.replace(entry, version=hashlib.md5(data, usedforsecurity=False).hexdigest())
        self._files[path] = msgspec.structs.replace(file, entry=entry)
        return entry


def test_a_copy_is_no_move(collect: Open) -> None:
    inner = Twins("memory", album("A", 3), caps=CAPS)
    collection = collect(inner)
    collection.scan()
    ids = collection.ids()
    inner.put("B/copy.flac", album("A", 3)["A/001.flac"])
    outcome = collection.scan()
    assert (outcome.new, outcome.read, outcome.removed) == (1, 1, 0)
    assert {path: collection.ids()[path] for path in ids} == ids
    # One of the twins moves: which one is not said, so it is read.
    inner.remove("B/copy.flac")
    inner.put("C/copy.flac", album("A", 3)["A/001.flac"])
    outcome = collection.scan()
    assert (outcome.new, outcome.read, outcome.removed) == (1, 1, 1)
    assert len(collection.ids()) == 4


def test_two_new_files_do_not_share_what_one_was(collect: Open) -> None:
    inner = Twins("memory", album("A", 6), caps=CAPS)
    collection = collect(inner)
    collection.scan()
    old = collection.ids()["A/001.flac"]
    data = album("A", 6)["A/001.flac"]
    inner.remove("A/001.flac")
    inner.put("B/1.flac", data)
    inner.put("B/2.flac", data)
    outcome = collection.scan()
    assert (outcome.new, outcome.read, outcome.removed) == (1, 1, 0)
    assert sorted(path for path, object_id in collection.ids().items() if object_id == old) == ["B/1.flac"]
    assert len(collection.ids()) == 7


def test_versions_that_prove_nothing_recognise_no_move(collect: Open) -> None:
    inner = MemoryOrigin("memory", album("A", 6), caps=msgspec.structs.replace(CAPS, stable_version=False))
    collection = collect(inner)
    collection.scan()
    inner.move("A/001.flac", "B/1.flac")
    outcome = collection.scan()
    assert (outcome.new, outcome.read, outcome.removed) == (1, 1, 1)


def test_a_parser_that_fails_costs_one_file(
    collect: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def broken(source: RangeReader, name: str) -> Facts:
        if name == "002.flac":
            raise RecursionError("a mistake")
        return read(source, name)

    monkeypatch.setattr(formats, "read", broken)
    collection = collect(memory(A=3))
    collection.scan()
    assert collection.catalog.count_problems() == 1
    assert len(collection.shown()) == 3
    assert "002.flac" in caplog.text
