"""Addresses of listeners: how they are written, which of them other machines can reach, and what that takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.config.addresses import Address, parse_address
from musicfs.config.load import read
from musicfs.config.settings import DEFAULT_GRPC_ADDRESSES, GrpcSettings


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:50052", "127.0.0.1", 50052, True),
        ("127.255.0.9:1", "127.255.0.9", 1, True),
        ("[::1]:65535", "::1", 65535, True),
        ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, True),
        ("localhost:50052", "localhost", 50052, True),
        ("0.0.0.0:50052", "0.0.0.0", 50052, False),
        ("[::]:50052", "::", 50052, False),
        ("[fe80::1%eth0]:50052", "fe80::1%eth0", 50052, False),
        ("192.168.1.2:50052", "192.168.1.2", 50052, False),
        ("[::ffff:192.168.1.2]:80", "::ffff:192.168.1.2", 80, False),
        ("nas.home:50052", "nas.home", 50052, False),
        ("localhost.example:50052", "localhost.example", 50052, False),
    ],
)
def test_addresses(text: str, host: str, port: int, is_loopback: bool) -> None:
    address = parse_address(text)
    assert address == Address(host, port)
    assert address.is_loopback is is_loopback
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", ":50052", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:50052", "[::1]", "[127.0.0.1]x:1",
     "127.1:50052", "256.0.0.1:1", "[::g]:1", "a b:1", "http://127.0.0.1:1", "127.0.0.1:1\n", "[::1]:-1", "x" * 5000],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def check(tmp_path: Path, table: str, environment: dict[str, str] | None = None) -> tuple[GrpcSettings, list[str]]:
    file = tmp_path / "config.toml"
    file.write_text(f"[grpc]\n{table}\n")
    found = read(str(file), environment={"HOME": str(tmp_path), **(environment or {})}, flags={}, on_disk=False)
    return found.settings.grpc, [str(problem) for problem in found.problems]


def test_the_defaults_can_be_reached_by_this_machine_alone(tmp_path: Path) -> None:
    grpc, problems = check(tmp_path, "")
    assert problems == []
    assert grpc.addresses == DEFAULT_GRPC_ADDRESSES
    assert all(parse_address(text).is_loopback for text in grpc.addresses)


@pytest.mark.parametrize("address", ["0.0.0.0:50052", "[::]:50052", "192.168.1.2:50052", "nas.home:50052"])
def test_other_addresses_take_tls(tmp_path: Path, address: str) -> None:
    _, [problem] = check(tmp_path, f'addresses = ["127.0.0.1:1", "{address}"]')
    assert f'"{address}"' in problem and "config.toml:2" in problem
    assert "tls_cert" in problem and "127.0.0.1" in problem
    grpc, problems = check(tmp_path, f'addresses = ["{address}"]\ntls_cert = "c.pem"\ntls_key = "~/k.pem"')
    assert problems == []
    assert (grpc.tls_cert, grpc.tls_key) == (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))


@pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
def test_one_of_the_two_files_is_not_enough(tmp_path: Path, name: str) -> None:
    _, problems = check(tmp_path, f'{name} = "x.pem"')
    assert len(problems) == 1 and f"grpc.{name} is of no use" in problems[0]


def test_everything_wrong_is_said(tmp_path: Path) -> None:
    _, problems = check(tmp_path, 'addresses = ["nonsense", "127.0.0.1:5", "127.0.0.1:5", "1.2.3.4:5"]')
    assert len(problems) == 3
    assert "HOST:PORT" in problems[0] and "there twice" in problems[1] and "TLS" in problems[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:1,[::1]:2", ("127.0.0.1:1", "[::1]:2")),
        ("127.0.0.1:1 [::1]:2", ("127.0.0.1:1", "[::1]:2")),
        ("127.0.0.1:1", ("127.0.0.1:1",)),
        (",", ()),
        ("", DEFAULT_GRPC_ADDRESSES),
    ],
)
def test_the_variable(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    grpc, problems = check(tmp_path, "", {"MUSICFS_GRPC__ADDRESSES": text})
    assert problems == []
    assert grpc.addresses == expected
