"""Who has the state: one process at a time, whose version and schema are noted in the file of the lock.

That needs no database to be read, so that a version which cannot read what it finds can say which one can.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re

from musicfs import __version__
from musicfs.errors import StoreError
from musicfs.store.journal import file_error

_FILE = "state.lock"
_WRITER = re.compile(r"MusicFS (\S+) schema (\d{1,9})\n")
_WRITER_BYTES = 200


def hold_state(state_dir: str) -> int:
    """Hold the state for this process; the descriptor is the lock. StoreError if another process has it."""
    path = os.path.join(state_dir, _FILE)
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise file_error(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            message = f"{state_dir} is in use by another MusicFS"
            raise StoreError(message, remedy="stop that one, or give this one a state_dir of its own") from error
        raise file_error(path, error) from error
    return descriptor


def note_writer(lock: int, schema: int) -> None:
    """Say who has the state open, and of which schema it is from now on. What cannot be written is not."""
    with contextlib.suppress(OSError):
        text = f"MusicFS {__version__} schema {schema}\n".encode()
        if os.pread(lock, _WRITER_BYTES, 0) != text:
            os.ftruncate(lock, 0)
            os.pwrite(lock, text, 0)


def forget_writer(lock: int) -> None:
    """What is there now is not what was written last."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)


def read_writer(state_dir: str) -> tuple[str, int]:
    """(version, schema) of who had it last; ``("", 0)`` where nothing says so."""
    try:
        with open(os.path.join(state_dir, _FILE), "rb") as file:
            match = _WRITER.fullmatch(file.read(_WRITER_BYTES).decode("ascii", "replace"))
    except OSError:
        return "", 0
    return (match[1], int(match[2])) if match else ("", 0)
