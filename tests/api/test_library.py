"""A look at the library through a real socket: values, defaults, errors, and callers who leave."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.library import ISSUE_KINDS, LibraryIssue, LibraryReport
from musicfs.api.unix_socket import target
from musicfs.errors import DiskFullError, NotFoundError
from musicfs.library.checkup import IssueKind
from tests.api.backend import FakeBackend, serving
from tests.api.library_backend import ISSUES, REPORTS


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend, tmp_path: Path) -> Iterator[Client]:
    with serving(backend, tmp_path / "test.sock"), Client(os.fspath(tmp_path / "test.sock")) as client:
        yield client


def test_the_kinds_are_those_that_are_found() -> None:
    assert tuple(IssueKind) == ISSUE_KINDS


def test_values_arrive_as_they_were_sent(client: Client, backend: FakeBackend) -> None:
    reports = list(client.library_health())
    shown = LibraryIssue("unreadable", "nas", ("A/broken\\xff.mp3",), "no MPEG frame")
    assert [report.issue for report in reports] == [None, shown, *ISSUES[1:], None]
    assert reports[-1] == REPORTS[-1]
    assert (reports[1].done, reports[1].total, reports[1].complete) == (100, 1000, False)
    list(client.library_health(("held", "drifted"), "nas", 0))
    assert backend.looks == [((), "", 10), (("held", "drifted"), "nas", 0)]


def test_what_other_programs_ask(client: Client, backend: FakeBackend, tmp_path: Path) -> None:
    assert client.status().pid == 0
    with grpc.insecure_channel(target(str(tmp_path / "test.sock"))) as channel:
        method = channel.unary_stream(
            "/musicfs.v1.MusicFS/LibraryHealth",
            request_serializer=pb.LibraryHealthRequest.SerializeToString,
            response_deserializer=pb.LibraryHealthReport.FromString,
        )
        last = list(method(pb.LibraryHealthRequest(), timeout=10))[-1]
    assert (last.complete, last.counts["duplicate"], dict(last.unchecked)) == (
        True, 1, {"usb": "the folder is not there"}
    )  # fmt: skip
    assert backend.looks == [((), "", 10)]


@pytest.mark.parametrize(
    "error", [NotFoundError("no origin", remedy="look"), DiskFullError("no room", remedy="make it")]
)
def test_errors_arrive(client: Client, backend: FakeBackend, error: NotFoundError) -> None:
    backend.library_error = error
    with pytest.raises(type(error)) as caught:
        list(client.library_health())
    assert (str(caught.value), caught.value.remedy) == (str(error), error.remedy)


def test_a_caller_who_leaves_ends_the_look(tmp_path: Path) -> None:
    ended = threading.Event()

    class Endless(FakeBackend):
        def library_health(self, kinds: Sequence[str], origin_id: str, limit: int) -> Iterator[LibraryReport]:
            try:
                while True:
                    yield LibraryReport(total=1)
            finally:
                ended.set()

    with serving(Endless(), tmp_path / "test.sock"), Client(os.fspath(tmp_path / "test.sock")) as client:
        reports = client.library_health()
        assert next(reports).total == 1
        reports.close()  # type: ignore[attr-defined] # a generator
        assert ended.wait(10)
