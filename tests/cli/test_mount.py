"""``musicfs mount`` up to the daemon: what it refuses, what the daemon is given, and how a start in the background ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from musicfs.cli import background
from musicfs.cli.background import start_in_background
from musicfs.config.settings import Settings
from musicfs.errors import MountError
from tests.cli.conftest import Run

# Stands in for the daemon in the child: what it does is said by FAKE_DAEMON.
_FAKE = """
import json, os, sys, time, types

def run_foreground(settings, ready_fd, read_again):
    from musicfs.errors import AlreadyRunningError
    print("the log begins", file=sys.stderr, flush=True)
    open(os.environ["FAKE_NOTES"], "w").write(json.dumps({
        "pid": os.getpid(), "session": os.getsid(0), "cwd": os.getcwd(), "mount_point": settings.mount_point,
        "cache_dir": settings.cache_dir, "state_dir": settings.state_dir, "level": settings.logging.level,
        "origins": [[origin.id, origin.path] for origin in settings.origins], "allow_other": settings.mount.allow_other,
        "addresses": settings.grpc.addresses,
        "stdin": os.readlink("/proc/self/fd/0"), "stdout": os.readlink("/proc/self/fd/1"), "path": sys.path,
    }))
    what = os.environ["FAKE_DAEMON"]
    if what == "refuses":
        raise AlreadyRunningError("another daemon (pid 7) holds the cache", pid=7, remedy="stop it")
    if what == "dies":
        print("last words", file=sys.stderr, flush=True)
        os._exit(9)
    if what == "babbles":
        os.write(ready_fd, b"not json\\n")
        return 1
    if what == "breaks":
        raise RuntimeError("a bug")
    if what == "ready":
        os.write(ready_fd, json.dumps({"ready": True, "pid": os.getpid()}).encode() + b"\\n")
        os.close(ready_fd)
    time.sleep(60)
    return 0

module = types.ModuleType("musicfs.daemon.run")
module.run_foreground = run_foreground
sys.modules["musicfs.daemon.run"] = module
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the daemon of a child notes what it was given; sets the child up to run it."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_FAKE)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("FAKE_NOTES", str(folder / "notes.json"))
    return folder / "notes.json"


