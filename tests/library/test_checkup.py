"""What is found wrong in a real catalog, however little of it is read at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.library import checkup
from musicfs.library.checkup import Checkup, Issue, IssueKind
from musicfs.model import Picture
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.corrected import CorrectedWorld
from tests.vfs.trashed import TrashWorld
from tests.vfs.world import Content, Key, Put, Remove, content

VIEWS = (
    View(0, "", "$albumartist/$album/$track $title.$format", folders=False, names="posix"),
    View(1, "By Year", "$year/$title.$format", folders=False, names="posix"),
)
FRONT = (Picture(3, "image/jpeg", 20, 120),)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CorrectedWorld]:
    world = CorrectedWorld(tmp_path / "world", VIEWS, TreeOptions())
    yield world
    world.close()


def look(world: CorrectedWorld, tmp_path: Path, *kinds: IssueKind, origin: int = 0) -> list[Issue]:
    one = Checkup(world.catalog, kinds, origin, str(tmp_path))
    found = sorted((issue for issue in one.issues() if issue is not None), key=lambda issue: (issue.kind, issue.paths))
    assert one.done == one.total == len(world.files)
    return found


def put(world: CorrectedWorld, files: dict[Key, Content]) -> None:
    world.scan([Put(key, holds) for key, holds in files.items()])
    world.corrector.catch_up()


def test_a_library_in_order(world: CorrectedWorld, tmp_path: Path) -> None:
    assert look(world, tmp_path, *IssueKind) == []
    put(world, {(1, b"a", b"1.flac"): content(title="One", artist="X", album="A", audio=1, pictures=FRONT)})
    assert look(world, tmp_path, *IssueKind) == []


def test_duplicates_are_of_one_origin(world: CorrectedWorld, tmp_path: Path) -> None:
    put(
        world,
        {
            (1, b"a", b"1.flac"): content(title="One", audio=7),
            (1, b"b/c", b"again.flac"): content(title="One again", audio=7),
            (1, b"", b"third.flac"): content(title="One once more", audio=7),
            (2, b"a", b"1.flac"): content(title="One", audio=7),
            (2, b"a", b"2.flac"): content(title="Unknown audio"),
            (2, b"a", b"3.flac"): content(title="Unknown audio, too"),
        },
    )
    [issue] = look(world, tmp_path, IssueKind.DUPLICATE)
    assert (issue.origin, issue.files, sorted(issue.paths)) == (1, 3, [b"a/1.flac", b"b/c/again.flac", b"third.flac"])
    assert look(world, tmp_path, IssueKind.DUPLICATE, origin=2) == []
    world.scan([Remove((1, b"a", b"1.flac")), Remove((1, b"", b"third.flac"))])
    assert look(world, tmp_path, IssueKind.DUPLICATE) == []


def test_tags_count_as_they_read(world: CorrectedWorld, tmp_path: Path) -> None:
    plain: Key = (1, b"m", b"plain.flac")
    said: Key = (1, b"m", b"said.flac")
    put(world, {plain: content(genre="Noise"), said: content(title="Said"), (1, b"m", b"cover.png"): content()})
    assert look(world, tmp_path, IssueKind.NO_TAGS) == [Issue(IssueKind.NO_TAGS, 1, (b"m/plain.flac",))]
    world.set(plain, title="Now it has one")
    world.set(said, title="")
    assert look(world, tmp_path, IssueKind.NO_TAGS) == [Issue(IssueKind.NO_TAGS, 1, (b"m/said.flac",))]


def test_split_albums_by_folder(world: CorrectedWorld, tmp_path: Path) -> None:
    one: Key = (1, b"m", b"1.flac")
    put(
        world,
        {
            one: content(title="One", artist="X", album="A", track="1"),
            (1, b"m", b"2.flac"): content(title="Two", artist="Y", album="A", track="2"),
            (1, b"n", b"3.flac"): content(title="Three", artist="Z", album="A", track="3"),
        },
    )
    assert look(world, tmp_path, IssueKind.SPLIT_ALBUM) == [
        Issue(IssueKind.SPLIT_ALBUM, 1, (b"m",), '"A": album artists X and Y', 2)
    ]
    world.set(one, artist="Y")
    assert look(world, tmp_path, IssueKind.SPLIT_ALBUM) == []


def test_albums_without_a_cover_are_told_once(world: CorrectedWorld, tmp_path: Path) -> None:
    put(
        world,
        {
            (1, b"a", b"1.flac"): content(title="One", artist="X", album="Bare", date="1990"),
            (1, b"a", b"2.flac"): content(title="Two", artist="X", album="Bare", date="1991"),
            (1, b"b", b"3.flac"): content(title="Three", artist="X", album="Dressed", pictures=FRONT),
            (2, b"c", b"4.flac"): content(title="Four", artist="Y", album="Beside"),
            (2, b"c", b"folder.jpg"): content(),
        },
    )
    bare = Issue(IssueKind.NO_COVER, 0, (b"/X/Bare",))
    assert look(world, tmp_path, IssueKind.NO_COVER) == [bare], "not in the second view again"
    assert look(world, tmp_path, IssueKind.NO_COVER, origin=2) == []
    assert look(world, tmp_path, IssueKind.NO_COVER, origin=1) == [bare]


def test_unreadable_files_and_corrections_that_are_not_served(world: CorrectedWorld, tmp_path: Path) -> None:
    song: Key = (1, b"m", b"song.flac")
    put(world, {song: content(title="Song", artist="X", album="A"), (2, b"m", b"broken.mp3"): Content(None)})
    assert look(world, tmp_path, IssueKind.UNREADABLE) == [
        Issue(IssueKind.UNREADABLE, 2, (b"m/broken.mp3",), "unreadable")
    ]
    assert look(world, tmp_path, IssueKind.UNREADABLE, origin=1) == []
    world.set(song, title="Better")
    assert look(world, tmp_path, IssueKind.DRIFTED) == []
    world.set(song, title="cannot be written")
    [issue] = look(world, tmp_path, IssueKind.DRIFTED)
    assert (issue.origin, issue.paths) == (1, (b"m/song.flac",))
    assert "this title cannot be written" in issue.detail


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_little_at_a_time(world: CorrectedWorld, tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        world,
        {
            (1, b"f%d" % (number % 3), b"%d.flac" % number): content(
                title=f"T{number}" if number % 4 else "", album=f"A{number % 3}" if number % 4 else "", audio=number % 5
            )
            for number in range(20)
        },
    )
    everything = look(world, tmp_path, *IssueKind)
    assert {issue.kind for issue in everything} >= {IssueKind.DUPLICATE, IssueKind.NO_TAGS, IssueKind.NO_COVER}
    for name in ("_FILES", "_PROBLEMS", "_DIRECTORIES"):
        monkeypatch.setattr(checkup, name, at_once)
    assert look(world, tmp_path, *IssueKind) == everything


def test_it_ends_where_it_is_left(world: CorrectedWorld, tmp_path: Path) -> None:
    put(world, {(1, b"m", b"%d.flac" % number): content(audio=7) for number in range(3)})
    issues = Checkup(world.catalog, list(IssueKind), 0, str(tmp_path)).issues()
    assert isinstance(issues, Iterator)
    next(issues)
    issues.close()  # type: ignore[attr-defined] # a generator
    assert list(tmp_path.glob("tmp*")) == []


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_files_of_one_origin_are_found_between_those_of_others(
    world: CorrectedWorld, tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "_FILES", at_once)
    files = {
        (1 + folder % 2, b"f%d" % folder, b"%d.flac" % number): content(audio=0)
        for folder in range(6)
        for number in range(3)
    }
    put(world, files)
    for origin in (1, 2):
        found = look(world, tmp_path, IssueKind.NO_TAGS, origin=origin)
        assert {issue.paths for issue in found} == {(f + b"/" + n,) for number, f, n in files if number == origin}


def test_what_is_only_remembered_is_not_looked_at(tmp_path: Path) -> None:
    world = TrashWorld(tmp_path / "world", VIEWS, TreeOptions())
    key: Key = (1, b"a", b"1.flac")
    put(world, {key: content(audio=7), (1, b"b", b"1.flac"): content(audio=9)})
    world.scan([Remove(key)])
    world.trash_edits.restore([one.id for one in world.state.trashed()])
    one = Checkup(world.catalog, [IssueKind.NO_TAGS], 0, str(tmp_path))
    assert [issue.paths for issue in one.issues() if issue is not None] == [(b"b/1.flac",)]
    assert one.done == one.total == 2
    world.close()
