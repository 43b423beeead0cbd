"""A client's connection: calls, streams, and the errors of the daemon's backend back again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from musicfs.api.backend import ANSWER_TIMEOUT_S
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.unix_socket import peer_pid, target
from musicfs.api.wire import COLUMN_KEY, MAX_MESSAGE_BYTES, MAX_METADATA_MESSAGE_BYTES, REMEDY_KEY
from musicfs.errors import (
    ChangedError,
    ConfigError,
    DeniedError,
    DiskFullError,
    ExistsError,
    MusicFSError,
    NoDaemonError,
    NotFoundError,
    QueryError,
    UnreachableError,
)

START_REMEDY = "start it with `musicfs mount`; if it runs under another --config or instance, give the same here"
# The server answers within its own deadline; the rest is for a machine under load.
_TIMEOUT_S = 2 * ANSWER_TIMEOUT_S
_ERRORS: dict[grpc.StatusCode, type[MusicFSError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: ConfigError,
    grpc.StatusCode.ALREADY_EXISTS: ExistsError,
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
    grpc.StatusCode.PERMISSION_DENIED: DeniedError,
    grpc.StatusCode.ABORTED: ChangedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: DiskFullError,
}
_LIMITS_BYTES = {"MusicFS": MAX_MESSAGE_BYTES, "MetadataService": MAX_METADATA_MESSAGE_BYTES}
R = TypeVar("R")


class Connection:
    """A connection to the daemon behind the socket at ``socket_path``; close it, or use it as a context manager."""

    def __init__(self, socket_path: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        # gRPC's own messages on standard error are not for users of a command.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._channel = grpc.insecure_channel(
            target(socket_path),
            options=(
                ("grpc.enable_retries", 0),
                ("grpc.max_receive_message_length", MAX_METADATA_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_METADATA_MESSAGE_BYTES),
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; idempotent."""
        self._channel.close()

    def _stream(self, service: str, name: str, request: Message, item: type[R]) -> Iterator[R]:
        """Without a deadline; closing the iterator ends the call."""
        method = self._channel.unary_stream(
            _path(service, name),
            request_serializer=type(request).SerializeToString,
            response_deserializer=item.FromString,  # type: ignore[attr-defined]  # messages only
        )
        _check_size(service, request)
        stream = method(request)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs leave it without types

    def _call(self, service: str, name: str, request: Message, answer: type[R]) -> R:
        method = self._channel.unary_unary(
            _path(service, name),
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]  # messages only
        )
        _check_size(service, request)
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
            return NoDaemonError(f"the daemon on {self._path} went away", remedy=START_REMEDY)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return MusicFSError(f"the daemon does not answer: {details}", remedy="`musicfs doctor` looks for the cause")
        column = metadata.get(COLUMN_KEY)
        if isinstance(column, str) and column.isdecimal():
            return QueryError(details.removeprefix(f"column {column}: "), column=int(column), remedy=remedy)
        return _ERRORS.get(code, MusicFSError)(details or code.name, remedy=remedy)

    def _is_gone(self) -> bool:
        try:
            return peer_pid(self._path) is None
        except PermissionError:
            return True


def _check_size(service: str, request: Message) -> None:
    """gRPC would say that a resource is exhausted."""
    size_bytes, limit_bytes = request.ByteSize(), _LIMITS_BYTES[service]
    if size_bytes > limit_bytes:
        raise ConfigError(
            f"a request of {size_bytes} bytes, {limit_bytes} are possible", remedy="ask for less at a time"
        )


def _path(service: str, method: str) -> str:
    return f"/{pb.DESCRIPTOR.services_by_name[service].full_name}/{method}"
