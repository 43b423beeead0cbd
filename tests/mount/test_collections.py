"""SPEC 6: collections on a real mount, as users, players and media servers see them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.faults.living import accept_originals, restart, track, wait_for
from tests.mounting import mount
from tests.players.mpd_server import mpd_on
from tests.players.programs import run

MARKERS = {".ignore", ".mpdignore", ".ndignore", ".plexignore"}
BUILT_IN = "[collections]\n"
FOLLOWS_S = 2.0  # a change is seen within


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    track(root, "a/1.flac", title="Ghost", artist="Aha", album="Take", date="1985", track="1", seed=1)
    track(root, "a/2.flac", title="Train: *what?*", artist="Aha", album="Take", date="1985-06", track="2", seed=2)
    track(root, "b/1.flac", title="Smile", artist="Nevermore", album="Mind", date="1991", track="1", seed=3)
    track(root, "c/1.flac", title="日本", artist="#1 Hits", album="Sea", date="1989", track="1", seed=4)
    return root


def listed(folder: Path) -> list[str]:
    """What the folder lists, markers left out."""
    return sorted(name for name in os.listdir(folder) if name not in MARKERS) if folder.is_dir() else []


def appears(folder: Path, *names: str, timeout_s: float = 20) -> None:
    wait_for(f"{folder.name} holds {names}", lambda: listed(folder) == list(names) or None, timeout_s)


def leads_to(link: Path) -> str:
    """Where a link leads, below the mount point; what it says is relative."""
    assert link.is_symlink()
    target = os.readlink(link)
    assert not target.startswith("/")
    assert link.lstat().st_size == len(os.fsencode(target))
    assert link.exists()
    return os.path.normpath(os.path.join(link.parent, target))


EIGHTIES = ("001. 日本.flac", "002. Ghost.flac", "003. Train: *what?*.flac")


def test_built_in_ones(mount_library: MountLibrary, library: Path) -> None:
    mounted = mount_library({"music": library}, BUILT_IN)
    eighties = mounted.point / "80s Music"
    appears(eighties, *EIGHTIES)
    appears(mounted.point / "90s Music", "001. Smile.flac")
    wait_for("all are new", lambda: len(listed(mounted.point / "Recently Added")) == 4 or None)
    assert set(os.listdir(eighties)) == set(EIGHTIES) | MARKERS
    assert leads_to(eighties / EIGHTIES[1]) == str(mounted.point / "Aha/Take (1985) [FLAC]/01 - Ghost.flac")
    playlist = (mounted.point / "80s Music.m3u8").read_text(encoding="utf-8").splitlines()
    assert playlist[0] == "#EXTM3U"
    assert playlist[1].startswith("#EXTINF:") and playlist[1].endswith(",#1 Hits - 日本")
    assert playlist[2::2] == [
        "./#1 Hits/Sea (1989) [FLAC]/01 - 日本.flac",
        "Aha/Take (1985) [FLAC]/01 - Ghost.flac",
        "Aha/Take (1985) [FLAC]/02 - Train: *what?*.flac",
    ]
    for name in EIGHTIES:
        assert (eighties / name).read_bytes() == Path(leads_to(eighties / name)).read_bytes()
    assert oct((eighties / EIGHTIES[0]).lstat().st_mode) == "0o120777"
    with pytest.raises(OSError, match="Read-only"):
        (eighties / EIGHTIES[0]).unlink()


def test_programs_walk_them(mount_library: MountLibrary, library: Path, tmp_path: Path) -> None:
    mounted = mount_library({"music": library}, BUILT_IN)
    appears(mounted.point / "80s Music", *EIGHTIES)
    appears(mounted.point / "90s Music", "001. Smile.flac")
    wait_for("new ones", lambda: len(listed(mounted.point / "Recently Added")) == 4 or None)
    plain = run("find", str(mounted.point), "-name", "*.flac", "-type", "f").splitlines()
    assert len(plain) == 4, "each track once"
    followed = run("find", "-L", str(mounted.point), "-name", "*.flac", "-type", "f").splitlines()
    assert len(followed) == 4 + 3 + 1 + 4
    assert run("find", "-L", str(mounted.point), "-type", "l") == "", "no link leads nowhere"
    run("cp", "-rL", str(mounted.point / "80s Music"), str(tmp_path / "copied"))
    assert len(list((tmp_path / "copied").glob("*.flac"))) == 3
    mounted.command("cache", "prefetch", "/80s Music")
    found = json.loads(mounted.command("--json", "metadata", "get", f"/80s Music/{EIGHTIES[1]}").stdout)
    assert "Ghost" in json.dumps(found)


def test_a_corrected_date_moves_a_track(mount_library: MountLibrary, library: Path) -> None:
    mounted = mount_library({"music": library}, BUILT_IN)
    eighties, nineties = mounted.point / "80s Music", mounted.point / "90s Music"
    appears(eighties, *EIGHTIES)
    appears(nineties, "001. Smile.flac")
    edited = mounted.command("metadata", "set", "/Nevermore", "--date", "1988", "--yes")
    assert edited.returncode == 0, edited.stderr
    appears(eighties, EIGHTIES[0], EIGHTIES[1], EIGHTIES[2], "004. Smile.flac", timeout_s=FOLLOWS_S)
    wait_for("the nineties end", lambda: not nineties.exists() or None, FOLLOWS_S)
    playlist = (mounted.point / "80s Music.m3u8").read_text(encoding="utf-8")
    assert "Nevermore/Mind (1988) [FLAC]/01 - Smile.flac" in playlist


def test_users_make_and_delete_them(library: Path, tmp_path: Path) -> None:
    mounted = mount({"music": library}, tmp_path / "mounted", "[collections]\nbuiltin = false\n")
    made = mounted.command("collection", "create", "Mine", "--query", "artist:aha", "--sort", "-title")
    assert made.returncode == 0, made.stderr
    appears(mounted.point / "Mine", "001. Train: *what?*.flac", "002. Ghost.flac", timeout_s=10)
    shown = json.loads(mounted.command("--json", "collection", "show", "Mine").stdout)
    assert "/Aha/Take (1985) [FLAC]/01 - Ghost.flac" in json.dumps(shown, ensure_ascii=False)
    wrong = mounted.command("collection", "create", "Bad", "--query", "artist:")
    assert wrong.returncode == 2
    assert mounted.command("collection", "create", "Mine", "--query", "x").returncode != 0
    mounted.close()
    again = restart(mounted)
    try:
        assert listed(again.point / "Mine") == ["001. Train: *what?*.flac", "002. Ghost.flac"], "there before any scan"
        assert mounted.command("collection", "delete", "Mine").returncode == 0
        wait_for("it is gone", lambda: not (again.point / "Mine").exists() or None)
        assert not (again.point / "Mine.m3u8").exists()
        assert mounted.command("collection", "show", "Mine").returncode == 4
    finally:
        again.close()


def test_an_artist_takes_the_name(mount_library: MountLibrary, library: Path) -> None:
    mounted = mount_library({"music": library}, BUILT_IN)
    appears(mounted.point / "80s Music", *EIGHTIES)
    before = os.stat(mounted.point / "80s Music").st_ino
    new = track(library, "d/1.flac", title="Mine", artist="80s Music", album="Own", date="2001", track="1", seed=5)
    accept_originals(mounted)
    appears(mounted.point / "80s Music", "Own (2001) [FLAC]")
    appears(mounted.point / "80s Music (2)", *EIGHTIES)
    assert os.stat(mounted.point / "80s Music (2)").st_ino == before
    assert (mounted.point / "80s Music (2).m3u8").exists()
    assert not (mounted.point / "80s Music.m3u8").exists()
    shutil.rmtree(new.parent)
    accept_originals(mounted)
    appears(mounted.point / "80s Music", *EIGHTIES)
    assert not (mounted.point / "80s Music (2)").exists()


@pytest.mark.parametrize("settings", ["", "[tree]\nshow_hidden = true\n"])
def test_they_can_be_hidden(mount_library: MountLibrary, library: Path, settings: str) -> None:
    mounted = mount_library({"music": library}, '[collections]\ndirectory = ".collections"\n' + settings)
    appears(mounted.point / ".collections" / "80s Music", *EIGHTIES)
    assert (".collections" in os.listdir(mounted.point)) == bool(settings)
    assert "80s Music" not in os.listdir(mounted.point)
    assert leads_to(mounted.point / ".collections/80s Music" / EIGHTIES[1]).endswith("/01 - Ghost.flac")
    lines = (mounted.point / ".collections/80s Music.m3u8").read_text(encoding="utf-8").splitlines()
    assert lines[4] == "../Aha/Take (1985) [FLAC]/01 - Ghost.flac"


def test_the_template_changes_under_them(library: Path, tmp_path: Path) -> None:
    mounted = mount({"music": library}, tmp_path / "mounted", BUILT_IN)
    appears(mounted.point / "80s Music", *EIGHTIES)
    config = mounted.folder / "config.toml"
    text = config.read_text(encoding="utf-8").replace(
        "[collections]", '[tree]\ntemplate = "$artist/$title.$format"\n[collections]'
    )
    config.write_text(text, encoding="utf-8")
    mounted.close()
    again = restart(mounted)
    try:
        wait_for("the new tree", lambda: (again.point / "Aha/Ghost.flac").exists() or None)
        assert leads_to(again.point / "80s Music" / EIGHTIES[1]) == str(again.point / "Aha/Ghost.flac")
        wait_for(
            "the playlist follows",
            lambda: "Aha/Ghost.flac" in (again.point / "80s Music.m3u8").read_text(encoding="utf-8") or None,
        )
    finally:
        again.close()


@pytest.mark.parametrize("directory", ["", "Lists"])
def test_mpd_counts_each_track_once_and_loads_the_playlist(
    mount_library: MountLibrary, library: Path, directory: str
) -> None:
    mounted = mount_library({"music": library}, f'[collections]\ndirectory = "{directory}"\n')
    appears(mounted.point / directory / "80s Music", *EIGHTIES)
    with mpd_on(mounted.point) as mpd:
        mpd.mpc("--wait", "update")
        assert len(mpd.songs()) == 4
        mpd.mpc("load", os.path.join(directory, "80s Music.m3u8"))
        assert mpd.mpc("--format", "%title%", "playlist").splitlines()[1:] == ["Ghost", "Train: *what?*"]


def test_a_player_plays_the_playlist(mount_library: MountLibrary, library: Path) -> None:
    mounted = mount_library({"music": library}, BUILT_IN)
    appears(mounted.point / "80s Music", *EIGHTIES)
    played = run("mpv", "--no-config", "--ao=null", "--no-video", str(mounted.point / "80s Music.m3u8"))
    names = [line.rpartition("/")[2] for line in played.splitlines() if line.startswith("Playing:")]
    assert [name for name in names if name.endswith(".flac")] == [
        "01 - 日本.flac", "01 - Ghost.flac", "02 - Train: *what?*.flac",
    ]  # fmt: skip
