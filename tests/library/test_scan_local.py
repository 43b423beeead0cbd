"""Scans of a folder on disk, with real tag readers: what is moved, odd, damaged or no file at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.library import reading
from musicfs.library.protocol import ReadJob
from musicfs.library.worker import _read_file
from musicfs.origins.local import LocalOrigin
from musicfs.store.records import OriginRecord
from musicfs.store.transaction import WriteTransaction
from musicfs.testing.audio import make_audio
from musicfs.testing.images import make_jpeg
from tests.library.collection import Collection, flac


@pytest.fixture
def music(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    for name in ("A", "B"):
        (root / name).mkdir(parents=True)
        for number in range(1, 9):
            (root / name / f"{number}.flac").write_bytes(flac(title=str(number), album=name))
    return root


@pytest.fixture
def collection(tmp_path: Path, music: Path) -> Iterator[Collection]:
    made = Collection(tmp_path / "catalog", LocalOrigin("disk", str(music)), workers=1)
    yield made
    made.close()


ALL = [f"{album}/{number}.flac" for album in "AB" for number in range(1, 9)]


def test_a_first_scan_and_one_that_finds_nothing_new(collection: Collection) -> None:
    assert collection.scan().read == 16
    assert collection.shown() == ALL
    commits = len(collection.commits)
    outcome = collection.scan()
    assert (outcome.listed, outcome.read, len(collection.commits)) == (16, 0, commits)
    assert collection.record.identity


def test_real_files_of_some_formats(collection: Collection, music: Path) -> None:
    for kind in ("flac", "mp3", "ogg", "m4a", "wav"):
        make_audio(music / "C" / f"x.{kind}", kind, seconds=0.2, tags={"title": "T", "album": "C"})
    collection.scan("C")
    assert collection.shown() == [f"C/T.{kind}" for kind in ("flac", "m4a", "mp3", "ogg", "wav")]


def test_a_retagged_mirror_of_real_files_shows_nothing_twice(
    collection: Collection, music: Path, tmp_path: Path
) -> None:
    mirror, tags = tmp_path / "mirror", {"title": "T", "album": "C"}
    for kind in ("flac", "mp3", "ogg", "opus", "m4a", "aac", "wav", "aiff"):
        make_audio(music / "C" / f"x.{kind}", kind, tags=tags)
        make_audio(mirror / f"{kind}.{kind}", kind, tags=tags | {"comment": "c" * 9000}, picture=make_jpeg())
    make_audio(mirror / "other.flac", tags=tags, seed=1)
    collection.scan("C")
    shown = [path for path in collection.shown() if path.startswith("C/")]
    with WriteTransaction(collection.catalog) as tx:
        tx.put_origin("mirror", OriginRecord(tx.new_origin_number(), "test", "/"))
    collection.scanner.scan(LocalOrigin("mirror", str(mirror)), collection.catalog.origins()["mirror"], "")
    now = [path for path in collection.shown() if path.startswith("C/")]
    assert sorted({"C/T (2).flac", "C/cover.jpg", *shown}) == now


def test_a_moved_file_keeps_its_id_and_is_not_read(collection: Collection, music: Path) -> None:
    collection.scan()
    ids = collection.ids()
    os.rename(music / "A/1.flac", music / "A/renamed.flac")
    os.rename(music / "A/2.flac", music / "B/0.flac")
    outcome = collection.scan()
    assert (outcome.read, outcome.new, outcome.removed, outcome.held) == (0, 0, 0, 0)
    assert collection.ids()["A/renamed.flac"] == ids["A/1.flac"]
    assert collection.ids()["B/0.flac"] == ids["A/2.flac"]
    assert collection.shown() == ALL
    assert collection.record.files == 16


def test_a_moved_folder_keeps_its_files_ids(collection: Collection, music: Path) -> None:
    collection.scan()
    ids = collection.ids()
    os.makedirs(music / "deep")
    os.rename(music / "A", music / "deep/C")
    outcome = collection.scan()
    assert (outcome.read, outcome.new, outcome.removed, outcome.held) == (0, 0, 0, 0)
    assert {path.replace("deep/C", "A"): found for path, found in collection.ids().items()} == ids
    assert collection.catalog.folder(1, b"A") is None
    assert collection.shown() == ALL


def test_a_watched_move_needs_no_whole_listing(collection: Collection, music: Path) -> None:
    collection.scan()
    ids = collection.ids()
    os.rename(music / "A/1.flac", music / "B/0.flac")
    collection.scan("B", recursive=False)
    assert collection.ids()["B/0.flac"] == ids["A/1.flac"] and "A/1.flac" not in collection.ids()
    collection.scan("A", recursive=False)
    assert collection.shown() == ALL


def test_a_finished_download_becomes_a_track(collection: Collection, music: Path) -> None:
    (music / "A/9.flac.part").write_bytes(flac(title="9", album="A"))
    collection.scan()
    assert "A/9.flac.part" in collection.shown()
    os.rename(music / "A/9.flac.part", music / "A/9.flac")
    outcome = collection.scan()
    assert (outcome.read, collection.record.files) == (1, 17)
    assert collection.shown() == sorted([*ALL, "A/9.flac"])
    os.rename(music / "A/9.flac", music / "A/9.flac.bak")
    collection.scan()
    assert collection.shown() == sorted([*ALL, "A/9.flac.bak"])


def test_a_damaged_file_that_is_moved_is_still_known_as_damaged(collection: Collection, music: Path) -> None:
    (music / "A/odd.flac").write_bytes(b"hello")
    collection.scan()
    found = collection.ids()["A/odd.flac"]
    os.rename(music / "A/odd.flac", music / "B/odd.flac")
    collection.scan()
    assert [object_id for object_id, _ in collection.catalog.problems()] == [collection.ids()["B/odd.flac"]]
    assert collection.ids()["B/odd.flac"] == found


def test_files_that_swap_names_show_their_own_tags(collection: Collection, music: Path) -> None:
    collection.scan()
    os.rename(music / "A/1.flac", music / "A/x")
    os.rename(music / "B/2.flac", music / "A/1.flac")
    os.rename(music / "A/x", music / "B/2.flac")
    collection.scan()
    assert collection.shown() == ALL
    track = collection.catalog.object(collection.ids()["A/1.flac"])
    assert track is not None and track.size == (music / "A/1.flac").stat().st_size


def test_a_second_hard_link_is_a_file_of_its_own(collection: Collection, music: Path) -> None:
    collection.scan()
    os.link(music / "A/1.flac", music / "B/link.flac")
    outcome = collection.scan()
    assert (outcome.new, outcome.removed) == (1, 0)
    assert collection.shown() == sorted([*ALL, "A/1 (2).flac"])


def test_what_is_no_file_is_not_opened(collection: Collection, music: Path, tmp_path: Path) -> None:
    os.mkfifo(music / "A/pipe.flac")
    (music / "A/link.flac").symlink_to("../B/1.flac")
    (music / "A/broken.flac").symlink_to("nowhere.flac")
    (tmp_path / "outside.flac").write_bytes(flac(title="outside", album="A"))
    (music / "A/outside.flac").symlink_to(tmp_path / "outside.flac")
    collection.scan()
    assert collection.shown() == sorted([*ALL, "B/1 (2).flac"])
    assert set(collection.ids()) == {*ALL, "A/link.flac"}


def test_names_and_contents_that_are_odd(collection: Collection, music: Path) -> None:
    stray = os.fsencode(music) + b"/A/\xff.flac"
    with open(stray, "wb") as file:
        file.write(b"no audio")
    (music / "A/empty.flac").write_bytes(b"")
    collection.scan()
    unknown = "Unknown Artist/Unknown Album"
    assert collection.shown() == sorted([*ALL, f"{unknown}/empty.flac", f"{unknown}/\udcff.flac"])
    assert collection.catalog.count_problems() == 2
    assert collection.scan().read == 0


def test_a_file_that_grows_while_it_is_read_comes_with_the_next_scan(
    collection: Collection, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file changes between the listing and its reader."""
    grown: list[bool] = []

    def grow(files: list[tuple[bytes, int, int]]) -> ReadJob:
        if not grown:
            grown.append(True)
            (music / "A/1.flac").write_bytes(flac(title="grown", album="A"))
        return ReadJob(files)

    monkeypatch.setattr(reading, "ReadJob", grow)
    collection.scan()
    assert collection.shown() == ALL[1:]
    assert collection.scan().read == 1
    assert collection.shown() == sorted([*ALL[1:], "A/grown.flac"])


