"""Where a command reaches the daemon, and which secret it shows there.

The token of a daemon is sent where its user says so, or to a port of this machine on which the daemon's own user listens:
a port is free for whoever takes it first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from musicfs.api.client import Client, find_socket
from musicfs.api.endpoint import Endpoint, parse_endpoint
from musicfs.api.paths import socket_candidates
from musicfs.api.tcp import listener_uid
from musicfs.api.tokens import load_token, token_path
from musicfs.config.addresses import Address, parse_address
from musicfs.errors import ConfigError, DeniedError, MusicFSError, NoDaemonError

if TYPE_CHECKING:
    from musicfs.config.settings import Settings


def open_endpoint(text: str, token_file: str | None, ca_file: str | None, settings: Callable[[], Settings]) -> Client:
    """A client of the endpoint that the user has given. Raises NoDaemonError if that is a socket and nobody listens.

    ``settings`` are those of a daemon of this machine, for its token if ``token_file`` names none.
    """
    endpoint = parse_endpoint(text)
    if endpoint.socket_path:
        return Client(find_socket((endpoint.socket_path,)))
    token = ""
    if token_file:
        token = load_token(os.path.abspath(token_file))
    elif not endpoint.has_tls:
        token = _own_token(settings(), endpoint.address)
    return Client(endpoint, token=token, ca_file=ca_file or "")


def find_daemon(settings: Settings, environment: Mapping[str, str], token_file: str | None) -> Client:
    """A client of the daemon with these settings: on its socket, else on one of its ports of this machine.

    Raises NoDaemonError, or DeniedError for the socket of another user.
    """
    try:
        return Client(find_socket(socket_candidates(settings.instance, settings.state_dir, environment)))
    except (NoDaemonError, DeniedError):
        client = _on_port(settings, token_file)
        if client is None:
            raise
        return client


def _on_port(settings: Settings, token_file: str | None) -> Client | None:
    for text in settings.grpc.addresses:
        try:
            address = parse_address(text)
        except ValueError:
            continue  # the configuration is wrong, which its own check says
        if not address.is_loopback or listener_uid(address) not in _users(settings):
            continue
        token = load_token(token_file) if token_file else _own_token(settings, address)
        client = Client(Endpoint(address=address), token=token)
        try:
            # Several daemons of one user may have had the default port in turn.
            if client.status().instance == settings.instance:
                return client
        except MusicFSError:
            pass  # another program: there is none of ours here
        client.close()
    return None


def _own_token(settings: Settings, address: Address) -> str:
    """The token of a daemon of this machine, if it is that daemon's user who listens, and if we may read it."""
    if listener_uid(address) not in _users(settings):
        return ""
    with contextlib.suppress(ConfigError):  # without it there is what needs none, and a remedy for the rest
        return load_token(token_path(settings.grpc.token_file, settings.state_dir))
    return ""


def _users(settings: Settings) -> frozenset[int]:
    """Whom we trust on a port: ourselves, and who owns the folder that the daemon keeps its state in."""
    with contextlib.suppress(OSError):
        return frozenset((os.geteuid(), os.stat(settings.state_dir).st_uid))
    return frozenset((os.geteuid(),))
