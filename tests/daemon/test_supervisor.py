"""The supervisor with a keeper of our own making: started, restarted, held back, stopped."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from musicfs.clock import SystemClock
from musicfs.config.settings import Settings
from musicfs.daemon.link import Look, Message, Replayed, Stop, Unmounting
from musicfs.daemon.supervisor import Supervisor
from tests.faults.living import alive, wait_for

_PROLOGUE = """
import os, signal, socket, sys, time
from musicfs.daemon.link import *
births = open({births!r}, "a")
births.write("%d\\n" % os.getpid())
births.close()
link = Link(socket.socket(fileno=int(sys.argv[-1])))
start = link.receive()
"""
OBEDIENT = "link.send(Look())\nwhile link.receive() is not None: pass"
CRASHES = "os._exit(3)"
FAULTS = "time.sleep(1.1); signal.signal(signal.SIGSEGV, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGSEGV)"
DEAF = "time.sleep(600)"
HANGS_UP = "link.close(); time.sleep(600)"
NONSENSE = "link._socket.sendall(b'\\xff' * 100)\nwhile link.receive() is not None: pass"
TELLS = "while (m := link.receive()) is not None: link.send(m)"
ASKS = "link.send(Stop(True, 3.0))\nwhile (m := link.receive()) is not None: link.send(m)"


class _Waits(SystemClock):
    """The real clock, but pauses are noted and nearly skipped."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.pauses.append(timeout_s)
        return event.wait(0.01)


class Bench:
    """A supervisor and what it did."""

    def __init__(self, folder: Path, body: str, clock: SystemClock | None = None) -> None:
        self.births = folder / "births"
        self.messages: list[Message] = []
        script = _PROLOGUE.format(births=str(self.births)) + body
        self.supervisor = Supervisor(
            Settings(), os.getpid(), 0, clock or SystemClock(), self.messages.append, (sys.executable, "-c", script)
        )

    def pids(self) -> list[int]:
        return [int(line) for line in self.births.read_text().split()] if self.births.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(body: str, clock: SystemClock | None = None) -> Bench:
        found = Bench(tmp_path, body, clock)
        made.append(found)
        return found

    yield make
    for one in made:
        one.supervisor.stop()
        for pid in one.pids():
            assert not alive(pid), "a keeper outlived its supervisor"


def test_it_starts_one_keeper_and_stops_it(bench: Callable[..., Bench]) -> None:
    one = bench(OBEDIENT)
    one.supervisor.start()
    wait_for("a keeper that has come up", lambda: len(one.messages) == 2)  # the first looks for what an earlier one did
    assert one.supervisor.stop()
    assert one.messages == [Look(), Look()]
    assert len(one.pids()) == 1
    assert one.supervisor.restarts == 0


def test_stop_without_start_and_twice(bench: Callable[..., Bench]) -> None:
    one = bench(OBEDIENT)
    assert one.supervisor.stop()
    assert one.supervisor.stop()
    assert not one.supervisor.send(Look())


def test_stop_at_any_moment_of_the_start(bench: Callable[..., Bench]) -> None:
    for _ in range(10):
        one = bench(OBEDIENT)
        one.supervisor.start()
        began = time.monotonic()
        assert one.supervisor.stop()
        assert time.monotonic() - began < 5


def _looked(one: Bench, times: int) -> bool:
    return one.messages.count(Look()) == times


def _spawned(one: Bench, times: int) -> bool:
    return len(one.pids()) == times


@pytest.mark.expects_log("the keeper ended with status -9")
def test_a_killed_keeper_is_replaced_at_once(bench: Callable[..., Bench]) -> None:
    one = bench(OBEDIENT)
    one.supervisor.start()
    for number in range(1, 4):
        wait_for("a keeper", partial(_looked, one, 2 * number))
        os.kill(one.pids()[-1], signal.SIGKILL)
        began = time.monotonic()
        wait_for("its successor", partial(_spawned, one, number + 1))
        assert time.monotonic() - began < 1
    assert one.supervisor.restarts == 3


