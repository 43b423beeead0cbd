"""Views: where a file wants to be."""

from __future__ import annotations

import pytest

from musicfs.config.settings import TreeSettings, ViewSettings
from musicfs.model import FIELDS
from musicfs.store.records import StoredTags
from musicfs.vfs.templates import Subject
from musicfs.vfs.views import View, album_key, build_views, discs, names_several_discs, untagged


def a_view(template: str = "$albumartist/$album/$title.$format", name: str = "", names: str = "posix") -> View:
    return View(0, name, template, folders=False, names=names)


def tags(**fields: str) -> StoredTags:
    return {FIELDS.get(field, field): value for field, value in fields.items()}


def path(view: View, own_name: bytes = b"x.flac", fmt: str = "flac", **fields: str) -> bytes:
    wish = view.wish_for_track(Subject(tags(**fields), "x", fmt), own_name)
    return b"/".join((*wish.folders, f"{wish.stem}{wish.suffix}".encode("utf-8", "surrogateescape")))


def test_a_track_goes_where_its_template_says() -> None:
    assert path(a_view(), artist="A", album="B", title="C") == b"A/B/C.flac"
    assert path(a_view(name="Music"), artist="A", album="B", title="C") == b"Music/A/B/C.flac"


def test_values_make_no_folders_and_no_escapes() -> None:
    assert path(a_view(), artist="../..", album="a/b", title="/etc/passwd") == b"_._../a_b/_etc_passwd.flac"
    assert path(a_view("$artist/$title"), artist="..", title=".") == b"_./_.flac"
    assert path(a_view("./$artist/../$title"), artist="A", title="B") == b"_/A/_./B.flac"


def test_a_name_has_its_suffix_once() -> None:
    assert path(a_view("$title"), title="C") == b"C.flac"
    assert path(a_view("$title.$format"), title="C.flac") == b"C.flac.flac"
    assert path(a_view("$title.$format"), title="a.b") == b"a.b.flac"


def test_empty_folders_of_a_template_are_left_out() -> None:
    assert path(a_view("<$label/>$artist//$title"), artist="A", title="C") == b"A/C.flac"
    assert path(a_view("/$label/$title"), title="C") == b"C.flac"


def test_a_file_without_tags_keeps_its_own_name() -> None:
    assert path(a_view(), b"My Song.FLAC") == b"Unknown Artist/Unknown Album/My Song.FLAC"
    assert path(a_view(), b"My Song.flac", encoder="LAME") == b"Unknown Artist/Unknown Album/My Song.flac"
    assert path(a_view(), b"\xff.flac") == b"Unknown Artist/Unknown Album/\xff.flac"


def test_windows_names_hold_for_folders_and_stems() -> None:
    assert path(a_view(names="windows"), artist="R.E.M.", album="What?", title="aux") == b"R.E.M/What_/_aux.flac"


def test_a_long_folder_is_cut_and_a_long_title_keeps_its_suffix() -> None:
    wish = a_view().wish_for_track(Subject(tags(artist="é" * 200, album="B", title="C"), "x", "flac"), b"x")
    assert wish.folders[0] == "é".encode() * 127


def test_an_origins_own_layout() -> None:
    view = View(3, "Files", "$title", folders=True, names="posix")
    assert view.origin_folders(b"a/b") == (b"Files", b"a", b"b")
    assert view.origin_folders(b"") == (b"Files",)
    wish = view.wish_in(view.origin_folders(b"a"), b".nomedia")
    assert (wish.folders, wish.stem, wish.suffix) == ((b"Files", b"a"), "_nomedia", "")


def test_views_of_a_configuration() -> None:
    (only,) = build_views(TreeSettings(names="windows"), ())
    assert (only.number, only.root, only.names) == (0, (), "windows")
    both = build_views(TreeSettings(), (ViewSettings(name="A"), ViewSettings(name="B", folders=True)))
    assert [(view.number, view.root, view.folders) for view in both] == [(1, (b"A",), False), (2, (b"B",), True)]


def test_fingerprints_differ_when_names_would() -> None:
    prints = {
        view.fingerprint()
        for view in (
            a_view(),
            a_view("$title"),
            a_view(name="x"),
            a_view(names="windows"),
            View(1, "", "$albumartist/$album/$title.$format", folders=False, names="posix"),
            View(0, "", "$albumartist/$album/$title.$format", folders=True, names="posix"),
        )
    }
    assert len(prints) == 6


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (tags(album="A", artist="X"), tags(album="A", artist="Y"), False),
        (tags(album="A", artist="X", album_artist="Z"), tags(album="A", artist="Y", album_artist="Z"), True),
        (tags(album="A", artist="X", compilation="1"), tags(album="A", artist="Y", compilation="1"), True),
        (tags(album="A", date="1999"), tags(album="A", date="1999-05-01"), True),
        (tags(album="A", date="1999"), tags(album="A", date="2000"), False),
    ],
)
def test_siblings_of_one_album(one: StoredTags, other: StoredTags, same: bool) -> None:
    assert (album_key(one) == album_key(other)) is same


def test_no_album_has_no_siblings() -> None:
    assert album_key(tags(artist="X")) == 0


@pytest.mark.parametrize(
    ("members", "several"),
    [
        ([], False),
        ([(1, 1, 0)], False),
        ([(1, 1, 2)], True),
        ([(1, 1, 0), (2, 2, 0)], True),
        ([(1, 1, 0), (2, 0, 0)], False),
        ([(1, 2, 1), (2, 2, 1)], False),
    ],
)
def test_albums_of_several_discs(members: list[tuple[int, int, int]], several: bool) -> None:
    assert names_several_discs(members) is several
    assert discs(tags(disc="2/3", disc_total="3")) == (2, 3)


def test_what_encoders_write_is_no_tag() -> None:
    assert untagged({}) and untagged(tags(encoder="x", tlen="3"))
    assert not untagged(tags(comment="x"))
