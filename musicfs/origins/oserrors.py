"""Where an :class:`OSError` of a local filesystem becomes one of our own: the one place that knows errno."""

from __future__ import annotations

import errno
import os

from musicfs.errors import OriginError, UnreachableError
from musicfs.origins.failures import denied, name_of

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
    if error.errno in DENIED:
        return denied(origin_id, path, "give the user who mounts the right to read it, or leave it out with exclude")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UnreachableError(
        f"{name_of(origin_id, path)}: {reason}",
        remedy="check path, and that the disk or share there is mounted and answers",
    )
