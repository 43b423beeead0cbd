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
    leaves the origin): reported, never opened; an empty name means the folder itself.

    ``complete`` is False when the origin answers but does not show everything here (no permission): what is named is
    true, and nothing is known about any other name at or below ``path``, so none of them may be taken for deleted.

    ``device`` is the filesystem's number where there is one; a folder that differs from its parent is a mount point.
    """

    path: str
    files: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    device: int = 0


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
        """Every folder at and below the folder ``prefix``, depth first; complete, or it raises.

        Parents come before children, siblings in the byte order of their names, files too. A prefix that does not exist
        (or is a file) raises GoneError, after :meth:`check` has proven that the origin itself is there. A listing that
        ends without an exception is complete: only then, and not within a folder that says otherwise
        (:attr:`Folder.complete`), may absence be taken for deletion. Nothing happens before the first item is asked for.
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
        """The absolute path in the filesystem's own bytes, for people and logs. Does not check that it exists."""
        ...

    def open_local(self, path: str, version: str) -> int:
        """A descriptor for reading, proven to be a regular file inside the origin and of ``version``; the caller closes it.

        Never blocks on a FIFO nor opens a device that took the file's place. Raises what :meth:`Origin.read` raises.
        """
        ...


@runtime_checkable
class Anchored(Protocol):
    """Optional power: the origin knows which filesystems it stands on, and can be told so after a restart."""

    def anchor(self) -> bytes:
        """What to keep after a complete listing and to give to ``open_origin`` next time; empty before the first use.

        While what is found differs from it (a disk not mounted, here or on a folder below), the origin is unreachable.
        To accept the new state, open the origin without an anchor.
        """
        ...


class Change(msgspec.Struct, frozen=True, gc=False):
    """A folder in which something changed: its files, or with ``recursive`` everything below it too.

    It may be gone: when listing it raises GoneError, all that was at and below it is gone.
    """

    folder: str
    recursive: bool = False


@runtime_checkable
class Watchable(Protocol):
    """Optional power: the origin reports changes by itself."""

    def watch(self, on_change: Callable[[Change], None]) -> Watch:
        """Begin to report changes, from a thread of the watcher, until the returned watch is closed. Does not block.

        ``on_change`` may block: changes are collected meanwhile. What it raises ends the watch.
        """
        ...


class Watch(Protocol):
    """A running watch."""

    def wait_armed(self, timeout_s: float) -> bool:
        """Block until every change from now on will be reported; False after ``timeout_s``.

        A listing begun after this misses nothing. False at once if the watch has ended.
        """
        ...

    @property
    def unwatched(self) -> tuple[str, ...]:
        """Folders that, with all below them, could not be watched and must be polled; ``("",)`` is the whole origin."""
        ...

    @property
    def complete(self) -> bool:
        """True while nothing needs polling."""
        ...

    def close(self) -> None:
        """Stop and join the watcher's threads, after which nothing is reported; idempotent. Not from ``on_change``."""
        ...
