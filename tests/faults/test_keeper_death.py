"""A dead keeper is a log line, never an outage; a dead mount process takes all with it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.living import (
    Player,
    accept_originals,
    album,
    alive,
    check_everything,
    keeper_of,
    kill,
    processes_below,
    restart,
    track,
    tree,
    wait_for,
)
from tests.mounting import Mounted, mount, start
from tests.servers.stopping import stop_processes

BACK_S = 1.5  # "within a second", on a machine that runs five test suites
KILLED = r"the keeper ended with status -9"


def _all_ended(pids: Iterable[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def _another_answers(mounted: Mounted, pid: int) -> bool:
    return mounted.status().get("keeper_pid") not in (None, pid)


def _works_or_is_done(mounted: Mounted, pid: int) -> bool:
    working = any("worker" in line for line in processes_below(pid).values())
    return working or mounted.status().get("state") == "ready"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eighty tracks."""
    root = tmp_path / "origin"
    for number in range(16):
        album(root, f"Album {number}", 5, suffix=("flac", "mp3", "ogg", "m4a")[number % 4])
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _kill_keepers(mounted: Mounted, times: int, root: Path) -> list[float]:
    """Kill it again and again, each time once it is at work, and add a file each time; how long until the next answered."""
    took = []
    for number in range(times):
        pid = wait_for("a keeper", lambda: keeper_of(mounted))
        track(
            root, f"Album {number % 16}/new {number}.mp3", title=f"New {number}", album=f"Album {number % 16}", seed=1
        )
        workers = processes_below(pid)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        wait_for("its workers end", partial(_all_ended, workers), 5)
        wait_for("the next one answers", partial(_another_answers, mounted, pid), 20)
        took.append(time.monotonic() - began)
    return took


def _soak(config: pytest.Config) -> int:
    return 100 if config.getoption("--soak") else 20


def test_killed_again_and_again_under_load(library: Path, home: Path, pytestconfig: pytest.Config) -> None:
    times = _soak(pytestconfig)
    mounted = mount({"o": library}, home)
    mounted.allow_log(KILLED)
    players = [Player(mounted.point, may_vanish=False) for _ in range(2)]
    for player in players:
        player.start()
    try:
        took = _kill_keepers(mounted, times, library)
        accept_originals(mounted)
        wait_for("all files are there", lambda: len(tree(mounted)) == 80 + times, 30)
        mounted.wait_until_scanned()
        for player in players:
            player.stop()
            assert player.reads > 50
        check_everything(mounted)
        assert mounted.status()["keeper_restarts"] == times
        took.sort()
        print(f"back after {took[len(took) // 2]:.2f} s in the median, {took[-1]:.2f} s at most")
        assert took[len(took) // 2] < BACK_S
    finally:
        mounted.close()


def test_killed_again_and_again_during_the_first_scan(library: Path, home: Path) -> None:
    mounted = start({"o": library}, home)
    try:
        mounted.allow_log(KILLED)
        for number in range(20):
            pid = wait_for("a keeper", lambda: keeper_of(mounted))
            if number % 2:  # every other one lives until it has begun to read tags
                wait_for(
                    "it works",
                    partial(_works_or_is_done, mounted, pid),
                    40,
                )
            os.kill(pid, signal.SIGKILL)
            assert os.listdir(mounted.point) is not None
            wait_for("it is gone", partial(_all_ended, [pid]))
        mounted.wait_until_scanned()
        assert len(check_everything(mounted)) == 80
    finally:
        mounted.close()


def test_killed_in_the_middle_of_the_first_scan_nothing_is_read_twice(tmp_path: Path) -> None:
    """What was published stays: the next keeper goes on where the last one was."""
    root = tmp_path / "origin"
    for number in range(40):
        (first, *_) = album(root, f"Album {number:02}", 1, suffix="mp3")
        for copy in range(60):
            shutil.copy2(first, first.with_name(f"copy {copy}.mp3"))
    mounted = start({"o": root}, tmp_path / "home", "[scan]\nworkers = 1")
    try:
        mounted.allow_log(KILLED)
        seen = wait_for("the first folders", lambda: _count(mounted), 30)
        os.kill(keeper_of(mounted), signal.SIGKILL)
        mounted.wait_until_scanned()
        assert _count(mounted) == 2440
        line = next(line for line in mounted.log.splitlines() if " all: " in line)
        read = int(line.partition(" listed, ")[2].split()[0])
        print(f"{seen} files were there at the kill, {read} of 2440 read after it")
        assert read <= 2440 - seen
        check_everything(mounted)
    finally:
        mounted.close()


def _count(mounted: Mounted) -> int:
    return sum(len(files) for _, _, files in os.walk(mounted.point))


@pytest.fixture
def running(library: Path, home: Path) -> Iterator[Mounted]:
    mounted = mount({"o": library}, home)
    yield mounted
    mounted._abandon()


def test_a_killed_mount_process_takes_keeper_and_workers_with_it(running: Mounted) -> None:
    for number in range(3):  # also in the middle of work
        track(running.roots["o"], f"Album {number}/late.flac", title="Late", seed=2)
        accept_originals(running)
        kill(running)
        running = restart(running, scanned=number == 2)
    assert len(check_everything(running)) == 83
    running.close()


def test_a_stopped_keeper_stops_nobody(running: Mounted) -> None:
    """SIGSTOP is what swapping and debuggers do: the mount serves, and ends when it is told to."""
    pid = keeper_of(running)
    stop_processes([pid])
    try:
        assert len(check_everything(running)) == 80
        running.process.send_signal(signal.SIGHUP)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    wait_for("the keeper ends", lambda: not alive(pid))


def test_sighup_rescans_and_unmounts_nothing(library: Path, home: Path) -> None:
    mounted = mount({"o": library}, home, "[scan]\ndebounce_s = 60.0")  # nothing is seen by watching
    try:
        track(library, "Album 1/new.flac", title="New", album="Album 1", seed=3)
        accept_originals(mounted)
        assert _count(mounted) == 80
        for _ in range(3):
            mounted.process.send_signal(signal.SIGHUP)
        wait_for("the rescan", lambda: _count(mounted) == 81)
        assert mounted.process.poll() is None
        mounted.wait_until_scanned()
    finally:
        mounted.close()


def test_errors_of_the_start_are_printed_in_the_foreground(running: Mounted) -> None:
    answer = running.command("mount", "--foreground", "--origin", str(running.roots["o"] / "Album 1"))
    assert answer.returncode == 1
    assert answer.stderr.strip().startswith("error:")
    assert str(running.process.pid) in answer.stderr
    running.close()
