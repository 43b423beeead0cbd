"""What systemd hears, and what it is not told when nothing answers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.clock import SystemClock
from musicfs.daemon.liveness import Liveness, MountProbe
from musicfs.daemon.notify import Notifier


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(10)

    def heard(self) -> list[str]:
        return self._socket.recv(65536).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@musicfs-test-{os.getpid()}"
    found = Manager(address)
    yield found, address
    found.close()


def test_the_words(manager: tuple[Manager, str]) -> None:
    listener, address = manager
    notifier = Notifier(address)
    notifier.ready("Serving /mnt\nREADY=1")
    assert listener.heard() == ["READY=1", "STATUS=Serving /mnt READY=1"]
    before_us = time.monotonic_ns() // 1000
    with notifier.reloading(lambda: "Serving"):
        first, second, _ = listener.heard()
        assert first == "RELOADING=1"
        name, _, value = second.partition("=")
        assert name == "MONOTONIC_USEC"
        assert before_us <= int(value) <= time.monotonic_ns() // 1000
    assert listener.heard() == ["READY=1", "STATUS=Serving"]
    notifier.alive()
    assert listener.heard() == ["WATCHDOG=1"]
    notifier.stopping("Unmounting")
    assert listener.heard() == ["STOPPING=1", "STATUS=Unmounting"]


def test_children_are_told_nothing() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    assert Notifier.take(environment, os.getpid()).watchdog_s == 3.0
    assert environment == {"HOME": "/"}
    assert Notifier.take({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, os.getpid()).watchdog_s == 0
    assert Notifier.take({}, os.getpid()).watchdog_s == 0


def test_nobody_listens() -> None:
    for notifier in (Notifier(), Notifier("/nowhere/at/all"), Notifier("vsock:2:3")):
        notifier.ready("well")
        notifier.alive()


class FakeProbe:
    """A mount that answers or not."""

    def __init__(self) -> None:
        self.answers = True
        self.closed = False

    def ask(self, timeout_s: float) -> bool:
        return self.answers

    def close(self) -> None:
        self.closed = True


class Beats(Notifier):
    """Counts signs of life."""

    def __init__(self) -> None:
        super().__init__(watchdog_s=60.0)
        self.count = 0

    def alive(self) -> None:
        self.count += 1


class Stepping(SystemClock):
    """Time that passes when it is waited for; ``after`` says what happens then."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now += timeout_s
        return event.is_set()


@pytest.mark.expects_log("watchdog is not told")
def test_signs_of_life_need_the_mount_and_the_keeper() -> None:
    beats, probe, clock = Beats(), FakeProbe(), Stepping()
    answered_at = clock.now
    keeper = {"answers": True}

    def silent_s() -> float:
        nonlocal answered_at
        if keeper["answers"]:
            answered_at = clock.now
        return clock.now - answered_at

    liveness = Liveness(beats, probe, silent_s, clock)

    def look(times: int) -> int:
        before = beats.count
        for _ in range(times):
            liveness._look(20.0)
            clock.now += 20.0
        return beats.count - before

    assert look(3) == 3
    probe.answers = False
    assert look(3) == 0
    probe.answers = True
    assert look(2) == 2
    keeper["answers"] = False
    assert look(11) == 11, "a keeper that dies or hangs is replaced: that takes a while at worst"
    assert look(6) < 6
    assert look(3) == 0
    keeper["answers"] = True
    assert look(1) == 1
    liveness.close()
    assert probe.closed
    assert look(1) == 0


def test_the_probe_asks_from_outside(tmp_path: Path) -> None:
    assert MountProbe(str(tmp_path)).ask(30.0)
    assert not MountProbe(str(tmp_path / "missing")).ask(30.0)
