"""Servers of gRPC on the socket and on ports: one each for the socket, for this machine and for others, with its own threads.

What gRPC for Python lets nobody see is the descriptor of a connection, and with it the kernel's word on who is behind it
(SO_PEERCRED). Connecting to a Unix socket takes the right to write to it (unix(7)), though: with mode 0600, set before it has
its name, the kernel itself admits its owner and root, and nobody else.

gRPC has one limit for all messages to a server, and refuses a larger one by its length alone, which comes before it: one of
400 MB cost a few MB of memory. So the limit is that of the service that takes covers, 20 MiB. What is refused above the 4 MiB
of the other service is in memory by then, once for each thread that answers at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from musicfs.api.access import Guard, TokenCheck
from musicfs.api.certificates import Certificate
from musicfs.api.limits import MAX_CONCURRENT_CALLS, POOL_SIZE, RequestTimeout, StreamLimit
from musicfs.api.tcp import Trouble, places_of, trouble_with
from musicfs.api.unix_socket import SocketPlace, target
from musicfs.api.wire import MAX_METADATA_MESSAGE_BYTES
from musicfs.config.addresses import Address
from musicfs.errors import ConfigError

if TYPE_CHECKING:
    Handlers = Sequence[grpc.GenericRpcHandler[Any, Any]]  # generic in its stubs alone
Options = tuple[tuple[str, int], ...]

_OPTIONS: Options = (
    ("grpc.max_receive_message_length", MAX_METADATA_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_METADATA_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", MAX_CONCURRENT_CALLS),  # of one connection
)
# What a stranger may keep busy, and how long. Names: grpc/impl/channel_arg_names.h.
_NETWORK_OPTIONS: Options = (
    ("grpc.so_reuseport", 0),  # else two daemons could have one port, and each get some of the calls
    ("grpc.max_allowed_incoming_connections", 256),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.keepalive_time_ms", 60_000),  # a subscriber whose machine is gone is noticed
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
)


@dataclass(frozen=True, slots=True)
class Network:
    """Where to listen beside the socket, and what keeps others out. The files are in PEM."""

    addresses: tuple[Address, ...] = ()
    token: str = ""
    tls_cert: str = ""
    tls_key: str = ""


def listen_on_socket(place: SocketPlace, handlers: Handlers) -> grpc.Server:
    """A server that answers on the socket. Raises as ``ControlServer.start`` says."""
    temporary = place.prepare()
    try:
        server = _server(handlers, [StreamLimit()], _OPTIONS)
        server.add_insecure_port(target(temporary))
        place.publish()
    except BaseException:
        place.discard()
        raise
    server.start()
    return server


class NetworkListener:
    """Listens on as many addresses as it can; ``addresses`` are these, ``troubles`` are about the others."""

    def __init__(self, network: Network, check: TokenCheck, handlers: Handlers) -> None:
        self.addresses: list[Address] = []
        self.troubles: list[Trouble] = []
        self._network = network
        self._check = check
        self._handlers = handlers

    def start(self) -> list[grpc.Server]:
        """The servers, which answer."""
        near = [address for address in self._network.addresses if address.is_loopback]
        far = [address for address in self._network.addresses if not address.is_loopback]
        servers = [self._listen(near, None)] if near else []
        credentials = self._credentials(far) if far else None
        if credentials is not None:
            servers.append(self._listen(far, credentials))
        return [server for server in servers if server is not None]

    def _listen(self, addresses: Sequence[Address], credentials: grpc.ServerCredentials | None) -> grpc.Server | None:
        guard = Guard(self._check, always=credentials is not None)
        server = _server(self._handlers, [guard, StreamLimit(), RequestTimeout()], _OPTIONS + _NETWORK_OPTIONS)
        bound = [place for address in addresses for place in self._bind(server, address, credentials)]
        if not bound:
            return None
        self.addresses += bound
        server.start()
        return server

    def _bind(self, server: grpc.Server, address: Address, credentials: grpc.ServerCredentials | None) -> list[Address]:
        """Where it is listened on, by number and with the port that is meant."""
        trouble = trouble_with(address)
        if trouble is not None:
            self.troubles.append(trouble)
            return []
        bound = []
        for place in places_of(address):
            try:
                if credentials is None:
                    port = server.add_insecure_port(str(place))
                else:
                    port = server.add_secure_port(str(place), credentials)
            except RuntimeError:  # gRPC's only one; what it can be was looked for above
                continue
            bound.append(Address(place.host, port))
        if not bound:
            self.troubles.append(Trouble(address, f"gRPC cannot listen on {address}", "correct grpc.addresses"))
        return bound

    def _credentials(self, addresses: Sequence[Address]) -> grpc.ServerCredentials | None:
        network = self._network
        if not network.token:  # else everybody could make every call
            self.troubles += [Trouble(one, f"there is no token for {one}", "set grpc.token_file") for one in addresses]
            return None
        try:
            return Certificate(network.tls_cert, network.tls_key).credentials()
        except ConfigError as error:
            self.troubles += [Trouble(one, f"{one}: {error}", error.remedy) for one in addresses]
            return None


def _server(
    handlers: Handlers, interceptors: Sequence[grpc.ServerInterceptor[Any, Any]], options: Options
) -> grpc.Server:
    return grpc.server(
        ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="control"),
        handlers=list(handlers),
        interceptors=list(interceptors),
        options=options,
        maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
    )
