"""The contract every origin keeps: the one thing the rest of the house knows about where bytes come from.

An origin is read-only, addressed by relative ``/``-separated paths, safe to call from many threads, and raises only
:class:`~musicfs.errors.OriginError` and its children; exceptions of an SDK are mapped once, in the origin's own file.
``musicfs.testing.origin_suite`` is the contract as tests; every origin and every wrapper passes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from musicfs.model import Entry


class RangeCost(Enum):
    """What one ranged read costs: decides how a scan and read-ahead are shaped."""

    FREE = "free"  # a system call
    ROUND_TRIP = "round_trip"  # a network round trip


class Caps(msgspec.Struct, frozen=True):
    """What an origin can do and what it guarantees."""

    parallel: int  # reads that may usefully run at once
    range_cost: RangeCost
    stable_version: bool  # equal versions prove equal bytes (an ETag does, size + mtime do not quite)
    slow_stat: bool  # stat costs a round trip: prefer listings
    case_sensitive: bool


class Folder(msgspec.Struct, frozen=True, gc=False):
    """One folder of a listing with its files; sub-folders follow as their own items.

    ``path`` is empty for the root. ``skipped`` are names that are not served, each with the reason (a FIFO, a link that
    leaves the origin): reported, never opened.
    """

    path: str
    files: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Origin(Protocol):
    """Where original files live."""

    @property
    def id(self) -> str:
        """The id from the configuration."""
        ...

    @property
    def caps(self) -> Caps:
        """Constant for the life of the origin."""
        ...

    def check(self) -> None:
        """Prove that the origin answers now: return, or raise UnreachableError or DeniedError. May block for the timeout."""
        ...

    def list(self, prefix: str = "") -> Iterator[Folder]:
        """Every folder at and below ``prefix``, parents before children, names in byte order; complete, or it raises.

        A prefix that does not exist raises GoneError, after :meth:`check` has proven that the origin itself is there.
        A listing that ends without an exception is complete: only then may absence be taken for deletion.
        """
        ...

    def stat(self, path: str) -> Entry | None:
        """The file at ``path`` now; None if the origin answers and it is not there (or is not a regular file)."""
        ...

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        """Exactly the bytes ``[start, stop)`` of that ``version``, or an exception; never fewer, never of another version.

        Raises ChangedError when the object's version differs from ``version`` (an empty ``version`` accepts any), GoneError,
        DeniedError or UnreachableError; ChangedError too when ``stop`` lies beyond its end.
        """
        ...

    def close(self) -> None:
        """Release connections and descriptors; idempotent."""
        ...


@runtime_checkable
class LocalPaths(Protocol):
    """Optional power: files can be opened by a path of this machine, without going through :meth:`Origin.read`."""

    def local_path(self, path: str) -> bytes:
        """The absolute path in the filesystem's own bytes. Does not check that it exists."""
        ...


class Change(msgspec.Struct, frozen=True, gc=False):
    """A folder in which something changed. ``recursive`` means everything below it must be listed again."""

    folder: str
    recursive: bool = False


@runtime_checkable
class Watchable(Protocol):
    """Optional power: the origin reports changes by itself."""

    def watch(self, on_change: Callable[[Change], None]) -> Watch:
        """Begin to report changes, from a thread of the watcher, until the returned watch is closed. Does not block."""
        ...


class Watch(Protocol):
    """A running watch."""

    @property
    def complete(self) -> bool:
        """False when some folders could not be watched (the system's limit): these must be polled."""
        ...

    def close(self) -> None:
        """Stop and join the watcher's threads; idempotent."""
        ...
