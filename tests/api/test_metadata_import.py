"""Importing files of the daemon's machine: from where they may come, and what is told of them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.metadata import MAX_BATCH, MAX_COVER_BYTES, ChangeResult, MetadataChange
from musicfs.api.unix_socket import target
from tests.api.backend import FakeBackend, serving

Import = Callable[..., list[Any]]


class Small(FakeBackend):
    """Notes how many changes it was given at a time, and keeps none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def change_metadata(
        self, changes: Sequence[MetadataChange], *, query: str, action: str, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        self.sizes.append(len(changes))
        for index in range(len(changes)):
            yield ChangeResult(index=index, file_id=1, path="/a", total=len(changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one folder from which is imported."""
    place = tmp_path / "in"
    place.mkdir()
    return place


@pytest.fixture
def import_file(backend: FakeBackend, folder: Path, tmp_path: Path) -> Iterator[Import]:
    yield from importing(backend, tmp_path / "s.sock", [str(folder)])


def importing(backend: FakeBackend, socket: Path, folders: Sequence[str]) -> Iterator[Import]:
    """A call as another program makes it, with everything it is told."""
    with serving(backend, socket, import_folders=folders), grpc.insecure_channel(target(str(socket))) as channel:
        method = channel.unary_stream(
            "/musicfs.v1.MetadataService/ImportMetadata",
            request_serializer=pb.ImportMetadataRequest.SerializeToString,
            response_deserializer=pb.ImportProgress.FromString,
        )
        yield lambda path, **options: list(
            method(pb.ImportMetadataRequest(source_path=os.fspath(path), **options), timeout=20)
        )


def refusal(import_file: Import, path: Path | str, **options: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        import_file(path, **options)
    assert isinstance(caught.value, grpc.Call)
    return caught.value.code(), caught.value.details() or ""


def test_rows_become_changes_and_bad_ones_are_told(import_file: Import, backend: FakeBackend, folder: Path) -> None:
    file = folder / "tags.csv"
    file.write_text(
        "path,title,file_id\n/Björk/Début/01.flac,New,\n,Second,2\n,Nothing,\n/nowhere,x,\n", encoding="utf-8"
    )
    steps = import_file(file)
    done = [one for one in steps if one.current_file and not one.error_message]
    assert [(one.imported, one.total, one.current_file, one.error_message) for one in done] == [
        (1, 4, "/Björk/Début/01.flac", ""),
        (2, 4, "/Björk/Début/02.flac", ""),
    ]
    errors = [one.error_message for one in steps if one.error_message]
    assert len(errors) == 2
    assert any(text.startswith("row 4: ") and "which track" in text for text in errors)
    assert any(text == "row 5: there is no such track; look" for text in errors)
    assert (steps[-1].imported, steps[-1].total, steps[-1].HasField("current_file")) == (2, 4, False)
    assert backend.tracks_by_id[2].effective["title"] == ("Second",)
    assert backend.asked[-1] == {"query": "", "action": "import", "author": "grpc", "dry_run": False}


def test_a_dry_run_and_an_author(import_file: Import, backend: FakeBackend, folder: Path) -> None:
    (folder / "t.json").write_text('[{"file_id": 1, "title": "New"}]')
    steps = import_file(folder / "t.json", author="me", dry_run=True)
    assert [(one.imported, one.total) for one in steps] == [(1, 1), (1, 1)]
    assert steps[0].result.changes[0].after == ["New"]
    assert backend.tracks_by_id[1].overlay == {}
    assert (backend.asked[-1]["author"], backend.asked[-1]["dry_run"]) == ("me", True)


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("t.json", '[{"file_id": 1, "title": "New"}]', {}),
        ("t", '{"file_id": 1, "title": "New"}\n', {}),
        ("t.json", "file_id\ttitle\n1\tNew\n", {"format": "csv"}),
        ("t.txt", "file_id;title\n1;New\n", {}),
    ],
    ids=["json", "jsonl by its content", "as it is said", "csv"],
)
def test_formats(
    import_file: Import, backend: FakeBackend, folder: Path, name: str, text: str, options: dict[str, str]
) -> None:
    (folder / name).write_text(text)
    assert import_file(folder / name, **options)[-1].imported == 1
    assert backend.tracks_by_id[1].effective["title"] == ("New",)


def test_the_library_of_beets_with_what_lies_beside_it(import_file: Import, backend: FakeBackend, folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "library.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, title TEXT, mb_trackid TEXT)")
        database.execute("INSERT INTO items VALUES (7, ?, 'New', '')", (b"/music/1.flac",))
        database.commit()
        assert (folder / "library.db-wal").stat().st_size > 0
        steps = import_file(folder / "library.db")
    assert (steps[-1].total, steps[0].result.index) == (1, 7)
    assert [change.match["origin_path"] for batch in backend.seen for change in batch] == ["/music/1.flac"]


def test_a_file_that_makes_no_sense_is_named_as_it_was_named(import_file: Import, folder: Path) -> None:
    (folder / "t.json").write_text("no, this\nis none")
    code, text = refusal(import_file, folder / "t.json")
    assert (code, str(folder / "t.json") in text, "/proc" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True, False)
    code, text = refusal(import_file, folder / "t.json", format="xls")
    assert (code, "csv, json, jsonl, beets" in text or "xls" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def test_from_nowhere_unless_the_configuration_names_a_folder(backend: FakeBackend, folder: Path) -> None:
    (folder / "t.csv").write_text("file_id,title\n1,New\n")
    calls = importing(backend, folder.parent / "s.sock", [])
    import_file = next(calls)
    code, text = refusal(import_file, folder / "t.csv")
    assert (code, "does not lie in a folder" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
    assert next(calls, None) is None


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    file = tmp_path / "outside.csv"
    file.write_text("file_id,title\n1,Stolen\n")
    return file


@pytest.mark.parametrize(
    "way",
    [
        "outside.csv",
        "missing.csv",
        "in/../outside.csv",
        "in",
        "in/",
        "inner/t.csv",
        "in/link.csv",
        "in/away/outside.csv",
    ],
)
def test_what_leads_elsewhere_is_refused(
    import_file: Import, backend: FakeBackend, folder: Path, outside: Path, tmp_path: Path, way: str
) -> None:
    (folder / "link.csv").symlink_to(outside)
    (folder / "away").symlink_to(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "t.csv").write_text(outside.read_text())
    code, text = refusal(import_file, f"{tmp_path}/{way}")
    assert (code, "does not lie in a folder" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)
    assert backend.asked == []


def test_what_is_no_file_is_refused(import_file: Import, folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        assert refusal(import_file, folder / name)[0] is grpc.StatusCode.PERMISSION_DENIED
    assert refusal(import_file, folder / "missing.csv")[0] is grpc.StatusCode.NOT_FOUND
    assert refusal(import_file, folder / "pipe.csv" / "x")[0] is grpc.StatusCode.NOT_FOUND


def test_links_inside_and_a_folder_that_is_a_link_are_fine(backend: FakeBackend, folder: Path) -> None:
    (folder / "real.csv").write_text("file_id,title\n1,New\n")
    (folder / "link.csv").symlink_to("real.csv")
    alias = folder.parent / "alias"
    alias.symlink_to(folder)
    calls = importing(backend, folder.parent / "s.sock", [str(alias)])
    import_file = next(calls)
    assert import_file(alias / "link.csv")[-1].imported == 1
    assert next(calls, None) is None


def test_covers_come_from_the_same_folders(import_file: Import, backend: FakeBackend, folder: Path) -> None:
    (folder / "front.jpg").write_bytes(b"\xff\xd8image")
    (folder.parent / "private.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(folder.parent / "private.jpg")
    (folder / "large.jpg").write_bytes(bytes(MAX_COVER_BYTES + 1))
    covers = ["front.jpg", "../private.jpg", str(folder.parent / "private.jpg"), "link.jpg", "none.jpg", "large.jpg"]
    (folder / "t.csv").write_text("file_id,cover\n" + "".join(f"1,{cover}\n" for cover in covers))
    steps = import_file(folder / "t.csv")
    assert steps[-1].imported == 1
    errors = {one.result.index: one.error_message for one in steps if one.error_message}
    assert sorted(errors) == [3, 4, 5, 6, 7]
    assert all("does not lie in a folder" in errors[row] for row in (3, 4, 5))
    assert "there is no file" in errors[6]
    assert "is no picture" in errors[7]
    assert [change.cover for batch in backend.seen for change in batch] == [b"\xff\xd8image"]


def test_many_rows_and_covers_are_handed_on_in_portions(folder: Path) -> None:
    backend = Small()
    calls = importing(backend, folder.parent / "s.sock", [str(folder)])
    import_file = next(calls)
    (folder / "many.csv").write_text("file_id,title\n" + "1,x\n" * (2 * MAX_BATCH + 1))
    steps = import_file(folder / "many.csv")
    assert backend.sizes == [MAX_BATCH, MAX_BATCH, 1]
    assert [one.result.index for one in steps[:-1]] == list(range(2, 2 * MAX_BATCH + 3))
    assert (steps[-1].imported, steps[-1].total) == (2 * MAX_BATCH + 1, 2 * MAX_BATCH + 1)
    backend.sizes.clear()
    for name in "ab":
        (folder / name).write_bytes(bytes(8 << 20))
    (folder / "covers.csv").write_text("file_id,cover\n" + "1,a\n1,b\n" * 3)
    assert import_file(folder / "covers.csv")[-1].imported == 6
    assert backend.sizes == [2, 2, 2]
    assert next(calls, None) is None
