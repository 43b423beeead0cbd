"""SPEC 1: a slow read holds up nobody else, and the end waits for it, though not for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from musicfs.api.backend import MountState
from musicfs.api.client import Client
from musicfs.api.unix_socket import target
from tests.api.network import health
from tests.faults.living import track, virtual_of, wait_for
from tests.mounting import Mounted, is_mount_point, mount
from tests.servers.bindfs import Bindfs

DRAIN_S = 1


class SlowDisk(Bindfs):
    """A disk that stands still when it is paused, and tells how many requests have come to it."""

    def __init__(self, root: Path, point: Path) -> None:
        super().__init__(root, point, subtype="bindfs", cache_s=3600)
        self._connections = point.with_name("connections")

    def start(self) -> None:
        super().start()
        self._connections.mkdir()
        subprocess.run(["mount", "-t", "fusectl", "none", str(self._connections)], check=True)
        self._connection = self._connections / str(os.minor(self.point.stat().st_dev))

    def requests(self) -> int:
        """How many have not been answered yet, as the kernel counts them."""
        return int((self._connection / "waiting").read_text())

    def pause(self) -> None:
        wait_for("all to be answered", lambda: not self.requests())
        super().pause()

    def stop(self) -> None:
        subprocess.run(["umount", "-l", str(self._connections)], check=True)
        super().stop()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    source = tmp_path / "source"
    track(source, "long.wav", title="Long", seconds=20.0)
    track(source, "other.flac", title="Other", seconds=1.0, seed=2)
    disk = SlowDisk(source, tmp_path / "origin")
    disk.start()
    yield disk
    disk.stop()


@pytest.fixture
def mounted(disk: SlowDisk, tmp_path: Path) -> Iterator[Mounted]:
    found = mount({"o": disk.point}, tmp_path / "home", f"[mount]\ndrain_timeout_s = {DRAIN_S}")
    yield found
    disk.resume()
    found._abandon()


class Reading:
    """A read of the long track's end, under way."""

    def __init__(self, mounted: Mounted, disk: SlowDisk) -> None:
        self.original = (disk.point / "long.wav").read_bytes()
        self._descriptor = os.open(virtual_of(mounted, disk.point / "long.wav"), os.O_RDONLY)
        self._start = len(self.original) - 200_000
        # Neither our pages of the origin nor the kernel's of the mount: a read must go all the way.
        descriptor = os.open(disk.point / "long.wav", os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        self.data = b""
        self.error: OSError | None = None
        disk.pause()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_for("the read to come to the disk", disk.requests)

    def _read(self) -> None:
        try:
            self.data = os.pread(self._descriptor, 100_000, self._start)
        except OSError as error:
            self.error = error
        finally:
            with contextlib.suppress(OSError):  # closing tells the mount too, which may be gone by then
                os.close(self._descriptor)

    def finish(self) -> None:
        """Wait for its end."""
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_read_that_waits_holds_up_nobody(mounted: Mounted, disk: SlowDisk) -> None:
    reading = Reading(mounted, disk)
    slowest = 0.0
    for _ in range(50):
        began = time.monotonic()
        for folder, _, files in os.walk(mounted.point):
            for name in files:
                os.stat(os.path.join(folder, name))
                os.getxattr(os.path.join(folder, name), "user.musicfs.track_id")
        os.statvfs(mounted.point)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.5
    disk.resume()
    reading.finish()
    assert reading.data == reading.original[-200_000:-100_000]
    mounted.close()


def test_the_end_waits_for_a_read_in_flight(mounted: Mounted, disk: SlowDisk) -> None:
    reading = Reading(mounted, disk)
    mounted.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        mounted.process.wait(0.5)
    assert is_mount_point(mounted.point)
    disk.resume()
    reading.finish()
    assert reading.error is None
    assert reading.data == reading.original[-200_000:-100_000]
    assert mounted.process.wait(10) == 0, mounted.log
    assert not is_mount_point(mounted.point)


def test_the_end_does_not_wait_for_ever(mounted: Mounted, disk: SlowDisk) -> None:
    reading = Reading(mounted, disk)
    mounted.process.send_signal(signal.SIGTERM)
    assert mounted.process.wait(DRAIN_S + 10) == 1
    assert "did not end in time" in mounted.log
    assert not is_mount_point(mounted.point)
    assert stat.S_IMODE(mounted.point.stat().st_mode) == 0o755
    disk.resume()
    reading.finish()
    assert reading.error is not None or reading.data == reading.original[-200_000:-100_000]


def test_the_second_signal_does_not_wait(disk: SlowDisk, tmp_path: Path) -> None:
    mounted = mount({"o": disk.point}, tmp_path / "home", "[mount]\ndrain_timeout_s = 600")
    try:
        reading = Reading(mounted, disk)
        os.kill(mounted.process.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            mounted.process.wait(2)
        os.kill(mounted.process.pid, signal.SIGINT)
        assert mounted.process.wait(10) == 1
        assert not is_mount_point(mounted.point)
        assert "asked twice to end" in mounted.log
        disk.resume()
        reading.finish()
    finally:
        disk.resume()
        mounted._abandon()


def test_a_worker_that_missed_its_wake_up_does_not_hold_the_end_up(tmp_path: Path) -> None:
    track(tmp_path / "origin", "other.flac", title="Other", seconds=1.0, seed=2)
    # llfuse ends its workers by SIGUSR1, and a worker about to wait for a request misses it. Here all of them do: a
    # blocked signal stays blocked in children.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        mounted = mount({"o": tmp_path / "origin"}, tmp_path / "home")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    mounted.close(10)


def test_a_file_left_open_does_not_hold_the_end_up(mounted: Mounted, disk: SlowDisk) -> None:
    descriptor = os.open(virtual_of(mounted, disk.point / "other.flac"), os.O_RDONLY)
    assert os.pread(descriptor, 10, 0)
    mounted.process.send_signal(signal.SIGTERM)
    assert mounted.process.wait(10) == 0, mounted.log
    assert not is_mount_point(mounted.point)
    with contextlib.suppress(OSError):
        os.close(descriptor)


def test_clients_are_told_that_reads_are_waited_for(disk: SlowDisk, tmp_path: Path) -> None:
    mounted = mount({"o": disk.point}, tmp_path / "home", "[mount]\ndrain_timeout_s = 60")
    socket = os.path.join(mounted.environment["XDG_RUNTIME_DIR"], "musicfs", "config.sock")
    try:
        # No process is started here meanwhile: it would close the file that is being read, which nobody answers any more.
        with grpc.insecure_channel(target(socket)) as channel, Client(socket) as client:
            assert health(channel, "") == "SERVING"
            reading = Reading(mounted, disk)
            mounted.process.send_signal(signal.SIGTERM)
            wait_for("the end to be known", lambda: health(channel, "") == "NOT_SERVING")
            assert client.status().state is MountState.UNMOUNTING
        assert mounted.process.poll() is None
        disk.resume()
        reading.finish()
        assert reading.data == reading.original[-200_000:-100_000]
        mounted.close()
    finally:
        disk.resume()
        mounted._abandon()
