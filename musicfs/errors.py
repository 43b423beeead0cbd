"""Every error MusicFS raises on purpose, as one tree.

::

    MusicFSError                 EIO     exit 1
    ├── ConfigError              EINVAL  exit 2   the user's settings: every problem of a file at once
    │   ├── TemplateError        EINVAL  exit 2   a template does not parse; says the column
    │   └── QueryError           EINVAL  exit 2   a query does not parse; says the column
    ├── NotFoundError            ENOENT  exit 4   a named thing does not exist
    ├── ExistsError              EEXIST  exit 1   a name is taken
    ├── NameTooLongError         ENAMETOOLONG     a name that no entry of the mount can have
    ├── NoDaemonError            EIO     exit 3   nothing listens on the control socket
    ├── MountError               EIO     exit 1   the mount point cannot be used
    │   └── AlreadyRunningError  EBUSY   exit 1   another daemon holds the cache; says its pid
    ├── OriginError              EIO     exit 1   an origin failed
    │   ├── UnreachableError     EIO     retryable: network, timeout, missing device
    │   ├── DeniedError          EACCES  the origin refused: credentials or permissions
    │   ├── GoneError            ENOENT  the origin is reachable and says the path does not exist
    │   └── ChangedError         ESTALE  the object is no longer the version that was asked for
    ├── FormatError              EIO     bytes that are not what their container promises
    └── StoreError               EIO     our own files: damaged, of another version, or the disk is full
        ├── SchemaError          EIO     written by another version of MusicFS
        ├── IndexNotReadyError   EAGAIN  retryable: the search index is missing, or being built
        └── DiskFullError        ENOSPC  retryable once there is room

``errno`` is what a filesystem call answers, ``retryable`` whether the same call may succeed later without the user
doing anything, ``exit_code`` what a command returns. Every message is one sentence for a user; ``remedy`` says what to do.
An origin that cannot be reached is never a ``GoneError``: names must not disappear because a network did.
"""

from __future__ import annotations

import errno as _errno
from typing import ClassVar


class MusicFSError(Exception):
    """The root of the tree. ``str(error)`` is the message; ``remedy`` may be empty."""

    errno: ClassVar[int] = _errno.EIO
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Problem:
    """One thing wrong with a configuration: where it stands, what it is, what to write instead."""

    __slots__ = ("message", "place", "suggestion")

    def __init__(self, place: str, message: str, suggestion: str = "") -> None:
        self.place = place
        self.message = message
        self.suggestion = suggestion

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text} ({self.suggestion})" if self.suggestion else text

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


class ConfigError(MusicFSError):
    """The settings cannot be used. ``problems`` lists everything wrong, not only the first thing."""

    errno = _errno.EINVAL
    exit_code = 2

    def __init__(self, message: str, *, remedy: str = "", problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.problems = problems


class TemplateError(ConfigError):
    """A path template does not parse. ``column`` counts characters from 1."""

    def __init__(self, message: str, *, column: int, remedy: str = "") -> None:
        super().__init__(f"column {column}: {message}", remedy=remedy)
        self.column = column


class QueryError(ConfigError):
    """A query does not parse. ``column`` counts characters from 1."""

    def __init__(self, message: str, *, column: int, remedy: str = "") -> None:
        super().__init__(f"column {column}: {message}", remedy=remedy)
        self.column = column


class NotFoundError(MusicFSError):
    """A path, id or origin that was named does not exist."""

    errno = _errno.ENOENT
    exit_code = 4


class ExistsError(MusicFSError):
    """What was to be made is there already, under that name."""

    errno = _errno.EEXIST


class NameTooLongError(MusicFSError):
    """No entry of the mount can have a name of this length."""

    errno = _errno.ENAMETOOLONG


class NoDaemonError(MusicFSError):
    """No daemon answers on the control socket."""

    exit_code = 3


class MountError(MusicFSError):
    """The mount point is missing, not empty, not ours, or FUSE refused it."""


class AlreadyRunningError(MountError):
    """Another daemon holds the lock on this cache directory. ``pid`` is 0 when it could not be read."""

    errno = _errno.EBUSY

    def __init__(self, message: str, *, pid: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.pid = pid


class OriginError(MusicFSError):
    """An origin failed to do what its contract promises."""


class UnreachableError(OriginError):
    """The origin cannot be reached now; nothing is known about what it holds."""

    retryable = True


class DeniedError(OriginError):
    """The origin refused the credentials or the permissions of this user."""

    errno = _errno.EACCES


class GoneError(OriginError):
    """The origin answers, and says that this path does not exist."""

    errno = _errno.ENOENT


class ChangedError(OriginError):
    """The object's version is not the one that was asked for."""

    errno = _errno.ESTALE


class FormatError(MusicFSError):
    """The bytes do not form what their container promises. Formats raise nothing else on malformed input."""


class StoreError(MusicFSError):
    """One of our own files is damaged or unusable."""


class SchemaError(StoreError):
    """The store was written with another schema."""


class IndexNotReadyError(StoreError):
    """There is no search index yet: it is being built."""

    errno = _errno.EAGAIN
    retryable = True


class DiskFullError(StoreError):
    """No room on the device of a store."""

    errno = _errno.ENOSPC
    retryable = True
