"""What the keeper answers on the control socket: the Backend of the API over the scanning service and the catalog."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from musicfs import __version__
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
    ProblemPage,
    Status,
    SyncProgress,
    Tier,
    VerifyProgress,
    Work,
)
from musicfs.api.collections import Collection, CollectionPage, CollectionsBackend, CollectionSettings
from musicfs.api.library import LibraryReport
from musicfs.api.metadata import ChangeResult, HistoryItem, MetadataChange, TrackMetadata
from musicfs.api.search import SearchHit, SearchPage
from musicfs.api.service import ServiceBackend
from musicfs.api.trash import TrashBackend, TrashPage, TrashProgress, TrashSelection
from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.cache_control import CacheControl
from musicfs.daemon.crashes import crashes_folder, recent_crashes
from musicfs.daemon.health import HealthMonitor
from musicfs.daemon.library_control import LibraryControl, problem_page
from musicfs.daemon.link import Counters, Start, Stop
from musicfs.daemon.metadata import MetadataControl
from musicfs.daemon.metrics.service import Metrics
from musicfs.daemon.reading import content_path, index_path
from musicfs.daemon.scanning import Job, OriginState, Request, ScanService
from musicfs.daemon.search_control import SearchControl
from musicfs.errors import ConfigError, NotFoundError, StoreError, UnreachableError
from musicfs.events import EVENT_TYPES, Event, EventBus, EventType, stream
from musicfs.library.indexing import Indexer
from musicfs.model import Health
from musicfs.store.catalog import Catalog

_PROGRESS_S = 0.5
_CONFIRM_WAIT_S = 4.0


class KeeperBackend:
    """Answers clients, on gRPC's threads."""

    def __init__(
        self,
        start: Start,
        states: Sequence[OriginState],
        service: ScanService,
        monitor: HealthMonitor,
        cache: CacheControl,
        metadata: MetadataControl,
        search: SearchControl,
        collections: CollectionsBackend,
        trash: TrashBackend,
        events: EventBus,
        catalog: Catalog,
        clock: Clock,
        ask_to_stop: Callable[[Stop], object],
        indexer: Indexer,
        service_control: ServiceBackend,
    ) -> None:
        self._settings: Settings = start.settings
        self._start = start
        self._states: Mapping[str, OriginState] = {state.settings.id: state for state in states}
        self._service = service
        self._monitor = monitor
        self._cache = cache
        self._metadata = metadata
        self._search = search
        self._collections = collections
        self._trash = trash
        self._events = events
        self._catalog = catalog
        self._clock = clock
        self._ask_to_stop = ask_to_stop
        self._indexer = indexer
        self.reload_config = service_control.reload_config
        self.backup = service_control.backup
        self._library = LibraryControl(
            catalog, states, monitor, metadata.held_metadata, clock, covers=self._settings.tree.covers
        )
        self._stopping = False
        self._troubles: tuple[str, ...] = ()
        self.counters = Counters(0, 0)
        self.metrics_source: Metrics | None = None

    def status(self) -> Status:
        totals = self._catalog.totals()
        records = self._catalog.origins()
        work = self._work()
        unhealthy = [one for one, health in self._monitor.health().items() if health is Health.UNHEALTHY]
        held = sum(record.held for record in records.values())
        detail = "; ".join(
            [f"origin {origin_id} cannot be read" for origin_id in unhealthy]
            + ([f"{held} missing files wait for 'musicfs origin confirm'"] if held else [])
            + ([f"the search index {trouble}"] if (trouble := self._indexer.trouble) else [])
            + list(self._troubles)
        )
        return Status(
            version=__version__,
            instance=self._settings.instance,
            uptime_s=max(0, (time.time_ns() - self._start.started_ns) // 1_000_000_000),
            mount_point=self._settings.mount_point,
            state=self._state(bool(work), bool(detail)),
            pid=self._start.mount_pid,
            keeper_pid=os.getpid(),
            keeper_restarts=self._start.restarts,
            crash_reports=len(recent_crashes(crashes_folder(self._settings.state_dir), self._clock.time_ns())),
            open_file_handles=self.counters.open_files,
            fuse_ops_total=self.counters.served,
            files_indexed=totals.files,
            tracks=totals.tracks,
            problems=self._catalog.count_problems(),
            cache_size_bytes=sum(map(_size_of, self._caches)),
            cache=self._cache_at_a_glance(),
            detail=detail,
            origins=tuple(
                OriginStatus(
                    origin_id,
                    state.settings.origin_type,
                    self._monitor.verdict(origin_id).health,
                    records[origin_id].files if origin_id in records else 0,
                )
                for origin_id, state in self._states.items()
            ),
            work=work + self._indexing(),
        )

    def note_troubles(self, troubles: Sequence[str]) -> None:
        """What the status says from now on of where clients cannot reach us."""
        self._troubles = tuple(troubles)

    @property
    def _caches(self) -> Sequence[str]:
        return self._catalog.path, content_path(self._settings), index_path(self._settings)

    def _cache_at_a_glance(self) -> CacheStats:
        """A content store that cannot be read must not make the status unanswerable; ``cache stats`` says what it is."""
        try:
            return self.cache_stats()
        except StoreError:
            return CacheStats()

    def _state(self, working: bool, degraded: bool) -> MountState:
        if self._stopping:
            return MountState.UNMOUNTING
        if working:
            return MountState.SYNCING
        return MountState.DEGRADED if degraded else MountState.READY

    def _work(self) -> tuple[Work, ...]:
        progress = self._service.progress
        if progress is not None:
            done, total = progress.listed, max(progress.expected, progress.listed)
            return (Work(f"scan {progress.origin_id}", done, total, "files", progress.current_path),)
        if self._service.waiting or Health.UNKNOWN in self._monitor.health().values():
            return (Work("scan", detail="waiting"),)
        return ()

    def _indexing(self) -> tuple[Work, ...]:
        """What keeps nobody from using the mount."""
        progress = self._indexer.progress
        return () if progress is None else (Work("index", progress.done, progress.total, "tracks"),)

    def shutdown(self, *, graceful: bool, timeout_s: float) -> None:
        self.note_unmounting()
        self._ask_to_stop(Stop(graceful, timeout_s or self._settings.mount.drain_timeout_s))

    def note_unmounting(self) -> None:
        """The mount has begun to end."""
        self._stopping = True

    def origins(self) -> tuple[OriginInfo, ...]:
        records = self._catalog.origins()
        return tuple(
            OriginInfo(
                id=origin_id,
                origin_type=state.settings.origin_type,
                display_name=origin_id,
                root_path=state.settings.address,
                health=self._monitor.verdict(origin_id).health,
                files_count=records[origin_id].files,
                total_size_bytes=records[origin_id].size_bytes,
                held_removals=records[origin_id].held,
                last_scan_ms=records[origin_id].last_listing_ns // 1_000_000,
                message=self._monitor.verdict(origin_id).message,
            )
            for origin_id, state in self._states.items()
        )

    def origin_health(self, origin_id: str) -> OriginHealth:
        self._lookup(origin_id)
        verdict = self._service.probe(origin_id)
        return OriginHealth(
            origin_id=origin_id,
            health=verdict.health,
            message=verdict.message,
            last_check_s=int(self._clock.monotonic() - verdict.checked_at),
            held_removals=self._catalog.origins()[origin_id].held,
        )

    def rescan(self, origin_id: str, subdir: str) -> Iterator[SyncProgress]:
        state = self._lookup(origin_id)
        folder = subdir.strip("/")
        if folder and self._catalog.folder(state.number, os.fsencode(folder)) is None:
            raise NotFoundError(
                f"origin {origin_id!r} has no folder {subdir!r}", remedy="scan its parent, or all of it"
            )
        job = self._service.request(Request(origin_id, folder))
        return self._follow(job)

    def _follow(self, job: Job) -> Iterator[SyncProgress]:
        while not job.done.wait(_PROGRESS_S):
            progress = self._service.progress
            if progress is None:
                yield SyncProgress(phase=Phase.SCANNING)
                continue
            yield SyncProgress(
                phase=Phase.SCANNING,
                current=progress.listed,
                total=max(progress.expected, progress.listed),
                current_path=progress.current_path,
                added=progress.new,
                removed=progress.removed,
            )
        if job.error is not None:
            raise job.error
        if job.outcome is not None:
            outcome = job.outcome
            yield SyncProgress(
                phase=Phase.COMPLETE,
                current=outcome.listed,
                total=outcome.listed,
                added=outcome.new,
                modified=max(outcome.read - outcome.new, 0),
                removed=outcome.removed,
            )

    def confirm(self, origin_id: str) -> int:
        self._lookup(origin_id)
        held = self._catalog.origins()[origin_id].held
        if (
            held or self._monitor.verdict(origin_id).failures
        ):  # another disk under the path is confirmed in the same way
            self._service.request(Request(origin_id, confirmed=True)).done.wait(_CONFIRM_WAIT_S)
        return held

    def problems(self, origin_id: str, start: int, stop: int) -> ProblemPage:
        if origin_id:
            self._lookup(origin_id)
        ids = {state.number: state.settings.id for state in self._states.values()}
        return problem_page(self._catalog, ids, origin_id, start, stop)

    def events(self, types: Sequence[str], origin_id: str) -> Iterator[Event | None]:
        unknown = [name for name in types if name not in EVENT_TYPES]
        if unknown:
            raise ConfigError(f"there are no events {unknown[0]!r}", remedy=f"the types are: {', '.join(EVENT_TYPES)}")
        if origin_id:
            self._lookup(origin_id)
        origins = (origin_id,) if origin_id else ()
        return stream(self._events.subscribe(tuple(map(EventType, types)), origins), _PROGRESS_S)

    def metrics(self) -> str:
        if self.metrics_source is None:
            raise UnreachableError("the daemon is starting")
        return self.metrics_source.text()[0].decode()

    # The content cache.

    def cache_stats(self) -> CacheStats:
        totals = self._catalog.totals()
        stats = self._cache.stats(self.counters)
        return msgspec.structs.replace(
            stats, metadata_entries=totals.files, metadata_bytes=_size_of(self._catalog.path)
        )

    def clear_cache(self, origin_id: str, tier: Tier, *, dry_run: bool) -> Cleared:
        if origin_id:
            self._lookup(origin_id)
        return self._cache.clear(origin_id, tier, dry_run=dry_run)

    def prefetch(self, paths: Sequence[str], origin_id: str, query: str) -> Iterator[PrefetchProgress]:
        if origin_id:
            self._lookup(origin_id)
        return self._cache.prefetch(paths, origin_id, query)

    def pin(self, paths: Sequence[str], query: str) -> PinChange:
        return self._cache.pin(paths, query)

    def unpin(self, paths: Sequence[str], query: str) -> PinChange:
        return self._cache.unpin(paths, query)

    def pins(self) -> tuple[PinnedPath, ...]:
        return self._cache.pins()

    def verify_cache(self) -> Iterator[VerifyProgress]:
        return self._cache.verify()

    # Tags.

    def metadata(self, path: str, file_id: int) -> TrackMetadata:
        return self._metadata.metadata(path, file_id)

    def tracks(self, paths: Sequence[str], query: str) -> Iterator[TrackMetadata | None]:
        return self._metadata.tracks(paths, query)

    def change_metadata(
        self, changes: Sequence[MetadataChange], *, query: str, action: str, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        return self._metadata.change_metadata(changes, query=query, action=action, author=author, dry_run=dry_run)

    def undo_metadata(
        self, paths: Sequence[str], *, steps: int, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        return self._metadata.undo_metadata(paths, steps=steps, author=author, dry_run=dry_run)

    def held_metadata(self) -> Iterator[TrackMetadata | None]:
        return self._metadata.held_metadata()

    def metadata_log(self, path: str, limit: int) -> tuple[HistoryItem, ...]:
        return self._metadata.metadata_log(path, limit)

    # Searches and collections.

    def search(self, query: str, origin_id: str, limit: int, offset: int) -> SearchPage:
        return self._search.search(query, origin_id, limit, offset)

    def search_all(self, query: str, origin_id: str, limit: int, offset: int) -> Iterator[SearchHit | None]:
        return self._search.search_all(query, origin_id, limit, offset)

    def collections(self) -> tuple[Collection, ...]:
        return self._collections.collections()

    def collection(self, name: str, start: int, stop: int) -> CollectionPage:
        return self._collections.collection(name, start, stop)

    def create_collection(self, name: str, settings: CollectionSettings, *, replace: bool) -> Collection:
        return self._collections.create_collection(name, settings, replace=replace)

    def delete_collection(self, name: str) -> None:
        self._collections.delete_collection(name)

    # Deleted tracks.

    def trash(self, selection: TrashSelection, start: int, stop: int) -> TrashPage:
        return self._trash.trash(selection, start, stop)

    def restore_trash(self, selection: TrashSelection) -> Iterator[TrashProgress]:
        return self._trash.restore_trash(selection)

    def empty_trash(self, selection: TrashSelection, *, restored: bool, dry_run: bool) -> Iterator[TrashProgress]:
        return self._trash.empty_trash(selection, restored=restored, dry_run=dry_run)

    def library_health(self, kinds: Sequence[str], origin_id: str, limit: int) -> Iterator[LibraryReport]:
        return self._library.library_health(kinds, origin_id, limit)

    def _lookup(self, origin_id: str) -> OriginState:
        state = self._states.get(origin_id)
        if state is None:
            raise NotFoundError(
                f"there is no origin {origin_id!r}", remedy=f"the origins are: {', '.join(self._states) or 'none'}"
            )
        return state


def _size_of(folder: str) -> int:
    if not os.path.isdir(folder):
        return 0
    size_bytes = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # the index replaces its files
                size_bytes += entry.stat().st_blocks * 512 if entry.is_file() else 0
    return size_bytes
