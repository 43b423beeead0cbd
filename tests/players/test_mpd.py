"""mpd takes the mount for its music folder: its database counts every track, and it plays to the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.mounting import Mounted, ServedFile
from tests.players.mpd_server import Mpd, mpd_on


@pytest.fixture(scope="module")
def mpd(mounted: Mounted) -> Iterator[Mpd]:
    with mpd_on(mounted.point) as running:
        running.mpc("--wait", "update", timeout_s=300)
        yield running


def test_the_database_has_every_track(mpd: Mpd, mounted: Mounted, tracks: tuple[ServedFile, ...]) -> None:
    assert sorted(mpd.songs()) == sorted(str(track.virtual.relative_to(mounted.point)) for track in tracks)


def test_it_reads_the_tags_that_made_the_tree(mpd: Mpd, mounted: Mounted) -> None:
    artists = {folder.name for folder in mounted.point.iterdir() if folder.is_dir()}
    known = set(mpd.mpc("list", "albumartist").splitlines()) | set(mpd.mpc("list", "artist").splitlines())
    assert artists - {"Unknown Artist", "Various Artists"} <= {name.replace("/", "_") for name in known}


def test_an_update_with_nothing_changed_changes_nothing(mpd: Mpd) -> None:
    before = mpd.mpc("stats").split("DB Updated:")[0]
    mpd.mpc("--wait", "update")
    assert mpd.mpc("stats").split("DB Updated:")[0].splitlines()[:3] == before.splitlines()[:3]


def test_it_plays_one_of_each_format_to_the_end(mpd: Mpd, mounted: Mounted, one_of_each: dict[str, ServedFile]) -> None:
    mpd.mpc("clear")
    for track in one_of_each.values():
        mpd.mpc("add", str(track.virtual.relative_to(mounted.point)))
    mpd.play_all()


@pytest.mark.real_music
def test_real_music(real_music: Path, mount_library: MountLibrary) -> None:
    mounted = mount_library({"wesnoth": real_music})
    with mpd_on(mounted.point) as mpd:
        mpd.mpc("--wait", "update", timeout_s=120)
        songs = mpd.songs()
        assert len(songs) == len(list(real_music.rglob("*.ogg")))
        assert "wesnoth" in mpd.mpc("list", "album").lower()
        mpd.mpc("add", min(songs, key=lambda song: (mounted.point / song).stat().st_size))
        mpd.play_all()
