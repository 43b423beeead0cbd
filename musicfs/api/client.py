"""The control client: the methods of a :class:`~musicfs.api.backend.Backend` over a socket or a port, and its errors back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from musicfs.api import cache_messages, messages
from musicfs.api.backend import (
    CacheStats,
    Cleared,
    OriginHealth,
    OriginInfo,
    PinChange,
    PinnedPath,
    PrefetchProgress,
    ProblemPage,
    Status,
    SyncProgress,
    Tier,
    VerifyProgress,
)
from musicfs.api.collections_client import CollectionsClient
from musicfs.api.connection import START_REMEDY
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.library_client import LibraryClient
from musicfs.api.metadata_client import MetadataClient
from musicfs.api.search_client import SearchClient
from musicfs.api.service_client import ServiceClient
from musicfs.api.trash_client import TrashClient
from musicfs.api.unix_socket import peer
from musicfs.api.wire import wire_paths, wire_text
from musicfs.errors import DeniedError, NoDaemonError
from musicfs.events import Event


def find_socket(candidates: Iterable[str]) -> str:
    """The first of ``candidates`` on which we or root listen, or anybody if we are root.

    Raises NoDaemonError, or DeniedError for another user's.
    """
    paths = tuple(candidates)
    denied = ""
    for path in paths:
        try:
            found = peer(path)
            if found is not None:
                if os.geteuid() in {0, found.uid} or not found.uid:
                    return path
                denied = path
        except PermissionError:
            denied = path
    if denied:
        raise DeniedError(f"{denied} belongs to another user", remedy="run this as the user who mounted, or as root")
    raise NoDaemonError(f"no MusicFS is running (nothing listens on {paths[0]})", remedy=START_REMEDY)


class Client(MetadataClient, SearchClient, CollectionsClient, LibraryClient, TrashClient, ServiceClient):
    """A connection to a daemon, as its base :class:`~musicfs.api.connection.Connection` says.

    Every method blocks until the answer is there, ten seconds at most (a stream: as long as it takes), and raises
    NoDaemonError when the daemon is gone, else the error that the daemon's backend raised. What is about tags, searches,
    collections, the library as a whole, the trash and the service itself is in its bases.
    """

    def status(self) -> Status:
        """See ``Backend.status``."""
        return messages.status_value(self._call("MusicFS", "GetStatus", pb.Empty(), pb.StatusResponse))

    def shutdown(self, *, graceful: bool, timeout_s: float) -> None:
        """See ``Backend.shutdown``; the mount is gone when its process has ended."""
        self._call(
            "MusicFS", "Shutdown", pb.ShutdownRequest(graceful=graceful, timeout_secs=max(0, int(timeout_s))), pb.Empty
        )

    def origins(self) -> tuple[OriginInfo, ...]:
        """See ``Backend.origins``."""
        return messages.origins_value(self._call("MusicFS", "ListOrigins", pb.Empty(), pb.OriginsResponse))

    def origin_health(self, origin_id: str) -> OriginHealth:
        """See ``Backend.origin_health``."""
        request = pb.OriginRequest(origin_id=origin_id)
        return messages.health_value(self._call("MusicFS", "GetOriginHealth", request, pb.OriginHealthResponse))

    def rescan(self, origin_id: str, subdir: str = "") -> Iterator[SyncProgress]:
        """See ``Backend.rescan``; without a deadline."""
        request = pb.OriginRequest(origin_id=origin_id, subdir=subdir or None)
        for message in self._stream("MusicFS", "RescanOrigin", request, pb.SyncProgress):
            yield messages.progress_value(message)

    def confirm(self, origin_id: str) -> int:
        """See ``Backend.confirm``."""
        request = pb.ConfirmOriginRequest(origin_id=origin_id)
        return self._call("MusicFS", "ConfirmOrigin", request, pb.ConfirmOriginResponse).removed

    def problems(self, origin_id: str = "", start: int = 0, stop: int = 1000) -> ProblemPage:
        """See ``Backend.problems``; the daemon gives 10,000 at once at most."""
        request = pb.ListProblemsRequest(origin_id=origin_id or None, offset=start, limit=stop - start)
        return messages.problems_value(self._call("MusicFS", "ListProblems", request, pb.ListProblemsResponse))

    def events(self, types: Sequence[str] = (), origin_id: str = "") -> Iterator[Event]:
        """See ``Backend.events``; without a deadline, and without the pulses."""
        request = pb.EventFilter(event_types=list(types), origin_id=origin_id or None)
        for message in self._stream("MusicFS", "SubscribeEvents", request, pb.Event):
            event = messages.event_value(message)
            if event is not None:
                yield event

    def metrics(self) -> str:
        """See ``Backend.metrics``."""
        return self._call("MusicFS", "GetMetrics", pb.Empty(), pb.MetricsResponse).text

    def cache_stats(self) -> CacheStats:
        """See ``Backend.cache_stats``."""
        return cache_messages.stats_value(self._call("MusicFS", "GetCacheStats", pb.Empty(), pb.CacheStats))

    def clear_cache(self, origin_id: str = "", tier: Tier = Tier.ALL, *, dry_run: bool = False) -> Cleared:
        """See ``Backend.clear_cache``."""
        request = pb.ClearCacheRequest(origin_id=origin_id or None, clear_chunks=True, tier=tier.value, dry_run=dry_run)
        return cache_messages.cleared_value(self._call("MusicFS", "ClearCache", request, pb.ClearCacheResponse))

    def prefetch(
        self, paths: Sequence[str], origin_id: str = "", query: str | None = None
    ) -> Iterator[PrefetchProgress]:
        """See ``Backend.prefetch``; without a deadline."""
        request = pb.PrefetchRequest(paths=wire_paths(paths), origin_id=origin_id or None, query=_wire_query(query))
        for message in self._stream("MusicFS", "Prefetch", request, pb.PrefetchProgress):
            yield cache_messages.prefetch_value(message)

    def pin(self, paths: Sequence[str], query: str | None = None) -> PinChange:
        """See ``Backend.pin``."""
        request = pb.PinRequest(paths=wire_paths(paths), query=_wire_query(query))
        return cache_messages.pin_value(self._call("MusicFS", "Pin", request, pb.PinResponse))

    def unpin(self, paths: Sequence[str], query: str | None = None) -> PinChange:
        """See ``Backend.unpin``."""
        request = pb.PinRequest(paths=wire_paths(paths), query=_wire_query(query))
        return cache_messages.pin_value(self._call("MusicFS", "Unpin", request, pb.PinResponse))

    def pins(self) -> tuple[PinnedPath, ...]:
        """See ``Backend.pins``."""
        return cache_messages.pins_value(self._call("MusicFS", "ListPins", pb.Empty(), pb.PinsResponse))

    def verify_cache(self) -> Iterator[VerifyProgress]:
        """See ``Backend.verify_cache``; without a deadline."""
        for message in self._stream("MusicFS", "VerifyCache", pb.Empty(), pb.VerifyProgress):
            yield cache_messages.verify_value(message)


def _wire_query(query: str | None) -> str | None:
    return None if query is None else wire_text(query)
