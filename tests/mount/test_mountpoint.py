"""SPEC 1, mounting: what is refused and with which words, what a crash leaves, and what the folder below looks like."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.errors import MountError
from musicfs.mount.layers import layers_at
from musicfs.mount.mountpoint import MountPoint, check_allow_other
from tests.faults.living import (
    album,
    alive,
    check_everything,
    command,
    keeper_of,
    kill,
    processes_below,
    restart,
    wait_for,
)
from tests.mounting import Mounted, is_mount_point, mount, start


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Three tracks."""
    root = tmp_path / "origin"
    album(root, "One", 3)
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the mount's folders go."""
    return tmp_path / "home"


def _refused(library: Path, home: Path, point: Path) -> str:
    """Start on a mount point that is not fit, and return what was said; the exit code must be 1."""
    first = start({"o": library}, home)
    first.process.kill()
    first.process.wait()
    first._abandon()
    answer = first.command("mount", str(point), "--foreground")
    assert answer.returncode == 1, answer
    assert "Traceback" not in answer.stderr
    return answer.stderr


def test_a_missing_mount_point(library: Path, home: Path, tmp_path: Path) -> None:
    words = _refused(library, home, tmp_path / "missing")
    assert f"{tmp_path / 'missing'} does not exist" in words and "mkdir -p" in words


def test_a_mount_point_that_is_not_empty(library: Path, home: Path, tmp_path: Path) -> None:
    point = tmp_path / "full"
    point.mkdir()
    (point / "thesis.odt").write_text("all there is")
    words = _refused(library, home, point)
    assert "is not empty" in words and "thesis.odt" in words
    assert (point / "thesis.odt").read_text() == "all there is"
    assert stat.S_IMODE(point.stat().st_mode) == 0o755


def test_a_mount_point_that_is_a_file(library: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is not a folder" in _refused(library, home, tmp_path / "file")


def test_something_is_mounted_there_already(library: Path, home: Path, tmp_path: Path) -> None:
    point = tmp_path / "taken"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], check=True)
    try:
        assert "something is mounted" in _refused(library, home, point)
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.fixture
def running(library: Path, home: Path) -> Iterator[Mounted]:
    """A mount of the three tracks, whatever becomes of it."""
    mounted = mount({"o": library}, home)
    try:
        yield mounted
    finally:
        mounted._abandon()
        subprocess.run(["umount", "-l", str(mounted.point)], capture_output=True, check=False)


