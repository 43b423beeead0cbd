"""The dates of certificates, against what OpenSSL says of them."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.api.validity import validity_of
from musicfs.errors import ConfigError
from tests.api.network import make_certificate


def dates(path: Path) -> tuple[float, float]:
    """What openssl says."""
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-startdate", "-enddate", "-in", str(path)],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    start, stop = (line.partition("=")[2] for line in done.stdout.splitlines())
    return ssl.cert_time_to_seconds(start), ssl.cert_time_to_seconds(stop)


@pytest.mark.parametrize("days", [1, 365, 20_000])  # the last is beyond 2049, and written in another way
def test_dates(tmp_path: Path, days: int) -> None:
    made = make_certificate(tmp_path, days=days)
    found = validity_of(str(made.path))
    assert (found.start_s, found.stop_s) == dates(made.path)
    assert found.stop_s - found.start_s == days * 86_400


def test_the_first_of_a_chain_counts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = make_certificate(tmp_path / "a", days=3), make_certificate(tmp_path / "b", days=9)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        b"subject=CN=x\n" + first.key_path.read_bytes() + first.path.read_bytes() + second.path.read_bytes()
    )
    assert validity_of(str(chain)) == validity_of(str(first.path))


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("pem")).path


@given(data=st.data())
def test_what_is_damaged_is_an_error_or_has_dates(pem: Path, data: st.DataObject) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(pem.read_text()))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    damaged = pem.with_suffix(".damaged")
    damaged.write_text(ssl.DER_cert_to_PEM_cert(bytes(der[: data.draw(st.integers(0, len(der)))])))
    try:
        validity_of(str(damaged))
    except ConfigError as error:
        assert str(damaged) in str(error)


def test_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("nonsense")
    with pytest.raises(ConfigError, match="no certificate"):
        validity_of(str(path))
