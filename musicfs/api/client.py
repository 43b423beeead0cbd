"""The control client: the methods of a :class:`~musicfs.api.backend.Backend` over a socket, and its errors back again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from musicfs.api import cache_messages, messages
from musicfs.api.backend import (
    ANSWER_TIMEOUT_S,
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
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.unix_socket import peer_pid, target
from musicfs.api.wire import REMEDY_KEY, wire_text
from musicfs.errors import (
    ChangedError,
    ConfigError,
    DeniedError,
    DiskFullError,
    MusicFSError,
    NoDaemonError,
    NotFoundError,
    UnreachableError,
)
from musicfs.events import Event

# The server answers within its own deadline; the rest is for a machine under load.
_TIMEOUT_S = 2 * ANSWER_TIMEOUT_S
_ERRORS: dict[grpc.StatusCode, type[MusicFSError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: ConfigError,
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
    grpc.StatusCode.PERMISSION_DENIED: DeniedError,
    grpc.StatusCode.ABORTED: ChangedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: DiskFullError,
}
_START = "start it with `musicfs mount`; if it runs under another --config or instance, give the same here"
R = TypeVar("R")
Q = TypeVar("Q")


def find_socket(candidates: Iterable[str]) -> str:
    """The first of ``candidates`` on which somebody listens; raises NoDaemonError, or DeniedError for another user's."""
    paths = tuple(candidates)
    denied = ""
    for path in paths:
        try:
            if peer_pid(path) is not None:
                return path
        except PermissionError:
            denied = path
    if denied:
        raise DeniedError(f"{denied} belongs to another user", remedy="run this as the user who mounted, or as root")
    raise NoDaemonError(f"no MusicFS is running (nothing listens on {paths[0]})", remedy=_START)


def socket_of(endpoint: str) -> str:
    """The path in an endpoint: ``unix:///run/x.sock``, ``unix:x.sock`` or just a path. Raises ConfigError for another."""
    scheme, separator, rest = endpoint.partition(":")
    if separator and scheme == "unix":
        return os.path.abspath(rest.removeprefix("//") if rest.startswith("///") else rest)
    if "://" in endpoint or not endpoint:
        raise ConfigError(
            f'endpoint "{endpoint}" is not supported', remedy="give a Unix socket: unix:///run/musicfs/musicfs.sock"
        )
    return os.path.abspath(endpoint)


