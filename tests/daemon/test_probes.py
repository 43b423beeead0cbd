"""Probes of origins on a clock that the test moves: failures in a row, probes that hang, and back again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec
import pytest

from musicfs.daemon.health import HealthMonitor, Verdict
from musicfs.errors import DeniedError, OriginError, UnreachableError
from musicfs.model import Health
from musicfs.origins.contract import Origin
from musicfs.origins.memory import MemoryOrigin

INTERVAL_S, TIMEOUT_S = 30.0, 5.0
AWAY = UnreachableError("it is away")


class Stepped:
    """A clock on which an interval passes with :meth:`step`, and a wait for an answer is over at once if it ``hangs``."""

    def __init__(self) -> None:
        self.now = 100.0
        self.hangs = False
        self._steps = threading.Semaphore(0)
        self._rounds = threading.Semaphore(0)

    def time_ns(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if timeout_s == INTERVAL_S:
            self._rounds.release()
            assert self._steps.acquire(timeout=30)
        elif not self.hangs:
            return event.wait(10)
        self.now += timeout_s
        return event.is_set()

    def begun(self) -> None:
        """Return when the watch waits for its first interval."""
        assert self._rounds.acquire(timeout=10)

    def step(self) -> None:
        """Let an interval pass; return when what follows is over."""
        self._steps.release()
        self.begun()

    def end(self) -> None:
        """Let the thread see that it has ended."""
        self._steps.release()


class Watched(msgspec.Struct):
    id: str
    origin: Origin


class Hanging(MemoryOrigin):
    """An origin whose check waits until it is let go; ``checks`` counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("o")
        self.let_go = threading.Event()
        self.checks = 0
        self.ended = threading.Event()
        self._error = error

    def check(self) -> None:
        self.checks += 1
        assert self.let_go.wait(30)
        self.ended.set()
        if self._error is not None:
            raise self._error


class Bench:
    def __init__(self, threshold: int = 3) -> None:
        self.clock = Stepped()
        self.changes: list[tuple[str, Health]] = []
        self.monitor = HealthMonitor({"o": threshold, "p": 1}, self.clock, self._note)

    def _note(self, monitor: HealthMonitor, origin_id: str, health: Health) -> None:
        assert monitor.verdict(origin_id).health is health
        self.changes.append((origin_id, health))

    def watch(self, origin: Origin) -> None:
        self.monitor.watch_over(Watched("o", origin), INTERVAL_S, TIMEOUT_S)
        self.clock.begun()

    @property
    def verdict(self) -> Verdict:
        return self.monitor.verdict("o")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.monitor.close()
    made.clock.end()


@pytest.mark.expects_log("cannot be read")
def test_failures_in_a_row_make_it_degraded_then_unhealthy_and_one_success_healthy(bench: Bench) -> None:
    monitor = bench.monitor
    assert monitor.health() == {"o": Health.UNKNOWN, "p": Health.UNKNOWN}
    assert bench.verdict.checked_at == 100.0
    assert [monitor.note("o", AWAY).health for _ in range(4)] == [Health.DEGRADED] * 2 + [Health.UNHEALTHY] * 2
    assert (bench.verdict.failures, bench.verdict.message) == (4, "it is away")
    bench.clock.now += 7
    assert monitor.note("o", None) == Verdict(Health.HEALTHY, checked_at=107.0)
    monitor.note("o", AWAY)
    monitor.note("o", None)
    assert [monitor.note("o", AWAY).health for _ in range(2)] == [Health.DEGRADED] * 2, "they were not in a row"
    assert monitor.note("p", DeniedError("no")).health is Health.UNHEALTHY
    order = (Health.DEGRADED, Health.UNHEALTHY, Health.HEALTHY, Health.DEGRADED, Health.HEALTHY, Health.DEGRADED)
    assert bench.changes == [("o", health) for health in order] + [("p", Health.UNHEALTHY)]


def test_it_says_so_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for error in (None, AWAY, AWAY, AWAY, AWAY, None, None):
        bench.monitor.note("o", error)
    assert [record.getMessage() for record in caplog.records] == [
        "origin o did not answer well: it is away",
        "origin o cannot be read: it is away; its files stay in the tree",
        "origin o is back",
    ]


@pytest.mark.expects_log("cannot be read")
def test_an_origin_is_probed_at_every_interval(bench: Bench) -> None:
    origin = MemoryOrigin("o")
    bench.watch(origin)
    assert bench.monitor.health()["o"] is Health.UNKNOWN
    bench.clock.step()
    assert bench.verdict.health is Health.HEALTHY
    origin.fail_with(AWAY)
    seen = []
    for _ in range(3):
        bench.clock.step()
        seen.append(bench.verdict.health)
    assert seen == [Health.DEGRADED, Health.DEGRADED, Health.UNHEALTHY]
    origin.fail_with(None)
    bench.clock.step()
    assert bench.verdict.health is Health.HEALTHY


@pytest.mark.expects_log("cannot be read")
def test_a_probe_that_hangs_fails_every_time_and_is_the_only_one(bench: Bench) -> None:
    origin = Hanging()
    bench.clock.hangs = True
    bench.watch(origin)
    for _ in range(3):
        bench.clock.step()
    assert (bench.verdict.health, bench.verdict.failures) == (Health.UNHEALTHY, 3)
    assert "no answer within 5 s" in bench.verdict.message
    assert origin.checks == 1
    origin.let_go.set()
    assert origin.ended.wait(10)
    bench.clock.hangs = False
    bench.clock.step()
    assert bench.verdict.health is Health.HEALTHY


@pytest.mark.expects_log("probing origin o failed")
def test_an_origin_that_breaks_its_contract_stays_watched(bench: Bench) -> None:
    origin = Hanging(ValueError("a bug"))
    origin.let_go.set()
    bench.watch(origin)
    bench.clock.step()
    assert (bench.verdict.health, bench.verdict.message) == (Health.DEGRADED, "origin 'o': ValueError")
    bench.clock.step()
    assert bench.verdict.failures == 2


@pytest.mark.parametrize("error", [None, AWAY, DeniedError("no")])
def test_a_probe_on_request_counts(bench: Bench, error: OriginError | None) -> None:
    origin = MemoryOrigin("o")
    origin.fail_with(error)
    verdict = bench.monitor.probe("o", origin)
    assert verdict == bench.verdict
    assert verdict.health is (Health.DEGRADED if error else Health.HEALTHY)
    assert verdict.message == (str(error) if error else "")


def test_a_probe_on_request_is_answered_in_time(bench: Bench) -> None:
    origin = Hanging()
    bench.clock.hangs = True
    verdict = bench.monitor.probe("o", origin)
    assert (verdict.health, bench.clock.now) == (Health.DEGRADED, 104.0)
    origin.let_go.set()


def test_closing_ends_the_watch() -> None:
    bench = Bench()
    before = {thread.name for thread in threading.enumerate()}
    bench.watch(MemoryOrigin("o"))
    [thread] = [thread for thread in threading.enumerate() if thread.name not in before]
    assert thread.name == "health-o"
    bench.monitor.close()
    bench.clock.end()
    thread.join(10)
    assert not thread.is_alive()
