"""A backend whose answers a test sets, and a server in front of it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from musicfs.api.backend import (
    CacheStats,
    Cleared,
    MountState,
    OriginHealth,
    OriginInfo,
    OriginStatus,
    Phase,
    PinChange,
    PinnedPath,
    PrefetchProgress,
    ProblemFile,
    ProblemPage,
    Status,
    SyncedFile,
    SyncProgress,
    Tier,
    VerifyProgress,
    Work,
)
from musicfs.api.client import Client
from musicfs.api.server import ControlServer
from musicfs.api.service import ReloadOutcome
from musicfs.api.unix_socket import target
from musicfs.errors import NotFoundError
from musicfs.events import Event, EventType
from musicfs.index.parser import parse
from musicfs.model import Health
from tests.api.library_backend import FakeLibrary
from tests.api.metadata_backend import FakeMetadata
from tests.api.search_backend import FakeSearch
from tests.api.trash_backend import FakeTrash

CACHE = CacheStats(
    limit_bytes=10 << 30,
    used_bytes=3 << 29,
    chunk_count=3000,
    chunks_unique=2000,
    dedup_ratio=1.25,
    hits=930,
    misses=70,
    edge_bytes=1 << 28,
    contents=40,
    contents_complete=30,
    fetched_bytes=2 << 30,
    saved_bytes=1 << 20,
    pins=2,
    damaged=1,
    metadata_entries=1000,
    metadata_bytes=5 << 20,
    evictions=4,
    evicted_bytes=3 << 30,
)
RELOADED = ReloadOutcome("/etc/musicfs/home.toml", ("tree.template",), ("cache_dir",))
STATUS = Status(
    version="1.2.3",
    instance="test",
    uptime_s=3723,
    mount_point="/mnt/music",
    state=MountState.SYNCING,
    pid=0,
    keeper_pid=4321,
    keeper_restarts=2,
    crash_reports=1,
    open_file_handles=5,
    fuse_ops_total=123456789012,
    files_indexed=1000,
    tracks=998,
    problems=1,
    cache_size_bytes=3 << 30,
    cache=CACHE,
    detail="first scan",
    origins=(OriginStatus("nas", "local", Health.HEALTHY, 1000), OriginStatus("usb", "local", Health.UNHEALTHY)),
    work=(Work("scan of nas", 120, 4000, "files", "Björk/Début"),),
)
ORIGINS = (
    OriginInfo(
        id="nas",
        origin_type="local",
        display_name="nas",
        root_path="/srv/music",
        health=Health.HEALTHY,
        files_count=1000,
        total_size_bytes=5 << 30,
        held_removals=12,
        last_scan_ms=1_700_000_000_000,
    ),
    OriginInfo(
        id="usb",
        origin_type="local",
        display_name="usb",
        root_path="/media/usb",
        health=Health.UNHEALTHY,
        message="the folder is not there",
    ),
)
EVENTS = (
    Event(type=EventType.SYNC_STARTED, time_ms=1_700_000_000_000, origin_id="nas", path="A/\udcff"),
    Event(
        type=EventType.ORIGIN_HEALTH_CHANGED,
        time_ms=1_700_000_001_000,
        origin_id="usb",
        details={"health": "unhealthy", "message": "no answer"},
    ),
    Event(type=EventType.FILE_ADDED, time_ms=1_700_000_002_000, origin_id="nas", path="/A/1.flac", file_id=7),
    Event(type=EventType.GAP, time_ms=1_700_000_003_000, details={"lost": "12"}),
)
SCAN = (
    SyncProgress(phase=Phase.SCANNING, current=0),
    SyncProgress(phase=Phase.SCANNING, current=2, total=4, current_path="A/1.flac"),
    SyncProgress(phase=Phase.INDEXING, current=3, total=4, current_path="A/\x1b[2J\udcff.flac", bytes_synced=9),
    SyncProgress(
        phase=Phase.COMPLETE,
        current=4,
        total=4,
        added=3,
        modified=1,
        removed=2,
        failed=1,
        new_files=(SyncedFile("A/1.flac", 7, "Artist/Album/01 - One.flac"),),
    ),
)
PREFETCH = (
    PrefetchProgress(),
    PrefetchProgress(current_path="/A/B/1\x1b[2J\udcff.flac", total=3),
    PrefetchProgress(current_path="/A/B/2.flac", completed=1, total=3, fetched_bytes=5 << 20),
    PrefetchProgress(completed=2, total=3, failed=1, fetched_bytes=9 << 20),
)
VERIFICATION = (
    VerifyProgress(total=1000),
    VerifyProgress(checked=500, total=1000, damaged=1),
    VerifyProgress(checked=1000, total=1000, damaged=2, complete=True),
)
PINS = (
    PinnedPath(path="/A/B\udcff", files=3, size_bytes=30 << 20, cached_bytes=10 << 20, added_ms=1_700_000_000_000),
    PinnedPath(path="/C", added_ms=1_600_000_000_000),
)
PROBLEMS = (ProblemFile("nas", "A/broken\udcff.mp3", "no MPEG frame"),)


@dataclass
class FakeBackend(FakeMetadata, FakeSearch, FakeLibrary, FakeTrash):
    """Answers what its attributes say, and raises ``error`` if there is one; ``calls`` notes what was asked."""

    state: Status = STATUS
    steps: tuple[SyncProgress, ...] = SCAN
    cache: CacheStats = CACHE
    reloaded: ReloadOutcome = RELOADED
    backed_up: tuple[bytes, ...] = (b"a" * 5, b"b" * (256 << 10))
    prefetched: tuple[PrefetchProgress, ...] = PREFETCH
    verified: tuple[VerifyProgress, ...] = VERIFICATION
    pinned: tuple[PinnedPath, ...] = PINS
    error: BaseException | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    blocks: bool = False
    blocks_search: bool = False
    on_shutdown: threading.Event = field(default_factory=threading.Event)

    def _enter(self, *call: object) -> None:
        self.calls.append(call)
        if self.blocks:
            assert self.release.wait(30)
        if self.error is not None:
            raise self.error

    def _ask(self, *call: object) -> None:
        super()._ask(*call)
        if self.blocks_search:
            assert self.release.wait(30)

    def _known(self, origin_id: str) -> None:
        if origin_id not in {origin.id for origin in ORIGINS}:
            raise NotFoundError(f'there is no origin "{origin_id}"', remedy="`musicfs origin list` shows them")

    @staticmethod
    def _there(paths: Sequence[str]) -> None:
        for path in paths:
            if path.startswith("/nowhere"):
                raise NotFoundError(
                    f"there is no {path!r} in the mount", remedy="give a path from the root of the mount"
                )

    def status(self) -> Status:
        self._enter("status")
        return self.state

    def shutdown(self, *, graceful: bool, timeout_s: float) -> None:
        self._enter("shutdown", graceful, timeout_s)
        self.on_shutdown.set()

    def origins(self) -> tuple[OriginInfo, ...]:
        self._enter("origins")
        return ORIGINS

    def origin_health(self, origin_id: str) -> OriginHealth:
        self._enter("origin_health", origin_id)
        self._known(origin_id)
        origin = next(origin for origin in ORIGINS if origin.id == origin_id)
        return OriginHealth(
            origin_id=origin_id,
            health=origin.health,
            message=origin.message,
            last_check_s=3,
            held_removals=origin.held_removals,
        )

    def rescan(self, origin_id: str, subdir: str) -> Iterator[SyncProgress]:
        self._enter("rescan", origin_id, subdir)
        self._known(origin_id)
        yield from self.steps

    def confirm(self, origin_id: str) -> int:
        self._enter("confirm", origin_id)
        self._known(origin_id)
        return 12

    def problems(self, origin_id: str, start: int, stop: int) -> ProblemPage:
        self._enter("problems", origin_id, start, stop)
        return ProblemPage(PROBLEMS[start:stop], len(PROBLEMS))

    def events(self, types: Sequence[str], origin_id: str) -> Iterator[Event | None]:
        self._enter("events", *types, origin_id)
        for event in EVENTS:
            yield None
            if (not types or event.type in types) and origin_id in ("", event.origin_id):
                yield event

    def metrics(self) -> str:
        self._enter("metrics")
        return "musicfs_tracks 998.0\n"

    def cache_stats(self) -> CacheStats:
        self._enter("cache_stats")
        return self.cache

    def clear_cache(self, origin_id: str, tier: Tier, *, dry_run: bool) -> Cleared:
        self._enter("clear_cache", origin_id, tier, dry_run)
        if origin_id:
            self._known(origin_id)
        return Cleared(120 << 20, 12)

    def prefetch(self, paths: Sequence[str], origin_id: str, query: str) -> Iterator[PrefetchProgress]:
        self._enter("prefetch", *paths, origin_id, *_given(query))
        if origin_id:
            self._known(origin_id)
        self._there(paths)
        yield from self.prefetched

    def pin(self, paths: Sequence[str], query: str) -> PinChange:
        self._enter("pin", *paths, *_given(query))
        self._there(paths)
        return PinChange(3, 30 << 20)

    def unpin(self, paths: Sequence[str], query: str) -> PinChange:
        self._enter("unpin", *paths, *_given(query))
        self._there(paths)
        return PinChange(1, 10 << 20)

    def pins(self) -> tuple[PinnedPath, ...]:
        self._enter("pins")
        return self.pinned

    def verify_cache(self) -> Iterator[VerifyProgress]:
        self._enter("verify_cache")
        yield from self.verified

    def reload_config(self) -> ReloadOutcome:
        self._enter("reload_config")
        return self.reloaded

    def backup(self) -> Iterator[bytes]:
        self._enter("backup")
        yield from self.backed_up


def _given(query: str) -> tuple[str, ...]:
    """A query as it is noted: parsed, as a daemon does."""
    if not query:
        return ()
    parse(query)
    return (f"query {query}",)


@contextlib.contextmanager
def serving(
    backend: FakeBackend,
    path: Path,
    answer_timeout_s: float = 5.0,
    import_folders: Sequence[str] = (),
) -> Iterator[Client]:
    """A client of a server in front of ``backend``, on the socket at ``path``."""
    server = ControlServer(backend, os.fspath(path), answer_timeout_s=answer_timeout_s, import_folders=import_folders)
    server.start()
    try:
        with Client(os.fspath(path)) as client:
            yield client
    finally:
        backend.release.set()
        server.close(0.0)


def call(path: Path, method: str, request: Any, answer: Any) -> Any:
    """A unary call of the service ``MusicFS`` past the client, as another program would make it, with gRPC's usual limits."""
    with grpc.insecure_channel(target(str(path))) as channel:
        return channel.unary_unary(
            f"/musicfs.v1.MusicFS/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )(request, timeout=10)
