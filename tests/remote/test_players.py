"""Players on music that is far away: 50 ms for every question, and still they play from the first byte to the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.testing.library import make_library
from tests.faults.living import tree
from tests.mounting import Mounted, mount
from tests.players.mpd_server import mpd_on
from tests.players.programs import run
from tests.remote.lines import FAR_S, Line, Servers

TRACKS = 22


@pytest.fixture(scope="module")
def line(servers: Servers) -> Iterator[Line]:
    with servers.line("sftp", "players", delay_s=FAR_S) as line:
        make_library(line.root, TRACKS, seed=3, seconds=2.0)
        yield line


@pytest.fixture
def mounted(line: Line, home: Path) -> Iterator[Mounted]:
    """A mount that has read nothing yet but tags."""
    found = mount({"far": line.place}, home)
    yield found
    found.close()


def _tracks(mounted: Mounted, suffix: str = "") -> list[Path]:
    """The audio files of the mount, of one suffix or all."""
    found = [mounted.point / path for path, origin in tree(mounted).items() if origin.suffix not in {".jpg", ".png"}]
    return sorted(path for path in found if not suffix or path.suffix == suffix)


def test_mpd_finds_and_plays_all_of_it(mounted: Mounted) -> None:
    tracks = _tracks(mounted)
    assert len(tracks) == TRACKS
    with mpd_on(mounted.point) as mpd:
        mpd.mpc("update", "--wait")
        assert len(mpd.songs()) == TRACKS
        mpd.mpc("add", "/")
        mpd.play_all()


def test_decoders_hear_no_difference(mounted: Mounted, line: Line) -> None:
    served = tree(mounted)
    tracks = _tracks(mounted)
    for suffix in sorted({path.suffix for path in tracks}):
        path = next(path for path in tracks if path.suffix == suffix)
        decode = ("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i")
        to_digest = ("-map", "0:a", "-f", "md5", "-")
        original = served[str(path.relative_to(mounted.point))]
        assert run(*decode, path, *to_digest) == run(*decode, original, *to_digest), path
    run("flac", "--test", "--silent", "--warnings-as-errors", *_tracks(mounted, ".flac"), timeout_s=60)
    said = run(
        "mpv", "--no-config", "--ao=null", "--ao-null-untimed=yes", "--vo=null", "--no-terminal", "--msg-level=all=error",
        "--really-quiet=no", "--start=50%", _tracks(mounted, ".mp3")[0],
    )  # fmt: skip
    assert said == ""