@pytest.mark.expects_log("the keeper ended with status -9")
def test_a_keeper_that_is_killed_at_birth_is_given_more_and_more_time(bench: Callable[..., Bench]) -> None:
    clock = _Waits()
    one = bench("os.kill(os.getpid(), signal.SIGKILL)", clock)
    one.supervisor.start()
    wait_for("three keepers", lambda: len(clock.pauses) >= 3, 30)
    assert clock.pauses[:3] == [0.1, 0.2, 0.4]


@pytest.mark.expects_log("the keeper ended with status 3")
def test_a_keeper_that_dies_at_birth_is_given_more_and_more_time(bench: Callable[..., Bench]) -> None:
    clock = _Waits()
    one = bench(CRASHES, clock)
    one.supervisor.start()
    wait_for("a dozen keepers", lambda: len(clock.pauses) >= 12, 30)
    assert clock.pauses[:3] == [0.1, 0.2, 0.4]
    assert clock.pauses[:12] == sorted(clock.pauses[:12])
    assert clock.pauses[11] == 30.0


@pytest.mark.expects_log("the keeper ended with status -11")
def test_a_keeper_that_faults_after_a_while_is_held_back_too(bench: Callable[..., Bench]) -> None:
    clock = _Waits()
    one = bench(FAULTS, clock)
    one.supervisor.start()
    wait_for("three keepers", lambda: len(clock.pauses) >= 3, 30)
    assert clock.pauses[:3] == [0.1, 0.2, 0.4]


@pytest.mark.expects_log("the keeper (.* did not end|ended)")
def test_a_keeper_that_hangs_up_and_stays_is_killed(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicfs.daemon.supervisor._END_TIMEOUT_S", 0.3)
    one = bench(HANGS_UP)
    one.supervisor.start()
    wait_for("its successor", lambda: len(one.pids()) == 2)
    assert not alive(one.pids()[0])


@pytest.mark.expects_log("the keeper .* did not end")
def test_a_deaf_keeper_is_killed_at_the_end(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfs.daemon.supervisor._END_TIMEOUT_S", 0.3)
    one = bench(DEAF)
    one.supervisor.start()
    (pid,) = wait_for("a keeper", one.pids)
    assert one.supervisor.stop()
    assert not alive(pid)


@pytest.mark.expects_log("the keeper ended")
def test_a_keeper_that_talks_nonsense_is_replaced(bench: Callable[..., Bench]) -> None:
    one = bench(NONSENSE)
    one.supervisor.start()
    wait_for("its successor", lambda: len(one.pids()) >= 2)
    assert set(map(type, one.messages)) == {Look}


def test_messages_pass_both_ways(bench: Callable[..., Bench]) -> None:
    one = bench(ASKS)
    one.supervisor.start()
    wait_for("its question", lambda: Stop(True, 3.0) in one.messages)
    assert one.supervisor.send(Replayed(5))
    wait_for("its echo", lambda: Replayed(5) in one.messages)


@pytest.mark.expects_log("the keeper (cannot be started|ended)")
def test_a_keeper_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    clock = _Waits()
    supervisor = Supervisor(Settings(), 1, 0, clock, lambda _: None, (str(tmp_path / "missing"),))
    supervisor.start()
    wait_for("more attempts", lambda: len(clock.pauses) >= 3)
    assert supervisor.stop()


@pytest.mark.expects_log("the keeper ended with status -9")
def test_keepers_know_that_the_mount_ends(bench: Callable[..., Bench]) -> None:
    found = bench(TELLS)
    found.supervisor.start()
    wait_for("a keeper", found.pids)
    for _ in range(2):
        found.supervisor.note_unmounting()
    wait_for("it to know", lambda: Unmounting() in found.messages)
    os.kill(found.pids()[0], signal.SIGKILL)
    wait_for("the next one to know", lambda: found.messages.count(Unmounting()) == 2)
    assert len(found.pids()) == 2
