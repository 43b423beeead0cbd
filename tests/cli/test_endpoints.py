"""Where commands reach the daemon: what --endpoint may say, the port behind the socket, and whom the token is shown."""

from __future__ import annotations

import os
import socket as sockets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.api.endpoint import Endpoint, parse_endpoint
from musicfs.api.server import ControlServer
from musicfs.config.addresses import Address
from musicfs.errors import ConfigError
from tests.api.backend import STATUS, FakeBackend
from tests.api.network import TOKEN, listening
from tests.cli.conftest import Run


@pytest.fixture
def backend() -> FakeBackend:
    """The daemon of the default instance, on nothing yet."""
    return FakeBackend(state=msgspec.structs.replace(STATUS, instance="musicfs"))


@pytest.fixture
def server(backend: FakeBackend, tmp_path: Path) -> Iterator[ControlServer]:
    """It answers on a port, and on a socket where nobody looks."""
    with listening(backend, tmp_path / "elsewhere") as server:
        yield server


@pytest.fixture
def token(user: Path) -> Path:
    """Its token, where it keeps it."""
    path = user / ".local" / "share" / "musicfs" / "token"
    path.parent.mkdir(parents=True)
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("unix:///run/x.sock", Endpoint("/run/x.sock")),
        ("unix:/run/x.sock", Endpoint("/run/x.sock")),
        ("unix:x.sock", Endpoint(str(Path.cwd() / "x.sock"))),
        ("/run/x.sock", Endpoint("/run/x.sock")),
        ("/run/a://b:1", Endpoint("/run/a:/b:1")),
        ("x.sock", Endpoint(str(Path.cwd() / "x.sock"))),
        ("./localhost:1", Endpoint(str(Path.cwd() / "localhost:1"))),
        ("127.0.0.1:50052", Endpoint(address=Address("127.0.0.1", 50052))),
        ("[::1]:50052", Endpoint(address=Address("::1", 50052))),
        ("localhost:1", Endpoint(address=Address("localhost", 1))),
        ("http://127.0.0.1:1/", Endpoint(address=Address("127.0.0.1", 1))),
        ("https://nas.home:1", Endpoint(address=Address("nas.home", 1), has_tls=True)),
        ("https://[2001:db8::1]:1", Endpoint(address=Address("2001:db8::1", 1), has_tls=True)),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "http://localhost", "https://", "https://nas.home", "tcp://127.0.0.1:1", "https://nas.home:1/x", "::1:1",
             "127.0.0.1:0", "127.0.0.1:99999"],
)  # fmt: skip
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="not supported"):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["192.168.1.2:50052", "http://nas.home:50052", "[::]:1"])
def test_nothing_is_sent_in_the_open_to_other_machines(text: str) -> None:
    with pytest.raises(ConfigError, match="another machine") as caught:
        parse_endpoint(text)
    assert "https://" in caught.value.remedy


def test_a_port_by_name(run: Run, server: ControlServer, backend: FakeBackend, token: Path) -> None:
    endpoint = f"127.0.0.1:{server.addresses[0].port}"
    assert run("--endpoint", endpoint, "status").code == 0
    done = run("--endpoint", endpoint, "origin", "confirm", "nas")
    assert (done.code, done.err) == (0, "")
    assert ("confirm", "nas") in backend.calls


def test_without_the_token_there_is_a_remedy(run: Run, server: ControlServer, backend: FakeBackend) -> None:
    endpoint = str(server.addresses[0])
    assert run("--endpoint", endpoint, "status").code == 0
    done = run("--endpoint", endpoint, "origin", "confirm", "nas")
    assert done.code == 1
    assert "token" in done.err and "--token-file" in done.err
    assert ("confirm", "nas") not in backend.calls


def test_the_token_of_another_place(
    run: Run, server: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text(TOKEN)
    file.chmod(0o600)
    command = ("--endpoint", str(server.addresses[0]), "origin", "confirm", "nas")
    assert run("--token-file", str(file), *command).code == 0
    monkeypatch.setenv("MUSICFS_TOKEN_FILE", str(file))
    assert run(*command).code == 0
    file.chmod(0o644)
    done = run(*command)
    assert done.code == 2 and "chmod 600" in done.err and TOKEN not in done.err + done.out


def test_a_wrong_token_is_said_to_be_wrong(run: Run, server: ControlServer, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("another-token-that-is-wrong")
    file.chmod(0o600)
    done = run("--token-file", str(file), "--endpoint", str(server.addresses[0]), "status")
    assert done.code == 1 and "not the one of this daemon" in done.err


def test_the_port_is_tried_when_there_is_no_socket(
    run: Run, server: ControlServer, backend: FakeBackend, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICFS_GRPC__ADDRESSES", f"[::1]:1,{server.addresses[0]}")
    done = run("origin", "confirm", "nas")
    assert (done.code, done.err) == (0, "")
    assert ("confirm", "nas") in backend.calls


def test_another_instance_on_the_port_is_not_ours(
    run: Run, server: ControlServer, backend: FakeBackend, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICFS_GRPC__ADDRESSES", str(server.addresses[0]))
    monkeypatch.setenv("MUSICFS_INSTANCE", "another")
    done = run("status")
    assert done.code == 3
    assert {name for name, *_ in backend.calls} <= {"status"}


def test_the_token_is_not_shown_to_another_users_program(
    run: Run, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes a port before the daemon does would get what is sent there."""
    monkeypatch.setattr("musicfs.cli.endpoints.listener_uid", lambda _address: os.geteuid() + 1)
    shown: list[str] = []

    def load(path: str) -> str:
        shown.append(path)
        return TOKEN

    monkeypatch.setattr("musicfs.cli.endpoints.load_token", load)
    with sockets.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("MUSICFS_GRPC__ADDRESSES", f"127.0.0.1:{port}")
        assert run("status").code == 3
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()  # nobody has even connected
    assert shown == []


def test_a_port_where_nobody_listens(run: Run, token: Path) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    done = run("--endpoint", f"127.0.0.1:{port}", "status")
    assert done.code == 3
    assert str(port) in done.err
