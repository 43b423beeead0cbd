from __future__ import annotations

import pytest

from musicfs.errors import ConfigError
from musicfs.origins.selection import Selection, is_junk


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.iso", "x.iso", True),
        ("*.iso", "a/b/x.iso", True),
        ("*.iso", "a/x.iso.flac", False),
        ("*.iso", "a.iso/x.flac", True),  # a folder's name covers what is in it
        ("/*.iso", "x.iso", True),
        ("/*.iso", "a/x.iso", False),
        ("Podcasts", "Podcasts/a/b.mp3", True),
        ("Podcasts", "old/Podcasts/b.mp3", True),
        ("Podcasts", "Podcasts 2/b.mp3", False),
        ("Podcasts/", "Podcasts/b.mp3", True),
        ("Podcasts/", "Podcasts", False),
        ("/Podcasts", "old/Podcasts/b.mp3", False),
        ("Podcasts/**", "Podcasts/a/b.mp3", True),
        ("Podcasts/*.mp3", "Podcasts/a/b.mp3", False),
        ("a/*/c", "a/b/c/x.flac", True),
        ("a/*/c", "a/b/b/c", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("**/c", "c", True),
        ("**/c", "a/b/c", True),
        ("**", "anything/at/all", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]x", "bx", True),
        ("[!ab]x", "bx", False),
        ("[!ab]x", "cx", True),
        ("a[!b]c", "a/c", False),
        ("[a-c]", "b", True),
        ("[]]", "]", True),
        ("[z-a]", "z", False),
        ("[^a]", "^", True),
        ("[", "[", True),
        ("a.c", "abc", False),
        ("*", "new\nline", True),
        ("\udcff*", "\udcff byte", True),
        ("X", "x", False),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert Selection(include=[pattern]).serves_file(path) is matches
    assert Selection(exclude=[pattern]).serves_file(path) is not matches


def test_excluded_folders_are_not_entered() -> None:
    selection = Selection(exclude=["private/", "*.tmp"])
    assert not selection.enters_folder("private")
    assert not selection.enters_folder("a/private/b")
    assert not selection.enters_folder("x.tmp")
    assert selection.enters_folder("a")
    assert Selection(include=["*.flac"]).enters_folder("a")  # there may be one below


def test_exclude_wins() -> None:
    selection = Selection(include=["a"], exclude=["a/b"])
    assert selection.serves_file("a/x.flac")
    assert not selection.serves_file("a/b/x.flac")
    assert not selection.serves_file("c/x.flac")
    assert Selection().everything


@pytest.mark.parametrize("pattern", ["", "/", "../x", "a//b", "./a", "a/.."])
def test_globs_that_match_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="can match no path"):
        Selection(exclude=[pattern])


def test_junk() -> None:
    assert all(map(is_junk, (".DS_Store", "._song.flac", "@eaDir", ".Trash-1000", "lost+found", "#recycle")))
    assert not any(map(is_junk, (".hidden.flac", "_.flac", "...", "Trash", "desktop.ini.flac")))
