"""What reading one file's tags costs, beside mutagen's class for its kind.

    python -m benchmarks.formats [--files N] [--rounds N] [--json FILE]

Both sides open, read and close each file of a generated library in the page cache, in turns; the table has the medians of
the rounds in microseconds a file, and the CPU time beside it. A scan's goal is 4,000 files a second on two cores with
listing and writing the catalog, so reading should stay below 150 microseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import mutagen.aac
import mutagen.aiff
import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.mp4
import mutagen.oggflac
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave

from musicfs.formats import LocalSource, read
from musicfs.testing.audio import KINDS
from musicfs.testing.library import make_library

GOAL_US = 150.0


def _read_ours(path: str) -> None:
    with LocalSource.open(path) as source:
        read(source, path)


def _read_adts(path: str) -> None:
    """mutagen's class for AAC has no tags: its ID3 class reads these."""
    mutagen.aac.AAC(path)
    mutagen.id3.ID3(path)


PEERS: Mapping[str, Callable[[str], object]] = {
    "flac": mutagen.flac.FLAC,
    "mp3": mutagen.mp3.MP3,
    "ogg": mutagen.oggvorbis.OggVorbis,
    "opus": mutagen.oggopus.OggOpus,
    "oga": mutagen.oggflac.OggFLAC,
    "m4a": mutagen.mp4.MP4,
    "alac": mutagen.mp4.MP4,
    "m4b": mutagen.mp4.MP4,
    "aac": _read_adts,
    "wav": mutagen.wave.WAVE,
    "aiff": mutagen.aiff.AIFF,
}


def _time_us(reader: Callable[[str], object], paths: list[str]) -> tuple[float, float]:
    """Wall and CPU microseconds a file."""
    wall, cpu = time.perf_counter(), time.process_time()
    for path in paths:
        reader(path)
    return (time.perf_counter() - wall) * 1e6 / len(paths), (time.process_time() - cpu) * 1e6 / len(paths)


def measure(root: Path, files: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by kind: ``us``, ``cpu_us``, ``mutagen_us``, ``mutagen_cpu_us``, ``ratio`` (how many times faster)."""
    made = make_library(root, files, seed=1, seconds=1.0)
    results: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        paths = [str(root / track.path) for track in made.tracks if track.kind == kind]
        if not paths:
            continue
        ours, theirs = [], []
        for _ in range(rounds + 1):
            ours.append(_time_us(_read_ours, paths))
            theirs.append(_time_us(PEERS[kind], paths))
        # The first round warms up.
        us, cpu_us = (statistics.median(column) for column in zip(*ours[1:], strict=True))
        peer_us, peer_cpu_us = (statistics.median(column) for column in zip(*theirs[1:], strict=True))
        results[kind] = {
            "files": len(paths),
            "us": us,
            "cpu_us": cpu_us,
            "mutagen_us": peer_us,
            "mutagen_cpu_us": peer_cpu_us,
            "ratio": peer_us / us,
        }
    return results


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table; 0 if every kind stays below the goal."""
    parser = argparse.ArgumentParser(prog="benchmarks.formats", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=440, help="size of the library (default 440)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, after one to warm up (default 7)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="musicfs-bench-") as folder:
        results = measure(Path(folder), options.files, options.rounds)
    print(f"{'kind':6} {'files':>5} {'µs/file':>9} {'CPU µs':>8} {'mutagen':>9} {'CPU µs':>8} {'faster':>7}")
    for kind, row in results.items():
        print(
            f"{kind:6} {row['files']:5.0f} {row['us']:9.1f} {row['cpu_us']:8.1f} {row['mutagen_us']:9.1f} "
            f"{row['mutagen_cpu_us']:8.1f} {row['ratio']:6.1f}x"
        )
    worst = max(row["us"] for row in results.values())
    print(f"slowest kind {worst:.0f} µs a file, goal {GOAL_US:.0f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"formats": results}, indent=1), encoding="utf-8")
    return 0 if worst <= GOAL_US else 1


if __name__ == "__main__":
    sys.exit(main())
