"""Where a client finds a daemon: a Unix socket, a port of this machine, or a port of any machine with TLS."""

from __future__ import annotations

import os

import msgspec

from musicfs.config.addresses import Address, parse_address
from musicfs.errors import ConfigError

_REMEDY = "give unix:///run/musicfs/musicfs.sock, 127.0.0.1:50052 or https://HOST:PORT"


class Endpoint(msgspec.Struct, frozen=True):
    """``socket_path``, absolute, or else ``address``, with or without TLS."""

    socket_path: str = ""
    address: Address = Address("", 0)
    has_tls: bool = False

    def __str__(self) -> str:
        return self.socket_path or (f"https://{self.address}" if self.has_tls else str(self.address))


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that ``text`` writes.

    ``unix:///run/x.sock``, ``unix:x.sock`` or a path are sockets; ``HOST:PORT`` and ``http://HOST:PORT`` are ports of this
    machine, as what is sent could be read on the way to another; ``https://HOST:PORT`` is any. Raises ConfigError for
    everything else.
    """
    if text.startswith(("/", "./", "../")):
        return Endpoint(os.path.abspath(text))
    scheme, separator, rest = text.partition(":")
    if separator and scheme == "unix":
        return Endpoint(os.path.abspath(rest.removeprefix("//") if rest.startswith("///") else rest))
    if separator and scheme in ("http", "https") and rest.startswith("//"):
        return _network(text, rest[2:].removesuffix("/"), has_tls=scheme == "https")
    if not text or "://" in text:
        raise ConfigError(f'endpoint "{text}" is not supported', remedy=_REMEDY)
    if separator and "/" not in text and text.rpartition(":")[2].isdecimal():
        return _network(text, text, has_tls=False)
    return Endpoint(os.path.abspath(text))


def _network(text: str, place: str, *, has_tls: bool) -> Endpoint:
    try:
        address = parse_address(place)
    except ValueError as error:
        raise ConfigError(f'endpoint "{text}" is not supported: {place} {error}', remedy=_REMEDY) from None
    if not (has_tls or address.is_loopback):
        raise ConfigError(
            f'endpoint "{text}" is another machine, and the way there can be read by others',
            remedy=f"use https://{address}; or forward the port, as with `ssh -L 50052:127.0.0.1:50052`",
        )
    return Endpoint(address=address, has_tls=has_tls)
