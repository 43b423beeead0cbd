"""Addresses of this machine's network listeners, as a configuration writes them: ``127.0.0.1:50052``, ``[::1]:50052``.

Names are taken as they are, and resolved by whoever listens or connects. Nothing here touches the network.
"""

from __future__ import annotations

import re

import msgspec

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})\Z")
_MAX_PORT = 65535


class Address(msgspec.Struct, frozen=True):
    """A host, by its number or its name and without brackets, and a port; 0 as a port is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than ``localhost`` may stand for anything."""
        import ipaddress  # late: every command reads a configuration, few look at an address

        try:
            number = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower().rstrip(".") == "localhost"
        mapped = getattr(number, "ipv4_mapped", None)
        return (mapped or number).is_loopback


def parse_address(text: str) -> Address:
    """The address that ``text`` writes. Raises ValueError, whose text is the end of a sentence that says what is wrong."""
    match = _ADDRESS.match(text)
    if match is None:
        raise ValueError("is not HOST:PORT or [IPV6]:PORT")
    number, name, port = match.groups()
    if not 1 <= int(port) <= _MAX_PORT:
        raise ValueError(f"has no port from 1 to {_MAX_PORT}")
    host = number or name
    if number or re.fullmatch(r"[0-9.]+", host):
        import ipaddress

        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ValueError("has no valid IP address") from error
    return Address(host, int(port))
