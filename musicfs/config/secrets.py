"""Secrets by reference: settings say where a password is kept, and it is looked up when it is needed.

What is looked up is never kept in settings, written to a log, or part of an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from musicfs.errors import ConfigError

_MAX_FILE_BYTES = 64 * 1024


def lookup_secret(reference: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret that ``env:NAME``, ``file:PATH`` (without the newline at its end) or ``keyring:SERVICE/USER`` names.

    Empty for an empty reference. Raises ConfigError when it is not there, or when others may read the file. Reads a file or
    asks the desktop's keyring, which may wait for its user.
    """
    if not reference:
        return ""
    kind, _, name = reference.partition(":")
    if kind == "env":
        if name not in environment:
            raise ConfigError(f"the environment variable {name} is not set", remedy="set it where MusicFS is started")
        return environment[name]
    if kind == "file":
        return _from_file(os.path.expanduser(name))
    if kind == "keyring":
        return _from_keyring(*name.split("/", 1))
    raise ConfigError(f"a secret is kept in {kind!r}", remedy="use env:NAME, file:PATH or keyring:SERVICE/USER")


def _from_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError(f"the secret in {path} cannot be read: {error.strerror}", remedy="check the file") from error
    if mode & 0o077:
        raise ConfigError(f"the secret in {path} can be read by others", remedy=f"chmod 600 {path}")
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"the secret in {path} is not UTF-8", remedy="save the file as UTF-8") from error


def _from_keyring(service: str, user: str) -> str:
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
    return found
