"""Row 21: somebody edits the tags of a large file on the server. What has to come over the line?"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, NotMeasurable
from benchmarks.content import fill
from benchmarks.libraries import files_below
from benchmarks.remotes import KINDS, Line, Remote, remote
from benchmarks.report import Result, Verdict, met, not_measured
from benchmarks.servers import MusicFS

WITHIN_GOAL_BYTES = 10 << 10
BEYOND_GOAL = 0.1
# What a scan and a listing of a folder of one file cost on top, connections included.
LISTING_BYTES = 16 << 10
# Some servers tell times in whole seconds: an edit in the second of the one before it, of the same size, cannot be seen.
_APART_S = 2.0
_NAME = "track.flac"
_PADDING_BYTES = 8192  # as the flac encoder leaves it
_KBIT_PER_S_OF_NOISE = 1411  # noise cannot be compressed: FLAC stores it at the rate of the CD


def measure(bench: Bench) -> Iterator[Result]:
    if missing := [tool for tool in ("metaflac", "ffmpeg") if shutil.which(tool) is None]:
        raise NotMeasurable(f"not installed: {', '.join(missing)}")
    with bench.room("retagging") as room:
        track = room / _NAME
        _make_flac(track, bench.size(30, 6) * 1_000_000)
        for kind in KINDS:
            own = room / kind
            own.mkdir()
            try:
                with remote(kind, own, Line()) as server:
                    yield from _edit(bench, server, track, own)
            except NotMeasurable as reason:
                yield not_measured("21", f"tag edit on a remote file, {kind}", "<= 10 % of it", str(reason))


def _make_flac(path: Path, size_bytes: int) -> None:
    seconds = size_bytes * 8 / (_KBIT_PER_S_OF_NOISE * 1000)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"anoisesrc=r=44100:d={seconds:.1f}:a=1:seed=1", "-ac", "2",
         "-metadata", "artist=Somebody", "-metadata", "title=Noise", "-metadata", "album=Noises", str(path)],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    subprocess.run(["metaflac", f"--add-padding={_PADDING_BYTES}", str(path)], check=True)
    subprocess.run(["metaflac", "--sort-padding", str(path)], check=True)


def _edit(bench: Bench, server: Remote, original: Path, room: Path) -> Iterator[Result]:
    track = room / _NAME
    shutil.copy(original, track)
    server.put(_NAME, track.read_bytes())
    size_bytes = track.stat().st_size
    musicfs = server.musicfs(room)
    with bench.serving(musicfs):
        fill(musicfs, files_below(musicfs.point, ".flac"))
        server.reset()
        _rescan(musicfs)
        unchanged = server.counts().to_client_bytes
        for letter, what, comment in (
            ("a", "within padding", "x" * 100),
            ("b", "beyond padding", "y" * 4 * _PADDING_BYTES),
        ):
            subprocess.run(["metaflac", "--remove-tag=COMMENT", f"--set-tag=COMMENT={comment}", str(track)], check=True)
            data = track.read_bytes()
            time.sleep(_APART_S)
            server.put(_NAME, data)
            server.reset()
            _rescan(musicfs)
            scanned = server.counts().to_client_bytes
            (path,) = files_below(musicfs.point, ".flac")
            if path.read_bytes() != data:
                raise RuntimeError(f"{server.kind}: what was read is not what lies on the server")
            moved = server.counts().to_client_bytes
            fill(musicfs, [path])
            good = moved <= BEYOND_GOAL * size_bytes if letter == "b" else moved <= WITHIN_GOAL_BYTES + LISTING_BYTES
            yield Result(
                f"21{letter}", f"tag edit on a remote file, {server.kind}, {what}: bytes moved",
                "<= 10 % of it" if letter == "b" else "<= 10 KB + listing", _amount(moved, size_bytes),
                f"full fetch {size_bytes / 1e6:.1f} MB; rescan {scanned / 1e3:.0f} KB, idle {unchanged / 1e3:.0f} KB",
                met(good) if not bench.quick else Verdict.INFORMATION,  # quick: the file is too small for its share to count
                {"moved_bytes": moved, "rescan_bytes": scanned, "unchanged_bytes": unchanged, "size_bytes": size_bytes},
            )  # fmt: skip


def _amount(moved: int, size_bytes: int) -> str:
    return f"{moved / 1e3:,.0f} KB ({moved / size_bytes:.1%})"


def _rescan(musicfs: MusicFS) -> None:
    assert musicfs.origin is not None
    done = musicfs.run("origin", "rescan", musicfs.origin.id, "--wait")
    if done.returncode != 0:
        raise RuntimeError(f"rescan failed: {done.stderr}")