def test_a_reader_killed_in_the_middle_costs_nothing(collection: Collection, music: Path) -> None:
    collection.scan("A")
    (worker,) = collection.pool._workers
    os.kill(worker.process.pid, signal.SIGKILL)
    collection.scan()
    assert collection.shown() == ALL and collection.catalog.count_problems() == 0


def test_a_root_that_became_another_filesystem_is_an_outage(
    collection: Collection, music: Path, tmp_path: Path
) -> None:
    from musicfs.errors import UnreachableError

    collection.scan()
    anchor = collection.record.identity
    os.rename(music, tmp_path / "unmounted")
    music.mkdir()
    collection.origin = LocalOrigin("disk", str(music), anchor=anchor)
    with pytest.raises(UnreachableError):
        collection.scan()
    assert collection.shown() == ALL


def test_deleted_files_and_folders(collection: Collection, music: Path) -> None:
    collection.scan()
    (music / "A/1.flac").unlink()
    outcome = collection.scan("A", recursive=False)
    assert (outcome.removed, collection.record.files) == (1, 15)
    assert collection.shown() == [path for path in ALL if path != "A/1.flac"]


def test_a_reader_sees_that_a_file_is_not_what_was_listed(music: Path) -> None:
    path = music / "A/1.flac"
    found = path.stat()
    assert _read_file(os.fsencode(path), found.st_size, found.st_mtime_ns).facts
    assert _read_file(os.fsencode(path), found.st_size, found.st_mtime_ns + 1).retry
    assert _read_file(os.fsencode(path), found.st_size - 1, found.st_mtime_ns).retry
    assert _read_file(os.fsencode(path.parent), 0, 0).retry
