"""Ports: which can be had, what is served there beside our calls, and that nobody there can keep the socket waiting."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.api.backend import Status
from musicfs.api.client import Client
from musicfs.api.endpoint import Endpoint
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.limits import MAX_STREAMS, MAX_WATCHES, POOL_SIZE, RequestTimeout
from musicfs.api.tcp import answers, listener_uid, trouble_with
from musicfs.config.addresses import Address
from musicfs.errors import ConfigError, DeniedError, NoDaemonError, UnreachableError
from musicfs.events import Event
from tests.api.backend import ORIGINS, STATUS, FakeBackend
from tests.api.network import ANY_PORT, METHODS, SHOWN, TOKEN, call, health, listening, same, watch
from tests.faults.living import wait_for

STATUS_CALL = "/musicfs.v1.MusicFS/GetStatus"


def taken() -> tuple[socket.socket, Address]:
    """A port that another program listens on."""
    other = socket.create_server(("127.0.0.1", 0))
    return other, Address("127.0.0.1", other.getsockname()[1])


# Listening.


def test_socket_and_ports_answer_alike(tmp_path: Path) -> None:
    both = (ANY_PORT, Address("::1", 0))
    with listening(FakeBackend(), tmp_path, *both) as server:
        assert server.troubles == ()
        assert [address.host for address in server.addresses] == ["127.0.0.1", "::1"]
        for endpoint in (str(tmp_path / "s.sock"), *map(str, server.addresses)):
            with Client(endpoint, token=TOKEN) as client:
                assert client.status() == STATUS
                assert client.origins() == ORIGINS
                assert client.confirm("nas") == 12
                assert len(list(client.rescan("nas"))) == 4
    assert not any(answers(address) for address in server.addresses)


def test_a_port_in_use_costs_nothing_else(tmp_path: Path) -> None:
    other, address = taken()
    with other, listening(FakeBackend(), tmp_path, address, ANY_PORT) as server:
        [trouble] = server.troubles
        assert trouble.address == address
        assert "in use" in trouble.message
        assert "grpc.addresses" in trouble.remedy
        assert len(server.addresses) == 1
        with Client(str(tmp_path / "s.sock")) as client:
            assert client.status() == STATUS


def test_two_daemons_never_share_a_port(tmp_path: Path) -> None:
    with listening(FakeBackend(), tmp_path) as first:
        (tmp_path / "b").mkdir()
        with listening(FakeBackend(), tmp_path / "b", first.addresses[0]) as second:
            assert second.addresses == ()
            assert "in use" in second.troubles[0].message


def test_a_port_can_be_had_again_at_once(tmp_path: Path) -> None:
    address = ANY_PORT
    for _ in range(3):
        with listening(FakeBackend(), tmp_path, address) as server:
            [address] = server.addresses
            with Client(str(address)) as client:
                assert client.status() == STATUS


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])  # RFC 5737 and 3849: nobody's
def test_an_address_of_another_machine(host: str) -> None:
    trouble = trouble_with(Address(host, 1024))
    assert trouble is not None and trouble.is_missing


def test_a_name_that_nobody_knows() -> None:
    trouble = trouble_with(Address("nowhere.invalid", 1024))  # RFC 6761
    assert trouble is not None and "cannot be looked up" in trouble.message


def test_who_listens_is_known_by_user(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "::1"):
        with listening(FakeBackend(), tmp_path, Address(host, 0)) as server:
            [address] = server.addresses
            assert listener_uid(address) == os.geteuid()
            assert listener_uid(Address("localhost", address.port)) == os.geteuid()
            assert listener_uid(Address("127.0.0.2", address.port)) is None
        assert listener_uid(address) is None


# The client.


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with listening(FakeBackend(), tmp_path) as server:
        [address] = server.addresses
    with Client(Endpoint(address=address)) as client, pytest.raises(NoDaemonError):
        client.status()
    with Client(Endpoint(address=address)) as client, pytest.raises(NoDaemonError):
        list(client.rescan("nas"))


def test_a_client_without_the_token_is_told_what_to_do(tmp_path: Path) -> None:
    with listening(FakeBackend(), tmp_path) as server, Client(str(server.addresses[0])) as client:
        assert client.status() == STATUS
        for attempt in (lambda: client.confirm("nas"), lambda: list(client.rescan("nas"))):
            with pytest.raises(DeniedError, match="token") as caught:
                attempt()
            assert "--token-file" in caught.value.remedy


def test_a_ca_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="/nowhere"):
        Client("https://127.0.0.1:1", ca_file="/nowhere")


# Reflection and health.


def test_reflection_tells_all_that_can_be_called(tmp_path: Path) -> None:
    with listening(FakeBackend(), tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        for version in ("v1", "v1alpha"):
            ask = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            requests = (
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="musicfs.v1.MusicFS"),
            )
            listed, file = ask(iter(requests), timeout=10)
            names = {service.name for service in listed.list_services_response.service}
            assert names >= {"musicfs.v1.MusicFS", "musicfs.v1.MetadataService", "grpc.health.v1.Health"}
            assert pb.DESCRIPTOR.serialized_pb in file.file_descriptor_response.file_descriptor_proto


def test_health_as_a_whole_and_of_each_service(tmp_path: Path) -> None:
    services = ("", "musicfs.v1.MusicFS", "musicfs.v1.MetadataService")
    with listening(FakeBackend(), tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        watched = watch(channel)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        assert {health(channel, service) for service in services} == {"SERVING"}
        with pytest.raises(grpc.RpcError) as caught:
            health(channel, "nothing")
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        # Shutdown answers at once; until the mount is gone calls are answered, and nobody is sent here any more.
        assert call(channel, "/musicfs.v1.MusicFS/Shutdown", metadata=SHOWN).code is grpc.StatusCode.OK
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert {health(channel, service) for service in services} == {"NOT_SERVING"}
        assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK


# Deadlines, cancellation, limits.


class Endless(FakeBackend):
    """Events never end; ``open_streams`` is how many are followed."""

    open_streams = 0
    lock = threading.Lock()

    def events(self, types: Sequence[str], origin_id: str) -> Iterator[Event | None]:
        with self.lock:
            self.open_streams += 1
        try:
            while not self.release.wait(0.05):
                yield None
        finally:
            with self.lock:
                self.open_streams -= 1

    def wait_for_streams(self, count: int) -> None:
        wait_for(f"{count} open streams", lambda: self.open_streams == count)


def _first(answers: Iterator[health_pb2.HealthCheckResponse]) -> int:
    """How the daemon is, or 0 when it does not say."""
    try:
        return int(next(answers).status)
    except grpc.RpcError:
        return 0


def _status(client: Client) -> Status | None:
    """How the daemon is, or None when it cannot be reached."""
    try:
        return client.status()
    except (UnreachableError, NoDaemonError):
        return None


def subscribe(channel: grpc.Channel) -> grpc.Call:
    method = channel.unary_stream("/musicfs.v1.MusicFS/SubscribeEvents", same, same)
    stream = method(b"", timeout=60)
    assert isinstance(stream, grpc.Call)
    return stream


def test_the_callers_deadline_counts_if_it_is_the_shorter_one(tmp_path: Path) -> None:
    backend = FakeBackend(blocks=True)
    with (
        listening(backend, tmp_path, answer_timeout_s=1.0) as server,
        grpc.insecure_channel(str(server.addresses[0])) as channel,
    ):
        for timeout_s, shortest_s in ((0.2, 0.2), (30.0, 1.0)):
            started = time.monotonic()
            assert call(channel, STATUS_CALL, timeout_s=timeout_s).code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert shortest_s <= time.monotonic() - started + 0.01 < 10


def test_work_for_a_caller_who_has_left_ends(tmp_path: Path) -> None:
    backend = FakeBackend(slow_s=60)
    request = pb.UpdateMetadataRequest(file_id=1, title="x")
    with (
        listening(backend, tmp_path, answer_timeout_s=60) as server,
        grpc.insecure_channel(str(server.addresses[0])) as channel,
    ):
        method = channel.unary_unary(
            "/musicfs.v1.MetadataService/UpdateMetadata",
            request_serializer=pb.UpdateMetadataRequest.SerializeToString,
            response_deserializer=same,
        )
        future = method.future(request, timeout=60, metadata=SHOWN)
        wait_for("the call", lambda: backend.seen)
        future.cancel()  # type: ignore[no-untyped-call]  # as below
        assert backend.ended.acquire(timeout=10)
    assert backend.history == []


def test_a_stream_ends_when_its_caller_leaves_or_its_deadline_passes(tmp_path: Path) -> None:
    backend = Endless()
    with listening(backend, tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        stream = subscribe(channel)
        backend.wait_for_streams(1)
        stream.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs leave it without types
        backend.wait_for_streams(0)
        answer = call(channel, "/musicfs.v1.MusicFS/SubscribeEvents", timeout_s=0.5)
        assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
        backend.wait_for_streams(0)
        with grpc.insecure_channel(str(server.addresses[0]), (("grpc.use_local_subchannel_pool", 1),)) as another:
            kept = subscribe(another)
            backend.wait_for_streams(1)
        backend.wait_for_streams(0)  # the connection is gone
        assert not kept.is_active()


def test_streams_leave_room_for_calls_and_for_other_listeners(tmp_path: Path) -> None:
    backend = Endless()
    with listening(backend, tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        streams = [subscribe(channel) for _ in range(MAX_STREAMS)]
        backend.wait_for_streams(MAX_STREAMS)
        answer = call(channel, "/musicfs.v1.MusicFS/SubscribeEvents")
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        assert answer.remedy
        with Client(str(server.addresses[0])) as client:
            with pytest.raises(UnreachableError, match="streams"):
                next(iter(client.search_all("x")))
            for _ in range(20):
                assert client.status() == STATUS
        with Client(str(tmp_path / "s.sock")) as client:
            assert client.status() == STATUS
            assert len(list(client.rescan("nas"))) == 4
        streams[0].cancel()  # type: ignore[no-untyped-call]  # as above
        backend.wait_for_streams(MAX_STREAMS - 1)
        streams.append(subscribe(channel))
        backend.wait_for_streams(MAX_STREAMS)


def test_who_watches_takes_no_place_of_who_listens(tmp_path: Path) -> None:
    backend = Endless()
    with listening(backend, tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        watches = [watch(channel) for _ in range(MAX_WATCHES)]
        assert {next(one).status for one in watches} == {health_pb2.HealthCheckResponse.SERVING}
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(channel))
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert health(channel, "") == "SERVING", "asking once takes no place"
        streams = [subscribe(channel) for _ in range(MAX_STREAMS)]
        backend.wait_for_streams(MAX_STREAMS)
        with Client(str(server.addresses[0])) as client:
            assert client.status() == STATUS
        watches.pop().cancel()
        # Its thread is free a moment after the caller has left.
        assert wait_for("a free thread", lambda: _first(watch(channel))) == health_pb2.HealthCheckResponse.SERVING
        assert all(stream.is_active() for stream in streams)


def test_hanging_calls_on_a_port_do_not_reach_the_socket(tmp_path: Path) -> None:
    backend = FakeBackend(blocks=True)
    with (
        listening(backend, tmp_path, answer_timeout_s=3.0) as server,
        grpc.insecure_channel(str(server.addresses[0])) as channel,
    ):
        method = channel.unary_unary(STATUS_CALL, same, same)
        hanging = [method.future(b"", timeout=30) for _ in range(200)]
        wait_for("eight calls", lambda: len(backend.calls) >= 8)
        backend.blocks = False
        started = time.monotonic()
        with Client(str(tmp_path / "s.sock")) as client:
            assert client.status() == STATUS
        assert time.monotonic() - started < 2
        codes = {future.code() for future in hanging}
    refused = {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }  # by the number of calls, or of streams of HTTP
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED} | refused


def test_requests_that_never_come_free_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC waits for a request in a thread, for ever."""
    monkeypatch.setattr("musicfs.api.listening.RequestTimeout", lambda: RequestTimeout(1.0))
    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(30)
        yield from ()

    with listening(FakeBackend(), tmp_path) as server, grpc.insecure_channel(str(server.addresses[0])) as channel:
        method = channel.stream_unary(STATUS_CALL, same, same)
        waiting = [method.future(nothing(), timeout=60) for _ in range(POOL_SIZE)]
        try:
            codes = {future.code() for future in waiting}
        finally:
            ended.set()
        assert codes == {grpc.StatusCode.CANCELLED}
        assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK
        with pytest.raises(grpc.RpcError) as caught:
            method(iter(()), timeout=10)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# Nonsense.


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server for all examples."""
    with listening(FakeBackend(), tmp_path_factory.mktemp("standing")) as server:
        yield server.addresses[0]


HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 3.4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), is_http2=st.booleans())
def test_random_bytes_on_the_port(standing: Address, data: bytes, is_http2: bool) -> None:
    with socket.create_connection((standing.host, standing.port), timeout=10) as connection:
        connection.sendall(HTTP2_PREFACE * is_http2 + data)
        connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
    with Client(Endpoint(address=standing)) as client:
        assert client.status() == STATUS


ANSWERS = frozenset(
    (
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,  # a file outside of the folders for imports
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(sorted(METHODS)), data=st.binary(max_size=200))
def test_random_messages(standing: Address, method: str, data: bytes) -> None:
    with grpc.insecure_channel(str(standing)) as channel:
        assert call(channel, method, data, metadata=SHOWN).code in ANSWERS


@pytest.mark.parametrize(
    ("method", "size_bytes"),
    [(STATUS_CALL, 5 << 20), (STATUS_CALL, 21 << 20), ("/musicfs.v1.MetadataService/GetMetadata", 21 << 20)],
)
def test_a_message_that_is_too_large(standing: Address, method: str, size_bytes: int) -> None:
    with grpc.insecure_channel(str(standing)) as channel:
        assert call(channel, method, b"\0" * size_bytes).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK


_SERVES = """
import sys, time
from pathlib import Path
from tests.api.backend import FakeBackend
from tests.api.network import listening
with listening(FakeBackend(), Path(sys.argv[1])) as server:
    print(server.addresses[0], flush=True)
    sys.stdin.read()
