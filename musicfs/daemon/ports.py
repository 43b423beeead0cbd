"""Ports that another configuration asks for: whether they can be had, and with what token and certificate, said before the
keeper that is to have them starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from musicfs.config.addresses import Address, parse_address
from musicfs.config.settings import Settings
from musicfs.errors import ConfigError, Problem


def busy_ports(old: Settings, new: Settings) -> list[Problem]:
    """What keeps a daemon that has the ports of ``old`` from having those of ``new``. Binds to them for a moment.

    Asks no resolver, which could take longer than who reloads waits: nothing is said of names but ``localhost``.
    """
    from musicfs.api.tcp import trouble_with  # late: the mount process listens nowhere itself

    ours = {address.port for _, address in _addresses(old)}
    found = []
    for place, address in _addresses(new):
        if address.port not in ours and _is_known_here(address):
            trouble = trouble_with(address)
            if trouble is not None and not trouble.is_missing:
                found.append(Problem(place, trouble.message, f"set {place} to a free port, and reload again"))
    return found


def unusable_files(settings: Settings) -> list[Problem]:
    """What is wrong with the files that the ports take: the token, unless it is still to be made, and the certificate."""
    from musicfs.api.certificates import check_certificate  # late, as above
    from musicfs.api.tokens import load_token, token_path

    grpc, found = settings.grpc, []
    token = token_path(grpc.token_file, settings.state_dir)
    try:
        if grpc.addresses and os.path.lexists(token):
            load_token(token)
    except ConfigError as error:
        found.append(Problem("grpc.token_file", f"no port: {error}", error.remedy))
    try:
        if grpc.tls_cert and not all(parse_address(text).is_loopback for text in grpc.addresses):
            check_certificate(grpc.tls_cert, grpc.tls_key)
    except ConfigError as error:
        found.append(Problem("grpc.tls_cert", f"nothing but the ports of this machine: {error}", error.remedy))
    return found


def _addresses(settings: Settings) -> Iterator[tuple[str, Address]]:
    for text in settings.grpc.addresses:
        yield "grpc.addresses", parse_address(text)
    if settings.metrics.address:
        yield "metrics.address", parse_address(settings.metrics.address)


def _is_known_here(address: Address) -> bool:
    return address.is_loopback or not any(character.isalpha() for character in address.host.partition("%")[0])