def test_a_second_daemon_on_the_same_cache_is_refused_with_the_first_ones_pid(running: Mounted, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    answer = running.command("mount", str(other), "--foreground")
    assert answer.returncode == 1
    assert f"pid {running.process.pid}" in answer.stderr and "musicfs shutdown" in answer.stderr
    answer = running.command("mount", str(other))
    assert answer.returncode == 1
    assert f"pid {running.process.pid}" in answer.stderr
    assert not is_mount_point(other)
    check_everything(running)
    running.close()


def _below(mounted: Mounted, folder: Path) -> Iterator[Path]:
    """The covered folder, seen through a bind mount of its parent, which carries no submounts."""
    folder.mkdir()
    subprocess.run(["mount", "--bind", str(mounted.point.parent), str(folder)], check=True)
    try:
        yield folder / mounted.point.name
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_covered_folder_is_shut_while_mounted_and_has_its_mode_back_after(library: Path, home: Path) -> None:
    (home / "mount").mkdir(parents=True)
    (home / "mount").chmod(0o2751)
    before = os.open(home / "mount", os.O_RDONLY | os.O_DIRECTORY)
    try:
        mounted = mount({"o": library}, home)
        try:
            for below in _below(mounted, home / "look"):
                assert stat.S_IMODE(below.stat().st_mode) == 0
            assert stat.S_IMODE(os.fstat(before).st_mode) == 0
            assert mounted.point.stat().st_mode & 0o777 == 0o755
        finally:
            mounted.close()
        assert stat.S_IMODE(os.fstat(before).st_mode) == 0o2751
        assert not (home / "cache" / "covered.json").exists()
    finally:
        os.close(before)


def test_nobody_sees_an_empty_folder_between_a_kill_and_the_next_mount(running: Mounted) -> None:
    """Root looks, to whom no mode matters, through two deaths: what is left of the first is still there at the second."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                seen.add("empty" if not os.listdir(running.point) else "library")
            except OSError as error:
                seen.add(errno.errorcode[error.errno or 0])

    looking = threading.Thread(target=look)
    looking.start()
    mounted = running
    try:
        for _ in range(2):
            kill(mounted)
            mounted = restart(mounted)
            assert len(check_everything(mounted)) == 3
            assert len(layers_at(str(mounted.point))) == 2
    finally:
        done.set()
        looking.join()
        mounted.close()
    assert seen <= {"library", "ENOTCONN", "ECONNABORTED"}, seen
    assert layers_at(str(mounted.point)) == []
    assert stat.S_IMODE(mounted.point.stat().st_mode) == 0o755


@pytest.mark.parametrize("looked", [False, True], ids=["nobody looked", "the kernel remembers"])
def test_a_killed_mount_leaves_no_empty_library_and_the_next_mount_clears_it(running: Mounted, looked: bool) -> None:
    if looked:
        check_everything(running)
    kill(running)
    if not looked:
        with pytest.raises(OSError) as error:
            os.listdir(running.point)
        assert error.value.errno == errno.ENOTCONN
    again = restart(running)
    try:
        assert len(check_everything(again)) == 3
    finally:
        again.close()
    assert stat.S_IMODE(running.point.stat().st_mode) == 0o755


def test_after_a_kill_and_an_unmount_the_folder_is_shut_until_the_next_mount(running: Mounted) -> None:
    kill(running)
    subprocess.run(["umount", "-l", str(running.point)], check=True)
    assert stat.S_IMODE(running.point.stat().st_mode) == 0
    again = restart(running)
    again.close()
    assert stat.S_IMODE(running.point.stat().st_mode) == 0o755


def test_a_killed_mount_elsewhere_is_cleared_too(running: Mounted, tmp_path: Path) -> None:
    """The next mount of the same cache may be somewhere else: the old folder must not stay shut for ever."""
    kill(running)
    moved = tmp_path / "moved"
    moved.mkdir()
    process = subprocess.Popen(
        [*command(running), "mount", str(moved), "--foreground"], env=running.environment, stderr=subprocess.PIPE
    )
    try:
        wait_for("the mount", lambda: is_mount_point(moved))
        assert not is_mount_point(running.point)
        assert stat.S_IMODE(running.point.stat().st_mode) == 0o755
    finally:
        process.terminate()
        _, words = process.communicate(timeout=20)
    assert process.returncode == 0, words
    assert stat.S_IMODE(moved.stat().st_mode) == 0o755


def _signal(mounted: Mounted, number: signal.Signals, times: int) -> None:
    for _ in range(times):
        mounted.process.send_signal(number)


def _signal_and_unmount(mounted: Mounted) -> None:
    mounted.process.send_signal(signal.SIGTERM)
    subprocess.run(["umount", "-l", str(mounted.point)], check=False, capture_output=True)


ENDINGS: dict[str, Callable[[Mounted], object]] = {
    "fusermount -u": lambda mounted: subprocess.run(["fusermount3", "-u", str(mounted.point)], check=True),
    "umount": lambda mounted: subprocess.run(["umount", str(mounted.point)], check=True),
    "lazy umount": lambda mounted: subprocess.run(["umount", "-l", str(mounted.point)], check=True),
    "shutdown": lambda mounted: _must(mounted.command("shutdown")),
    "shutdown at once": lambda mounted: _must(mounted.command("shutdown", "--graceful", "false")),
    "SIGTERM": lambda mounted: mounted.process.send_signal(signal.SIGTERM),
    "SIGINT": lambda mounted: mounted.process.send_signal(signal.SIGINT),
    "SIGTERM twice": lambda mounted: _signal(mounted, signal.SIGTERM, 2),
    "SIGINT many times": lambda mounted: _signal(mounted, signal.SIGINT, 20),
    "SIGTERM and umount": _signal_and_unmount,
}


def _must(answer: subprocess.CompletedProcess[str]) -> None:
    assert answer.returncode == 0, answer


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_way_to_unmount_ends_in_order(running: Mounted, ending: str) -> None:
    others = processes_below(running.process.pid)
    assert keeper_of(running) in others
    ENDINGS[ending](running)
    assert running.process.wait(10) == 0, running.log
    assert not is_mount_point(running.point)
    assert stat.S_IMODE(running.point.stat().st_mode) == 0o755
    wait_for("keeper and workers end", lambda: not any(alive(pid) for pid in others), 5)
    assert (running.folder / "cache" / "catalog" / "clean").exists()
    running.close()


STAGES: dict[str, Callable[[Mounted], bool]] = {
    "locked": lambda mounted: (mounted.folder / "cache" / "musicfs.pid").exists(),
    "catalog made": lambda mounted: (mounted.folder / "cache" / "catalog" / "data.mdb").exists(),
    "mounted": lambda mounted: is_mount_point(mounted.point),
    "covered": lambda mounted: (mounted.folder / "cache" / "covered.json").exists(),
    "keeper started": lambda mounted: bool(keeper_of(mounted)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_while_it_starts_ends_it_too(library: Path, home: Path, stage: str) -> None:
    mounted = start({"o": library}, home)
    try:
        wait_for(stage, lambda: STAGES[stage](mounted))
        mounted.process.send_signal(signal.SIGTERM)
        assert mounted.process.wait(15) in (0, -signal.SIGTERM), mounted.log
        assert "Traceback" not in mounted.log
        assert not is_mount_point(mounted.point)
        assert stat.S_IMODE(mounted.point.stat().st_mode) == 0o755
    finally:
        mounted._abandon()


def test_a_cache_that_cannot_be_used_is_a_sentence_not_a_traceback(library: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mounted = start({"o": library}, home)
    mounted.process.kill()
    mounted.process.wait()
    mounted._abandon()
    for cache in (tmp_path / "file" / "cache", Path("/proc/nothing")):
        answer = mounted.command("mount", "--cache-dir", str(cache), "--foreground")
        assert answer.returncode in (1, 2)
        assert str(cache) in answer.stderr
        assert "should not have happened" not in answer.stderr


# allow_other and /etc/fuse.conf.


def test_allow_other_needs_root_or_a_line_in_fuse_conf(tmp_path: Path) -> None:
    conf = tmp_path / "fuse.conf"
    check_allow_other(str(conf), user=0)  # root needs no permission, and no file
    for text, allowed in (
        ("", False),
        ("#user_allow_other\n", False),
        ("user_allow_other_x\n", False),
        ("  user_allow_other  \n", True),
        ("mount_max = 10\nuser_allow_other\n", True),
        ("user_allow_other # for the radio\n", True),
    ):
        conf.write_text(text)
        if allowed:
            check_allow_other(str(conf), user=1000)
        else:
            with pytest.raises(MountError) as error:
                check_allow_other(str(conf), user=1000)
            assert "user_allow_other" in error.value.remedy and str(conf) in error.value.remedy
    conf.unlink()
    with pytest.raises(MountError):
        check_allow_other(str(conf), user=1000)


def test_the_note_of_a_covered_folder_may_be_damaged(tmp_path: Path) -> None:
    point, cache = tmp_path / "point", tmp_path / "cache"
    point.mkdir()
    cache.mkdir()
    for damage in (b"", b"{", b"[]", b'{"path": 3}', b"\xff" * 40):
        (cache / "covered.json").write_bytes(damage)
        checked = MountPoint(str(point), str(cache))
        checked.cover()
        assert stat.S_IMODE(point.stat().st_mode) == 0
        checked.uncover()
        assert stat.S_IMODE(point.stat().st_mode) == 0o755


def test_a_folder_that_only_took_the_covered_ones_name_keeps_its_mode(tmp_path: Path) -> None:
    point, cache = tmp_path / "point", tmp_path / "cache"
    point.mkdir()
    cache.mkdir()
    MountPoint(str(point), str(cache)).cover()
    point.rmdir()
    keep = tmp_path / "keep"  # so that the inode is not given out again
    keep.mkdir()
    point.mkdir(mode=0)
    MountPoint(str(tmp_path / "keep"), str(cache))
    assert stat.S_IMODE(point.stat().st_mode) == 0
