"""Where an :class:`OSError` of a local filesystem becomes one of our own: the one place that knows errno."""

from __future__ import annotations

import errno
import os

from musicfs.errors import DeniedError, OriginError, UnreachableError

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
DENIED = frozenset({errno.EACCES, errno.EPERM})


def is_absent(error: OSError) -> bool:
    """The path is not there, if the filesystem is: the caller proves that before it believes it."""
    return error.errno in ABSENT


def names_nothing(error: OSError) -> bool:
    """No file can have this path: it is absent, or a loop of links, or longer than the system allows."""
    return error.errno in ABSENT or error.errno in {errno.ELOOP, errno.ENAMETOOLONG}


def is_denied(error: OSError) -> bool:
    """The filesystem refuses this user."""
    return error.errno in DENIED


def origin_error(error: OSError, origin_id: str, path: str) -> OriginError:
    """What ``error`` means for the file or folder at ``path``; empty is the root.

    Everything that is not a refusal is UnreachableError: EIO, ESTALE, ENOTCONN, ETIMEDOUT and whatever else a
    filesystem invents say nothing about what it holds.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    what = f"origin {origin_id!r}: {printable(path) or 'its root folder'}: {reason}"
    if error.errno in DENIED:
        return DeniedError(what, remedy="give the user who mounts the right to read it")
    return UnreachableError(what, remedy="check that the disk or share is mounted and answers")


def printable(path: str) -> str:
    """``path`` with bytes that are not UTF-8 as escapes, fit for messages and logs."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
