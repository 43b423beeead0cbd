"""Tags through a real socket: with our client, and as other programs call."""

from __future__ import annotations

import contextlib
import getpass
import logging
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import MAX_BATCH, MAX_COVER_BYTES, Cover, FieldChange, MetadataChange, Served
from musicfs.api.unix_socket import target
from musicfs.errors import (
    ConfigError,
    DiskFullError,
    MusicFSError,
    NotFoundError,
    UnreachableError,
)
from tests.api.backend import STATUS, FakeBackend, serving
from tests.api.metadata_backend import TRACKS, track

NEW_TITLE = MetadataChange(file_id=1, set={"title": ("New",)})
ANSWERS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["MetadataService"].methods}


@pytest.fixture
def call(client: Client, tmp_path: Path) -> Iterator[Callable[[str, Any], Any]]:
    """A call past the client, as another program would make it; the answers of a stream as a list."""
    assert client is not None
    options = (("grpc.max_send_message_length", 64 << 20),)
    with grpc.insecure_channel(target(str(tmp_path / "test.sock")), options=options) as channel:

        def make(name: str, request: Any) -> Any:
            method = ANSWERS[name]
            kinds = channel.unary_stream if method.server_streaming else channel.unary_unary
            answer = kinds(
                f"/musicfs.v1.MetadataService/{name}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=getattr(pb, method.output_type.name).FromString,
            )(request, timeout=20)
            return list(answer) if method.server_streaming else answer

        yield make


@contextlib.contextmanager
def refused(code: grpc.StatusCode, text: str = "") -> Iterator[None]:
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert isinstance(caught.value, grpc.Call)
    assert (caught.value.code(), text in (caught.value.details() or "")) == (code, True), caught.value.details()


# With our client.


def test_a_track_is_found_by_path_and_by_id(client: Client) -> None:
    assert client.metadata("/Björk/Début/01.flac") == TRACKS[0]
    assert client.metadata(file_id=2) == TRACKS[1]
    with pytest.raises(NotFoundError) as caught:
        client.metadata("/nowhere")
    assert caught.value.remedy
    for path, file_id in (("", 0), ("", -1), ("/a\0", 0)):
        with pytest.raises(ConfigError):
            client.metadata(path, file_id)


def test_a_name_that_is_not_utf8_is_named_as_it_is_shown(client: Client, backend: FakeBackend) -> None:
    assert client.metadata("/Other/\udcff.flac") == TRACKS[2]
    assert list(client.tracks(["/Other/\udcff.flac"])) == [TRACKS[2]]
    assert next(client.change_metadata([MetadataChange(path="/Other/\udcff.flac")])).file_id == 3
    backend.tracks_by_id[4] = track(4, "/raw", {"title": ("a\udcff",)})
    assert client.metadata("/raw").own == {"title": ("a\\xff",)}


def test_changes_are_made_and_told_one_by_one(client: Client, backend: FakeBackend) -> None:
    found = list(
        client.change_metadata(
            [
                MetadataChange(path="/Björk/Début", set={"artist": ("A", "B"), "mood": ()}),
                MetadataChange(match={"mb_recording_id": "b-2"}, set={"title": ("Second",)}),
                MetadataChange(path="/nowhere", set={"title": ("x",)}),
                MetadataChange(file_id=1, revert=("mood",), cover=b"\xff\xd8"),
            ],
            query="year:1993",
            action="import",
            author="someone",
        )
    )
    assert [(one.index, one.file_id, one.error) for one in found] == [
        (0, 1, ""),
        (0, 2, ""),
        (1, 2, ""),
        (2, 0, "there is no such track"),
        (3, 1, ""),
    ]
    assert found[0].changes == (
        FieldChange("artist", ("Björk", "Another"), ("A", "B")),
        FieldChange("mood", ("calm",), ()),
    )
    assert (found[4].cover_changed, found[3].remedy, found[0].total) == (True, "look", 4)
    assert backend.asked[-1] == {"query": "year:1993", "action": "import", "author": "someone", "dry_run": False}
    now = client.metadata(file_id=1)
    assert (now.effective["artist"], now.effective["mood"]) == (("A", "B"), ("calm",))
    assert (now.cover, now.served, now.author) == (Cover.SET, Served.CORRECTED, "someone")


def test_a_dry_run_changes_nothing(client: Client) -> None:
    [result] = client.change_metadata([NEW_TITLE], dry_run=True)
    assert result.changes == (FieldChange("title", ("One",), ("New",)),)
    [undone] = client.undo_metadata(["/Björk/Début/01.flac"], dry_run=True)
    assert undone.changes == ()
    assert client.metadata(file_id=1) == TRACKS[0]


