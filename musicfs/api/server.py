"""The control server: gRPC on a Unix socket that only its user can reach, and on ports as far as the configuration goes.

Each call is answered by one call of the :class:`~musicfs.api.backend.Backend`; a unary call runs in a daemon thread of its
own, so that a backend that hangs costs its caller a deadline and the process nothing when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import grpc

from musicfs.api import cache_messages, messages
from musicfs.api.access import TokenCheck, refuse
from musicfs.api.answering import Answering, Context, given_paths, handlers, required_paths
from musicfs.api.backend import ANSWER_TIMEOUT_S, Backend
from musicfs.api.collections_server import CollectionsCalls
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.introspection import Introspection
from musicfs.api.library_server import LibraryCalls
from musicfs.api.listening import Network, NetworkListener, listen_on_socket
from musicfs.api.metadata_server import MetadataService
from musicfs.api.search_server import SearchCalls
from musicfs.api.service_server import ServiceCalls
from musicfs.api.tcp import Trouble
from musicfs.api.trash_server import TrashCalls
from musicfs.api.unix_socket import SocketPlace
from musicfs.api.wire import MAX_MESSAGE_BYTES, MAX_METADATA_MESSAGE_BYTES, wire_text
from musicfs.config.addresses import Address
from musicfs.events import EventType

_DEFAULT_PROBLEMS = 1000
_MAX_PROBLEMS = 10_000
_MAX_TIMEOUT_S = 86_400.0


class ControlServer:
    """Serves ``backend`` on the socket at ``socket_path``, and on ``network``, from :meth:`start` to :meth:`close`.

    ``import_folders`` are absolute: only files in them are imported.
    """

    def __init__(
        self,
        backend: Backend,
        socket_path: str,
        *,
        network: Network | None = None,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        import_folders: Sequence[str] = (),
    ) -> None:
        self._place = SocketPlace(socket_path)
        self._network = network or Network()
        self._check = TokenCheck(self._network.token)
        self._introspection = Introspection()
        self._calls = (
            _Calls(backend, answer_timeout_s, self._check.is_stranger, self.note_shutdown),
            SearchCalls(backend, answer_timeout_s),
            CollectionsCalls(backend, answer_timeout_s),
            LibraryCalls(backend, answer_timeout_s),
            TrashCalls(backend, answer_timeout_s),
            ServiceCalls(backend, answer_timeout_s),
        )
        self._metadata = MetadataService(backend, answer_timeout_s, import_folders)
        self._servers: list[grpc.Server] = []
        self.addresses: tuple[Address, ...] = ()
        self.troubles: tuple[Trouble, ...] = ()

    @property
    def socket_path(self) -> str:
        """The absolute path of the socket."""
        return self._place.path

    def start(self) -> None:
        """Begin to answer; the socket exists when this returns.

        Raises MountError when the path is too long or its folder cannot be used, AlreadyRunningError when a live daemon
        listens there; the socket of a dead one is replaced. Then ``addresses`` are those of the network that are listened
        on, and ``troubles`` says of the others why they are not.
        """
        served = [
            handlers(self._calls, "MusicFS", MAX_MESSAGE_BYTES),
            handlers((self._metadata,), "MetadataService", MAX_METADATA_MESSAGE_BYTES),
            *self._introspection.handlers(),
        ]
        self._servers.append(listen_on_socket(self._place, served))
        listener = NetworkListener(self._network, self._check, served)
        self._servers += listener.start()
        self.addresses, self.troubles = tuple(listener.addresses), tuple(listener.troubles)

    def note_shutdown(self) -> None:
        """The mount has begun to end: the health service says so, while calls are answered to the last. Idempotent."""
        self._introspection.note_shutdown()

    def close(self, grace_s: float = 1.0) -> None:
        """Stop answering and remove the socket; calls in progress get ``grace_s`` to end. Idempotent."""
        servers, self._servers = self._servers, []
        if not servers:
            return
        self._place.remove()
        self.note_shutdown()
        for part in (*self._calls, self._metadata):
            part.close()
        for stopped in [server.stop(grace_s) for server in servers]:
            stopped.wait(grace_s + 1.0)


class _Calls(Answering):
    """The calls of the service ``MusicFS`` that are about the mount, its origins and its cache."""

    def __init__(
        self,
        backend: Backend,
        answer_timeout_s: float,
        is_stranger: Callable[[Context], bool],
        on_shutdown: Callable[[], object],
    ) -> None:
        super().__init__(answer_timeout_s)
        self._backend = backend
        self._is_stranger = is_stranger
        self._on_shutdown = on_shutdown

    def GetStatus(self, _request: pb.Empty, context: Context) -> pb.StatusResponse:
        return messages.status_message(self.answer(context, self._backend.status))

    def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.Empty:
        timeout_s = min(float(request.timeout_secs), _MAX_TIMEOUT_S)
        self.answer(context, lambda: self._backend.shutdown(graceful=request.graceful, timeout_s=timeout_s))
        self._on_shutdown()
        return pb.Empty()

    def ListOrigins(self, _request: pb.Empty, context: Context) -> pb.OriginsResponse:
        return messages.origins_message(self.answer(context, self._backend.origins))

    def GetOriginHealth(self, request: pb.OriginRequest, context: Context) -> pb.OriginHealthResponse:
        origin_id = _required(context, request.origin_id)
        return messages.health_message(self.answer(context, lambda: self._backend.origin_health(origin_id)))

    def RescanOrigin(self, request: pb.OriginRequest, context: Context) -> Iterator[pb.SyncProgress]:
        origin_id = _required(context, request.origin_id)
        subdir = _relative(context, request.subdir)
        for progress in self.stream(context, lambda: self._backend.rescan(origin_id, subdir)):
            yield messages.progress_message(progress)

    def ConfirmOrigin(self, request: pb.ConfirmOriginRequest, context: Context) -> pb.ConfirmOriginResponse:
        origin_id = _required(context, request.origin_id)
        return pb.ConfirmOriginResponse(removed=self.answer(context, lambda: self._backend.confirm(origin_id)))

    def ListProblems(self, request: pb.ListProblemsRequest, context: Context) -> pb.ListProblemsResponse:
        start = request.offset
        limit = request.limit if request.HasField("limit") else _DEFAULT_PROBLEMS
        stop = start + min(limit, _MAX_PROBLEMS)
        page = self.answer(context, lambda: self._backend.problems(request.origin_id, start, stop))
        return messages.problems_message(page)

    def SubscribeEvents(self, request: pb.EventFilter, context: Context) -> Iterator[pb.Event]:
        types = self._audible(context, request.event_types)
        for event in self.stream(context, lambda: self._backend.events(types, request.origin_id)):
            if event is not None:
                yield messages.event_message(event)

    def _audible(self, context: Context, types: Sequence[str]) -> list[str]:
        """The types of events that a caller gets: what is played, and thereby what somebody hears, is not for strangers."""
        if self._is_stranger(context):
            if EventType.FILE_ACCESSED in types:
                refuse(context, f"events of the type {EventType.FILE_ACCESSED} take the token of the daemon")
            return list(types) or [one for one in EventType if one is not EventType.FILE_ACCESSED]
        return list(types)

    def GetMetrics(self, _request: pb.Empty, context: Context) -> pb.MetricsResponse:
        return pb.MetricsResponse(text=wire_text(self.answer(context, self._backend.metrics)))

    def GetCacheStats(self, _request: pb.Empty, context: Context) -> pb.CacheStats:
        return cache_messages.stats_message(self.answer(context, self._backend.cache_stats))

    def ClearCache(self, request: pb.ClearCacheRequest, context: Context) -> pb.ClearCacheResponse:
        tier = cache_messages.tier_value(request.tier)
        if tier is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "tier must be edges, main or empty")
        if not request.clear_chunks:
            return pb.ClearCacheResponse()
        cleared = self.answer(
            context, lambda: self._backend.clear_cache(request.origin_id, tier, dry_run=request.dry_run)
        )
        return cache_messages.cleared_message(cleared)

    def Prefetch(self, request: pb.PrefetchRequest, context: Context) -> Iterator[pb.PrefetchProgress]:
        paths, query = _chosen(context, request)
        for progress in self.stream(context, lambda: self._backend.prefetch(paths, request.origin_id, query)):
            yield cache_messages.prefetch_message(progress)

    def Pin(self, request: pb.PinRequest, context: Context) -> pb.PinResponse:
        paths, query = _chosen(context, request)
        return cache_messages.pin_message(self.answer(context, lambda: self._backend.pin(paths, query)))

    def Unpin(self, request: pb.PinRequest, context: Context) -> pb.PinResponse:
        paths, query = _chosen(context, request)
        return cache_messages.pin_message(self.answer(context, lambda: self._backend.unpin(paths, query)))

    def ListPins(self, _request: pb.Empty, context: Context) -> pb.PinsResponse:
        return cache_messages.pins_message(self.answer(context, self._backend.pins))

    def VerifyCache(self, _request: pb.Empty, context: Context) -> Iterator[pb.VerifyProgress]:
        for progress in self.stream(context, self._backend.verify_cache):
            yield cache_messages.verify_message(progress)


def _required(context: Context, origin_id: str) -> str:
    if not origin_id:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the origin id is empty")
    return origin_id


def _chosen(context: Context, request: pb.PrefetchRequest | pb.PinRequest) -> tuple[list[str], str]:
    """Virtual paths and a query; at least one of them."""
    query = request.query
    if not query and request.HasField("query"):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the query is empty")
    checked = given_paths if query else required_paths
    return checked(context, request.paths), query


def _relative(context: Context, subdir: str) -> str:
    """A folder inside the origin, without a slash at its ends; anything that leads out of it is refused."""
    parts = [part for part in subdir.split("/") if part]
    if subdir.startswith("/") or "\0" in subdir or any(part in {".", ".."} for part in parts):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "subdir must be a path relative to the origin")
    return "/".join(parts)
