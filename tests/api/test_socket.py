"""The socket's place: who can reach it, what may stand in its way, and what is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api.paths import SYSTEM_RUNTIME_DIR, socket_candidates, socket_path
from musicfs.api.server import ControlServer
from musicfs.api.unix_socket import peer_pid
from musicfs.errors import MountError
from tests.api.backend import STATUS, FakeBackend, serving


def test_only_its_user_can_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "test.sock"
    with serving(FakeBackend(), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [entry.name for entry in path.parent.iterdir()] == ["test.sock"]
        assert peer_pid(str(path)) == os.getpid()
    assert list(path.parent.iterdir()) == []


NOBODY = 65534
_CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    sys.exit(error.strerror)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into; those of pytest are for one."""
    folder = Path(tempfile.mkdtemp(prefix="musicfs-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_another_user_is_refused_by_the_kernel(open_folder: Path) -> None:
    path = open_folder / "test.sock"
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    assert python is not None, "a python that every user may run"

    def connect_as_nobody() -> str:
        done = subprocess.run(
            [python, "-I", "-c", _CONNECT, str(path)], user=NOBODY, group=NOBODY, extra_groups=[],
            cwd="/", env={}, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return done.stderr.strip()

    with serving(FakeBackend(), path) as client:
        assert connect_as_nobody() == "Permission denied"
        path.chmod(0o666)
        assert connect_as_nobody() == "", "it is the mode of the socket, and nothing else"
        assert client.status() == STATUS


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "test.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    assert peer_pid(str(path)) is None
    with serving(FakeBackend(), path) as client:
        assert client.status() == STATUS


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "test.sock"
    path.write_text("mine")
    with pytest.raises(MountError, match="not a socket"):
        ControlServer(FakeBackend(), str(path)).start()
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["test.sock"]


@pytest.mark.parametrize("name", ["x" * 200, "y" * 90 + "/" + "z" * 90])
def test_a_path_that_is_too_long_is_a_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(MountError, match="107 are possible") as caught:
        ControlServer(FakeBackend(), str(tmp_path / name)).start()
    assert "XDG_RUNTIME_DIR" in caught.value.remedy


def test_the_longest_path_works(tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - 2 - len("musicfs.sock")
    path = tmp_path / ("x" * room) / "musicfs.sock"
    assert len(os.fsencode(path)) == 107
    with serving(FakeBackend(), path) as client:
        assert client.status() == STATUS


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MountError, match="no control socket can be made"):
        ControlServer(FakeBackend(), str(tmp_path / "file" / "test.sock")).start()


@pytest.mark.parametrize("name", ["with space", "100%41", "ümläut", "a#b?c"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    with serving(FakeBackend(), tmp_path / name / "s.sock") as client:
        assert client.status() == STATUS


def test_closing_twice_and_leaving_what_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "test.sock"
    server = ControlServer(FakeBackend(), str(path))
    server.close()
    server.start()
    path.unlink()
    path.write_text("another's")
    server.close()
    server.close()
    assert path.read_text() == "another's"


def test_where_the_socket_lies() -> None:
    both = {"RUNTIME_DIRECTORY": "/run/musicfs:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert socket_path("home", "/state", both) == "/run/musicfs/home.sock"
    assert socket_path("home", "/state", {"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/musicfs/home.sock"
    assert socket_path("home", "/state", {}) == "/state/home.sock"
    assert socket_path("home", "/state", {"XDG_RUNTIME_DIR": "", "RUNTIME_DIRECTORY": ""}) == "/state/home.sock"


def test_a_client_looks_wherever_a_daemon_may_have_put_it() -> None:
    assert socket_candidates("home", "/state", {"XDG_RUNTIME_DIR": "/run/user/7"}) == (
        "/run/user/7/musicfs/home.sock",
        "/state/home.sock",
        f"{SYSTEM_RUNTIME_DIR}/home.sock",
    )
    assert socket_candidates("home", "/state", {"RUNTIME_DIRECTORY": SYSTEM_RUNTIME_DIR}) == (
        f"{SYSTEM_RUNTIME_DIR}/home.sock",
        "/state/home.sock",
    )
