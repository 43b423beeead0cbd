"""The token: a secret in a file, which who can read the file sends with a call over the network.

Made at the first start of a daemon, and never changed by us: to have another one, remove the file and start the daemon anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile

from musicfs.errors import ConfigError

TOKEN_NAME = "token"
METADATA_KEY = "authorization"
_SCHEME = "Bearer"
_TOKEN_BYTES = 32  # 256 random bits, as 43 characters
_MIN_CHARACTERS = 16  # of a token that somebody else has made
_MAX_FILE_BYTES = 4096


def token_path(token_file: str, state_dir: str) -> str:
    """Where the token of a daemon with these settings is."""
    return token_file or os.path.join(state_dir, TOKEN_NAME)


def credentials(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call that shows ``token``; none without one."""
    return ((METADATA_KEY, f"{_SCHEME} {token}"),) if token else ()


def shown_token(text: str) -> str:
    """The token in the value of ``authorization``; empty when that is of another kind."""
    scheme, _, token = text.strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME.lower() else ""  # RFC 9110 11.1: the scheme in any case


def load_or_make_token(path: str) -> str:
    """The token in the file at ``path``, which is made, with mode 0600, if it is not there. Raises as :func:`load_token`."""
    if not os.path.lexists(path):
        _make(path)
    return load_token(path)


def load_token(path: str) -> str:
    """The token in the file at ``path``. Raises ConfigError if it cannot be read, others can, or it holds none."""
    try:
        # Whatever is there instead of a file must not keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"the token in {path} cannot be read: {error.strerror}", remedy="check the file") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(
                f"the token {path} is not a file", remedy="move it away: a new one is made at the next start"
            )
        if found.st_mode & 0o077:
            raise ConfigError(
                f"the token in {path} can be read by others",
                remedy=f"remove it and start MusicFS again, which makes another; or chmod 600 {path} if nobody has seen it",
            )
        data = os.read(descriptor, _MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not _MIN_CHARACTERS <= len(token) <= _MAX_FILE_BYTES or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{path} holds no token: one line of at least {_MIN_CHARACTERS} letters and digits",
            remedy="remove it: a new one is made at the next start",
        )
    return token


def _make(path: str) -> None:
    """Make the file in one step: complete, or not at all; one that appears meanwhile is kept."""
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".token-", dir=folder)  # mode 0600
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise ConfigError(
            f"no token can be made in {path}: {error.strerror}", remedy="check the folder, or set grpc.token_file"
        ) from error
