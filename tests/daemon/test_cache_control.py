"""What clients may do with the content cache, in one process: a scanned catalog, a real store, an origin with faults."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import cast

import pytest

from musicfs.api.backend import CacheStats, Cleared, PrefetchProgress, Tier
from musicfs.content.keeping import Keeping
from musicfs.content.origins import Access
from musicfs.content.sources import Manners, Sources
from musicfs.daemon.cache_control import CacheControl
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.link import Counters
from musicfs.daemon.pins import Pins
from musicfs.daemon.reading import Reading
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import NotFoundError, QueryError, StoreError, UnreachableError
from musicfs.origins.memory import MemoryOrigin
from musicfs.store.chunks_schema import Content
from musicfs.store.chunks_upkeep import ChunkUpkeep
from musicfs.store.state import open_state
from musicfs.testing.faults import FaultyOrigin
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.content.worlds import Gate, Opened
from tests.daemon.test_upkeep import Set
from tests.faults.living import wait_for
from tests.library.collection import Collection, flac
from tests.store.chunk_world import World
from tests.vfs.world import Put, content
from tests.vfs.world import World as Facts

NAMES = ("One", "Two", "Three", "Four")
SIZE = 1_000_000


class ReadingHere:
    """The way to read files, over one open origin."""

    def __init__(self, origin: FaultyOrigin | Gate, world: World, on_complete: Callable[..., object]) -> None:
        self.keeping = Keeping(world.store, Set(), on_complete)
        self.sources = Sources(
            Opened(origin, keep=True),
            contextlib.nullcontext,
            store=world.store,
            keeping=self.keeping,
            manners=Manners(timeout_s=10),
        )

    def close(self) -> None:
        self.sources.close()


class Bench:
    """Four songs of album B at origin m, and the control over the cache of their content."""

    def __init__(self, folder: Path, script: str, limit_bytes: int, *, gated: bool) -> None:
        self.memory = MemoryOrigin("m")
        noise = random.Random(3)
        for name in NAMES:
            self.memory.put(f"b/{name}.flac", flac(album="B", title=name) + noise.randbytes(SIZE))
        self.collection = Collection(folder / "catalog", self.memory)
        self.collection.scan()
        self.world = World(folder / "chunks")
        self.state = open_state(str(folder / "user"))
        self.clock = Set()
        access = Access(direct=False, keep=True, stable_version=self.memory.caps.stable_version)
        self.files = LibraryFiles(self.collection.catalog, {"m": access}.get)
        self.pins = Pins(self.files, self.state, self.clock)
        self.upkeep = Upkeep(self.world.store, limit_bytes, 0, self.pins.keys, self.clock)
        self.is_cut = True
        self.gate = Gate(self.memory)
        origin = self.gate if gated else FaultyOrigin(self.memory, script)
        self.control = CacheControl(
            self.files,
            self.pins,
            self.world.store,
            self.upkeep,
            lambda: cast("Reading", ReadingHere(origin, self.world, self._note_complete)),
            limit_bytes,
            self.clock,
        )
        self.upkeep.start()

    def close(self) -> None:
        self.gate.open()
        self.control.close()
        assert self.upkeep.close()
        self.world.check()
        self.world.close()
        self.state.close()
        self.collection.close()

    def _note_complete(self, content: Content) -> None:
        if self.is_cut:
            self.upkeep.note_complete(content)

    def prefetch(self, *paths: str, origin_id: str = "", query: str = "") -> PrefetchProgress:
        return list(self.control.prefetch(paths, origin_id, query))[-1]

    def cached(self) -> list[int]:
        """How much of each song is stored, in the order of names."""
        found = sorted(self.files.below([b"/"]), key=lambda file: NAMES.index(file.source.path[2:-5]))
        return [self.world.store.coverage(file.content).cached_bytes for file in found]

    @property
    def sizes(self) -> list[int]:
        return [len(flac(album="B", title=name)) + SIZE for name in NAMES]


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def bench(script: str = ".", limit_bytes: int = 1 << 30, *, gated: bool = False) -> Bench:
        made.append(Bench(tmp_path / str(len(made)), script, limit_bytes, gated=gated))
        return made[-1]

    yield bench
    for one in made:
        one.close()


def test_without_a_content_store_there_is_nothing(make: Make) -> None:
    bench = make()
    control = CacheControl(bench.files, bench.pins, None, None, bench.control._open_reading, 0, bench.clock)
    assert control.stats(Counters(1, 2, 3, 4, 5)) == CacheStats(hits=3, misses=4, fetched_bytes=5)
    assert control.clear("", Tier.ALL, dry_run=False) == Cleared()
    assert [step.complete for step in control.verify()] == [True]
    control.pin(["/B"])
    assert [(pin.files, pin.cached_bytes) for pin in control.pins()] == [(4, 0)]
    control.close()


def test_prefetch(make: Make) -> None:
    bench = make()
    last = bench.prefetch("/B", "B/One.flac", origin_id="m")
    assert last == PrefetchProgress(completed=4, total=4, fetched_bytes=sum(bench.sizes))
    assert bench.cached() == bench.sizes
    assert bench.prefetch("/") == PrefetchProgress(completed=4, total=4)
    stats = bench.control.stats(Counters(0, 0, fetched_bytes=5))
    assert (stats.fetched_bytes, stats.contents_complete) == (5 + sum(bench.sizes), 4)
    with pytest.raises(NotFoundError):
        bench.prefetch("/B", "/C")


def test_prefetch_by_query(make: Make) -> None:
    bench = make()
    last = bench.prefetch(query="title:(one OR four) album:b")
    assert (last.completed, last.total) == (2, 2)
    assert [size > 0 for size in bench.cached()] == [True, False, False, True]
    assert bench.prefetch("/B/Two.flac", query="two OR three").completed == 1
    assert bench.prefetch(query="nothing is called so") == PrefetchProgress()
    assert bench.prefetch(query="*", origin_id="x") == PrefetchProgress()
    with pytest.raises(QueryError, match="column 1: there is no field"):
        bench.control.prefetch([], "", "titel:x")
    with pytest.raises(NotFoundError):
        bench.prefetch("/C", query="one")


def test_what_cannot_be_fetched_is_counted(make: Make) -> None:
    bench = make(script="D" * 9 + ".")
    last = bench.prefetch("/")
    assert last.total == 4
    assert last.failed > 0 and last.completed + last.failed == 4
    assert sum(size == want for size, want in zip(bench.cached(), bench.sizes, strict=True)) == last.completed


def test_what_has_no_room_is_not_called_fetched(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    monkeypatch.setattr(Keeping, "keep", lambda *_: None)
    assert bench.prefetch("/B/One.flac") == PrefetchProgress(failed=1, total=1)


def test_what_was_cleared_is_fetched_again(make: Make) -> None:
    """Although all of it is still in memory."""
    bench = make()
    bench.prefetch("/")
    assert bench.control.clear("", Tier.ALL, dry_run=False).size_bytes == sum(bench.sizes)
    assert bench.cached() == [0] * 4
    assert bench.prefetch("/").fetched_bytes == sum(bench.sizes)
    assert bench.cached() == bench.sizes


def test_a_prefetch_ends_with_its_caller(make: Make) -> None:
    bench = make(gated=True)
    steps = bench.control.prefetch(["/"], "")
    assert next(steps).completed == 0
    bench.gate.wait_taken()
    assert isinstance(steps, Generator)
    steps.close()
    [thread] = [thread for thread in threading.enumerate() if thread.name == "prefetch"]
    bench.gate.open()
    thread.join(20)
    assert not thread.is_alive()
    assert bench.cached()[1:] != bench.sizes[1:]


def test_the_end_of_the_keeper_ends_a_prefetch(make: Make) -> None:
    bench = make(gated=True)
    steps = bench.control.prefetch(["/"], "")
    next(steps)
    bench.gate.wait_taken()
    bench.control.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
    assert list(steps)[-1].completed == 0
    with pytest.raises(UnreachableError, match="ending"):
        bench.prefetch("/")


def test_what_breaks_a_prefetch_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(LibraryFiles, "_file", broken)
    with pytest.raises(ValueError, match="a bug"):
        bench.prefetch("/")


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("origin_id", ["", "m"])
@pytest.mark.parametrize("cut", [False, True], ids=["blocks", "chunks"])
def test_clearing_removes_what_a_dry_run_says(make: Make, tier: Tier, origin_id: str, cut: bool) -> None:
    bench = make()
    if not cut:
        bench.is_cut = False
    bench.prefetch("/B")
    if cut:
        wait_for("all is chunks", lambda: not bench.upkeep.stats().blocks)
    bench.control.pin(["/B/Two.flac"])
    before = bench.cached()
    promised = bench.control.clear(origin_id, tier, dry_run=True)
    assert bench.cached() == before == bench.sizes
    assert bench.control.clear(origin_id, tier, dry_run=False) == promised
    after = bench.cached()
    assert promised.size_bytes == sum(before) - sum(after)
    assert promised.pieces == sum(size != left for size, left in zip(before, after, strict=True))
    assert after[1] == before[1]
    assert (sum(after) == before[1]) is (tier is Tier.ALL or (cut and tier is Tier.MAIN))
    assert (promised == Cleared()) is (cut and tier is Tier.EDGES)


def test_clearing_goes_on_in_the_background(make: Make) -> None:
    bench = make()
    bench.prefetch("/")
    entered, going = threading.Event(), threading.Event()

    def hold(_: ChunkUpkeep) -> None:
        entered.set()
        assert going.wait(30)

    bench.upkeep.begin(hold)
    assert entered.wait(10)
    bench.clock.step_s = 2.0
    cleared = bench.control.clear("", Tier.ALL, dry_run=False)
    assert cleared.pieces == 4
    assert bench.cached() == bench.sizes
    going.set()
    wait_for("it has gone", lambda: sum(bench.cached()) == 0)


def test_an_error_while_clearing_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    bench.prefetch("/")

    def fail(*_: object) -> int:
        raise StoreError("damaged", remedy="mount again")

    monkeypatch.setattr(ChunkUpkeep, "clear", fail)
    with pytest.raises(StoreError, match="damaged"):
        bench.control.clear("", Tier.ALL, dry_run=False)


def test_a_verification_counts_and_finds(make: Make) -> None:
    bench = make()
    bench.prefetch("/")
    wait_for("all is chunks", lambda: not bench.upkeep.stats().blocks)
    steps = list(bench.control.verify())
    assert steps[-1].complete and not steps[-1].damaged
    assert steps[-1].checked == steps[-1].total == bench.upkeep.stats().chunks_unique


def test_a_verification_that_is_not_finished_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    asked = threading.Event()

    def never_ends(_self: ChunkUpkeep, on_bad: Callable[..., None], stop: Callable[[], bool], *_: object) -> bool:
        asked.set()
        while not stop():
            pass
        return False

    monkeypatch.setattr(ChunkUpkeep, "verify", never_ends)
    steps = bench.control.verify()
    next(steps)
    assert asked.is_set()
    assert isinstance(steps, Generator)
    steps.close()
    assert bench.upkeep.begin(lambda _: None).wait(20), "who leaves ends it"
    steps = bench.control.verify()
    next(steps)
    bench.upkeep.close()
    assert not list(steps)[-1].complete


def test_pins(make: Make) -> None:
    bench = make()
    control = bench.control
    change = control.pin(["/B/One.flac", "B", "/B/"])
    assert (change.files, change.size_bytes) == (4, sum(bench.sizes)), "each file counts once"
    assert [pin.path for pin in control.pins()] == ["/B", "/B/One.flac"]
    assert bench.pins.count == 2
    assert len(bench.pins.keys()) == 4
    with pytest.raises(NotFoundError, match="is not pinned"):
        control.unpin(["/B", "/C"])
    assert bench.pins.count == 2, "then nothing is unpinned"
    with pytest.raises(NotFoundError, match="in the mount"):
        control.pin(["/B/Two.flac", "/C"])
    assert bench.pins.count == 2
    assert control.unpin(["B/"]).files == 4
    assert [pin.path for pin in control.pins()] == ["/B/One.flac"]
    assert len(bench.pins.keys()) == 1


def test_pins_by_query(make: Make) -> None:
    bench = make()
    control = bench.control
    assert control.pin([], "one OR two").files == 2
    assert [pin.path for pin in control.pins()] == ["/B/One.flac", "/B/Two.flac"]
    assert len(bench.pins.keys()) == 2
    assert control.pin(["/B/Two.flac", "/B/Three.flac"], "three OR four").files == 1
    assert control.pin([], "nothing is called so").files == 0
    assert bench.pins.count == 3
    control.pin(["/B"])
    for query in ("titel:x", "a OR"):
        for change in (control.pin, control.unpin):
            with pytest.raises(QueryError):
                change([], query)
    assert control.unpin([], "nothing is called so").files == 0
    assert control.unpin(["/B/One.flac"], "two").files == 0
    assert bench.pins.count == 4
    assert control.unpin([], "title:(one OR two)").files == 2
    assert [pin.path for pin in control.pins()] == ["/B", "/B/Three.flac"], "of the folder not all tracks match"
    with pytest.raises(NotFoundError, match="is not pinned"):
        control.unpin(["/B/One.flac"], "one")
    assert control.unpin(["/B"], "album:b").files == 4
    assert [pin.path for pin in control.pins()] == ["/B/Three.flac"]


def test_a_pin_by_query_does_not_follow_the_query(make: Make) -> None:
    bench = make()
    bench.control.pin([], "title:one")
    bench.memory.put("b/One.flac", flac(album="C", title="Uno") + bytes(1000))
    bench.memory.put("b/Six.flac", flac(album="B", title="One More") + bytes(1000))
    bench.collection.scan()
    bench.clock.now += 31
    [key] = bench.pins.keys()
    file = bench.files.at_origin("m", b"b/One.flac")
    assert file is not None and key == file.content.key, "the file stays pinned under another name"
    assert bench.control.unpin([], "one").files == 0
    assert bench.control.unpin([], "uno").files == 1
    assert bench.pins.count == 0


def test_a_pin_follows_its_file_and_its_folder(make: Make) -> None:
    bench = make()
    bench.control.pin(["/B"])
    before = bench.pins.keys()
    bench.memory.put("b/One.flac", flac(album="C", title="Uno") + bytes(1000))  # tagged anew: it goes by another name
    bench.memory.put("b/Five.flac", flac(album="B", title="Five") + bytes(1000))
    bench.collection.scan()
    assert bench.pins.keys() == before, "not looked up again at once while a scan runs"
    bench.clock.now += 31
    after = bench.pins.keys()
    assert len(after) == 5
    assert len(after & before) == 3
    [pin] = bench.control.pins()
    assert (pin.path, pin.files) == ("/B", 5)
    for name in ("One", "Two", "Three", "Four", "Five"):
        bench.memory.remove(f"b/{name}.flac")
    bench.memory.put("x/Six.flac", flac(album="X", title="Six"))
    bench.collection.scan(confirmed=True)
    [pin] = bench.control.pins()
    assert (pin.path, pin.files) == ("/B", 0)
    assert bench.control.unpin(["/B"]).files == 0


def test_a_pin_keeps_a_track_from_all_its_origins(tmp_path: Path) -> None:
    """Another may serve it by tomorrow."""
    view = View(0, "", "$artist/$title.$format", folders=False, names="posix")
    tree = Facts(tmp_path / "catalog", (view,), TreeOptions())
    state = open_state(str(tmp_path / "user"))
    with contextlib.closing(tree), contextlib.closing(state):
        for number in (1, 2):
            tree.apply([Put((number, b"a", b"1.flac"), content(100 * number, artist="X", title="One", audio=7))])
        access = Access(direct=False, keep=True, stable_version=False)
        files = LibraryFiles(tree.catalog, {"origin1": access, "origin2": access}.get)
        pins = Pins(files, state, Set())
        assert pins.pin(["/X"]).files == 1
        both = [files.at_origin(origin_id, b"a/1.flac") for origin_id in ("origin1", "origin2")]
        assert pins.keys() == {file.content.key for file in both if file is not None}
        assert len(pins.keys()) == 2
        assert [pin.size_bytes for pin in pins.listed(lambda _: 7)] == [200], "what is served counts"