def test_who_makes_a_change(client: Client, backend: FakeBackend) -> None:
    list(client.change_metadata([NEW_TITLE]))
    list(client.undo_metadata(["/"], author="musicfs tag"))
    assert [one["author"] for one in backend.asked] == [getpass.getuser(), "musicfs tag"]
    for wrong in ("x" * 201, "a\nb"):
        with pytest.raises(ConfigError, match="author"):
            list(client.change_metadata([NEW_TITLE], author=wrong))


def test_undoing_and_history(client: Client, backend: FakeBackend) -> None:
    list(client.change_metadata([NEW_TITLE], author="a"))
    results = list(client.undo_metadata(["/Björk/Début/01.flac"], steps=3, author="b"))
    assert [one.changes for one in results] == [(FieldChange("title", ("New",), ("One",)),)]
    assert backend.asked[-1] == {"paths": ("/Björk/Début/01.flac",), "steps": 3, "author": "b", "dry_run": False}
    log = client.metadata_log("/Björk", 10)
    assert log == tuple(reversed(backend.history))
    assert [(item.action, item.author) for item in log] == [("undo", "b"), ("set", "a")]
    assert client.metadata_log(limit=1) == log[:1]
    for paths in ([], [""], ["/a\0"]):
        with pytest.raises(ConfigError, match="path"):
            list(client.undo_metadata(paths))


def test_corrections_without_a_file(client: Client, backend: FakeBackend) -> None:
    held = msgspec.structs.replace(
        track(0, "", {}), origin_path="gone.flac", overlay={"title": ("New",)}, served=Served.PENDING, reason="gone"
    )
    backend.held.append(held)
    assert list(client.held_metadata()) == [held]


def test_tracks_come_in_the_order_of_the_tree(client: Client, backend: FakeBackend) -> None:
    assert tuple(client.tracks()) == TRACKS
    assert tuple(client.tracks(["/Other", "/Björk/Début/02.flac"], "year:1993")) == (TRACKS[2], TRACKS[1])
    assert backend.asked[-1] == {"paths": ("/Other", "/Björk/Début/02.flac"), "query": "year:1993"}
    with pytest.raises(NotFoundError):
        list(client.tracks(["/nowhere"]))
    for stream in (client.tracks(query="x" * 257), client.change_metadata([NEW_TITLE], query="x" * 257)):
        with pytest.raises(ConfigError, match="256"):
            list(stream)


# Many and large.


def test_many_changes_go_in_several_messages_and_are_read_as_they_go(client: Client, backend: FakeBackend) -> None:
    count = 2 * MAX_BATCH + 7
    read = 0

    def changes() -> Iterator[MetadataChange]:
        nonlocal read
        for number in range(count):
            read += 1
            yield MetadataChange(file_id=1, set={"title": (str(number),)})

    results = client.change_metadata(changes())
    first = next(results)
    assert (first.index, first.total, read) == (0, 0, MAX_BATCH + 1)
    assert [one.index for one in results] == list(range(1, count))
    assert [len(batch) for batch in backend.seen] == [MAX_BATCH, MAX_BATCH, 7]
    assert client.metadata(file_id=1).effective["title"] == (str(count - 1),)
    assert list(client.change_metadata([])) == []


def test_large_covers_go_one_by_one_and_small_ones_together(client: Client, backend: FakeBackend) -> None:
    largest = MetadataChange(file_id=1, cover=b"\xff" * MAX_COVER_BYTES)
    small = MetadataChange(file_id=2, cover=b"\xfe" * (1 << 20))
    results = list(client.change_metadata([largest, small, small, largest, small]))
    assert [(one.index, one.cover_changed) for one in results] == [(number, True) for number in range(5)]
    assert [len(batch) for batch in backend.seen] == [1, 2, 1, 1]
    assert backend.seen[0][0] == largest


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (MetadataChange(file_id=1, cover=bytes(MAX_COVER_BYTES + 1)), "the cover has 16776193 bytes"),
        (MetadataChange(file_id=1, cover=b""), "the cover has 0 bytes"),
        (MetadataChange(file_id=1, set={"lyrics": ("x" * (21 << 20),)}), "a request of"),
    ],
    ids=["cover", "no cover", "value"],
)
def test_what_is_too_large_is_said_before_it_is_sent(
    client: Client, backend: FakeBackend, change: MetadataChange, text: str
) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        list(client.change_metadata([change]))
    assert caught.value.remedy
    assert backend.seen == []


