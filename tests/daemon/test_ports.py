"""What keeps ports from being had, as it is said before somebody tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.config.settings import GrpcSettings, Settings
from musicfs.daemon.ports import unusable_files
from tests.api.network import Certificate, make_certificate

FAR = ("127.0.0.1:50152", "192.168.1.2:50152")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def wrong(tmp_path: Path, *addresses: str, tls_cert: Path | str = "", tls_key: Path | str = "") -> list[str]:
    grpc = GrpcSettings(addresses=addresses, tls_cert=str(tls_cert), tls_key=str(tls_key))
    return [one.place for one in unusable_files(Settings(state_dir=str(tmp_path), grpc=grpc))]


def test_a_token(tmp_path: Path) -> None:
    assert wrong(tmp_path, *FAR) == [], "it will be made"
    token = tmp_path / "token"
    token.write_text("a token of this test\n")
    assert wrong(tmp_path, *FAR) == ["grpc.token_file"], "two blanks, and others can read it"
    token.write_text("a-token-of-this-test\n")
    token.chmod(0o600)
    assert wrong(tmp_path, *FAR) == []
    token.chmod(0o640)
    assert wrong(tmp_path, *FAR) == ["grpc.token_file"]
    assert wrong(tmp_path) == [], "nobody asks for it"


def test_a_certificate(made: Certificate, tmp_path: Path) -> None:
    assert wrong(tmp_path, *FAR, tls_cert=made.path, tls_key=made.key_path) == []
    assert wrong(tmp_path, *FAR, tls_cert=made.path, tls_key=made.path) == ["grpc.tls_cert"]
    assert wrong(tmp_path, *FAR, tls_cert=tmp_path / "none", tls_key=made.key_path) == ["grpc.tls_cert"]
    assert wrong(tmp_path, FAR[0], tls_cert=made.path, tls_key=made.path) == [], "this machine's ports take none"
