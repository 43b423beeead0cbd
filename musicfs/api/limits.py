"""How many calls a listener answers at a time: streams, which last, leave threads for calls that do not.

Every listener is a server with threads of its own, so that callers on one cannot keep those on another waiting. Who watches
the health of the service, as load balancers do for as long as they run, or asks by reflection has places of their own. gRPC
gives a call a thread before it has the request, and lets it wait for that for ever: on a network there is an end to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from musicfs.api.wire import REMEDY_KEY

MAX_STREAMS = 24
MAX_WATCHES = 8  # streams of health and reflection
MAX_CALLS = 8
POOL_SIZE = MAX_STREAMS + MAX_WATCHES + MAX_CALLS
# What waits for a thread counts too. Beyond it gRPC refuses by itself.
MAX_CONCURRENT_CALLS = 2 * POOL_SIZE

REQUEST_TIMEOUT_S = 30.0  # from the beginning of a call until all of its request is there: a cover over a slow line
_GRPC_SERVICES = "/grpc."

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in its stubs alone
Behaviour = Callable[[Any, grpc.ServicerContext], Iterator[Any]]


class StreamLimit(grpc.ServerInterceptor):  # type: ignore[type-arg]  # as access.Guard
    """Refuses a stream with UNAVAILABLE while as many others are open as may be: of ours, or of gRPC's own services."""

    def __init__(self, limit: int = MAX_STREAMS, watches: int = MAX_WATCHES) -> None:
        self._streams = _Places(limit)
        self._watches = _Places(watches)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """See grpc.ServerInterceptor."""
        handler = continuation(handler_call_details)
        if handler is None or not handler.response_streaming:
            return handler
        make = _stream_stream if handler.request_streaming else _unary_stream
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        assert behaviour is not None
        is_watch = (handler_call_details.method or "").startswith(_GRPC_SERVICES)
        return make(
            (self._watches if is_watch else self._streams).limited(behaviour),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _Places:
    """So many streams, and no more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.Semaphore(limit)

    def limited(self, behaviour: Behaviour) -> Behaviour:
        """``behaviour`` while there is a place."""

        def limited(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            if not self._free.acquire(blocking=False):
                context.set_trailing_metadata(((REMEDY_KEY, b"end one of them, or try again later"),))
                context.abort(grpc.StatusCode.UNAVAILABLE, f"{self._limit} streams are open, which is the limit")
            try:
                # A stream is over when its thread is free again, not when its caller has left.
                yield from behaviour(request, context)
            finally:
                self._free.release()

        return limited


class RequestTimeout(grpc.ServerInterceptor):  # type: ignore[type-arg]  # as access.Guard
    """Ends a call whose one request is not there in time."""

    def __init__(self, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """See grpc.ServerInterceptor. A call that streams requests is not waited for before it begins."""
        handler = continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        make = _stream_stream if handler.response_streaming else _stream_unary
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary
        assert behaviour is not None

        def waited(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            return behaviour(self._first(requests, context), context)

        return make(
            waited,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _first(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        timer = threading.Timer(self._timeout_s, context.cancel)
        timer.daemon = True
        timer.start()
        try:
            for request in requests:
                return request
        finally:
            timer.cancel()
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "there is no request")
        raise AssertionError("abort raises")


_stream_stream = grpc.stream_stream_rpc_method_handler
_stream_unary = grpc.stream_unary_rpc_method_handler
_unary_stream = grpc.unary_stream_rpc_method_handler
