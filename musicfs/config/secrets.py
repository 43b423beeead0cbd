"""Secrets by reference: settings say where a password is kept, and it is looked up when it is needed.

What is looked up is a :class:`Secret`, which no text it is put into shows. It is never kept in settings, written to a log, or
part of an error. Should a library put the value itself into a message, :func:`redact` takes it out again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NoReturn

from musicfs.errors import ConfigError

_MAX_FILE_BYTES = 64 * 1024
_SHOWN = "***"
_SHORTEST_REDACTED = 4  # shorter ones would make holes in every line, and protect nothing
# Of this process, as its log is: every value that was ever revealed, in the forms in which it travels.
_revealed: set[str] = set()


class Secret:
    """A password or the like. ``str``, ``repr``, formatting give nothing away; :meth:`reveal` is for who sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value. What is logged from now on has it taken out."""
        if len(self._value) >= _SHORTEST_REDACTED:
            remember(self._value)
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return _SHOWN

    def __repr__(self) -> str:
        return f"Secret({_SHOWN})"

    def __format__(self, _spec: str) -> str:
        return _SHOWN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process")


def remember(value: str) -> None:
    """Have :func:`redact` take this value out too: a token that was made, a header that holds a secret."""
    import base64  # late, both: most mounts know no secret
    from urllib.parse import quote

    raw = value.encode("utf-8", "surrogateescape")
    _revealed.update((value, quote(raw), quote(raw, safe=""), base64.b64encode(raw).decode()))


def redact(text: str) -> str:
    """``text`` without the secrets that this process knows: the second guard of the log."""
    for value in tuple(_revealed):
        if value in text:
            text = text.replace(value, _SHOWN)
    return text


def lookup_secret(reference: str, environment: Mapping[str, str] = os.environ) -> Secret:
    """The secret that ``env:NAME``, ``file:PATH`` (without the newline at its end) or ``keyring:SERVICE/USER`` names.

    Empty (and false) for an empty reference. Raises ConfigError when it is not there, or when others may read the file. Reads
    a file or asks the desktop's keyring, which may wait for its user.
    """
    if not reference:
        return Secret("")
    kind, _, name = reference.partition(":")
    if kind == "env":
        if name not in environment:
            raise ConfigError(f"the environment variable {name} is not set", remedy="set it where MusicFS is started")
        return Secret(environment[name])
    if kind == "file":
        return _from_file(os.path.expanduser(name))
    if kind == "keyring":
        return _from_keyring(*name.split("/", 1))
    raise ConfigError(f"a secret is kept in {kind!r}", remedy="use env:NAME, file:PATH or keyring:SERVICE/USER")


def _from_file(path: str) -> Secret:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError(f"the secret in {path} cannot be read: {error.strerror}", remedy="check the file") from error
    if mode & 0o077:
        raise ConfigError(f"the secret in {path} can be read by others", remedy=f"chmod 600 {path}")
    try:
        return Secret(data.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        # Not as its cause: that error holds the bytes.
        raise ConfigError(f"the secret in {path} is not UTF-8", remedy="save the file as UTF-8") from None


def _from_keyring(service: str, user: str) -> Secret:
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as error:
        raise ConfigError("the keyring needs a package", remedy="pip install 'musicfs[keyring]'") from error
    try:
        found = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise ConfigError(f"the keyring cannot be asked: {type(error).__name__}", remedy="unlock it") from error
    if found is None:
        raise ConfigError(f"the keyring has nothing for {user} at {service}", remedy=f"keyring set {service} {user}")
    return Secret(found)
