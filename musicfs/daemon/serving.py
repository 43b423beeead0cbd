"""The control server of the keeper, made from the configuration: socket, ports, token."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from musicfs.api.backend import Backend
from musicfs.api.listening import Network
from musicfs.api.paths import socket_path
from musicfs.api.server import ControlServer
from musicfs.api.tcp import Trouble
from musicfs.api.tokens import load_or_make_token, token_path
from musicfs.config.addresses import Address, parse_address
from musicfs.config.settings import DEFAULT_GRPC_ADDRESSES, Settings
from musicfs.errors import ConfigError, MusicFSError

log = logging.getLogger(__name__)


def serve_control(settings: Settings, backend: Backend, say: Callable[[Sequence[str]], object]) -> ControlServer | None:
    """A server that answers; None, with a line in the log, if not even the socket can be had.

    What keeps it from answering everywhere goes to the log, and to ``say`` if somebody had asked for it: one sentence each.
    """
    # What gRPC itself prints about strangers' nonsense is not for a log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    network, problems = _network(settings)
    server = ControlServer(
        backend,
        socket_path(settings.instance, settings.state_dir, os.environ),
        network=network,
        import_folders=settings.grpc.import_folders,
    )
    try:
        server.start()
    except MusicFSError as error:
        log.error("no control socket: %s; %s", error, error.remedy)
        return None
    has_default = settings.grpc.addresses == DEFAULT_GRPC_ADDRESSES
    troubles = [trouble for trouble in server.troubles if not _is_enough(trouble, server.addresses)]
    say([*problems, *(trouble.message for trouble in troubles if not has_default)])
    if has_default:
        _warn(troubles)
    else:
        for trouble in troubles:
            log.error("no control port: %s; %s", trouble.message, trouble.remedy)
    if server.addresses:
        log.info("answering on %s", ", ".join(map(str, server.addresses)))
    return server


def _network(settings: Settings) -> tuple[Network, list[str]]:
    """Where to listen, and why nowhere: without a token that only its owner knows there is no port."""
    grpc = settings.grpc
    if not grpc.addresses:
        return Network(), []
    try:
        token = load_or_make_token(token_path(grpc.token_file, settings.state_dir))
    except ConfigError as error:
        log.error("no control port: %s; %s", error, error.remedy)
        return Network(), [str(error)]
    addresses = tuple(parse_address(text) for text in grpc.addresses)
    return Network(addresses, token, grpc.tls_cert, grpc.tls_key), []


def _is_enough(trouble: Trouble, addresses: Sequence[Address]) -> bool:
    """Whether nobody misses it: ``[::1]`` on a machine without IPv6, beside the same port of ``127.0.0.1``."""
    near = {address.port for address in addresses if address.is_loopback}
    return trouble.is_missing and trouble.address.is_loopback and trouble.address.port in near


def _warn(troubles: Sequence[Trouble]) -> None:
    """One warning about the defaults, which nobody asked for; a machine without IPv6 is none."""
    busy = [trouble for trouble in troubles if not trouble.is_missing]
    if busy:
        log.warning("no control port: %s; %s", "; ".join(one.message for one in busy), busy[0].remedy)