class Client:
    """A connection to the daemon behind the socket at ``socket_path``; close it, or use it as a context manager.

    Every method blocks until the answer is there, ten seconds at most (a rescan: as long as it takes), and raises
    NoDaemonError when the daemon is gone, else the error that the daemon's backend raised.
    """

    def __init__(self, socket_path: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        # gRPC's own messages on standard error are not for users of a command.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._channel = grpc.insecure_channel(target(socket_path), options=(("grpc.enable_retries", 0),))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; idempotent."""
        self._channel.close()

    def status(self) -> Status:
        """See ``Backend.status``."""
        return messages.status_value(self._call("GetStatus", pb.Empty(), pb.StatusResponse))

    def shutdown(self, *, graceful: bool, timeout_s: float) -> None:
        """See ``Backend.shutdown``; the mount is gone when its process has ended."""
        self._call("Shutdown", pb.ShutdownRequest(graceful=graceful, timeout_secs=max(0, int(timeout_s))), pb.Empty)

    def origins(self) -> tuple[OriginInfo, ...]:
        """See ``Backend.origins``."""
        return messages.origins_value(self._call("ListOrigins", pb.Empty(), pb.OriginsResponse))

    def origin_health(self, origin_id: str) -> OriginHealth:
        """See ``Backend.origin_health``."""
        request = pb.OriginRequest(origin_id=origin_id)
        return messages.health_value(self._call("GetOriginHealth", request, pb.OriginHealthResponse))

    def rescan(self, origin_id: str, subdir: str = "") -> Iterator[SyncProgress]:
        """See ``Backend.rescan``; without a deadline."""
        request = pb.OriginRequest(origin_id=origin_id, subdir=subdir or None)
        for message in self._stream("RescanOrigin", request, pb.SyncProgress):
            yield messages.progress_value(message)

    def confirm(self, origin_id: str) -> int:
        """See ``Backend.confirm``."""
        request = pb.ConfirmOriginRequest(origin_id=origin_id)
        return self._call("ConfirmOrigin", request, pb.ConfirmOriginResponse).removed

    def problems(self, origin_id: str = "", start: int = 0, stop: int = 1000) -> ProblemPage:
        """See ``Backend.problems``; the daemon gives 10,000 at once at most."""
        request = pb.ListProblemsRequest(origin_id=origin_id or None, offset=start, limit=stop - start)
        return messages.problems_value(self._call("ListProblems", request, pb.ListProblemsResponse))

    def events(self, types: Sequence[str] = (), origin_id: str = "") -> Iterator[Event]:
        """See ``Backend.events``; without a deadline, and without the pulses."""
        request = pb.EventFilter(event_types=list(types), origin_id=origin_id or None)
        for message in self._stream("SubscribeEvents", request, pb.Event):
            event = messages.event_value(message)
            if event is not None:
                yield event

    def cache_stats(self) -> CacheStats:
        """See ``Backend.cache_stats``."""
        return cache_messages.stats_value(self._call("GetCacheStats", pb.Empty(), pb.CacheStats))

    def clear_cache(self, origin_id: str = "", tier: Tier = Tier.ALL, *, dry_run: bool = False) -> Cleared:
        """See ``Backend.clear_cache``."""
        request = pb.ClearCacheRequest(origin_id=origin_id or None, clear_chunks=True, tier=tier.value, dry_run=dry_run)
        return cache_messages.cleared_value(self._call("ClearCache", request, pb.ClearCacheResponse))

    def prefetch(
        self, paths: Sequence[str], origin_id: str = "", query: str | None = None
    ) -> Iterator[PrefetchProgress]:
        """See ``Backend.prefetch``; without a deadline."""
        request = pb.PrefetchRequest(paths=_wire_paths(paths), origin_id=origin_id or None, query=_wire_query(query))
        for message in self._stream("Prefetch", request, pb.PrefetchProgress):
            yield cache_messages.prefetch_value(message)

    def pin(self, paths: Sequence[str], query: str | None = None) -> PinChange:
        """See ``Backend.pin``."""
        request = pb.PinRequest(paths=_wire_paths(paths), query=_wire_query(query))
        return cache_messages.pin_value(self._call("Pin", request, pb.PinResponse))

    def unpin(self, paths: Sequence[str], query: str | None = None) -> PinChange:
        """See ``Backend.unpin``."""
        request = pb.PinRequest(paths=_wire_paths(paths), query=_wire_query(query))
        return cache_messages.pin_value(self._call("Unpin", request, pb.PinResponse))

    def pins(self) -> tuple[PinnedPath, ...]:
        """See ``Backend.pins``."""
        return cache_messages.pins_value(self._call("ListPins", pb.Empty(), pb.PinsResponse))

    def verify_cache(self) -> Iterator[VerifyProgress]:
        """See ``Backend.verify_cache``; without a deadline."""
        for message in self._stream("VerifyCache", pb.Empty(), pb.VerifyProgress):
            yield cache_messages.verify_value(message)

    def _stream(self, name: str, request: Any, item: type[R]) -> Iterator[R]:
        method = self._channel.unary_stream(
            _path(name),
            request_serializer=type(request).SerializeToString,
            response_deserializer=item.FromString,  # type: ignore[attr-defined]  # messages only
        )
        stream = method(request)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs leave it without types

    def _call(self, name: str, request: Any, answer: type[R]) -> R:
        serialize: Callable[[Any], bytes] = type(request).SerializeToString
        method = self._channel.unary_unary(
            _path(name),
            request_serializer=serialize,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]  # messages only
        )
        try:
            result: R = method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._error(error) from None
        return result

    def _error(self, error: grpc.RpcError) -> MusicFSError:
        """The error of the backend, as far as the wire tells."""
        assert isinstance(error, grpc.Call)
        code, details = error.code(), error.details() or ""
        metadata = dict(error.trailing_metadata() or ())
        found = metadata.get(REMEDY_KEY, b"")
        remedy = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        if code is grpc.StatusCode.UNAVAILABLE and self._is_gone():
            return NoDaemonError(f"the daemon on {self._path} went away", remedy=_START)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return MusicFSError(f"the daemon does not answer: {details}", remedy="`musicfs doctor` looks for the cause")
        return _ERRORS.get(code, MusicFSError)(details or code.name, remedy=remedy)

    def _is_gone(self) -> bool:
        try:
            return peer_pid(self._path) is None
        except PermissionError:
            return True


def _path(method: str) -> str:
    return f"/{pb.DESCRIPTOR.services_by_name['MusicFS'].full_name}/{method}"


def _wire_paths(paths: Sequence[str]) -> list[str]:
    return [wire_text(path) for path in paths]


def _wire_query(query: str | None) -> str | None:
    return None if query is None else wire_text(query)
