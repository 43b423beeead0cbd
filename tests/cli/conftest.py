"""A user with a home of their own, and commands run as that user."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicfs.cli.main import main
from tests.api.backend import FakeBackend, serving
from tests.cli.terminal import watch_terminal
from tests.faults.living import wait_for

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user without any configuration; nothing of the real user is seen."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("MUSICFS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("MUSICFS_GRPC__ADDRESSES", ",")  # no ports: whoever else tests here has the default ones
    return home


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run_command(*arguments: str) -> Done:
        code = main(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """Where the daemon of the default instance listens."""
    return tmp_path / "run" / "musicfs" / "musicfs.sock"


@pytest.fixture
def backend(socket: Path) -> Iterator[FakeBackend]:
    """A daemon that runs, with answers to set."""
    backend = FakeBackend()
    with serving(backend, socket):
        yield backend


def command(*arguments: str) -> list[str]:
    """The command line that runs a command in a process of its own."""
    return [sys.executable, "-m", "musicfs.cli.main", *arguments]


def run_process(*arguments: str, cwd: Path = REPOSITORY) -> Done:
    """Run a command in a process of its own, with its output in pipes."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env=environment
    )
    return Done(done.returncode, done.stdout, done.stderr)


def on_terminal(*arguments: str, typed: str = "") -> tuple[int, str]:
    """Run a command on a terminal of 100 columns, where ``typed`` waits; its exit code and what there is to see."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command(*arguments), stdin=slave, stdout=slave, stderr=slave, cwd=REPOSITORY, env=environment
    )
    os.close(slave)
    seen = watch_terminal(master, typed)
    return process.wait(30), seen


def wait_until_scanned() -> dict[str, object]:
    """The status once the first scan is over."""

    def look() -> dict[str, object]:
        status: dict[str, object] = json.loads(run_process("--json", "status").out)
        return status if status["state"] == "ready" and status["files_indexed"] else {}

    return wait_for("the first scan ends", look, 60)


@pytest.fixture
def sample_mount(tmp_path: Path, sample_library: Path) -> Iterator[Path]:
    """Where a daemon in the background has mounted the sample library, which it has scanned."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    assert run_process("mount", str(folder), "--origin", str(sample_library)).code == 0
    wait_until_scanned()
    yield folder
    run_process("shutdown", "--graceful", "false")
