"""Calls through a real socket: values arrive as they were sent, errors as what they were."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from musicfs.api.backend import Phase, SyncProgress
from musicfs.api.client import Client, find_socket
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.unix_socket import target
from musicfs.api.wire import wire_text
from musicfs.errors import (
    AlreadyRunningError,
    ChangedError,
    ConfigError,
    DeniedError,
    DiskFullError,
    MusicFSError,
    NoDaemonError,
    NotFoundError,
    SchemaError,
    UnreachableError,
)
from tests.api.backend import ORIGINS, SCAN, STATUS, FakeBackend, serving


def call(path: Path, method: str, request: bytes, answer: type) -> object:
    """A call past the client, as another program would make it."""
    with grpc.insecure_channel(target(str(path))) as channel:
        return channel.unary_unary(
            f"/musicfs.v1.MusicFS/{method}",
            request_serializer=lambda data: data,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]  # messages only
        )(request, timeout=10)


def test_values_arrive_as_they_were_sent(client: Client, backend: FakeBackend) -> None:
    assert client.status() == STATUS
    assert client.origins() == ORIGINS
    assert client.confirm("nas") == 12
    assert client.metrics() == "musicfs_tracks 998.0\n"
    health = client.origin_health("usb")
    assert (health.origin_id, health.health.value, health.message, health.last_check_s) == (
        "usb",
        "unhealthy",
        "the folder is not there",
        3,
    )
    client.shutdown(graceful=True, timeout_s=7)
    client.shutdown(graceful=False, timeout_s=0)
    assert backend.calls[-2:] == [("shutdown", True, 7.0), ("shutdown", False, 0.0)]


def test_a_name_that_is_not_utf8_arrives_readable(client: Client) -> None:
    page = client.problems()
    assert page.total == 1
    assert page.problems[0].path == "A/broken\\xff.mp3"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("a\udcffb", "a\\xffb"),
        ("\ud800", "\\ud800"),
        ("\ud800\udcff", "\\ud800\\udcff"),
        ("", ""),
    ],
)
def test_text_for_the_wire_is_utf8(text: str, shown: str) -> None:
    assert wire_text(text) == shown
    wire_text(text).encode()


def test_a_rescan_streams_every_step(client: Client, backend: FakeBackend) -> None:
    steps = list(client.rescan("nas", "A/B/"))
    assert [step.phase for step in steps] == [step.phase for step in SCAN]
    assert steps[-1] == SCAN[-1]
    assert steps[2].current_path == "A/\x1b[2J\\xff.flac"
    assert backend.calls == [("rescan", "nas", "A/B")]


def test_a_caller_who_leaves_a_rescan_frees_its_thread(tmp_path: Path) -> None:
    backend = FakeBackend(steps=tuple(SyncProgress(phase=Phase.SCANNING, current=number) for number in range(100_000)))
    with serving(backend, tmp_path / "test.sock") as client:
        for _ in range(20):  # more than the server has threads
            assert next(iter(client.rescan("nas"))).current == 0
        assert client.status() == STATUS


def test_problems_are_paged(client: Client, backend: FakeBackend) -> None:
    client.problems("nas", 10, 30)
    client.problems("", 0, 1_000_000)
    assert backend.calls == [("problems", "nas", 10, 30), ("problems", "", 0, 10_000)]
    assert client.problems("", 1).problems == ()


def test_the_default_of_problems_is_a_thousand(client: Client, backend: FakeBackend, tmp_path: Path) -> None:
    assert client is not None
    call(tmp_path / "test.sock", "ListProblems", b"", pb.ListProblemsResponse)
    assert backend.calls == [("problems", "", 0, 1000)]


@pytest.mark.parametrize(
    ("error", "code", "arrives"),
    [
        (NotFoundError("no origin x", remedy="try y"), grpc.StatusCode.NOT_FOUND, NotFoundError),
        (ConfigError("bad", remedy="good"), grpc.StatusCode.INVALID_ARGUMENT, ConfigError),
        (UnreachableError("nas is away"), grpc.StatusCode.UNAVAILABLE, UnreachableError),
        (DeniedError("no"), grpc.StatusCode.PERMISSION_DENIED, DeniedError),
        (ChangedError("other"), grpc.StatusCode.ABORTED, ChangedError),
        (DiskFullError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, DiskFullError),
        (SchemaError("old"), grpc.StatusCode.FAILED_PRECONDITION, MusicFSError),
        (MusicFSError("odd \udcff ü", remedy="ünicode"), grpc.StatusCode.INTERNAL, MusicFSError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, MusicFSError) else "",
)
def test_an_error_arrives_as_what_it_was(
    error: MusicFSError, code: grpc.StatusCode, arrives: type[MusicFSError], tmp_path: Path
) -> None:
    with serving(FakeBackend(error=error), tmp_path / "s.sock") as client:
        for attempt in (client.status, lambda: list(client.rescan("nas"))):
            with pytest.raises(MusicFSError) as caught:
                attempt()
            assert type(caught.value) is arrives
            assert str(caught.value) == str(error).replace("\udcff", "\\xff")
            assert caught.value.remedy == error.remedy
        with pytest.raises(grpc.RpcError) as refused:
            call(tmp_path / "s.sock", "GetStatus", b"", pb.StatusResponse)
        assert isinstance(refused.value, grpc.Call)
        assert refused.value.code() is code


def test_what_breaks_inside_is_logged_and_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(FakeBackend(error=RuntimeError("/secret/path")), tmp_path / "s.sock") as client:
        for attempt in (client.status, lambda: list(client.rescan("nas"))):
            with caplog.at_level(logging.ERROR), pytest.raises(MusicFSError, match="internal error") as caught:
                attempt()
            assert "/secret/path" not in str(caught.value)
    assert caplog.text.count("/secret/path") == 2


@pytest.mark.parametrize("origin_id", ["", "nowhere"])
def test_ids_are_checked(client: Client, origin_id: str) -> None:
    expected = ConfigError if not origin_id else NotFoundError
    for attempt in (
        lambda: client.origin_health(origin_id),
        lambda: client.confirm(origin_id),
        lambda: list(client.rescan(origin_id)),
    ):
        with pytest.raises(expected):
            attempt()


@pytest.mark.parametrize("subdir", ["/etc", "../x", "a/../../b", "a\0b", "."])
def test_a_folder_outside_the_origin_is_refused(client: Client, backend: FakeBackend, subdir: str) -> None:
    with pytest.raises(ConfigError, match="relative to the origin"):
        list(client.rescan("nas", subdir))
    assert backend.calls == []


def test_a_backend_that_hangs_costs_its_caller_a_deadline(tmp_path: Path) -> None:
    backend = FakeBackend(blocks=True)
    with serving(backend, tmp_path / "s.sock", answer_timeout_s=0.2) as client:
        for _ in range(20):  # more than the server has threads
            with pytest.raises(MusicFSError, match="does not answer"):
                client.status()
        backend.blocks = False
        assert client.origins() == ORIGINS


def test_nonsense_is_refused_and_nothing_else(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "test.sock"
    with pytest.raises(grpc.RpcError):
        call(path, "GetOriginHealth", b"\xff\xff\xff", pb.OriginHealthResponse)
    with pytest.raises(grpc.RpcError):
        call(path, "NoSuchMethod", b"", pb.Empty)
    with pytest.raises(grpc.RpcError):
        call(path, "GetOriginHealth", b"\x0a\x84\x80\x80\x02" + b"x" * (4 << 20), pb.OriginHealthResponse)
    assert client.status() == STATUS


def test_counters_beyond_their_field_are_held_within_it(tmp_path: Path) -> None:
    state = type(STATUS)(
        version="", instance="", uptime_s=-1, mount_point="", state=STATUS.state, pid=1 << 40, fuse_ops_total=1 << 70
    )
    with serving(FakeBackend(state=state), tmp_path / "s.sock") as client:
        answer = client.status()
    assert (answer.uptime_s, answer.pid, answer.fuse_ops_total) == (0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


def test_a_client_without_a_daemon_says_so(tmp_path: Path) -> None:
    with Client(str(tmp_path / "nothing.sock")) as client, pytest.raises(NoDaemonError) as caught:
        client.status()
    assert caught.value.exit_code == 3
    assert "musicfs mount" in caught.value.remedy


def test_a_daemon_that_goes_away_in_a_call(tmp_path: Path) -> None:
    backend = FakeBackend()
    with serving(backend, tmp_path / "s.sock") as client:
        assert client.status() == STATUS
    with Client(str(tmp_path / "s.sock")) as client, pytest.raises(NoDaemonError):
        list(client.rescan("nas"))


def test_closing_ends_a_stream(tmp_path: Path) -> None:
    class Endless(FakeBackend):
        def rescan(self, origin_id: str, subdir: str) -> Iterator[SyncProgress]:
            while True:
                yield SyncProgress(phase=Phase.SCANNING)

    started = time.monotonic()
    with serving(Endless(), tmp_path / "s.sock") as client:
        steps = client.rescan("nas")
        next(steps)
    assert time.monotonic() - started < 20
    with pytest.raises((UnreachableError, NoDaemonError, MusicFSError)):
        for _ in steps:
            pass


def test_the_socket_is_found_among_candidates(client: Client, tmp_path: Path) -> None:
    assert client is not None
    paths = [str(tmp_path / name) for name in ("none.sock", "test.sock")]
    assert find_socket(paths) == paths[1]
    with pytest.raises(NoDaemonError, match=re.escape(paths[0])):
        find_socket(paths[:1])


def test_another_daemon_on_the_socket_is_refused_with_its_pid(client: Client, tmp_path: Path) -> None:
    assert client.status() == STATUS
    with pytest.raises(AlreadyRunningError) as caught, serving(FakeBackend(), tmp_path / "test.sock"):
        pass
    assert caught.value.pid > 0
    assert client.status() == STATUS
