"""What each wrapper adds; that it takes nothing away is the conformance suite's part."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.compose import REMOTE_MANNERS, Manners, compose
from musicfs.origins.contract import Anchored, LocalPaths, Origin, Watchable
from musicfs.origins.local import LocalOrigin
from musicfs.origins.memory import MemoryOrigin, WatchableMemoryOrigin
from musicfs.origins.wrappers.breaker import Breaker, BreakerState
from musicfs.origins.wrappers.limit import Limit
from musicfs.origins.wrappers.retry import Retry
from musicfs.origins.wrappers.trace import OperationCount, Tally, Trace
from musicfs.origins.wrappers.wrapper import Operation
from musicfs.testing.faults import FaultyOrigin
from tests.origins.clocks import FakeClock

DATA = bytes(range(100))


def _faulty(script: str = ".", others: dict[Operation, str] | None = None) -> FaultyOrigin:
    return FaultyOrigin(MemoryOrigin("memory", {"a/file.flac": DATA, "b/other.flac": b""}), script, others)


def _read(origin: Origin) -> bytes:
    return origin.read("a/file.flac", 10, 20, "")


# Retry


def test_retry_waits_longer_each_time() -> None:
    clock, faulty = FakeClock(), _faulty("TES.")
    assert _read(Retry(faulty, clock=clock)) == DATA[10:20]
    assert clock.waits == [0.1, 0.5, 2.0]


def test_retry_gives_up() -> None:
    clock, faulty = FakeClock(), _faulty("EEEET.")
    with pytest.raises(UnreachableError):
        _read(Retry(faulty, clock=clock))
    assert len(faulty.taken) == 4


@pytest.mark.parametrize(("letter", "error"), [("D", DeniedError), ("G", GoneError), ("C", ChangedError)])
def test_retry_leaves_final_errors_alone(letter: str, error: type[OriginError]) -> None:
    clock = FakeClock()
    with pytest.raises(error):
        _read(Retry(_faulty(letter), clock=clock))
    assert clock.waits == []


def test_retry_never_repeats_a_health_check() -> None:
    clock = FakeClock()
    with pytest.raises(UnreachableError):
        Retry(_faulty(others={Operation.CHECK: "T"}), clock=clock).check()
    assert clock.waits == []


def test_retry_of_a_listing_only_before_its_first_folder() -> None:
    clock = FakeClock()
    assert len(list(Retry(_faulty(others={Operation.LIST: "TT"}), clock=clock).list())) == 3
    listing = Retry(_faulty(others={Operation.LIST_NEXT: "RT"}), clock=clock).list()
    assert [next(listing).path, next(listing).path] == ["", "a"]
    with pytest.raises(UnreachableError):
        next(listing)
    assert clock.waits == [0.1, 0.5]


def test_closing_cuts_a_pause_short() -> None:
    faulty = _faulty("E" * 9)
    retry = Retry(faulty, [60.0])
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read, retry)
        faulty.wait_taken(1)
        retry.close()
        with pytest.raises(UnreachableError):
            reading.result(timeout=10)
    assert len(faulty.taken) == 1


# Limit


def test_limit_of_parallel_calls() -> None:
    faulty = _faulty("HH.")
    limit = Limit(faulty, parallel=2, timeout_s=0.05)
    with ThreadPoolExecutor(3) as pool:
        hanging = [pool.submit(_read, limit) for _ in range(2)]
        faulty.wait_taken(2)
        with pytest.raises(UnreachableError, match="busy"):
            _read(limit)
        with pytest.raises(UnreachableError, match="busy"):
            limit.stat("a/file.flac")
        limit.check()  # never waits
        faulty.release()
        for each in hanging:
            with pytest.raises(UnreachableError, match="scripted"):
                each.result(timeout=10)
    assert _read(limit) == DATA[10:20]


def test_a_listing_holds_no_place_between_folders() -> None:
    limit = Limit(MemoryOrigin("memory", {"a/1.flac": b"1"}), parallel=1, timeout_s=0.05)
    for folder in limit.list():
        for entry in folder.files:
            assert limit.read(entry.path, 0, 1, entry.version) == b"1"


def test_bandwidth_limit() -> None:
    clock = FakeClock()
    limit = Limit(MemoryOrigin("memory", {"file.flac": bytes(1_000_000)}), bandwidth_limit=100_000, clock=clock)
    begin = clock.now
    for start in range(0, 1_000_000, 50_000):
        limit.read("file.flac", start, start + 50_000, "")
    assert 8.5 <= clock.now - begin <= 10.0  # 10 s worth, less what was saved up at first and the last one
    clock.now += 3600  # an idle hour saves up no more than a moment
    begin = clock.now
    for start in range(0, 1_000_000, 50_000):
        limit.read("file.flac", start, start + 50_000, "")
    assert 8.5 <= clock.now - begin <= 10.0


def test_bandwidth_limit_of_many_readers() -> None:
    """Each reservation queues behind the others, whoever makes it."""
    clock = FakeClock()
    limit = Limit(MemoryOrigin("memory", {"file.flac": bytes(1000)}), bandwidth_limit=1000, clock=clock)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(limit.read, "file.flac", 0, 1000, "") for _ in range(4)]:
            done.result()
    assert clock.now - 1000.0 >= 2.0


def test_closing_cuts_the_line_short() -> None:
    clock = FakeClock()
    limit = Limit(MemoryOrigin("memory", {"file.flac": bytes(1000)}), bandwidth_limit=1, clock=clock)
    limit.read("file.flac", 0, 1000, "")
    limit.close()
    with pytest.raises(UnreachableError, match="closed"):
        limit.read("file.flac", 0, 1000, "")


# Breaker


def _fails(call: Callable[[], object]) -> bool:
    try:
        call()
    except UnreachableError:
        return True
    return False


def test_breaker_opens_rests_and_closes() -> None:
    clock, faulty = FakeClock(), _faulty("ETSE.")
    breaker = Breaker(faulty, threshold=3, rest_s=10, clock=clock)
    assert [_fails(lambda: _read(breaker)) for _ in range(5)] == [True] * 5
    assert breaker.state is BreakerState.OPEN
    assert len(faulty.taken) == 3  # the last two never got there
    clock.now += 10
    assert _fails(lambda: _read(breaker))  # the probe fails
    assert _fails(lambda: _read(breaker))
    assert len(faulty.taken) == 4
    clock.now += 10
    assert _read(breaker) == DATA[10:20]
    assert breaker.state is BreakerState.CLOSED


def test_failures_must_follow_each_other() -> None:
    breaker = Breaker(_faulty("EEREERGEED."), threshold=3)
    for _ in range(11):
        with contextlib.suppress(OriginError):
            _read(breaker)
        assert breaker.state is BreakerState.CLOSED


def test_one_probe_at_a_time() -> None:
    clock, faulty = FakeClock(), _faulty("EH.")
    breaker = Breaker(faulty, threshold=1, rest_s=10, clock=clock)
    assert _fails(lambda: _read(breaker))
    clock.now += 10
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(_read, breaker)
        faulty.wait_taken(2)
        assert breaker.state is BreakerState.HALF_OPEN
        assert _fails(lambda: _read(breaker))
        assert len(faulty.taken) == 2
        faulty.release()
        assert isinstance(probe.exception(timeout=10), UnreachableError)


def test_a_health_check_closes_the_breaker() -> None:
    breaker = Breaker(_faulty("E."), threshold=1)
    assert _fails(lambda: _read(breaker))
    assert breaker.state is BreakerState.OPEN
    breaker.check()
    assert _read(breaker) == DATA[10:20]


def test_health_checks_count_and_always_go_through() -> None:
    faulty = _faulty(others={Operation.CHECK: "TT."})
    breaker = Breaker(faulty, threshold=1)
    assert _fails(breaker.check)
    assert breaker.state is BreakerState.OPEN
    assert _fails(breaker.check)
    breaker.check()
    assert not _fails(lambda: _read(breaker))


def test_an_interrupted_probe_lets_another_one_go() -> None:
    class Interrupted(MemoryOrigin):
        def stat(self, path: str) -> None:
            raise KeyboardInterrupt

    clock = FakeClock()
    inner = Interrupted("memory", {"a/file.flac": DATA})
    breaker = Breaker(FaultyOrigin(inner, "E."), threshold=1, rest_s=10, clock=clock)
    assert _fails(lambda: _read(breaker))
    clock.now += 10
    with pytest.raises(KeyboardInterrupt):
        breaker.stat("a/file.flac")
    clock.now += 10
    assert _read(breaker) == DATA[10:20]


# Trace


def test_trace_counts() -> None:
    class SlowOrigin(MemoryOrigin):
        def read(self, path: str, start: int, stop: int, version: str) -> bytes:
            clock.now += 0.25
            return super().read(path, start, stop, version)

    clock, tally = FakeClock(), Tally()
    trace = Trace(FaultyOrigin(SlowOrigin("memory", {"a/file.flac": DATA}), "RRTG."), tally, clock=clock)
    for _ in range(5):
        with contextlib.suppress(OriginError):
            _read(trace)
    trace.stat("a/file.flac")
    list(trace.list())
    counts = tally.snapshot()
    reads = counts[Operation.READ]
    assert (reads.calls, reads.size_bytes, reads.total_s, reads.max_s) == (5, 30, 0.75, 0.25)
    assert reads.errors == {"UnreachableError": 1, "GoneError": 1}
    assert reads.latencies == (2, 0, 0, 0, 0, 3, 0, 0, 0)
    assert counts[Operation.STAT] == OperationCount(1, latencies=(1, 0, 0, 0, 0, 0, 0, 0, 0))
    assert counts[Operation.LIST].calls == 1
    assert counts[Operation.LIST_NEXT].calls == 2
    assert Operation.CHECK not in counts


# Together


def test_optional_powers_come_through_and_no_others(tmp_path: Path) -> None:
    powers = (LocalPaths, Anchored, Watchable)
    for inner in (LocalOrigin("disk", str(tmp_path)), MemoryOrigin("m"), WatchableMemoryOrigin("m")):
        outer = compose(inner, REMOTE_MANNERS, tally=Tally())
        assert [isinstance(outer, power) for power in powers] == [isinstance(inner, power) for power in powers]
    origin = MemoryOrigin("plain")
    assert compose(origin, Manners()) is origin


def test_the_breaker_counts_a_failure_when_all_retries_are_used_up() -> None:
    clock, faulty, tally = FakeClock(), _faulty("E" * 8 + "."), Tally()
    manners = Manners(retry_delays_s=(0.1, 0.5, 2.0), parallel=4, breaker_threshold=2)
    origin = compose(faulty, manners, tally=tally, clock=clock)
    assert _fails(lambda: _read(origin))
    assert _fails(lambda: _read(origin))
    waits = len(clock.waits)
    assert _fails(lambda: _read(origin))  # open: at once, without a retry
    assert len(clock.waits) == waits
    assert tally.snapshot()[Operation.READ].calls == 8


# The fault script itself


def test_fault_script() -> None:
    faulty = _faulty("RWD.E")
    assert _read(faulty) == DATA[10:20]
    assert _read(faulty) == bytes(byte ^ 0xFF for byte in DATA[10:20])
    with pytest.raises(DeniedError):
        _read(faulty)
    assert all(_read(faulty) == DATA[10:20] for _ in range(5))
    assert [letter for _, letter in faulty.taken] == list("RWD.....")


def test_fault_script_of_other_operations() -> None:
    faulty = _faulty(others={Operation.STAT: "G", Operation.LIST: "D"})
    with pytest.raises(GoneError):
        faulty.stat("a/file.flac")
    assert faulty.stat("a/file.flac") is not None
    with pytest.raises(DeniedError):
        list(faulty.list())
    assert len(list(faulty.list())) == 3


def test_a_timeout_takes_its_time_and_a_hang_ends_with_close() -> None:
    clock = FakeClock()
    slow = FaultyOrigin(MemoryOrigin("memory"), "T", timeout_s=30, clock=clock)
    with pytest.raises(UnreachableError):
        _read(slow)
    assert clock.waits == [30]
    hanging = _faulty("H")
    threading.Timer(0.05, hanging.close).start()
    with pytest.raises(UnreachableError):
        _read(hanging)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: x"):
        _faulty("RxR")
