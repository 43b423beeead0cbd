"""The control server as the keeper makes it: what happens when not all of it can be had."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api import listening
from musicfs.api.client import Client
from musicfs.api.tcp import Trouble
from musicfs.api.tokens import load_token
from musicfs.config.addresses import Address
from musicfs.config.settings import GrpcSettings, Settings
from musicfs.daemon import serving
from musicfs.daemon.serving import serve_control
from tests.api.backend import STATUS, FakeBackend
from tests.api.network import free_port


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def busy() -> Iterator[str]:
    """An address that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def settings_of(tmp_path: Path, **grpc: object) -> Settings:
    return Settings(state_dir=str(tmp_path / "state"), grpc=GrpcSettings(**grpc))  # type: ignore[arg-type] # as given


def complaints(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_token_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, addresses=(f"127.0.0.1:{free_port()}",))
    tokens = set()
    for _ in range(2):
        said: list[object] = []
        server = serve_control(settings, FakeBackend(), said.append)
        assert server is not None and said == [[]]
        try:
            tokens.add(load_token(str(tmp_path / "state" / "token")))
            with Client(str(server.addresses[0]), token=max(tokens)) as client:
                assert client.status() == STATUS
                assert client.confirm("nas") == 12
        finally:
            server.close(0.0)
    assert len(tokens) == 1


def test_without_addresses_there_is_no_token(tmp_path: Path) -> None:
    server = serve_control(settings_of(tmp_path, addresses=()), FakeBackend(), print)
    assert server is not None
    server.close(0.0)
    assert not os.path.exists(tmp_path / "state" / "token")


def test_a_busy_port_that_was_asked_for_is_an_error(
    tmp_path: Path, busy: str, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[list[str]] = []
    server = serve_control(settings_of(tmp_path, addresses=(busy,)), FakeBackend(), lambda all_: said.append([*all_]))
    assert server is not None
    server.close(0.0)
    [(level, message)] = complaints(caplog)
    assert level == "ERROR" and busy in message and "grpc.addresses" in message
    [[sentence]] = said
    assert busy in sentence


def test_busy_defaults_are_one_warning(
    tmp_path: Path, busy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        defaults = (busy, f"[::1]:{other.getsockname()[1]}", "192.0.2.1:1")
        monkeypatch.setattr(serving, "DEFAULT_GRPC_ADDRESSES", defaults)
        said: list[object] = []
        server = serve_control(settings_of(tmp_path, addresses=defaults), FakeBackend(), said.append)
    assert server is not None and said == [[]]
    server.close(0.0)
    [(level, message)] = complaints(caplog)
    assert level == "WARNING"
    assert all(address in message for address in defaults[:2])


def test_a_machine_without_ipv6_has_the_other_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after ``mount --grpc-port``, which names both; of an address of its own nobody knows that it is not needed."""

    def trouble_with(address: Address) -> Trouble | None:
        return Trouble(address, f"{address} is not here", "", True) if address.host == "::1" else None

    monkeypatch.setattr(listening, "trouble_with", trouble_with)
    first, second = free_port(), free_port()
    said: list[list[str]] = []
    settings = settings_of(tmp_path, addresses=(f"127.0.0.1:{first}", f"[::1]:{first}", f"[::1]:{second}"))
    server = serve_control(settings, FakeBackend(), lambda all_: said.append([*all_]))
    assert server is not None
    server.close(0.0)
    assert said == [[f"[::1]:{second} is not here"]]
    assert len(complaints(caplog)) == 1


def test_a_token_that_others_can_read_closes_the_ports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "token").write_text("x" * 43)
    (tmp_path / "state" / "token").chmod(0o644)
    said: list[list[str]] = []
    settings = settings_of(tmp_path, addresses=(f"127.0.0.1:{free_port()}",))
    server = serve_control(settings, FakeBackend(), lambda all_: said.append([*all_]))
    assert server is not None and server.addresses == ()
    with Client(server.socket_path) as client:
        assert client.status() == STATUS
    server.close(0.0)
    [(level, message)] = complaints(caplog)
    assert level == "ERROR" and "chmod 600" in message and "x" * 43 not in message
    assert "can be read by others" in said[0][0]


def test_without_a_socket_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "x" * 200)
    assert serve_control(settings_of(tmp_path, addresses=()), FakeBackend(), print) is None
    assert "107 are possible" in caplog.text
