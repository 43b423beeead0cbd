"""What ``doctor`` and ``config check`` say of ports, token and certificate."""

from __future__ import annotations

import json
import socket as sockets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from musicfs.api.client import Client
from musicfs.cli.doctor import network
from musicfs.cli.doctor.finding import Examination, Finding, System
from musicfs.config.settings import GrpcSettings, Settings
from musicfs.errors import NoDaemonError
from tests.api.backend import STATUS, FakeBackend
from tests.api.network import Certificate, free_port, listening, make_certificate
from tests.cli.conftest import Run


def no_daemon() -> Client:
    raise NoDaemonError("none")


def look(tmp_path: Path, *addresses: str, days: float = 0, **grpc: str) -> list[Finding]:
    """What is found, in so many days."""
    settings = Settings(
        cache_dir=str(tmp_path / "cache"),
        state_dir=str(tmp_path / "state"),
        grpc=GrpcSettings(addresses=addresses, **grpc),  # type: ignore[arg-type] # strings all
    )
    system = System(now_s=time.time() + days * 86_400)
    return list(network.ports(Examination(settings, no_daemon, {}, system)))


def files_of(made: Certificate) -> dict[str, Any]:
    return {"tls_cert": str(made.path), "tls_key": str(made.key_path)}


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level.value for finding in findings]


@pytest.fixture
def busy() -> Iterator[str]:
    with sockets.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_free_ports_are_as_they_should_be(tmp_path: Path) -> None:
    assert levels(look(tmp_path)) == ["ok"]
    assert levels(look(tmp_path, f"127.0.0.1:{free_port()}", f"[::1]:{free_port()}")) == ["ok", "ok", "ok"]


def test_a_busy_port_is_worse_when_it_was_asked_for(tmp_path: Path, busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [port, _token] = look(tmp_path, busy)
    assert port.level.value == "fail" and busy in port.message and "grpc.addresses" in port.remedy
    monkeypatch.setattr(network, "DEFAULT_GRPC_ADDRESSES", (busy,))
    assert levels(look(tmp_path, busy)) == ["warn", "ok"]


def test_the_port_of_the_daemon_itself(tmp_path: Path) -> None:
    with listening(FakeBackend(), tmp_path) as server:
        [port, _token] = look(tmp_path, str(server.addresses[0]))
        assert port.level.value == "fail"  # another instance
    backend = FakeBackend(state=msgspec.structs.replace(STATUS, instance="musicfs"))
    with listening(backend, tmp_path) as server:
        [port, _token] = look(tmp_path, str(server.addresses[0]))
        assert (port.level.value, port.message) == ("ok", f"answers on {server.addresses[0]}")


def test_a_token_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "token").chmod(0o644)
    [_port, token] = look(tmp_path, f"127.0.0.1:{free_port()}", token_file=str(tmp_path / "token"))
    assert token.level.value == "fail" and "chmod 600" in token.remedy
    (tmp_path / "token").chmod(0o600)
    assert levels(look(tmp_path, f"127.0.0.1:{free_port()}", token_file=str(tmp_path / "token"))) == ["ok", "ok"]


def test_certificates(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, days=100)
    files = files_of(made)
    address = f"127.0.0.1:{free_port()}"
    assert levels(look(tmp_path, address, **files)) == ["ok", "ok", "ok"]
    made.key_path.write_text("nonsense")
    assert levels(look(tmp_path, address, **files)) == ["ok", "ok", "fail"]
    made.path.unlink()
    [*_, certificate] = look(tmp_path, address, **files)
    assert certificate.level.value == "fail" and str(made.path) in certificate.message


def test_a_certificate_that_expires(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, days=100)
    files = files_of(made)
    address = f"127.0.0.1:{free_port()}"
    for days, level, said in (
        (69.5, "ok", "good until"), (70.5, "warn", "in 29 days"), (99.5, "warn", "in 0 days"), (100.5, "fail", "expired"),
        (-1.0, "fail", "not good before"),
    ):  # fmt: skip
        [*_, certificate] = look(tmp_path, address, days=days, **files)
        assert (certificate.level.value, said in certificate.message) == (level, True), certificate
        assert bool(certificate.remedy) is (level != "ok")


def test_a_key_that_everybody_can_read(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, days=100)
    files = files_of(made)
    address = f"127.0.0.1:{free_port()}"
    made.key_path.chmod(0o640)  # such as Debian's group ssl-cert
    assert levels(look(tmp_path, address, **files)) == ["ok", "ok", "ok"]
    made.key_path.chmod(0o644)
    [*_, key] = look(tmp_path, address, **files)
    assert key.level.value == "fail" and str(made.key_path) in key.message and "chmod" in key.remedy


def test_config_check_says_it_too(run: Run, tmp_path: Path, busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSICFS_GRPC__ADDRESSES")
    file = tmp_path / "c.toml"
    file.write_text(f'[grpc]\naddresses = ["{busy}"]\n')
    done = run("--json", "--config", str(file), "config", "check")
    assert done.code == 0
    [warning] = json.loads(done.out)["warnings"]
    assert busy in warning["message"]
