"""mpd sees corrected tags after its ordinary update, which looks at names and times only; also when they are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicfs.testing.audio import KINDS, make_audio
from musicfs.testing.images import make_jpeg
from tests.correcting import Tagger, tagging
from tests.mounting import Mounted, mount
from tests.players.mpd_server import Mpd, mpd_on
from tests.players.programs import run

SHOWN = "%title%;%artist%;%album%;%date%;%genre%;%composer%;%label%"
KEPT = sorted(KINDS.keys() - {"aac"})  # mpd reads no tags of an ADTS stream


@dataclass(frozen=True)
class Played:
    """A mount whose names do not follow tags, and an mpd on it."""

    mounted: Mounted
    tagger: Tagger
    mpd: Mpd

    def tags(self, name: str) -> str:
        """What mpd's database has of a file."""
        return self.mpd.mpc("search", "-f", SHOWN, "filename", name).strip()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("mpd")
    for seed, (kind, made) in enumerate(KINDS.items(), 1):
        tags = {"artist": "A", "album": "B", "title": f"Own {kind}", "track": "1", "date": "2001", "composer": "C"}
        picture = make_jpeg(width=40, height=40)
        make_audio(home / "origin" / f"{kind}.{made.suffix}", kind, seed=seed, tags=tags, picture=picture, seconds=2.0)
    mounted = mount({"o": home / "origin"}, home, "[tree]\nfolders = true\n")
    try:
        with tagging(mounted) as tagger, mpd_on(mounted.point) as mpd:
            mpd.mpc("--wait", "update", timeout_s=120)
            yield Played(mounted, tagger, mpd)
    finally:
        mounted.close()


def test_mpd_follows_corrections_there_and_back(played: Played) -> None:
    names = {kind: f"{kind}.{KINDS[kind].suffix}" for kind in KEPT}
    own = {kind: f"Own {kind};A;B;2001;;C;" for kind in KEPT}
    assert {kind: played.tags(name) for kind, name in names.items()} == own
    for kind, name in names.items():
        values = {"title": (f"Right {kind}",), "genre": ("Jazz",), "composer": (), "date": ("1999",), "label": ("L",)}
        assert played.tagger.set(f"/{name}", values).name == name
    played.mpd.mpc("--wait", "update")
    corrected = {kind: f"Right {kind};A;B;1999;Jazz;;" for kind in KEPT}
    assert {kind: played.tags(name).rpartition(";")[0] + ";" for kind, name in names.items()} == corrected
    said = {kind: played.tags(name).rpartition(";")[2] for kind, name in names.items()}
    assert said["flac"] == said["mp3"] == said["ogg"] == "L"
    for kind, name in names.items():
        played.tagger.undo(f"/{name}")
        assert (played.mounted.point / name).read_bytes() == (played.mounted.roots["o"] / name).read_bytes(), kind
    played.mpd.mpc("--wait", "update")
    assert {kind: played.tags(name) for kind, name in names.items()} == own


def test_mpd_plays_corrected_files_to_their_end(played: Played) -> None:
    played.mpd.mpc("clear")
    for kind, made in KINDS.items():
        played.tagger.set(f"/{kind}.{made.suffix}", title="A longer title than before " * 20)
        played.mpd.mpc("add", f"{kind}.{made.suffix}")
    played.mpd.play_all()


def test_mpv_seeks_in_corrected_files(played: Played) -> None:
    for kind, made in KINDS.items():
        played.tagger.set(f"/{kind}.{made.suffix}", title="A longer title than before, again " * 20)
        path: Path = played.mounted.point / f"{kind}.{made.suffix}"
        said = run(
            "mpv", "--no-config", "--ao=null", "--ao-null-untimed=yes", "--vo=null", "--no-terminal", "--start=50%",
            "--msg-level=all=error", "--really-quiet=no", path,
        )  # fmt: skip
        assert said == "", kind