def test_a_request_that_is_too_large_is_refused_by_the_server(call: Callable[[str, Any], Any], client: Client) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "the cover has"):
        call("UpdateMetadata", pb.UpdateMetadataRequest(file_id=1, cover=bytes(MAX_COVER_BYTES + 1)))
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"):
        call("UpdateMetadata", pb.UpdateMetadataRequest(file_id=1, cover=bytes(21 << 20)))
    assert client.status() == STATUS


def test_other_calls_keep_their_limit(client: Client, tmp_path: Path) -> None:
    with (
        grpc.insecure_channel(target(str(tmp_path / "test.sock"))) as channel,
        refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "4194304 are possible"),
    ):
        channel.unary_unary(
            "/musicfs.v1.MusicFS/Pin", request_serializer=lambda data: data, response_deserializer=pb.Empty.FromString
        )(b"\x0a\x80\x80\x80\x02" + b"x" * (4 << 20), timeout=20)
    assert client.status() == STATUS


def test_long_values_come_back(client: Client, backend: FakeBackend) -> None:
    words = {"lyrics": ("語" * (1 << 20),)}  # as much as a file may say: 3 MiB
    backend.tracks_by_id[5] = track(5, "/long", words)
    list(client.change_metadata([MetadataChange(file_id=5, set=words)]))
    assert client.metadata("/long").overlay == words


# As other clients know it.


def test_scalars_are_all_another_client_needs(call: Callable[[str, Any], Any], backend: FakeBackend) -> None:
    answer = call(
        "UpdateMetadata",
        pb.UpdateMetadataRequest(
            file_id=1,
            title="New",
            album="",
            track_number=9,
            compilation=True,
            replaygain_album_gain=-3.25,
            custom_tags={"MOOD": "", "key": "Am"},
        ),
    )
    assert (answer.file_id, answer.success, answer.HasField("error_message")) == (1, True, False)
    assert backend.asked[-1] == {"query": "", "action": "set", "author": "grpc", "dry_run": False}
    found = call("GetMetadata", pb.GetMetadataRequest(virtual_path="/Björk/Début/01.flac"))
    assert (found.file_id, found.title, found.artist, found.track, found.year) == (1, "New", "Björk", 9, 1993)
    assert (found.compilation, found.replaygain_album_gain, dict(found.custom_tags)) == (True, -3.25, {"key": "Am"})
    assert found.replaygain_track_gain == pytest.approx(-6.54)
    assert not any(found.HasField(name) for name in ("album", "genre", "disc", "cover_url", "album_type"))
    assert (found.format, found.duration_ms, found.bitrate, found.channels) == ("flac", 241_000, 900_000, 2)
    cleared = call("ClearOverlay", pb.ClearOverlayRequest(file_id=1))
    assert (cleared.file_id, cleared.success) == (1, True)
    assert backend.asked[-1]["action"] == "clear"
    assert backend.seen[-1] == (MetadataChange(file_id=1, revert_all=True),)
    assert call("GetMetadata", pb.GetMetadataRequest(file_id=1)).title == "One"


def test_a_batch_as_another_client_sends_it(call: Callable[[str, Any], Any], backend: FakeBackend) -> None:
    items = [
        pb.BatchUpdateItem(file_id=1, metadata=pb.UpdateMetadataRequest(title="A")),
        pb.BatchUpdateItem(file_id=99, metadata=pb.UpdateMetadataRequest(title="B")),
        pb.BatchUpdateItem(file_id=2, metadata=pb.UpdateMetadataRequest(file_id=2, title="C")),
    ]
    steps = call("BatchUpdateMetadata", pb.BatchUpdateRequest(items=items))
    assert [(one.completed, one.total, one.current_file_id) for one in steps] == [(1, 3, 1), (2, 3, 0), (3, 3, 2)]
    assert [one.error_message for one in steps] == ["", "there is no such track; look", ""]
    assert backend.tracks_by_id[2].effective["title"] == ("C",)
    assert call("BatchUpdateMetadata", pb.BatchUpdateRequest()) == []


def test_a_batch_of_any_length_is_one_message(call: Callable[[str, Any], Any], backend: FakeBackend) -> None:
    count = 2 * MAX_BATCH
    items = [pb.BatchUpdateItem(file_id=1, metadata=pb.UpdateMetadataRequest(title=str(n))) for n in range(count)]
    steps = call("BatchUpdateMetadata", pb.BatchUpdateRequest(items=items))
    assert [(one.completed, one.total, one.result.index) for one in steps] == [(n + 1, count, n) for n in range(count)]
    assert [len(batch) for batch in backend.seen] == [MAX_BATCH, MAX_BATCH]


