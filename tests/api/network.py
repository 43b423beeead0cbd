"""A server in front of a fake backend, on ports of this machine, and calls past our own client."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.listening import Network
from musicfs.api.server import ControlServer
from musicfs.api.wire import REMEDY_KEY
from musicfs.config.addresses import Address
from tests.api.backend import FakeBackend

TOKEN = "not-a-secret-but-long-enough"
ANY_PORT = Address("127.0.0.1", 0)
SHOWN = (("authorization", f"Bearer {TOKEN}"),)


@contextlib.contextmanager
def listening(
    backend: FakeBackend,
    folder: Path,
    *addresses: Address,
    token: str = TOKEN,
    tls: Certificate | None = None,
    answer_timeout_s: float = 5.0,
) -> Iterator[ControlServer]:
    """A server on a socket ``s.sock`` in ``folder`` and on ``addresses`` (any port of 127.0.0.1)."""
    network = Network(
        addresses or (ANY_PORT,),
        token,
        os.fspath(tls.path) if tls else "",
        os.fspath(tls.key_path) if tls else "",
    )
    server = ControlServer(backend, os.fspath(folder / "s.sock"), network=network, answer_timeout_s=answer_timeout_s)
    server.start()
    try:
        yield server
    finally:
        backend.release.set()
        server.close(0.0)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody had just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    remedy: str = ""
    messages: tuple[Any, ...] = ()


METHODS: Mapping[str, Any] = {
    f"/{service.full_name}/{method.name}": method
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def call(
    channel: grpc.Channel,
    method: str,
    request: Message | bytes = b"",
    metadata: tuple[tuple[str, str], ...] = (),
    timeout_s: float = 10.0,
) -> Answer:
    """Make a call of the contract, of whatever kind, and read it to its end."""
    described = METHODS[method]
    answer: type[Message] = getattr(pb, described.output_type.name)
    stream = channel.unary_stream(  # fits calls with one answer as well
        method,
        request_serializer=lambda data: data if isinstance(data, bytes) else data.SerializeToString(),
        response_deserializer=answer.FromString,
    )(request, timeout=timeout_s, metadata=metadata)
    messages: list[Message] = []
    try:
        messages += stream
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        trailing = dict(error.trailing_metadata() or ())
        remedy = trailing.get(REMEDY_KEY, b"")
        assert isinstance(remedy, bytes)
        return Answer(error.code(), error.details() or "", remedy.decode(), tuple(messages))
    return Answer(grpc.StatusCode.OK, messages=tuple(messages))


def health(channel: grpc.Channel, service: str) -> str:
    """What the health service says of ``service``, by name."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    answer = check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def watch(channel: grpc.Channel) -> Any:
    """A stream of how the daemon as a whole is."""
    method = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return method(health_pb2.HealthCheckRequest(service=""), timeout=60)


def same(data: bytes) -> bytes:
    """Requests and answers as they are on the wire."""
    return data


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that signs itself, and its key."""

    path: Path
    key_path: Path


def make_certificate(folder: Path, host: str = "127.0.0.1", days: int = 1) -> Certificate:
    """A new one, for the IP address ``host``, good for ``days``."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", str(days), "-subj", "/CN=musicfs test", "-addext", f"subjectAltName=IP:{host}",
            "-keyout", os.fspath(made.key_path), "-out", os.fspath(made.path),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    return made
