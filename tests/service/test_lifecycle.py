"""How the service ends, what it tells systemd, what a crash leaves, and a backup of what is in use."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from tests.faults.living import album, wait_for
from tests.mounting import Place, is_mount_point, mount, start


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd would hear of a mount that is started now, which it watches every three seconds."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    yield listener
    listener.close()


def heard(listener: socket.socket, word: str) -> str:
    """What came with the next message that says ``word``."""
    while True:
        text = listener.recv(65536).decode()
        if word in text.split("\n"):
            return text


def test_systemd_hears_of_the_whole_life(tmp_path: Path, manager: socket.socket) -> None:
    music = tmp_path / "music"
    album(music, "One", 1)
    mounted = start({"music": music}, tmp_path / "home")
    try:
        assert f"STATUS=Serving {mounted.point}" in heard(manager, "READY=1")
        assert is_mount_point(mounted.point)
        heard(manager, "WATCHDOG=1")
        heard(manager, "WATCHDOG=1")
        mounted.wait_until_scanned()
        for path in Path("/proc").glob("[0-9]*/environ"):
            pid = int(path.parent.name)
            if pid != mounted.process.pid and _session(pid) == mounted.process.pid:
                assert b"NOTIFY_SOCKET" not in path.read_bytes()
        os.kill(mounted.process.pid, signal.SIGHUP)
        assert "MONOTONIC_USEC=" in heard(manager, "RELOADING=1")
        heard(manager, "READY=1")
        mounted.process.terminate()
        heard(manager, "STOPPING=1")
        assert mounted.process.wait(20) == 0
    finally:
        mounted.close()
    assert not list((mounted.folder / "state" / "crashes").iterdir())


def test_systemd_is_told_what_is_done_and_what_is_wrong(tmp_path: Path, manager: socket.socket) -> None:
    music, nas = tmp_path / "music", tmp_path / "nas"
    for number in range(6):
        album(music, f"Album {number}", 5)
    album(nas, "Two", 1)
    settings = "[health]\ncheck_interval_secs = 1"
    places: dict[str, Path | Place] = {"music": music, "nas": Place(nas, OriginSettings(id="nas", path=str(nas)))}
    mounted = start(places, tmp_path / "home", settings)
    mounted.allow_log("nas|not reloaded|is not a setting|colour")
    try:
        heard(manager, "READY=1")
        began = time.monotonic()
        said = statuses(manager, lambda text: "(31 tracks)" in text and "canning" not in text)
        assert len(said) <= time.monotonic() - began + 2, "once a second at most"
        assert said[-1].endswith(f"erving {mounted.point} (31 tracks)")
        nas.rename(tmp_path / "away")
        statuses(manager, lambda text: "egraded: origin nas cannot be read; serving" in text)
        (tmp_path / "away").rename(nas)
        statuses(manager, lambda text: "egraded" not in text)
        config = mounted.folder / "config.toml"
        good = config.read_text()
        config.write_text(good + "colour = 1\n")
        os.kill(mounted.process.pid, signal.SIGHUP)
        heard(manager, "RELOADING=1")
        ready = heard(manager, "READY=1")
        assert "STATUS=The changed configuration has 1 problem and is not in force; serving" in ready
        config.write_text(good.replace("check_interval_secs = 1", "check_interval_secs = 2"))
        before = mounted.status()["keeper_pid"]
        os.kill(mounted.process.pid, signal.SIGHUP)
        heard(manager, "RELOADING=1")
        ready = heard(manager, "READY=1")
        assert "problem" not in ready
        assert mounted.status()["keeper_pid"] != before, "it is ready when the new keeper answers"
    finally:
        mounted.close()


def statuses(listener: socket.socket, until: Callable[[str], bool]) -> list[str]:
    """What the status was, up to the one that is waited for."""
    found: list[str] = []
    deadline = time.monotonic() + 30
    while not found or not until(found[-1]):
        assert time.monotonic() < deadline, found
        _, is_status, text = listener.recv(65536).decode().partition("STATUS=")
        found += [text] if is_status else []
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def test_no_sign_of_life_while_the_mount_hangs(tmp_path: Path, manager: socket.socket) -> None:
    """The mount process stands still, as in a deadlock: a timer of its own would stand still as well; the keeper lives."""
    music = tmp_path / "music"
    album(music, "One", 1)
    mounted = start({"music": music}, tmp_path / "home")
    try:
        heard(manager, "READY=1")
        heard(manager, "WATCHDOG=1")
        os.kill(mounted.process.pid, signal.SIGSTOP)
        manager.settimeout(3)
        with pytest.raises(TimeoutError):
            heard(manager, "WATCHDOG=1")
            heard(manager, "WATCHDOG=1")  # one may have been on its way
            heard(manager, "WATCHDOG=1")
        manager.settimeout(20)
        os.kill(mounted.process.pid, signal.SIGCONT)
        heard(manager, "WATCHDOG=1")
    finally:
        os.kill(mounted.process.pid, signal.SIGCONT)
        mounted.close()


def test_a_crash_leaves_a_report_and_no_folder_that_looks_empty(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 1)
    mounted = mount({"music": music}, tmp_path / "home")
    try:
        os.kill(mounted.process.pid, signal.SIGSEGV)
        mounted.process.wait(20)
        subprocess.run(["umount", "-l", str(mounted.point)], check=True)
        assert stat.S_IMODE(mounted.point.stat().st_mode) == 0
        (report,) = [path for path in (mounted.folder / "state" / "crashes").iterdir() if path.stat().st_size]
        assert report.name.startswith("mount-")
        assert "Segmentation fault" in report.read_text()
        assert "Current thread" in report.read_text() or "Thread 0x" in report.read_text()
    finally:
        mounted._abandon()
        mounted.point.chmod(0o755)


def test_a_backup_while_mounted_and_a_restore_after(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 2)
    mounted = mount({"music": music}, tmp_path / "home")
    file = tmp_path / "backup.tar"
    try:
        assert (
            mounted.command("metadata", "set", "A/One [FLAC]/01 - One 1.flac", "--title", "Corrected").returncode == 0
        )
        done = mounted.command("--json", "backup", str(file))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"file": str(file), "size_bytes": file.stat().st_size}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        again = mounted.command("backup", str(file))
        assert (again.returncode, "exists" in again.stderr) == (1, True)
        assert mounted.command("metadata", "clear", "A/One [FLAC]/01 - Corrected.flac").returncode == 0
        refused = mounted.command("restore", "--yes", str(file))
        assert (refused.returncode, "another MusicFS" in refused.stderr) == (1, True), refused.stderr
    finally:
        mounted.close()
    done = mounted.command("--json", "restore", "--yes", str(file))
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["kept"], "journal").exists()
    later = start({"music": music}, mounted.folder)
    try:
        later.wait_until_scanned()
        wait_for("the correction", lambda: list(later.point.rglob("*Corrected.flac")))
    finally:
        later.close()
