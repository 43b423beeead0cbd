"""What a daemon can be asked, as a Protocol over frozen values; nothing of gRPC in it.

The keeper implements :class:`Backend`; ``server`` translates between it and the wire, and ``client`` gives the same values
back to the command line. Paths are text as the origin has it, with surrogate escapes for bytes that are not UTF-8; on
the wire such bytes become ``\\xNN``, so a client sees them that way, and may name virtual paths that way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from musicfs.api.collections import CollectionsBackend
from musicfs.api.library import LibraryBackend
from musicfs.api.metadata import MetadataBackend
from musicfs.api.search import SearchBackend
from musicfs.api.service import ServiceBackend
from musicfs.api.trash import TrashBackend
from musicfs.events import Event
from musicfs.model import Health

ANSWER_TIMEOUT_S = 5.0


class MountState(StrEnum):
    """The state of the mount. ``DEGRADED`` means it serves, but something is wrong: see ``Status.detail``."""

    UNKNOWN = "unknown"
    MOUNTING = "mounting"
    READY = "ready"
    SYNCING = "syncing"
    DEGRADED = "degraded"
    UNMOUNTING = "unmounting"


class Phase(StrEnum):
    """The phases of a scan."""

    SCANNING = "scanning"
    HASHING = "hashing"
    INDEXING = "indexing"
    COMPLETE = "complete"


class Work(msgspec.Struct, frozen=True):
    """Something that runs in the background. ``total`` is 0 while it is not known; ``unit`` is what is counted."""

    name: str
    done: int = 0
    total: int = 0
    unit: str = "files"
    detail: str = ""


class OriginStatus(msgspec.Struct, frozen=True):
    """One origin in a :class:`Status`."""

    id: str
    origin_type: str
    health: Health
    files_count: int = 0


class CacheStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the content store holds. Hits and misses are reads of the kernel since the start."""

    limit_bytes: int = 0
    used_bytes: int = 0
    chunk_count: int = 0  # as files name them
    chunks_unique: int = 0
    dedup_ratio: float = 1.0
    hits: int = 0
    misses: int = 0
    edge_bytes: int = 0  # first and last parts of files
    contents: int = 0
    contents_complete: int = 0
    fetched_bytes: int = 0
    saved_bytes: int = 0  # not fetched again after files had changed
    pins: int = 0
    damaged: int = 0
    metadata_entries: int = 0
    metadata_bytes: int = 0
    evictions: int = 0  # how often room was made
    evicted_bytes: int = 0

    @property
    def hit_ratio(self) -> float:
        """The share of reads that needed no origin; 0 before the first."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole state at a glance.

    ``pid`` is the process that holds the mount, ``keeper_pid`` the one that scans. ``files_indexed`` counts audio files of
    all origins, ``tracks`` entries of the tree, ``problems`` what :meth:`Backend.problems` lists; ``crash_reports`` is of the
    last 30 days.
    """

    version: str
    instance: str
    uptime_s: int
    mount_point: str
    state: MountState
    pid: int
    keeper_pid: int = 0
    keeper_restarts: int = 0
    crash_reports: int = 0
    open_file_handles: int = 0
    fuse_ops_total: int = 0
    files_indexed: int = 0
    tracks: int = 0
    problems: int = 0
    cache_size_bytes: int = 0
    cache: CacheStats = CacheStats()
    detail: str = ""
    origins: tuple[OriginStatus, ...] = ()
    work: tuple[Work, ...] = ()


class OriginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One origin in full. ``last_scan_ms`` is when the last complete listing ended (since 1970 UTC), 0 for never."""

    id: str
    origin_type: str
    display_name: str
    root_path: str
    health: Health
    files_count: int = 0
    total_size_bytes: int = 0
    held_removals: int = 0  # files whose removal waits for Backend.confirm
    last_scan_ms: int = 0
    message: str = ""


class OriginHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a probe. ``last_check_s`` is seconds since that probe."""

    origin_id: str
    health: Health
    message: str = ""
    last_check_s: int = 0
    held_removals: int = 0


class SyncedFile(msgspec.Struct, frozen=True):
    """A file that appeared."""

    path: str
    file_id: int = 0
    virtual_path: str = ""


class SyncProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a scan is. ``total`` is 0 while it is not known; the counts are so far, and final in phase ``COMPLETE``."""

    phase: Phase
    current: int = 0
    total: int = 0
    current_path: str = ""
    bytes_synced: int = 0
    added: int = 0
    modified: int = 0
    removed: int = 0
    failed: int = 0
    new_files: tuple[SyncedFile, ...] = ()


class ProblemFile(msgspec.Struct, frozen=True):
    """A file that could not be read or understood, with the reason for people."""

    origin_id: str
    path: str
    reason: str


class ProblemPage(msgspec.Struct, frozen=True):
    """Some of the problem files, and how many there are in all."""

    problems: tuple[ProblemFile, ...]
    total: int


class Tier(StrEnum):
    """A part of the content store."""

    ALL = ""
    EDGES = "edges"  # first and last parts of files
    MAIN = "main"


class Cleared(msgspec.Struct, frozen=True):
    """What was removed from the content store, or would have been."""

    size_bytes: int = 0
    pieces: int = 0


class PrefetchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a prefetch is, in files."""

    current_path: str = ""
    completed: int = 0
    total: int = 0
    failed: int = 0
    fetched_bytes: int = 0


class PinnedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A pinned file or folder: its files now, their size, and what of it is stored."""

    path: str
    files: int = 0
    size_bytes: int = 0
    cached_bytes: int = 0
    added_ms: int = 0


class PinChange(msgspec.Struct, frozen=True):
    """What pinning or unpinning did."""

    files: int = 0
    size_bytes: int = 0


class VerifyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a verification is, in pieces."""

    checked: int = 0
    total: int = 0
    damaged: int = 0
    complete: bool = False


class Backend(
    MetadataBackend, SearchBackend, CollectionsBackend, LibraryBackend, TrashBackend, ServiceBackend, Protocol
):
    """A running MusicFS, with what it can do about tags, searches, collections, the library, the trash and itself.

    Called from several threads at once; raises MusicFSError and its children.

    Every method that does not return an iterator must return within :data:`ANSWER_TIMEOUT_S`: after that the caller is
    told DEADLINE_EXCEEDED, while the call runs on in a daemon thread.
    """

    def status(self) -> Status:
        """The state now, from counters that are at hand."""
        ...

    def shutdown(self, *, graceful: bool, timeout_s: float) -> None:
        """Begin to end the mount, and return before it has: the server still has to answer.

        ``graceful`` lets reads in flight end, for ``timeout_s`` at most (0: as configured).
        """
        ...

    def origins(self) -> tuple[OriginInfo, ...]:
        """Every configured origin, in the order of the configuration."""
        ...

    def origin_health(self, origin_id: str) -> OriginHealth:
        """Probe the origin now. An unhealthy origin is an answer, not an exception. NotFoundError for an unknown id."""
        ...

    def rescan(self, origin_id: str, subdir: str) -> Iterator[SyncProgress]:
        """Scan the origin, or the folder ``subdir`` of it; the last item has phase ``COMPLETE``.

        NotFoundError for an unknown id or folder, at the first item at the latest. A scan that already runs is joined. Yields
        at least once a second, so that a caller who left is noticed; closing the iterator does not end the scan.
        """
        ...

    def confirm(self, origin_id: str) -> int:
        """Carry out the held removals of the origin; how many files that were. NotFoundError for an unknown id."""
        ...

    def problems(self, origin_id: str, start: int, stop: int) -> ProblemPage:
        """Problem files ``[start, stop)`` in a stable order, of one origin or (empty id) of all."""
        ...

    def events(self, types: Sequence[str], origin_id: str) -> Iterator[Event | None]:
        """What happens from now on, of these types (none: all) and origin (empty: all); None at least once a second.

        ConfigError for a type that there is not, at the first item at the latest.
        """
        ...

    def metrics(self) -> str:
        """All metrics, in the text format of Prometheus (version 0.0.4). Raises StoreError."""
        ...

    def cache_stats(self) -> CacheStats:
        """What the content store holds now."""
        ...

    def clear_cache(self, origin_id: str, tier: Tier, *, dry_run: bool) -> Cleared:
        """Remove content, of one origin or (empty id) of all; pinned content stays. NotFoundError for an unknown id."""
        ...

    def prefetch(self, paths: Sequence[str], origin_id: str, query: str) -> Iterator[PrefetchProgress]:
        """Fetch what these virtual paths lead to; yields at least once a second, and ends when it is closed.

        With a query only tracks that match it, of all if there are no paths. NotFoundError for an unknown path or id,
        ConfigError with the column for a query that makes no sense, at the first item at the latest.
        """
        ...

    def pin(self, paths: Sequence[str], query: str) -> PinChange:
        """Keep what these virtual paths lead to. NotFoundError for an unknown path: then nothing is pinned.

        With a query, pin each track below the paths (none: all) that matches it now; the query itself is not kept.
        """
        ...

    def unpin(self, paths: Sequence[str], query: str) -> PinChange:
        """Keep it no longer. NotFoundError for a path that is not pinned.

        With a query, of these pins (none: all) those that have tracks, all of which match it now.
        """
        ...

    def pins(self) -> tuple[PinnedPath, ...]:
        """Everything that is pinned, in the order of paths."""
        ...

    def verify_cache(self) -> Iterator[VerifyProgress]:
        """Check every byte of the store and remove what is damaged; yields at least once a second."""
        ...
