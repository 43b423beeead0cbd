"""The ports of the control interface: whether the daemon has them or can have them, and its token and certificate."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn
from musicfs.config.addresses import Address, parse_address
from musicfs.config.settings import DEFAULT_GRPC_ADDRESSES, Settings
from musicfs.errors import ConfigError

_CHECK = "control"
_DAY_S = 86_400
_WARN_DAYS = 30
_RENEW = "renew it in place: the daemon takes over what the files hold then"
_ANYBODY = 0o007  # a group may well be meant to read keys
_ANSWER_S = 2.0  # whoever else has the port may never answer


def ports(examination: Examination) -> Iterator[Finding]:
    """Every address is listened on by our daemon, or free; what is busy by default costs nobody the mount."""
    settings = examination.settings
    if not settings.grpc.addresses:
        yield ok(_CHECK, "the socket only; grpc.addresses names no port")
        return
    for text in settings.grpc.addresses:
        try:
            address = parse_address(text)
        except ValueError:
            continue  # said of the configuration
        yield _port(settings, address)
    yield from _token(settings)
    yield from _certificate(settings, examination.system.now_s)


def _port(settings: Settings, address: Address) -> Finding:
    from musicfs.api.tcp import trouble_with

    trouble = trouble_with(address)
    if trouble is None:
        return ok(_CHECK, f"{address} is free")
    is_default = settings.grpc.addresses == DEFAULT_GRPC_ADDRESSES
    if trouble.is_missing and is_default:
        return ok(_CHECK, f"{address} is left out: {trouble.message}")
    if _is_ours(settings, address):
        return ok(_CHECK, f"answers on {address}")
    return (warn if is_default else fail)(_CHECK, trouble.message, trouble.remedy)


def _is_ours(settings: Settings, address: Address) -> bool:
    """Whether the daemon of these settings answers there; for what takes TLS, whether one runs that may."""
    from musicfs.api.client import Client
    from musicfs.api.endpoint import Endpoint
    from musicfs.cli.invocation import is_alive
    from musicfs.errors import MusicFSError

    if not address.is_loopback:
        return is_alive(settings.cache_dir)
    try:
        with Client(Endpoint(address=address), timeout_s=_ANSWER_S) as client:
            return client.status().instance == settings.instance
    except MusicFSError:
        return False


def _token(settings: Settings) -> Iterator[Finding]:
    from musicfs.api.tokens import load_token, token_path

    path = token_path(settings.grpc.token_file, settings.state_dir)
    if not os.path.lexists(path):
        yield ok(_CHECK, f"a token will be made in {path}")
        return
    try:
        load_token(path)
    except ConfigError as error:
        yield fail(_CHECK, str(error), error.remedy)
    else:
        yield ok(_CHECK, f"the token in {path} can be read by its owner only")


def _certificate(settings: Settings, now_s: float) -> Iterator[Finding]:
    grpc = settings.grpc
    if not (grpc.tls_cert and grpc.tls_key):
        return
    from musicfs.api.certificates import check_certificate

    try:
        check_certificate(grpc.tls_cert, grpc.tls_key)
        yield _validity(grpc.tls_cert, now_s)
        if os.stat(grpc.tls_key).st_mode & _ANYBODY:
            yield fail(
                _CHECK,
                f"the key {grpc.tls_key} can be read by everybody on this machine",
                f"chmod 640 {grpc.tls_key}, and make another key if somebody may have seen it",
            )
    except ConfigError as error:
        yield fail(_CHECK, str(error), error.remedy)


def _validity(path: str, now_s: float) -> Finding:
    from musicfs.api.validity import validity_of

    found = validity_of(path)
    start, stop = (time.strftime("%Y-%m-%d", time.gmtime(moment_s)) for moment_s in (found.start_s, found.stop_s))
    if now_s < found.start_s:
        return fail(_CHECK, f"{path} is not good before {start}", "look at the clock of this machine")
    if now_s > found.stop_s:
        return fail(_CHECK, f"{path} has expired on {stop}", _RENEW)
    days = int((found.stop_s - now_s) / _DAY_S)
    if days < _WARN_DAYS:
        return warn(_CHECK, f"{path} expires on {stop}, in {days} days", _RENEW)
    return ok(_CHECK, f"{path} is a certificate with its key, good until {stop}")
