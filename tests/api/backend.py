"""A backend whose answers a test sets, and a server in front of it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from musicfs.api.backend import (
    MountState,
    OriginHealth,
    OriginInfo,
    OriginStatus,
    Phase,
    ProblemFile,
    ProblemPage,
    Status,
    SyncedFile,
    SyncProgress,
    Work,
)
from musicfs.api.client import Client
from musicfs.api.server import ControlServer
from musicfs.errors import NotFoundError
from musicfs.model import Health

STATUS = Status(
    version="1.2.3",
    instance="test",
    uptime_s=3723,
    mount_point="/mnt/music",
    state=MountState.SYNCING,
    pid=0,
    keeper_pid=4321,
    keeper_restarts=2,
    open_file_handles=5,
    fuse_ops_total=123456789012,
    files_indexed=1000,
    tracks=998,
    problems=1,
    cache_size_bytes=3 << 30,
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
PROBLEMS = (ProblemFile("nas", "A/broken\udcff.mp3", "no MPEG frame"),)


@dataclass
class FakeBackend:
    """Answers what its attributes say, and raises ``error`` if there is one; ``calls`` notes what was asked."""

    state: Status = STATUS
    steps: tuple[SyncProgress, ...] = SCAN
    error: BaseException | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    blocks: bool = False
    on_shutdown: threading.Event = field(default_factory=threading.Event)

    def _enter(self, *call: object) -> None:
        self.calls.append(call)
        if self.blocks:
            assert self.release.wait(30)
        if self.error is not None:
            raise self.error

    def _known(self, origin_id: str) -> None:
        if origin_id not in {origin.id for origin in ORIGINS}:
            raise NotFoundError(f'there is no origin "{origin_id}"', remedy="`musicfs origin list` shows them")

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


@contextlib.contextmanager
def serving(backend: FakeBackend, path: Path, answer_timeout_s: float = 5.0) -> Iterator[Client]:
    """A client of a server in front of ``backend``, on the socket at ``path``."""
    server = ControlServer(backend, os.fspath(path), answer_timeout_s=answer_timeout_s)
    server.start()
    try:
        with Client(os.fspath(path)) as client:
            yield client
    finally:
        backend.release.set()
        server.close(0.0)
