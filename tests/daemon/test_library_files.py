"""Files by the names that users give: resolved, listed once, and found again at their origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.content.origins import Access
from musicfs.daemon.library_files import LibraryFile, LibraryFiles, normal
from musicfs.errors import NotFoundError
from musicfs.index.parser import parse
from musicfs.library.track_query import Selection
from musicfs.model import Technical
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.world import START_NS, Content, Move, Put, Remove, World, content

BY_TITLE = View(0, "", "$artist/$title.$format", folders=False, names="posix")
AS_IT_IS = View(0, "", "$title", folders=True, names="posix")
Make = Callable[..., tuple[World, LibraryFiles]]
ACCESS = Access(direct=False, keep=True, stable_version=False)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def build(*views: View, playlists: bool = False) -> tuple[World, LibraryFiles]:
        world = World(tmp_path / str(len(made)), views or (BY_TITLE,), TreeOptions(playlists=playlists))
        made.append(world)
        return world, LibraryFiles(world.catalog, {"origin1": ACCESS, "origin2": ACCESS}.get)

    yield build
    for world in made:
        world.close()


def fill(world: World) -> None:
    world.apply(
        [
            Put((1, b"a", b"1.flac"), content(100, artist="X", title="One")),
            Put((1, b"a", b"2.flac"), content(200, artist="X", title="Two")),
            Put((2, b"b", b"3.flac"), content(300, artist="Y", title="Three")),
        ]
    )


def shown(files: Iterator[LibraryFile]) -> list[tuple[str, str, str]]:
    return [(file.path.decode(), file.source.origin_id, file.source.path) for file in files]


ONE, TWO, THREE = (
    ("/X/One.flac", "origin1", "a/1.flac"),
    ("/X/Two.flac", "origin1", "a/2.flac"),
    ("/Y/Three.flac", "origin2", "b/3.flac"),
)


def test_files_below_paths(make: Make) -> None:
    world, files = make()
    fill(world)
    assert shown(files.below([b"/"])) == [ONE, TWO, THREE]
    assert shown(files.below([b"X"])) == [ONE, TWO]
    assert shown(files.below([b"/X/Two.flac", b"/Y"])) == [TWO, THREE]
    assert shown(files.below([b"/"], "origin2")) == [THREE]
    assert shown(files.below([b"/"], "nowhere")) == []
    assert shown(files.below([])) == []
    [file] = files.below([b"/Y"])
    assert (file.source.size, file.source.version) == (300, world.files[2, b"b", b"3.flac"].record.version.decode())
    assert file.content.size == 300


def test_a_file_comes_once_however_often_it_is_named(make: Make) -> None:
    world, files = make(
        View(1, "Artists", "$artist/$title.$format", folders=False, names="posix"),
        View(2, "Files", "$title", folders=True, names="posix"),
    )
    fill(world)
    found = shown(files.below([b"/", b"/Artists/X", b"/Artists/X/One.flac"]))
    assert sorted(path for _, _, path in found) == ["a/1.flac", "a/2.flac", "b/3.flac"]
    assert len(shown(files.below([b"/Files/"]))) == 3


def test_what_was_made_is_no_file_of_an_origin(make: Make) -> None:
    world, files = make(playlists=True)
    fill(world)
    names = [name for name, _, _ in world.catalog.list_folder(world.catalog.lookup(1, b"X").inode)]  # type: ignore[union-attr]  # it is there
    assert len(names) > 2, "there is a playlist"
    assert shown(files.below([b"/X"])) == [ONE, TWO]


@pytest.mark.parametrize("path", ["/X", "X/", "//X//.", "/X/./One.flac", "/", ""])
def test_paths_are_resolved(make: Make, path: str) -> None:
    world, files = make()
    fill(world)
    assert files.resolve(path) == normal(path.encode())


@pytest.mark.parametrize("path", ["/Z", "/X/One.flac/x", "/..", "/X/../Y", "/x", "/" + "n" * 300, "/\\xff"])
def test_paths_that_lead_nowhere(make: Make, path: str) -> None:
    world, files = make()
    fill(world)
    with pytest.raises(NotFoundError, match="in the mount"):
        files.resolve(path)


def test_bytes_that_are_not_utf8_may_be_given_as_they_are_shown(make: Make) -> None:
    world, files = make(AS_IT_IS)
    world.apply(
        [
            Put((1, b"B\xf6rk", b"1.flac"), content(title="One")),
            Put((1, b"plain\\xf6", b"2.flac"), content(title="Two")),
        ]
    )
    raw = b"/B\xf6rk/1.flac"
    assert files.resolve("/B\udcf6rk/1.flac") == raw
    assert files.resolve("/B\\xf6rk/1.flac") == raw
    assert files.resolve("/plain\\xf6") == b"/plain\\xf6", "what is called so comes first"
    assert shown(files.below([files.resolve("/plain\\xf6")]))[0][2] == "plain\\xf6/2.flac"


def test_the_same_track_elsewhere_comes_with_its_file(make: Make) -> None:
    world, files = make()
    for number in (1, 2):
        world.apply([Put((number, b"a", b"1.flac"), content(100 * number, artist="X", title="One", audio=7))])
    [file] = files.below([b"/"])
    assert file.source.origin_id == "origin2", "it has the better priority"
    assert [(other.source.origin_id, other.source.size) for other in file.others] == [("origin1", 100)]
    there = files.at_origin("origin1", b"a/1.flac")
    assert there is not None and file.others[0].source == there.source
    world.apply([Remove((2, b"a", b"1.flac"))])
    assert [(file.source.origin_id, file.others) for file in files.below([b"/X"])] == [("origin1", ())]


def test_files_of_an_origin(make: Make) -> None:
    world, files = make()
    fill(world)
    assert sorted(file.source.path for file in files.of_origin("origin1")) == ["a/1.flac", "a/2.flac"]
    assert list(files.of_origin("nowhere")) == []
    found = files.at_origin("origin2", b"b/3.flac")
    assert found is not None and found.content == next(files.below([b"/Y"])).content
    for origin_id, path in (
        ("origin1", b"b/3.flac"),
        ("origin2", b"b/x"),
        ("origin2", b"x/3.flac"),
        ("no", b"b/3.flac"),
    ):
        assert files.at_origin(origin_id, path) is None


def test_an_origin_that_is_not_in_use_has_no_files(make: Make) -> None:
    world, _ = make()
    fill(world)
    files = LibraryFiles(world.catalog, {"origin1": ACCESS}.get)
    assert shown(files.below([b"/"])) == [ONE, TWO]
    assert list(files.of_origin("origin2")) == []


def test_changes_are_seen(make: Make) -> None:
    world, files = make()
    fill(world)
    before, sequence = files.at_origin("origin1", b"a/1.flac"), files.sequence
    world.apply([Put((1, b"a", b"1.flac"), content(101, mtime_ns=5, artist="X", title="One"))])
    after = files.at_origin("origin1", b"a/1.flac")
    assert before is not None and after is not None and before.content.key != after.content.key
    assert files.sequence > sequence
    world.apply([Move((1, b"a", b"1.flac"), (1, b"c", b"1.flac")), Remove((1, b"a", b"2.flac"))])
    assert shown(files.below([b"/X"])) == [("/X/One.flac", "origin1", "c/1.flac")]
    with pytest.raises(NotFoundError):
        files.below([b"/X/Two.flac"])


DAY_NS = 86_400 * 1_000_000_000


def selected(files: LibraryFiles, query: str, *paths: bytes, origin_id: str = "") -> list[str]:
    """Where the files lie that a query selects, ten days after all of them were added."""
    selection = Selection(parse(query), START_NS + 10 * DAY_NS)
    return [file.source.path for file in files.below(paths or (b"/",), origin_id, selection)]


def test_a_query_selects_tracks(make: Make) -> None:
    world, files = make(playlists=True)
    fill(world)
    technical = Technical(duration_ms=90_000, bitrate=320_000)
    world.apply(
        [
            Put(
                (2, b"b", b"4.flac"), content(artist="Z", title="Four", date="1991", mood="happy", technical=technical)
            ),
            Put((2, b"b", b"3.lrc"), content()),
            Put((2, b"b", b"5.flac"), Content(tags=None)),
        ]
    )
    assert "b/3.lrc" in [path for _, _, path in shown(files.below([b"/"]))]
    assert selected(files, "*") == ["a/1.flac", "a/2.flac", "b/3.flac", "b/4.flac"], "and nothing that is no track"
    assert selected(files, "artist:x") == ["a/1.flac", "a/2.flac"]
    assert selected(files, "artist:x -one OR year:1991") == ["a/2.flac", "b/4.flac"]
    assert selected(files, "*", b"/Y") == ["b/3.flac"]
    assert selected(files, "artist:x", b"/Y", b"/X/One.flac") == ["a/1.flac"]
    assert selected(files, "*", origin_id="origin1") == ["a/1.flac", "a/2.flac"]
    assert selected(files, "origin:origin2 three") == ["b/3.flac"]
    assert selected(files, "custom:mood:happy duration:1:30 bitrate:320 format:flac path:b/4") == ["b/4.flac"]
    assert selected(files, "added:>2w -artist:x") == ["b/3.flac", "b/4.flac"]
    assert selected(files, "added:>1w") == []
    some = [file for file in files.of_origin("origin2") if file.source.path != "b/4.flac"]
    selection = Selection(parse("origin:origin2"), START_NS)
    assert [file.source.path for file in files.select(some, selection)] == ["b/3.flac"]


def test_a_track_is_where_any_of_its_sources_is(make: Make) -> None:
    world, files = make()
    for number, folder in ((1, b"first"), (2, b"second")):
        world.apply([Put((number, folder, b"1.flac"), content(100 * number, artist="X", title="One", audio=7))])
    for query in ("origin:origin1", "origin:origin2", "path:first", "path:second"):
        assert selected(files, query) == ["second/1.flac"], query
    assert selected(files, "origin:origin1", origin_id="origin1") == [], "but it is served from one"
    assert selected(files, "origin:origin3 OR path:third") == []
    [file] = files.below([b"/"])
    assert list(files.select([file], Selection(parse("origin:origin1 path:second"), START_NS))) == [file]