def test_one_track_can_be_changed_by_path_or_match(call: Callable[[str, Any], Any], backend: FakeBackend) -> None:
    request = pb.UpdateMetadataRequest(path="/Björk/Début/02.flac", title="P", author="me", dry_run=True)
    answer = call("UpdateMetadata", request)
    assert (answer.file_id, answer.success, answer.result.changes[0].after) == (2, True, ["P"])
    assert backend.asked[-1] == {"query": "", "action": "set", "author": "me", "dry_run": True}
    assert call("UpdateMetadata", pb.UpdateMetadataRequest(match={"mb_recording_id": "b-2"}, title="M")).file_id == 2
    missing = call("UpdateMetadata", pb.UpdateMetadataRequest(match={"isrc": "none"}, title="M"))
    assert (missing.success, missing.error_message) == (False, "there is no such track; look")


INVALID: list[tuple[str, Any]] = [
    ("GetMetadata", pb.GetMetadataRequest()),
    ("GetMetadata", pb.GetMetadataRequest(file_id=-1)),
    ("GetMetadata", pb.GetMetadataRequest(virtual_path="/a\0")),
    ("UpdateMetadata", pb.UpdateMetadataRequest(title="a")),
    ("UpdateMetadata", pb.UpdateMetadataRequest(file_id=-7, title="a")),
    ("UpdateMetadata", pb.UpdateMetadataRequest(file_id=1, cover_url="https://example.com/cover.jpg")),
    ("UpdateMetadata", pb.UpdateMetadataRequest(file_id=1, author="a\x1b[2J")),
    ("ClearOverlay", pb.ClearOverlayRequest()),
    ("ClearOverlay", pb.ClearOverlayRequest(file_id=-1)),
    ("BatchUpdateMetadata", pb.BatchUpdateRequest(items=[pb.BatchUpdateItem()])),
    ("BatchUpdateMetadata", pb.BatchUpdateRequest(items=[pb.BatchUpdateItem(file_id=-1)])),
    ("BatchUpdateMetadata", pb.BatchUpdateRequest(action="undo")),
    ("BatchUpdateMetadata", pb.BatchUpdateRequest(query="x" * 257)),
    (
        "BatchUpdateMetadata",
        pb.BatchUpdateRequest(items=[pb.BatchUpdateItem(file_id=1, metadata=pb.UpdateMetadataRequest(dry_run=True))]),
    ),
    ("ExportMetadata", pb.ExportMetadataRequest(paths=[""])),
    ("ExportMetadata", pb.ExportMetadataRequest(query="x" * 257)),
    ("UndoMetadata", pb.UndoMetadataRequest()),
    ("MetadataLog", pb.MetadataLogRequest(path="/a\0")),
    ("ImportMetadata", pb.ImportMetadataRequest()),
    ("ImportMetadata", pb.ImportMetadataRequest(source_path="relative.csv")),
]


@pytest.mark.parametrize(("name", "request_"), INVALID, ids=lambda value: str(value)[:50])
def test_what_makes_no_sense_is_an_invalid_argument(
    call: Callable[[str, Any], Any], backend: FakeBackend, name: str, request_: Any
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        call(name, request_)
    assert backend.asked == []


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("GetMetadata", pb.GetMetadataRequest(virtual_path="/nowhere")),
        ("GetMetadata", pb.GetMetadataRequest(file_id=99)),
        ("UpdateMetadata", pb.UpdateMetadataRequest(file_id=99, title="a")),
        ("UpdateMetadata", pb.UpdateMetadataRequest(path="/Björk", title="a")),
        ("ClearOverlay", pb.ClearOverlayRequest(file_id=99)),
        ("ExportMetadata", pb.ExportMetadataRequest(paths=["/nowhere"])),
        ("UndoMetadata", pb.UndoMetadataRequest(paths=["/nowhere"])),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_not_there_is_not_found(call: Callable[[str, Any], Any], name: str, request_: Any) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "there is no"):
        call(name, request_)


def test_what_is_no_message_is_an_invalid_argument(client: Client, tmp_path: Path) -> None:
    with grpc.insecure_channel(target(str(tmp_path / "test.sock"))) as channel:
        for name in ("UpdateMetadata", "BatchUpdateMetadata"):
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "the request is no musicfs.v1."):
                channel.unary_unary(
                    f"/musicfs.v1.MetadataService/{name}",
                    request_serializer=lambda data: data,
                    response_deserializer=pb.Empty.FromString,
                )(b"\xff\xff\xff", timeout=20)
    assert client.status() == STATUS


