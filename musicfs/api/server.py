"""The control server: gRPC on a Unix socket that only its user can reach.

Each call is answered by one call of the :class:`~musicfs.api.backend.Backend`; a unary call runs in a daemon thread of its
own, so that a backend that hangs costs its caller a deadline and the process nothing when it ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from musicfs.api import cache_messages, messages
from musicfs.api.backend import ANSWER_TIMEOUT_S, Backend
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.unix_socket import SocketPlace, target
from musicfs.api.wire import REMEDY_KEY, wire_text
from musicfs.errors import (
    AlreadyRunningError,
    ChangedError,
    ConfigError,
    DeniedError,
    DiskFullError,
    GoneError,
    MusicFSError,
    NotFoundError,
    SchemaError,
    UnreachableError,
)

_POOL_SIZE = 8
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # gRPC's own default for what is received, here for both ways
_DEFAULT_PROBLEMS = 1000
_MAX_PROBLEMS = 10_000
_MAX_TIMEOUT_S = 86_400.0

# The first class that an error is an instance of decides.
_STATUS_CODES: tuple[tuple[type[MusicFSError], grpc.StatusCode], ...] = (
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (GoneError, grpc.StatusCode.NOT_FOUND),
    (ConfigError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnreachableError, grpc.StatusCode.UNAVAILABLE),
    (DeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (ChangedError, grpc.StatusCode.ABORTED),
    (DiskFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SchemaError, grpc.StatusCode.FAILED_PRECONDITION),
    (AlreadyRunningError, grpc.StatusCode.FAILED_PRECONDITION),
    (MusicFSError, grpc.StatusCode.INTERNAL),
)

_log = logging.getLogger(__name__)
T = TypeVar("T")
_Context = grpc.ServicerContext


class _End:
    """What follows the last item of a stream."""


_END = _End()


class ControlServer:
    """Serves ``backend`` on the socket at ``socket_path`` from :meth:`start` to :meth:`close`."""

    def __init__(self, backend: Backend, socket_path: str, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._place = SocketPlace(socket_path)
        self._service = _Service(backend, answer_timeout_s)
        self._server: grpc.Server | None = None

    @property
    def socket_path(self) -> str:
        """The absolute path of the socket."""
        return self._place.path

    def start(self) -> None:
        """Begin to answer; the socket exists when this returns.

        Raises MountError when the path is too long or its folder cannot be used, AlreadyRunningError when a live daemon
        listens there; the socket of a dead one is replaced.
        """
        temporary = self._place.prepare()
        try:
            server = grpc.server(
                ThreadPoolExecutor(_POOL_SIZE, thread_name_prefix="control"),
                handlers=[_handlers(self._service)],
                options=(
                    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ),
                maximum_concurrent_rpcs=4 * _POOL_SIZE,
            )
            server.add_insecure_port(target(temporary))
            self._place.publish()
        except BaseException:
            self._place.discard()
            raise
        server.start()
        self._server = server

    def close(self, grace_s: float = 1.0) -> None:
        """Stop answering and remove the socket; calls in progress get ``grace_s`` to end. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        self._place.remove()
        self._service.close()
        server.stop(grace_s).wait(grace_s + 1.0)


