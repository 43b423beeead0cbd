"""The socket's place: who can reach it, what may stand in its way, and what is left behind."""

from __future__ import annotations

import os
import socket
import stat
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
