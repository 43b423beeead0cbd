"""TCP ports: whether one can be listened on, and who does.

gRPC says of a port that it cannot have no more than that; and it would share one with another process.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import NamedTuple

from musicfs.config.addresses import Address

_CONNECT_TIMEOUT_S = 2.0
_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h


class Trouble(NamedTuple):
    """An address that is not listened on: why, as a sentence, and what can be done about it."""

    address: Address
    message: str
    remedy: str
    # The machine lacks the address itself: some have no IPv6.
    is_missing: bool = False


def places_of(address: Address) -> list[Address]:
    """The addresses by number that ``address`` stands for, one if it is a number itself; asks the resolver for a name.

    Raises OSError for a name that is not known, or one that stands for more than this machine and should not.
    """
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    places = list(dict.fromkeys(Address(str(place[0]), address.port) for _, _, _, _, place in found))
    if address.is_loopback and not all(place.is_loopback for place in places):
        raise OSError(errno.EADDRNOTAVAIL, "it stands for more than this machine")
    return places


def trouble_with(address: Address) -> Trouble | None:
    """Why nobody could begin to listen on ``address``; None if one could. Binds to it, and lets go of it again."""
    try:
        places = places_of(address)
    except OSError as error:
        return Trouble(address, f"{address} cannot be looked up here: {error.strerror}", "correct grpc.addresses")
    troubles = [_trouble_at(address, place) for place in places]
    said = [trouble for trouble in troubles if trouble is not None]
    # A name may stand for an address that this machine lacks, beside another: that is none.
    is_enough = len(said) < len(troubles) and all(trouble.is_missing for trouble in said)
    return None if is_enough or not said else min(said, key=lambda trouble: trouble.is_missing)


def _trouble_at(address: Address, place: Address) -> Trouble | None:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC: closed connections do not count
            probe.bind((place.host, place.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "set grpc.addresses to a free port, or to [] for none; several instances need one each"
            return Trouble(address, f"{address} is in use by another program", remedy)
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return Trouble(address, f"{address} is not an address of this machine", "correct grpc.addresses", True)
        remedy = "choose a port from 1024 on" if error.errno == errno.EACCES else "correct grpc.addresses"
        return Trouble(address, f"{address} cannot be listened on: {error.strerror}", remedy)
    return None


def answers(address: Address) -> bool:
    """Whether somebody accepts connections there. Blocks for two seconds at most for each address of a name."""
    with contextlib.suppress(OSError), socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S):
        return True
    return False


def listener_uid(address: Address) -> int | None:
    """The user who listens on a loopback ``address``, by its number; None if nobody of this network namespace does.

    Others who share the machine may have taken the port: this is asked before a secret is sent there.
    """
    hosts = ["127.0.0.1", "::1"] if address.host.lower() == "localhost" else [address.host]
    # gRPC, like others, listens on IPv4 with a socket of IPv6.
    wanted = {"0.0.0.0", "::", *hosts, *(f"::ffff:{host}" for host in hosts if "." in host and ":" not in host)}
    listed = {_as_listed(host) for host in wanted}
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{name}", encoding="ascii") as lines:
            next(lines)
            for line in lines:
                # proc_net_tcp.txt of the kernel: slot, local address, remote address, state, queues, timer, retransmits, uid
                fields = line.split()
                host, _, port = fields[1].partition(":")
                if fields[3] == _LISTEN and int(port, 16) == address.port and host in listed:
                    found.add(int(fields[7]))
    return found.pop() if len(found) == 1 else None


def _as_listed(host: str) -> str:
    """An IP address as /proc/net/tcp has it: 32-bit words in the machine's order, in hexadecimal."""
    data = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(data) // 4}I", data))