def test_the_limit_of_the_log_is_held(call: Callable[[str, Any], Any], backend: FakeBackend) -> None:
    for request in (pb.MetadataLogRequest(), pb.MetadataLogRequest(limit=0), pb.MetadataLogRequest(limit=1 << 31)):
        call("MetadataLog", request)
    assert [one["limit"] for one in backend.asked] == [100, 0, 10_000]


# Errors, deadlines, and callers who leave.

EVERY: list[Callable[[Client], object]] = [
    lambda client: client.metadata("/a"),
    lambda client: list(client.tracks()),
    lambda client: list(client.change_metadata([NEW_TITLE])),
    lambda client: list(client.undo_metadata(["/"])),
    lambda client: client.metadata_log(),
]


@pytest.mark.parametrize("number", range(len(EVERY)))
@pytest.mark.parametrize("error", [DiskFullError("full", remedy="room"), UnreachableError("not ready")], ids=str)
def test_an_error_arrives_as_what_it_was(tmp_path: Path, number: int, error: MusicFSError) -> None:
    with serving(FakeBackend(metadata_error=error), tmp_path / "s.sock") as client:
        with pytest.raises(type(error)) as caught:
            EVERY[number](client)
        assert (str(caught.value), caught.value.remedy) == (str(error), error.remedy)


def test_what_breaks_inside_is_logged_and_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(FakeBackend(metadata_error=RuntimeError("/secret")), tmp_path / "s.sock") as client:
        for attempt in EVERY:
            with caplog.at_level(logging.ERROR), pytest.raises(MusicFSError, match="internal error"):
                attempt(client)
    assert caplog.text.count("/secret") == len(EVERY)


def test_a_change_that_is_late_is_not_gone_on_with(tmp_path: Path) -> None:
    backend = FakeBackend(slow_s=60.0)
    with serving(backend, tmp_path / "test.sock", answer_timeout_s=0.2) as client:
        assert client.status() == STATUS
        with grpc.insecure_channel(target(str(tmp_path / "test.sock"))) as channel:
            update = channel.unary_unary(
                "/musicfs.v1.MetadataService/UpdateMetadata",
                request_serializer=pb.UpdateMetadataRequest.SerializeToString,
                response_deserializer=pb.UpdateMetadataResponse.FromString,
            )
            with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
                update(pb.UpdateMetadataRequest(file_id=1, title="late"), timeout=20)
        assert backend.ended.acquire(timeout=20)
        assert client.metadata(file_id=1) == TRACKS[0]


STREAMS: list[Callable[[Client], Iterator[object]]] = [
    lambda client: client.tracks(),
    lambda client: client.change_metadata([MetadataChange(path="/Björk", set={"title": ("x",)})]),
    lambda client: client.undo_metadata(["/"]),
]


@pytest.mark.parametrize("begin", STREAMS, ids=["tracks", "change", "undo"])
def test_a_caller_who_leaves_ends_what_was_begun(tmp_path: Path, begin: Callable[[Client], Iterator[object]]) -> None:
    backend = FakeBackend()
    for number in range(10, 2000):
        backend.tracks_by_id[number] = track(number, f"/Björk/{number}.flac", {"lyrics": ("x" * 1000,)})
    with serving(backend, tmp_path / "test.sock") as client:
        for _ in range(12):  # more than the server has threads
            stream = begin(client)
            next(stream)
            assert isinstance(stream, Generator)
            stream.close()
            assert backend.ended.acquire(timeout=20)
        assert client.status() == STATUS
    assert backend.tracks_by_id[1999].overlay == {}, "the last is never come to"


def test_a_caller_who_leaves_is_noticed_while_nothing_happens(tmp_path: Path) -> None:
    backend = FakeBackend()
    with serving(backend, tmp_path / "test.sock") as client:
        stream = client.change_metadata([MetadataChange(path="/Björk", set={"title": ("x",)})])
        next(stream)
        backend.slow_s = 60.0
        assert isinstance(stream, Generator)
        stream.close()
        assert backend.ended.acquire(timeout=20)


def test_the_end_of_the_daemon_ends_what_was_begun(tmp_path: Path) -> None:
    backend = FakeBackend(slow_s=0.05)
    started = time.monotonic()
    with serving(backend, tmp_path / "s.sock") as client:
        stream = client.change_metadata([NEW_TITLE] * MAX_BATCH)
        next(stream)
    assert backend.ended.acquire(timeout=20)
    assert time.monotonic() - started < 20
    with pytest.raises(MusicFSError):
        list(stream)
