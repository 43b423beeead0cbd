"""The daemon of somebody who is not root: mounting through fusermount3, and files it has no right to."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.living import album, alive, processes_below, wait_for
from tests.mounting import REPOSITORY, is_mount_point

USER = f"mfs{os.getpid()}"

# Run as the user: what it finds in the mount, as JSON. Root itself may not look into it.
LOOK = """
import errno, json, os, sys
found = {}
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        status = os.stat(path)
        try:
            with open(path, "rb") as stream:
                size = len(stream.read())
        except OSError as error:
            size = errno.errorcode[error.errno]
        found[os.path.relpath(path, sys.argv[1])] = [size, status.st_size, status.st_uid, status.st_gid]
print(json.dumps(found))
"""


class Somebody:
    """A user with a home, a library, an interpreter that may be run, and at most one mount."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lent: list[Path] = []
        entry = pwd.getpwnam(USER)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        packages = [path for path in sys.path if path.endswith("site-packages")]
        self.environment = {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PYTHONPATH": os.pathsep.join(str(self._lend(path)) for path in [REPOSITORY, *map(Path, packages)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MUSICFS_COLLECTIONS__BUILTIN": "false",  # in a small library they hold each track once more
            "MUSICFS_GRPC__ADDRESSES": ",",  # the default ports may be somebody's
        }
        self.python = sys.executable
        self.point, self.root = home / "mount", home / "origin"
        self.process: subprocess.Popen[bytes] | None = None

    def _lend(self, folder: Path) -> Path:
        """The folder where this user can get at it: it may lie below one that only root may enter."""
        place = Path(tempfile.mkdtemp(prefix="musicfs-lent-"))  # never below a folder that is deleted with all it holds
        self._lent.append(place)
        subprocess.run(["mount", "--bind", str(folder), str(place)], check=True)
        return place

    def interpreter(self) -> str:
        """Ours, unless it lies where only root may look; then the system's of the same version."""
        candidates = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
        for candidate in candidates:
            try:
                if self.run([candidate, "-c", "import lmdb, llfuse, musicfs"]).returncode == 0:
                    return candidate
            except PermissionError:
                continue
        raise AssertionError(f"no interpreter that another user may run: tried {', '.join(candidates)}")

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as this user."""
        return subprocess.run(
            command, user=self.uid, group=self.gid, extra_groups=[], env=self.environment, cwd=self.home,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def musicfs(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "musicfs.cli.main", *arguments]

    def mount_command(self, *arguments: str) -> list[str]:
        return self.musicfs(
            "mount", str(self.point), "--origin", str(self.root), "--cache-dir", str(self.home / "cache"),
            "--state-dir", str(self.home / "state"), "--foreground", *arguments,
        )  # fmt: skip

    def mount(self) -> None:
        """Mount in the foreground, and wait for the first scan."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.mount_command(), user=self.uid, group=self.gid, extra_groups=[], env=self.environment,
                cwd=self.home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for("the first scan", self._is_scanned, 30)

    def _is_scanned(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log
        status = self.status()  # for a moment also that of a mount that was killed
        return status.get("pid") == self.process.pid and status["state"] in ("ready", "degraded")

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def status(self) -> dict[str, Any]:
        answer = self.run(self.musicfs("status", "--json"))
        found: dict[str, Any] = json.loads(answer.stdout) if answer.returncode == 0 else {}
        return found

    def look(self) -> dict[str, list[Any]]:
        """Virtual path -> [bytes read or the error's name, st_size, uid, gid], as this user sees it."""
        answer = self.run([self.python, "-c", LOOK, str(self.point)])
        assert answer.returncode == 0, answer.stderr
        found: dict[str, list[Any]] = json.loads(answer.stdout)
        return found

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        if is_mount_point(self.point):
            subprocess.run(["umount", "-l", str(self.point)], check=True)
        for place in self._lent:
            subprocess.run(["umount", "-l", str(place)], check=True)
            place.rmdir()


@pytest.fixture(scope="module")
def account() -> Iterator[None]:
    """A user of this machine, who may use FUSE."""
    subprocess.run(["useradd", "--no-create-home", "--user-group", USER], check=True)
    with open(Path(tempfile.gettempdir(), "musicfs-test-fuse.lock"), "w") as lock:  # one test run at a time lends it
        fcntl.flock(lock, fcntl.LOCK_EX)
        mode = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
        os.chmod("/dev/fuse", mode | 0o666)
        yield
        os.chmod("/dev/fuse", mode)
    subprocess.run(["userdel", USER], check=True)


@pytest.fixture
def somebody(account: None) -> Iterator[Somebody]:
    home = Path(tempfile.mkdtemp(prefix="musicfs-home-"))  # pytest's own folders are for root alone
    for name in ("mount", "origin", "run"):
        (home / name).mkdir()
    for number in range(3):
        album(home / "origin", f"Album {number}", 4)
    subprocess.run(["chown", "-R", f"{USER}:", str(home)], check=True)
    found = Somebody(home)
    try:
        found.python = found.interpreter()
        yield found
    finally:
        found.end()
    shutil.rmtree(home)


def _sizes(found: dict[str, list[Any]]) -> list[Any]:
    return [size for size, *_ in found.values()]


def _ended(pids: Iterable[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def test_it_mounts_serves_and_unmounts(somebody: Somebody) -> None:
    for ending in ("fusermount3", "SIGTERM", "shutdown"):
        somebody.mount()
        process = somebody.process
        assert process is not None
        others = processes_below(process.pid)
        found = somebody.look()
        assert len(found) == 12
        for size, st_size, uid, gid in found.values():
            assert size == st_size > 0
            assert (uid, gid) == (somebody.uid, somebody.gid)
        assert stat.S_IMODE((somebody.home / "cache").stat().st_mode) == 0o700
        with pytest.raises(PermissionError):  # without allow_other not even root may look
            os.listdir(somebody.point)
        if ending == "fusermount3":
            assert somebody.run(["fusermount3", "-u", str(somebody.point)]).returncode == 0
        elif ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            answer = somebody.run(somebody.musicfs("shutdown"))
            assert answer.returncode == 0, answer
        assert process.wait(15) == 0, somebody.log
        assert not is_mount_point(somebody.point)
        assert stat.S_IMODE(somebody.point.stat().st_mode) == 0o755
        wait_for("all processes end", partial(_ended, others), 5)


def test_a_killed_mount_is_cleared_by_the_next(somebody: Somebody) -> None:
    somebody.mount()
    assert somebody.process is not None
    somebody.look()
    somebody.process.kill()
    somebody.process.wait()
    somebody.mount()
    assert len(somebody.look()) == 12


def test_files_it_may_not_read_are_eacces_and_keep_their_names(somebody: Somebody) -> None:
    secret = somebody.root / "Album 0" / "02.flac"
    secret.chmod(0)
    somebody.mount()
    found = somebody.look()
    assert len(found) == 12
    assert sorted(map(str, _sizes(found))).count("EACCES") == 1
    secret.chmod(0o644)
    wait_for("it can be read", lambda: "EACCES" not in _sizes(somebody.look()))

    folder = somebody.root / "Album 1"
    folder.chmod(0)
    answer = somebody.run(somebody.musicfs("origin", "list", "--json"))
    origin_id = json.loads(answer.stdout)[0]["id"]
    somebody.run(somebody.musicfs("origin", "rescan", origin_id, "--wait"))
    found = somebody.look()
    assert len(found) == 12, "a folder that cannot be listed is not a folder that is empty"
    assert _sizes(found).count("EACCES") == 4
    folder.chmod(0o755)
    wait_for("they can be read again", lambda: "EACCES" not in _sizes(somebody.look()))
    assert len(somebody.look()) == 12


def test_allow_other_is_refused_before_mounting(somebody: Somebody) -> None:
    """This machine's fuse.conf does not permit it, as most do not."""
    conf = Path("/etc/fuse.conf")
    permitted = conf.exists() and any(line.strip() == "user_allow_other" for line in conf.read_text().splitlines())
    answer = somebody.run(["timeout", "20", *somebody.mount_command("--allow-other")]) if not permitted else None
    if answer is not None:
        assert answer.returncode == 1, answer
        assert "user_allow_other" in answer.stderr and "/etc/fuse.conf" in answer.stderr
    assert not is_mount_point(somebody.point)


def test_a_mount_point_of_somebody_else(somebody: Somebody) -> None:
    somebody.point.rmdir()
    somebody.point.mkdir(mode=0o755)  # root's: fusermount refuses it
    os.chown(somebody.point, 0, 0)
    answer = somebody.run(["timeout", "20", *somebody.mount_command()])
    assert answer.returncode == 1, answer
    assert str(somebody.point) in answer.stderr and "Traceback" not in answer.stderr
    assert stat.S_IMODE(somebody.point.stat().st_mode) == 0o755