"""


def _peak_mb(pid: int) -> int:
    """The most memory that a process has had since it was last asked for (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")
    return int(line.split()[1]) >> 10


@pytest.mark.parametrize("method", [STATUS_CALL, "/musicfs.v1.MusicFS/RescanOrigin"])  # open, and with the token
def test_a_message_that_is_far_too_large_is_not_taken(tmp_path: Path, method: str) -> None:
    """The server is a process of its own: the message is in the memory of this one."""
    command = [sys.executable, "-c", _SERVES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        address = process.stdout.readline().strip()
        options = (("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
        with grpc.insecure_channel(address, options) as channel:
            assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK
            before = _peak_mb(process.pid)
            answer = call(channel, method, b"\0" * (256 << 20), timeout_s=60)
            assert answer.code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED}
            assert _peak_mb(process.pid) < before + 64
            assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK
        process.stdin.close()


def test_metadata_that_is_too_large(standing: Address) -> None:
    with grpc.insecure_channel(str(standing)) as channel:
        answer = call(channel, STATUS_CALL, metadata=(("authorization", "Bearer " + "x" * 100_000),))
        assert answer.code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL}
        assert call(channel, STATUS_CALL).code is grpc.StatusCode.OK


def test_a_thousand_connections_that_say_nothing(standing: Address) -> None:
    """More than are let in; afterwards there is room again."""
    idle = []
    try:
        for _ in range(1000):
            try:
                idle.append(socket.create_connection((standing.host, standing.port), timeout=5))
            except OSError:
                break
    finally:
        for connection in idle:
            connection.close()
    with Client(Endpoint(address=standing)) as client:
        assert wait_for("an answer", lambda: _status(client)) == STATUS