class _Service:
    """One method per RPC, called like it; each takes the request and gRPC's context."""

    def __init__(self, backend: Backend, answer_timeout_s: float) -> None:
        self._backend = backend
        self._answer_timeout_s = answer_timeout_s
        self._closing = threading.Event()

    def close(self) -> None:
        """End the streams at their next item."""
        self._closing.set()

    def GetStatus(self, _request: pb.Empty, context: _Context) -> pb.StatusResponse:
        return messages.status_message(self._answer(context, self._backend.status))

    def Shutdown(self, request: pb.ShutdownRequest, context: _Context) -> pb.Empty:
        timeout_s = min(float(request.timeout_secs), _MAX_TIMEOUT_S)
        self._answer(context, lambda: self._backend.shutdown(graceful=request.graceful, timeout_s=timeout_s))
        return pb.Empty()

    def ListOrigins(self, _request: pb.Empty, context: _Context) -> pb.OriginsResponse:
        return messages.origins_message(self._answer(context, self._backend.origins))

    def GetOriginHealth(self, request: pb.OriginRequest, context: _Context) -> pb.OriginHealthResponse:
        origin_id = _required(context, request.origin_id)
        return messages.health_message(self._answer(context, lambda: self._backend.origin_health(origin_id)))

    def RescanOrigin(self, request: pb.OriginRequest, context: _Context) -> Iterator[pb.SyncProgress]:
        origin_id = _required(context, request.origin_id)
        subdir = _relative(context, request.subdir)
        for progress in self._stream(context, lambda: self._backend.rescan(origin_id, subdir)):
            yield messages.progress_message(progress)

    def ConfirmOrigin(self, request: pb.ConfirmOriginRequest, context: _Context) -> pb.ConfirmOriginResponse:
        origin_id = _required(context, request.origin_id)
        return pb.ConfirmOriginResponse(removed=self._answer(context, lambda: self._backend.confirm(origin_id)))

    def ListProblems(self, request: pb.ListProblemsRequest, context: _Context) -> pb.ListProblemsResponse:
        start = request.offset
        limit = request.limit if request.HasField("limit") else _DEFAULT_PROBLEMS
        stop = start + min(limit, _MAX_PROBLEMS)
        page = self._answer(context, lambda: self._backend.problems(request.origin_id, start, stop))
        return messages.problems_message(page)

    def SubscribeEvents(self, request: pb.EventFilter, context: _Context) -> Iterator[pb.Event]:
        types = list(request.event_types)
        for event in self._stream(context, lambda: self._backend.events(types, request.origin_id)):
            if event is not None:
                yield messages.event_message(event)

    def GetCacheStats(self, _request: pb.Empty, context: _Context) -> pb.CacheStats:
        return cache_messages.stats_message(self._answer(context, self._backend.cache_stats))

    def ClearCache(self, request: pb.ClearCacheRequest, context: _Context) -> pb.ClearCacheResponse:
        tier = cache_messages.tier_value(request.tier)
        if tier is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "tier must be edges, main or empty")
        if not request.clear_chunks:
            return pb.ClearCacheResponse()
        cleared = self._answer(
            context, lambda: self._backend.clear_cache(request.origin_id, tier, dry_run=request.dry_run)
        )
        return cache_messages.cleared_message(cleared)

    def Prefetch(self, request: pb.PrefetchRequest, context: _Context) -> Iterator[pb.PrefetchProgress]:
        paths, query = _chosen(context, request)
        for progress in self._stream(context, lambda: self._backend.prefetch(paths, request.origin_id, query)):
            yield cache_messages.prefetch_message(progress)

    def Pin(self, request: pb.PinRequest, context: _Context) -> pb.PinResponse:
        paths, query = _chosen(context, request)
        return cache_messages.pin_message(self._answer(context, lambda: self._backend.pin(paths, query)))

    def Unpin(self, request: pb.PinRequest, context: _Context) -> pb.PinResponse:
        paths, query = _chosen(context, request)
        return cache_messages.pin_message(self._answer(context, lambda: self._backend.unpin(paths, query)))

    def ListPins(self, _request: pb.Empty, context: _Context) -> pb.PinsResponse:
        return cache_messages.pins_message(self._answer(context, self._backend.pins))

    def VerifyCache(self, _request: pb.Empty, context: _Context) -> Iterator[pb.VerifyProgress]:
        for progress in self._stream(context, self._backend.verify_cache):
            yield cache_messages.verify_message(progress)

    def _answer(self, context: _Context, call: Callable[[], T]) -> T:
        """The result of ``call``, or the call ends with the status of its error, or of the time it takes."""
        results: list[T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:  # carried over to the thread that answers, whatever it is
                errors.append(error)
            finally:
                done.set()

        threading.Thread(target=run, name="control-call", daemon=True).start()
        if not done.wait(self._answer_timeout_s):
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {self._answer_timeout_s:g} s")
        if errors:
            _abort(context, errors[0])
        return results[0]

    def _stream(self, context: _Context, call: Callable[[], Iterator[T]]) -> Iterator[T]:
        try:
            items = iter(call())
            item: T | _End = next(items, _END)
        except Exception as error:  # the boundary to gRPC: everything becomes a status
            _abort(context, error)
        while not isinstance(item, _End) and context.is_active():
            if self._closing.is_set():
                context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon is shutting down")
            yield item
            try:
                item = next(items, _END)
            except Exception as error:  # as above
                _abort(context, error)


def _handlers(service: _Service) -> grpc.GenericRpcHandler[Any, Any]:
    """A handler for every method of the contract: a method of ``service`` that is missing fails here, not at a call."""
    descriptor = pb.DESCRIPTOR.services_by_name["MusicFS"]
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in descriptor.methods:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        request: type[Message] = getattr(pb, method.input_type.name)
        handlers[method.name] = make(
            getattr(service, method.name), request_deserializer=request.FromString, response_serializer=_serialize
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _required(context: _Context, origin_id: str) -> str:
    if not origin_id:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the origin id is empty")
    return origin_id


def _chosen(context: _Context, request: pb.PrefetchRequest | pb.PinRequest) -> tuple[list[str], str]:
    """Virtual paths and a query; at least one of them."""
    paths, query = list(request.paths), request.query
    if not query and request.HasField("query"):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the query is empty")
    if not all(paths) or not (paths or query):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a path is empty")
    if any("\0" in path for path in paths):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a path holds a NUL character")
    return paths, query


def _relative(context: _Context, subdir: str) -> str:
    """A folder inside the origin, without a slash at its ends; anything that leads out of it is refused."""
    parts = [part for part in subdir.split("/") if part]
    if subdir.startswith("/") or "\0" in subdir or any(part in {".", ".."} for part in parts):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "subdir must be a path relative to the origin")
    return "/".join(parts)


def _abort(context: _Context, error: BaseException) -> NoReturn:
    if isinstance(error, MusicFSError):
        code = next(code for kind, code in _STATUS_CODES if isinstance(error, kind))
        if error.remedy:
            context.set_trailing_metadata(((REMEDY_KEY, wire_text(error.remedy).encode()),))
        context.abort(code, wire_text(str(error)))
    # What went wrong inside is for the log: it may name paths or more that a caller need not see.
    _log.error("a control call failed", exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, "internal error; the daemon's log says more")