@pytest.fixture(autouse=True)
def no_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon of these tests never listens."""
    monkeypatch.setattr("musicfs.cli.mount._CONTROL_S", 0.0)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def mount_point(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


@pytest.fixture
def ended(notes: Path) -> Iterator[None]:
    """Ends the daemon that a test has left running."""
    yield
    pid = json.loads(notes.read_text())["pid"]
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)


@pytest.mark.usefixtures("ended")
def test_in_the_background(
    run: Run, notes: Path, music: Path, mount_point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DAEMON", "ready")
    monkeypatch.chdir(tmp_path)
    done = run(
        "-l", "debug", "mount", "mnt", "--origin", "music", "--cache-dir", "c", "--state-dir", "s", "--allow-other"
    )
    given = json.loads(notes.read_text())
    assert (done.code, done.out, done.err) == (0, f"mounted {mount_point} (pid {given['pid']})\n", "")
    assert given | {"path": [], "addresses": []} == {
        "pid": given["pid"],
        "session": given["pid"],
        "cwd": "/",
        "mount_point": str(mount_point),
        "cache_dir": str(tmp_path / "c"),
        "state_dir": str(tmp_path / "s"),
        "level": "debug",
        "origins": [["music", str(music)]],
        "allow_other": True,
        "addresses": [],
        "stdin": "/dev/null",
        "stdout": "/dev/null",
        "path": [],
    }
    assert not {"", str(tmp_path)} & set(given["path"]), "a module in the working directory could be imported"
    log = tmp_path / "s" / "log" / f"musicfs-{time.strftime('%Y-%m-%d')}.log"
    assert "the log begins" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.usefixtures("ended")
def test_in_the_background_as_json_with_a_file(
    run: Run, notes: Path, music: Path, mount_point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DAEMON", "ready")
    file = tmp_path / "home.toml"
    file.write_text(f"mount_point = '{mount_point}'\n[[origins]]\nid = 'a'\npath = '{music}'\n")
    done = run("--json", "--config", str(file), "mount")
    given = json.loads(notes.read_text())
    assert json.loads(done.out) == {"mount_point": str(mount_point), "pid": given["pid"]}
    assert given["origins"] == [["a", str(music)]]
    assert (
        tmp_path / "home" / ".local" / "share" / "musicfs" / "log" / f"home-{time.strftime('%Y-%m-%d')}.log"
    ).exists()


@pytest.mark.parametrize(("port", "addresses"), [("50152", ["127.0.0.1:50152", "[::1]:50152"]), ("0", [])])
@pytest.mark.usefixtures("ended")
def test_another_port(
    run: Run, notes: Path, music: Path, mount_point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    port: str, addresses: list[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_DAEMON", "ready")
    file = tmp_path / "home.toml"
    file.write_text("[grpc]\naddresses = ['127.0.0.1:50999']\n")
    options = ("--grpc-port", port, "--state-dir", str(tmp_path / "s"))
    done = run("--config", str(file), "mount", str(mount_point), "--origin", str(music), *options)
    assert done.code == 0, done.err
    assert json.loads(notes.read_text())["addresses"] == addresses


@pytest.mark.parametrize("port", ["65536", "-1", "x"])
def test_what_is_no_port(run: Run, music: Path, mount_point: Path, port: str) -> None:
    done = run("mount", str(mount_point), "--origin", str(music), "--grpc-port", port)
    assert done.code == 2 and "--grpc-port" in done.err


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("refuses", 1, "error: another daemon (pid 7) holds the cache\n  stop it\n"),
        ("dies", 1, "last words"),
        ("babbles", 1, "ended before the mount was ready (exit code 1)"),
        ("breaks", 1, "RuntimeError: a bug"),
    ],
)
@pytest.mark.usefixtures("notes")
def test_a_daemon_that_fails(
    run: Run,
    music: Path,
    mount_point: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("FAKE_DAEMON", what)
    log = tmp_path / "s" / "log" / f"musicfs-{time.strftime('%Y-%m-%d')}.log"
    log.parent.mkdir(parents=True)
    log.write_text("from another day\n")
    done = run("mount", str(mount_point), "--origin", str(music), "--state-dir", str(tmp_path / "s"))
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "another day" not in done.err


def test_a_daemon_that_is_not_ready_in_time_is_ended(
    notes: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DAEMON", "hangs")
    settings = Settings(mount_point="/mnt", state_dir=str(tmp_path / "s"))
    with pytest.raises(MountError, match="not ready within 3 s"):
        start_in_background(settings, ["mount", "--origin", str(music), "--", "/mnt"], timeout_s=3.0)
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads(notes.read_text())["pid"], 0)


def test_a_log_that_cannot_be_written(run: Run, music: Path, mount_point: Path, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    done = run("mount", str(mount_point), "--origin", str(music), "--state-dir", str(tmp_path / "s"))
    assert done.code == 1
    assert "cannot write the log" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no mount point is given"),
        (("/mnt",), "no origin is given"),
        (("/mnt", "--origin", "/nowhere"), 'origin "nowhere": /nowhere does not exist'),
    ],
)
def test_what_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    for foreground in ((), ("--foreground",)):
        done = run("mount", *arguments, *foreground)
        assert done.code == 2
        assert said in done.err


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A daemon for this process, which ends at once."""
    module = ModuleType("musicfs.daemon.run")
    module.given = []  # type: ignore[attr-defined]

    def run_foreground(settings: Settings, ready_fd: int | None, _read_again: object) -> int:
        module.given.append((settings, ready_fd))
        return 0

    module.run_foreground = run_foreground  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musicfs.daemon.run", module)
    return module


def test_in_the_foreground(run: Run, daemon: ModuleType, music: Path, mount_point: Path) -> None:
    where = Path.cwd()
    done = run("mount", str(mount_point), "--origin", str(music), "--foreground")
    assert (done.code, done.out, done.err) == (0, "", "")
    [(settings, ready_fd)] = daemon.given
    assert ready_fd is None
    assert settings.mount_point == str(mount_point)
    assert Path.cwd() == where


def test_a_foreground_that_is_refused_tells_who_waits(run: Run, daemon: ModuleType) -> None:
    reading, writing = os.pipe()
    done = run("mount", "/mnt", "--origin", "/nowhere", "--foreground", "--ready-fd", str(writing))
    assert done.code == 2
    os.close(writing)
    answer = json.loads(os.read(reading, 65536))
    os.close(reading)
    assert daemon.given == []
    assert answer["exit_code"] == 2
    assert "/nowhere does not exist" in answer["error"]
    assert answer["ready"] is False


def test_the_exit_code_of_a_refusal_reaches_the_user(
    run: Run, notes: Path, music: Path, mount_point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder goes away between the look of the parent and that of the child."""
    assert notes
    spawn = background._spawn

    def spawn_later(arguments: list[str], ready_fd: int, log_fd: int) -> object:
        music.rmdir()
        return spawn(arguments, ready_fd, log_fd)

    monkeypatch.setattr(background, "_spawn", spawn_later)
    done = run("mount", str(mount_point), "--origin", str(music), "--state-dir", str(tmp_path / "s"))
    assert done.code == 2
    assert f"{music} does not exist" in done.err
