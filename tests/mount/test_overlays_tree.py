"""What follows corrected tags in the tree: names and old names, albums, covers, numbers, playlists, views, versions."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.testing.audio import make_audio
from musicfs.testing.images import make_jpeg, make_png
from tests.conftest import MountLibrary
from tests.correcting import Tagger, overlay_names, tagging
from tests.faults.living import FOLLOWS_S, album, digest, track, virtual_of, wait_for
from tests.mounting import Mounted

Begin = Callable[..., Tagger]
OWN_COVER = make_jpeg("navy", width=32, height=32)
NEW_JPEG = make_jpeg("orange", width=48, height=48)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    album(root, "One", 3)
    return root


@pytest.fixture
def begin(origin: Path, mount_library: MountLibrary) -> Iterator[Begin]:
    taggers: list[Tagger] = []

    def begin_with(settings: str = "") -> Tagger:
        taggers.append(Tagger(mount_library({"o": origin}, "[prefetch]\nnext_track = false\n" + settings)))
        return taggers[-1]

    yield begin_with
    for tagger in taggers:
        tagger.close()


def shown(mounted: Mounted, folder: str = "") -> list[str]:
    """All paths of files below a folder, seen as somebody sees who walks."""
    base = mounted.point / folder
    return sorted(os.path.relpath(os.path.join(at, name), base) for at, _, names in os.walk(base) for name in names)


def test_old_names_lead_to_the_file_for_a_while_and_are_not_listed(begin: Begin, origin: Path) -> None:
    tagger = begin("[tree]\nold_names_s = 4\n")
    old = tagger.mounted.point / "A" / "One [FLAC]" / "01 - One 1.flac"
    folder = old.parent
    for number in (1, 2, 3):
        path = tagger.set(folder / f"0{number} - One {number}.flac", album="Two", title=f"New {number}")
    begun_ns = path.stat().st_mtime_ns
    assert old.read_bytes() == (folder.parent / "Two [FLAC]" / "01 - New 1.flac").read_bytes() != b""
    assert (folder / "03 - One 3.flac").stat().st_ino == path.stat().st_ino
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert shown(tagger.mounted) == [f"A/Two [FLAC]/0{number} - New {number}.flac" for number in (1, 2, 3)]
    track(origin, "late.flac", title="One 1", album="One", seed=9)
    wait_for("the new file of that name wins", lambda: os.getxattr(old, "user.musicfs.origin_path") == b"late.flac")
    assert shown(tagger.mounted, "A/One [FLAC]") == ["01 - One 1.flac"]
    wait_for("the old names end", lambda: not (folder / "03 - One 3.flac").exists(), 12)
    assert digest(old) == digest(origin / "late.flac")
    assert path.stat().st_mtime_ns == begun_ns
    (origin / "late.flac").unlink()
    wait_for("nothing is left of it", lambda: not folder.exists())


def test_old_names_can_be_off(begin: Begin) -> None:
    tagger = begin("[tree]\nold_names_s = 0\n")
    old = tagger.mounted.point / "A" / "One [FLAC]" / "01 - One 1.flac"
    old.read_bytes()
    assert tagger.set(old, title="Other").exists()
    wait_for("the name is gone", lambda: not old.exists(), FOLLOWS_S)


def test_an_album_moves_whole_and_back(begin: Begin, origin: Path) -> None:
    for number in (1, 2, 3):
        make_audio(
            origin / f"One/0{number}.flac", seed=number, picture=OWN_COVER,
            tags={"artist": "A", "album": "One", "title": f"One {number}", "track": str(number)},
        )  # fmt: skip
    (origin / "One" / "booklet.txt").write_text("words")
    (origin / "One" / "01.lrc").write_text("[00:00.10]la")
    tagger = begin("[tree]\nm3u8 = true\n")
    folder = tagger.mounted.point / "A" / "One [FLAC]"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == {
        "01 - One 1.flac", "02 - One 2.flac", "03 - One 3.flac", "01 - One 1.lrc", "booklet.txt", "cover.jpg",
        "One [FLAC].m3u8",
    }  # fmt: skip
    results = tagger.apply(folder, set={"album": ("Two",), "album_artist": ("Z",), "date": ("1980",)})
    assert len(results) == 3
    moved = tagger.mounted.point / "Z" / "Two (1980) [FLAC]"
    assert [result.new_path for result in results] == [
        f"/Z/Two (1980) [FLAC]/0{number} - One {number}.flac" for number in (1, 2, 3)
    ]
    names = {name.replace("One [FLAC]", "Two (1980) [FLAC]") for name in before}
    wait_for("all of it", lambda: set(shown(tagger.mounted)) == {f"Z/{moved.name}/{name}" for name in names}, FOLLOWS_S)
    assert (moved / "cover.jpg").read_bytes() == OWN_COVER
    assert (moved / "Two (1980) [FLAC].m3u8").read_bytes() == before["One [FLAC].m3u8"]
    assert moved.stat().st_mtime_ns >= (moved / "01 - One 1.flac").stat().st_mtime_ns
    assert tagger.mounted.command("metadata", "undo", str(moved)).returncode == 0
    wait_for("back", lambda: set(shown(tagger.mounted, "A/One [FLAC]")) == before.keys(), FOLLOWS_S)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert shown(tagger.mounted, "Z") == []


def test_the_cover_follows(begin: Begin, origin: Path, tmp_path: Path) -> None:
    pictured = make_audio(
        origin / "Pictured/1.flac",
        seed=5,
        picture=OWN_COVER,
        tags={"artist": "P", "album": "Q", "title": "T", "track": "1"},
    )
    tagger = begin()
    path = virtual_of(tagger.mounted, pictured)
    cover = path.with_name("cover.jpg")
    assert cover.read_bytes() == OWN_COVER
    times = [cover.stat().st_mtime_ns]
    (tmp_path / "new.jpg").write_bytes(NEW_JPEG)
    done = tagger.mounted.command("metadata", "set", str(path), "--cover", str(tmp_path / "new.jpg"))
    assert done.returncode == 0, done.stderr
    wait_for("the new one", lambda: cover.read_bytes() == NEW_JPEG, FOLLOWS_S)
    assert cover.stat().st_size == len(NEW_JPEG)
    assert NEW_JPEG in path.read_bytes()
    assert OWN_COVER not in path.read_bytes()
    assert overlay_names(path) == {"cover"}
    times.append(cover.stat().st_mtime_ns)
    png = make_png(3)
    tagger.cover(path, png)
    wait_for("the PNG in the track", lambda: png in path.read_bytes(), FOLLOWS_S)
    assert _image_format(cover) == "JPEG"
    assert cover.stat().st_size == len(cover.read_bytes())
    times.append(cover.stat().st_mtime_ns)
    tagger.cover(path, None)
    wait_for("none", lambda: not cover.exists(), FOLLOWS_S)
    assert png not in path.read_bytes()
    assert tagger.get(path).cover == "removed"
    tagger.undo(path, 2)
    wait_for("the JPEG again", lambda: cover.exists() and cover.read_bytes() == NEW_JPEG, FOLLOWS_S)
    times.append(cover.stat().st_mtime_ns)
    tagger.clear(path)
    wait_for("its own", lambda: cover.read_bytes() == OWN_COVER, FOLLOWS_S)
    times.append(cover.stat().st_mtime_ns)
    assert times == sorted(times), "a cover's time never goes back"
    assert path.read_bytes() == pictured.read_bytes()
    bare = tagger.mounted.point / "A" / "One [FLAC]" / "02 - One 2.flac"
    tagger.cover(bare, NEW_JPEG)
    wait_for("a cover where there was none", (bare.parent / "cover.jpg").exists, FOLLOWS_S)
    tagger.undo(bare)
    wait_for("none as before", lambda: not (bare.parent / "cover.jpg").exists(), FOLLOWS_S)


def _image_format(path: Path) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        return str(image.format)


def test_discs_numbers_and_twins(begin: Begin) -> None:
    tagger = begin("[tree]\nm3u8 = true\n")
    folder = tagger.mounted.point / "A" / "One [FLAC]"
    tagger.set(folder / "01 - One 1.flac", disc="1")
    last = tagger.set(folder / "02 - One 2.flac", disc="2")
    names = {"1-01 - One 1.flac", "2-02 - One 2.flac", "03 - One 3.flac", "One [FLAC].m3u8"}
    wait_for("two discs rename what has a disc", lambda: set(os.listdir(folder)) == names, FOLLOWS_S)
    assert last.name == "2-02 - One 2.flac"
    playlist = (folder / "One [FLAC].m3u8").read_text(encoding="utf-8")
    assert names - {"One [FLAC].m3u8"} <= set(playlist.splitlines())
    tagger.undo(last)
    tagger.clear(folder / "01 - One 1.flac")
    names = {f"0{number} - One {number}.flac" for number in (1, 2, 3)} | {"One [FLAC].m3u8"}
    wait_for("one disc again", lambda: set(os.listdir(folder)) == names, FOLLOWS_S)

    first, second = folder / "01 - One 1.flac", folder / "02 - One 2.flac"
    bytes_of = {path: path.read_bytes() for path in (first, second)}
    twin = tagger.set(second, title="One 1", track="1")
    assert twin.name == "01 - One 1 (2).flac"
    assert first.read_bytes() == bytes_of[first]
    assert twin.read_bytes() not in bytes_of.values()
    cased = tagger.set(folder / "03 - One 3.flac", title="oNE 1", track="1")
    assert cased.name == "01 - oNE 1.flac", "names that differ in case only are two names"
    assert {path.name for path in folder.glob("*.flac")} == {first.name, twin.name, cased.name}
    moved = tagger.set(first, title="Away")
    assert twin.exists(), "a name stays with its holder"
    assert tagger.undo(moved) == first
    assert tagger.undo(twin) == second
    assert second.read_bytes() == bytes_of[second]


def test_names_for_windows(begin: Begin) -> None:
    tagger = begin('[tree]\nnames = "windows"\n')
    folder = tagger.mounted.point / "A" / "One [FLAC]"
    assert tagger.set(folder / "01 - One 1.flac", title='What? A: "B" <C>.').name == "01 - What_ A_ _B_ _C_.flac"
    assert tagger.set(folder / "02 - One 2.flac", title="ONE 3", track="3").name == "03 - ONE 3 (2).flac"
    moved = tagger.set(folder / "03 - One 3.flac", album="con", title="x/y\\z.")
    assert moved.name == "03 - x_y_z.flac"
    assert sorted(shown(tagger.mounted)) == sorted({path.relative_to(tagger.mounted.point).as_posix() for path in (
        moved, folder / "01 - What_ A_ _B_ _C_.flac", folder / "03 - ONE 3 (2).flac")})  # fmt: skip


def test_every_view_follows(begin: Begin, origin: Path) -> None:
    tagger = begin(
        '[[views]]\nname = "By genre"\ntemplate = "$genre/$title.$format"\n'
        '[[views]]\nname = "Files"\nfolders = true\n[[views]]\nname = "Albums"\n'
    )
    point = tagger.mounted.point
    tagger.set(point / "Albums" / "A" / "One [FLAC]" / "01 - One 1.flac", genre="Jazz", title="Blue")
    expected = point / "By genre" / "Jazz" / "Blue.flac"
    wait_for("the genre's folder", expected.exists, FOLLOWS_S)
    places = [expected, point / "Files" / "One" / "01.flac", point / "Albums" / "A" / "One [FLAC]" / "01 - Blue.flac"]
    assert {digest(path) for path in places} == {digest(expected)} != {digest(origin / "One/01.flac")}
    assert {overlay_names(path) == {"genre", "title"} for path in places} == {True}
    assert shown(tagger.mounted, "By genre") == [
        "Jazz/Blue.flac",
        "Unknown Genre/One 2.flac",
        "Unknown Genre/One 3.flac",
    ]


def test_old_names_and_new_ones_under_walkers(begin: Begin) -> None:
    """Who walks while an album goes to and fro sees every track in each listing, once, under one name or the other."""
    tagger = begin()
    point = tagger.mounted.point
    here, there = "A/One [FLAC]", "A/Two [FLAC]"
    ending = threading.Event()
    wrong: list[str] = []

    def walk() -> None:
        while not ending.is_set():
            for folder in (here, there):
                try:
                    found = os.listdir(point / folder)
                except FileNotFoundError:
                    continue
                wrong.extend(name for name in found if name[:2] not in {"01", "02", "03"})
                if len(found) > 3:
                    wrong.append(f"{len(found)} tracks of 3")

    walkers = [threading.Thread(target=walk) for _ in range(2)]
    for walker in walkers:
        walker.start()
    try:
        for turn in range(10):
            source = here if turn % 2 == 0 else there
            results = tagger.apply(f"/{source}", set={"album": ("Two" if turn % 2 == 0 else "One",)})
            assert len(results) == 3, turn
    finally:
        ending.set()
        for walker in walkers:
            walker.join(10)
    assert not wrong
    assert shown(tagger.mounted) == [f"{here}/0{number} - One {number}.flac" for number in (1, 2, 3)]
    with tagging(tagger.mounted) as again:
        assert again.get(point / here / "01 - One 1.flac").overlay == {}
