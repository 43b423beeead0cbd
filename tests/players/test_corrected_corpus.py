"""mutagen's odd files on one mount, all corrected through the daemon: players find the corrections, and play."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicfs.api.metadata import Fields, MetadataChange
from musicfs.formats import LocalSource
from musicfs.formats.plans import Edit
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from tests.correcting import tagging
from tests.formats.odd_files import BLIND, READ, REFUSED
from tests.mounting import Mounted, mount
from tests.players.mpd_server import Mpd, mpd_on
from tests.players.programs import run

# Names by which a scan would not open them.
_SUFFIXES = {".oggflac": ".oga", ".oggtheora": ".ogg", ".id3": ".mp3", ".mp4": ".m4a", ".3g2": ".m4a"}
_LISTED = ("artist", "title", "album", "track")
# What mpd does not show as corrected, nor as it was.
_MPD_SEES: dict[str, str | None] = {
    "106-invalid-streaminfo.flac": None,  # STREAMINFO is too short
    "bad-POPM-frame.mp3": "\t\t\t",  # the tag begins with empty frames
    "issue_21.id3": "\t\t\t",  # an extended header by its flags alone
}
# What they do not play as it was either: a film's sound, a single frame.
_MPD_MUTE = {"sample_length.oggtheora"}
_MPV_MUTE = {"lame397v9short.mp3"}


@dataclass(frozen=True, slots=True)
class Corrected:
    """A file of the mount whose tags were changed.

    ``own`` is its name in the corpus, ``fields`` what was asked for, ``overlay`` what of this its own tags do not say anyway.
    """

    own: str
    virtual: Path
    origin: Path
    fields: Fields
    overlay: Fields


@dataclass(frozen=True, slots=True)
class Library:
    """The mount, and what is on it."""

    mounted: Mounted
    tracks: tuple[Corrected, ...]

    def decodable(self, without: Collection[str] = ()) -> list[Corrected]:
        """What ffmpeg can read and decode as it was, ``without`` some by their names in the corpus."""
        blind = {name for name, programs in BLIND.items() if programs & {"ffmpeg", "ffprobe"}}
        return [one for one in self.tracks if one.own not in blind and one.own not in without]


@pytest.fixture(scope="module")
def library(odd_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    root = tmp_path_factory.mktemp("corpus")
    names = {}
    for own in sorted(set(READ) - REFUSED.keys()):
        path = Path(own)
        name = f"{path.stem}{_SUFFIXES.get(path.suffix, path.suffix)}"
        assert name not in names
        names[name] = own
        shutil.copy(odd_files / own, root / name)
    mounted = mount({"odd": root}, tmp_path_factory.mktemp("mounted"))
    with contextlib.closing(mounted):
        yield Library(mounted, _corrected(mounted, names))


def _corrected(mounted: Mounted, names: dict[str, str]) -> tuple[Corrected, ...]:
    """Give every track of the mount its own artist, title, album and number."""
    with tagging(mounted) as tagger:
        known = [one for one in tagger.client.tracks([], "") if one is not None]
        assert {one.origin_path for one in known} == names.keys()
        fields: dict[int, Fields] = {}
        for number, one in enumerate(known, 1):
            words = {"title": f"Tōkyō 東京 {number}", "artist": f"Åsa {number % 7}", "album": f"Borís {number % 11}"}
            fields[one.file_id] = {name: (text,) for name, text in words.items()} | {"track": (str(number),)}
        changes = [MetadataChange(file_id=file_id, set=words) for file_id, words in fields.items()]
        results = [one for one in tagger.client.change_metadata(changes) if one is not None]
        assert [(one.error, one.reason) for one in results] == [("", "")] * len(known)
        made = []
        for one in tagger.client.tracks([], ""):
            if one is not None:
                assert (one.served, one.unfit) == ("corrected", {}), one
                virtual = mounted.point / one.path.lstrip("/")
                origin = mounted.roots["odd"] / one.origin_path
                made.append(Corrected(names[one.origin_path], virtual, origin, fields[one.file_id], one.overlay))
        return tuple(made)


@pytest.fixture(scope="module")
def mpd(library: Library) -> Iterator[Mpd]:
    with mpd_on(library.mounted.point) as running:
        running.mpc("--wait", "update", timeout_s=120)
        yield running


def test_every_file_is_what_its_plan_makes(library: Library) -> None:
    for track in library.tracks:
        with LocalSource.open(track.origin) as original:
            made = SplicedSource(splice(original, track.origin.name, Edit(track.overlay)), original)
            assert track.virtual.read_bytes() == made.read(0, made.size), track.own


def test_mpd_lists_what_was_corrected(library: Library, mpd: Mpd) -> None:
    pattern = "\t".join(f"%{name}%" for name in ("file", *_LISTED))
    listed = dict(line.split("\t", 1) for line in mpd.mpc("listall", "-f", pattern).splitlines())
    wrong = {}
    for track in library.tracks:
        seen = listed.get(str(track.virtual.relative_to(library.mounted.point)))
        if seen != "\t".join(track.fields[name][0] for name in _LISTED):
            wrong[track.own] = seen
    assert wrong == _MPD_SEES


def test_mpd_plays_three_of_each_format(library: Library, mpd: Mpd, pytestconfig: pytest.Config) -> None:
    """All of them with --soak."""
    most = len(library.tracks) if pytestconfig.getoption("--soak") else 3
    chosen: dict[str, list[Corrected]] = {}
    for track in library.decodable(without=_MPD_MUTE):
        chosen.setdefault(track.virtual.suffix, []).append(track)
    before = (mpd.folder / "log").stat().st_size
    mpd.mpc("clear")
    for track in (one for tracks in chosen.values() for one in tracks[:most]):
        mpd.mpc("add", str(track.virtual.relative_to(library.mounted.point)))
    mpd.play_all()
    said = (mpd.folder / "log").read_bytes()[before:].decode(errors="replace").splitlines()
    assert [line for line in said if "exception" in line or "rror" in line or "ailed" in line] == []


def test_ffmpeg_and_mpv_play_all_to_the_end(library: Library) -> None:
    for track in library.decodable():
        run("ffmpeg", "-nostdin", "-v", "fatal", "-i", track.virtual, "-map", "0:a", "-f", "null", "-")
    tracks = [track.virtual for track in library.decodable(without=_MPV_MUTE)]
    mpv = (
        "mpv",
        "--no-config",
        "--ao=null",
        "--ao-null-untimed=yes",
        "--vo=null",
        "--no-terminal",
        "--msg-level=all=fatal",
    )
    run(*mpv, "--really-quiet=no", *tracks, timeout_s=110)
