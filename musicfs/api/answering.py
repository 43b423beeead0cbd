"""How calls are answered: errors become statuses, answers have a deadline, streams end with their callers.

The services of the ``server`` modules are made of :class:`Answering` parts: one method per RPC, called like it, which takes
the request and gRPC's context. What is the same for every call is here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.wire import COLUMN_KEY, REMEDY_KEY, wire_text
from musicfs.errors import (
    AlreadyRunningError,
    ChangedError,
    ConfigError,
    DeniedError,
    DiskFullError,
    ExistsError,
    GoneError,
    IndexNotReadyError,
    MusicFSError,
    NotFoundError,
    QueryError,
    SchemaError,
    UnreachableError,
)

# The first class that an error is an instance of decides.
_STATUS_CODES: tuple[tuple[type[MusicFSError], grpc.StatusCode], ...] = (
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (GoneError, grpc.StatusCode.NOT_FOUND),
    (ExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (ConfigError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnreachableError, grpc.StatusCode.UNAVAILABLE),
    (IndexNotReadyError, grpc.StatusCode.UNAVAILABLE),
    (DeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (ChangedError, grpc.StatusCode.ABORTED),
    (DiskFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SchemaError, grpc.StatusCode.FAILED_PRECONDITION),
    (AlreadyRunningError, grpc.StatusCode.FAILED_PRECONDITION),
    (MusicFSError, grpc.StatusCode.INTERNAL),
)

_log = logging.getLogger(__name__)
T = TypeVar("T")
Context = grpc.ServicerContext


class _End:
    """What follows the last item of a stream."""


_END = _End()


class _Refused:
    """In the place of a request that cannot be used: the status it gets."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        self.code = code
        self.reason = reason


class Answering:
    """A service's means to answer. A unary call runs in a daemon thread of its own, a stream on gRPC's."""

    def __init__(self, answer_timeout_s: float) -> None:
        self._answer_timeout_s = answer_timeout_s
        self._closing = threading.Event()

    def close(self) -> None:
        """End the streams at their next item."""
        self._closing.set()

    def answer(self, context: Context, call: Callable[[], T]) -> T:
        """The result of ``call``, or the call ends with the status of its error, or of the time it takes."""
        return self.answer_unless_late(context, lambda _late: call())

    def answer_unless_late(self, context: Context, call: Callable[[threading.Event], T]) -> T:
        """As :meth:`answer`; the event that ``call`` is given is set when nobody waits for its result any longer."""
        results: list[T] = []
        errors: list[BaseException] = []
        done, late = threading.Event(), threading.Event()

        def run() -> None:
            try:
                results.append(call(late))
            except BaseException as error:  # carried over to the thread that answers, whatever it is
                errors.append(error)
            finally:
                done.set()

        def leave() -> None:
            late.set()
            done.set()

        if not context.add_callback(leave):
            context.abort(grpc.StatusCode.CANCELLED, "the caller has left")
        timeout_s = min(self._answer_timeout_s, context.time_remaining())
        threading.Thread(target=run, name="control-call", daemon=True).start()
        done.wait(timeout_s)
        if results:
            return results[0]
        if errors:
            abort(context, errors[0])
        if late.is_set():
            context.abort(grpc.StatusCode.CANCELLED, "the caller has left")
        late.set()
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {timeout_s:.3g} s")
        raise AssertionError("abort raises")

    def stream(self, context: Context, call: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What ``call`` yields, until the caller leaves or its deadline passes, or the daemon ends."""
        try:
            items = iter(call())
        except Exception as error:  # the boundary to gRPC: everything becomes a status
            abort(context, error)
        try:
            while (item := _next(context, items)) is not _END and context.is_active():
                if self._closing.is_set():
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon is shutting down")
                assert not isinstance(item, _End)
                yield item
        finally:
            # What the backend does for somebody who has left ends now, not when its iterator happens to be collected.
            close = getattr(items, "close", None)
            if close is not None:
                close()


def _next(context: Context, items: Iterator[T]) -> T | _End:
    try:
        return next(items, _END)
    except Exception as error:  # the boundary to gRPC once more: items come late
        abort(context, error)


def handlers(parts: Sequence[Answering], name: str, max_request_bytes: int) -> grpc.GenericRpcHandler[Any, Any]:
    """A handler for every method of the contract's service ``name``, which is one of one of the ``parts``.

    A method that is missing fails here, not at a call. A larger request than ``max_request_bytes`` is refused.
    """
    descriptor = pb.DESCRIPTOR.services_by_name[name]
    found: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in descriptor.methods:
        request: type[Message] = getattr(pb, method.input_type.name)
        behaviour = _method(parts, method.name)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        found[method.name] = make(
            _checked(behaviour),
            request_deserializer=_parser(request, max_request_bytes),
            response_serializer=_serialize,
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, found)


def _method(parts: Sequence[Answering], name: str) -> Callable[[Any, Context], Any]:
    for part in parts:
        found: Callable[[Any, Context], Any] | None = getattr(part, name, None)
        if found is not None:
            return found
    raise LookupError(f"nothing answers the call {name}")


def _parser(request: type[Message], max_bytes: int) -> Callable[[bytes], Message | _Refused]:
    """gRPC's own limit is one for all services, and answers what cannot be parsed with INTERNAL and a line in the log."""

    def parse(data: bytes) -> Message | _Refused:
        if len(data) > max_bytes:
            reason = f"a request of {len(data)} bytes, {max_bytes} are possible"
            return _Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        try:
            return request.FromString(data)
        except DecodeError:
            return _Refused(grpc.StatusCode.INVALID_ARGUMENT, f"the request is no {request.DESCRIPTOR.full_name}")

    return parse


def _checked(behaviour: Callable[[Any, Context], T]) -> Callable[[Any, Context], T]:
    def checked(request: Any, context: Context) -> T:
        if isinstance(request, _Refused):
            context.abort(request.code, request.reason)
        return behaviour(request, context)

    return checked


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def required_paths(context: Context, paths: Sequence[str]) -> list[str]:
    """Virtual paths, at least one."""
    if not paths:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a path is empty")
    return given_paths(context, paths)


def given_paths(context: Context, paths: Sequence[str]) -> list[str]:
    """Virtual paths, none of them empty."""
    if not all(paths):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a path is empty")
    if any("\0" in path for path in paths):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a path holds a NUL character")
    return list(paths)


def abort(context: Context, error: BaseException) -> NoReturn:
    """End the call with the status of ``error``."""
    if isinstance(error, MusicFSError):
        code = next(code for kind, code in _STATUS_CODES if isinstance(error, kind))
        trailing: list[tuple[str, str | bytes]] = []
        if error.remedy:
            trailing.append((REMEDY_KEY, wire_text(error.remedy).encode()))
        if isinstance(error, QueryError):
            trailing.append((COLUMN_KEY, str(error.column)))
        context.set_trailing_metadata(tuple(trailing))
        context.abort(code, wire_text(str(error)))
    # What went wrong inside is for the log: it may name paths or more that a caller need not see.
    _log.error("a control call failed", exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, "internal error; the daemon's log says more")
