"""A client's connection: calls, streams, and the errors of the daemon's backend back again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from musicfs.api.backend import ANSWER_TIMEOUT_S
from musicfs.api.endpoint import Endpoint, parse_endpoint
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.tcp import answers
from musicfs.api.tokens import credentials
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
    grpc.StatusCode.UNAUTHENTICATED: DeniedError,
    grpc.StatusCode.ABORTED: ChangedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: DiskFullError,
}
_LIMITS_BYTES = {"MusicFS": MAX_MESSAGE_BYTES, "MetadataService": MAX_METADATA_MESSAGE_BYTES}
# gRPC has no status for it, only words.
_TLS_FAILURE = re.compile(r"handshak|certificate|SSL|TSI_|peer name", re.IGNORECASE)
_TOO_MANY = "Concurrent RPC limit"  # of grpc.server(maximum_concurrent_rpcs); the house never says it
R = TypeVar("R")


class Connection:
    """A connection to the daemon at ``endpoint``; close it, or use it as a context manager.

    ``endpoint`` is what :func:`~musicfs.api.endpoint.parse_endpoint` reads, or what it gives. ``token`` goes with every call
    over a network. ``ca_file`` has, in PEM, who may have signed the certificate of an https endpoint, or that certificate
    itself; empty: who gRPC trusts. Nothing is connected to before the first call.
    """

    def __init__(
        self, endpoint: str | Endpoint, *, token: str = "", ca_file: str = "", timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._endpoint = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        self._timeout_s = timeout_s
        self._metadata = () if self._endpoint.socket_path else credentials(token)
        # gRPC's own messages on standard error are not for users of a command.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._channel = _channel(self._endpoint, ca_file)

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
        stream = method(request, metadata=self._metadata)
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
            result: R = method(request, timeout=self._timeout_s, metadata=self._metadata)
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
        if code is grpc.StatusCode.UNAVAILABLE and not remedy:
            lost = self._lost(details)
            if lost is not None:
                return lost
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return MusicFSError(f"the daemon does not answer: {details}", remedy="`musicfs doctor` looks for the cause")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_MANY in details:
            return UnreachableError(
                "the daemon answers too many calls already", remedy="end some of them, or try again"
            )
        column = metadata.get(COLUMN_KEY)
        if isinstance(column, str) and column.isdecimal():
            return QueryError(details.removeprefix(f"column {column}: "), column=int(column), remedy=remedy)
        return _ERRORS.get(code, MusicFSError)(details or code.name, remedy=remedy)

    def _lost(self, details: str) -> MusicFSError | None:
        """Why there is no connection; None if there is one, and it was the daemon that answered."""
        place = self._endpoint
        if place.has_tls and _TLS_FAILURE.search(details):
            return DeniedError(
                f"{place} has not shown that it is the daemon: {_reason(details)}",
                remedy="name the file with its certificate, or that of who signed it, with --ca-file",
            )
        if self._is_gone():
            return NoDaemonError(f"the daemon on {place} went away", remedy=START_REMEDY)
        return None

    def _is_gone(self) -> bool:
        if not self._endpoint.socket_path:
            return not answers(self._endpoint.address)
        try:
            return peer_pid(self._endpoint.socket_path) is None
        except PermissionError:
            return True


def _channel(endpoint: Endpoint, ca_file: str) -> grpc.Channel:
    options = (
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", MAX_METADATA_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_METADATA_MESSAGE_BYTES),
    )
    if endpoint.socket_path:
        return grpc.insecure_channel(target(endpoint.socket_path), options)
    if not endpoint.has_tls:
        # Not through a proxy: it would be another machine.
        return grpc.insecure_channel(str(endpoint.address), (*options, ("grpc.enable_http_proxy", 0)))
    trusted = None
    if ca_file:
        try:
            with open(ca_file, "rb") as file:
                trusted = file.read()
        except OSError as error:
            raise ConfigError(f"{ca_file} cannot be read: {error.strerror}", remedy="check --ca-file") from error
    return grpc.secure_channel(str(endpoint.address), grpc.ssl_channel_credentials(trusted), options)


def _reason(details: str) -> str:
    """The end of gRPC's chain of causes."""
    return details.rpartition("; ")[2].strip() or details


def _check_size(service: str, request: Message) -> None:
    """gRPC would say that a resource is exhausted."""
    size_bytes, limit_bytes = request.ByteSize(), _LIMITS_BYTES[service]
    if size_bytes > limit_bytes:
        raise ConfigError(
            f"a request of {size_bytes} bytes, {limit_bytes} are possible", remedy="ask for less at a time"
        )


def _path(service: str, method: str) -> str:
    return f"/{pb.DESCRIPTOR.services_by_name[service].full_name}/{method}"
