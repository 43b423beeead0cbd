"""A keeper that does not answer is replaced; one that is busy, or still starts, is not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import lmdb
import pytest

from musicfs.clock import SystemClock
from musicfs.daemon import keeper_watch
from musicfs.daemon.inbox import Inbox
from musicfs.daemon.keeper_watch import KeeperWatch
from musicfs.daemon.link import Link, Message, Ping, Rescan
from tests.daemon.test_supervisor import Bench
from tests.faults.living import album, keeper_of, wait_for
from tests.mounting import Mounted, mount

ECHO = "while (m := link.receive()) is not None: link.send(m)"


class Stepping(SystemClock):
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Keepers:
    """Answers at once, or not at all."""

    def __init__(self) -> None:
        self.started = 1
        self.answers = True
        self.watch: KeeperWatch | None = None

    def send(self, message: Ping) -> bool:
        if self.answers and self.watch is not None:
            self.watch.note_answer()
        return self.answers


def test_who_is_silent_for_long_is_given_up_once() -> None:
    clock, keepers = Stepping(), Keepers()
    hung: list[tuple[int, float]] = []
    keepers.watch = watch = KeeperWatch(keepers, lambda number, silent_s: hung.append((number, silent_s)), clock)

    def look(times: int) -> None:
        for _ in range(times):
            clock.now += keeper_watch._PING_S
            watch._look()

    look(100)
    assert (hung, watch.silent_s) == ([], 0.0)
    keepers.answers = False
    look(12)
    assert hung == []
    look(30)
    assert hung == [(1, 130.0)]
    keepers.started = 2  # it gets its own time, whatever the last one did
    look(12)
    assert len(hung) == 1
    assert watch.silent_s == 540.0
    keepers.answers = True
    look(1)
    assert watch.silent_s == 0.0
    look(100)
    assert len(hung) == 1


@pytest.mark.expects_log("has not answered|ended with status -9")
def test_a_stopped_keeper_is_killed_and_replaced(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ECHO)
    clock = Stepping()
    watch = KeeperWatch(bench.supervisor, bench.supervisor.replace_hung, clock)

    def on_message(message: Message) -> None:
        if isinstance(message, Ping):
            watch.note_answer()

    def look() -> bool:
        has_answered = watch.silent_s == 0.0
        if not has_answered:
            watch._look()
        return has_answered

    bench.supervisor._on_message = on_message
    clock.now += 1
    try:
        bench.supervisor.start()
        wait_for("an answer", look)
        (pid,) = bench.pids()
        os.kill(pid, signal.SIGSTOP)
        clock.now += keeper_watch._HANG_S + 1
        watch._look()
        wait_for("its successor", lambda: len(bench.pids()) == 2)
        clock.now += 1
        wait_for("its answer", look)
        assert (bench.supervisor.hangs, bench.supervisor.restarts) == (1, 1)
        bench.supervisor.replace_hung(1, 500.0)
        assert bench.supervisor.hangs == 1, "that one is gone already"
    finally:
        assert bench.supervisor.stop()


def test_who_starts_answers_and_hears_the_rest_later() -> None:
    ours, theirs = socket.socketpair()
    mount_side = Link(ours)
    inbox = Inbox(Link(theirs))
    mount_side.send(Ping(1))
    assert mount_side.receive() == Ping(1)
    mount_side.send(Rescan())
    mount_side.send(Ping(2))
    assert mount_side.receive() == Ping(2)
    assert inbox.receive() == Rescan()
    mount_side.send(Ping(3))
    assert inbox.receive() == Ping(3), "now it is for who follows"
    found: list[Message | None] = []
    follower = threading.Thread(target=lambda: found.append(inbox.receive()))
    follower.start()
    mount_side.close()
    follower.join(5)
    assert found == [None]


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, with a keeper that must answer within two seconds."""
    program = (
        "import sys; from musicfs.daemon import keeper_watch as watch; watch._PING_S, watch._HANG_S = 0.2, 2.0; "
        "from musicfs.cli.main import main; sys.exit(main())"
    )
    monkeypatch.setattr("tests.mounting.musicfs_command", lambda: [sys.executable, "-c", program])


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    music = tmp_path / "music"
    album(music, "One", 2)
    impatient(monkeypatch)
    return mount({"music": music}, tmp_path / "home")


def test_a_mount_replaces_the_keeper_that_stands_still(mounted: Mounted) -> None:
    mounted.allow_log("has not answered for|the keeper ended with status -9")
    try:
        keeper = keeper_of(mounted)
        os.kill(keeper, signal.SIGSTOP)
        wait_for("another keeper", lambda: keeper_of(mounted) not in {0, keeper}, 20)
        assert sorted(path.name for path in mounted.point.rglob("*.flac"))
        status = wait_for("its answer", lambda: _status(mounted), 20)
        assert status["keeper_restarts"] == 1
        assert "has not answered for" in mounted.log
    finally:
        mounted.close()


def _status(mounted: Mounted) -> dict[str, object]:
    try:
        return mounted.status()
    except AssertionError:
        return {}


def test_a_keeper_in_a_long_transaction_is_left_alone(mounted: Mounted) -> None:
    """Somebody else holds the catalog's writer lock for three times as long as a keeper may be silent."""
    try:
        keeper = keeper_of(mounted)
        with (
            lmdb.open(str(mounted.folder / "cache" / "catalog"), max_dbs=64, map_size=1 << 40) as env,
            env.begin(write=True),
        ):
            os.kill(mounted.process.pid, signal.SIGHUP)  # a scan begins, which has to write
            deadline = threading.Event()
            deadline.wait(6)
            assert keeper_of(mounted) == keeper
        assert mounted.status()["keeper_restarts"] == 0
    finally:
        mounted.close()
