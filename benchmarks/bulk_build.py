"""Row 15: building a catalog of ten million tracks, its size, and lookups in it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

TRACKS = 10_000_000
FEW_TRACKS = 100_000
SECONDS_GOAL = 150
BYTES_GOAL = 800
LOOKUPS = 2_000
LOGARITHMIC = 2.0  # a hundred times the tracks may cost twice the time: one or two levels of a B+ tree more


def measure(bench: Bench) -> Iterator[Result]:
    tracks, few = bench.size(TRACKS, 50_000), bench.size(FEW_TRACKS, 5_000)
    large, small = bench.catalog(tracks), bench.catalog(few)
    allowed_s = SECONDS_GOAL * tracks / TRACKS
    yield Result(
        "15a", f"catalog of {tracks:,} tracks with tags, built", f"<= {allowed_s:.3g} s, <= {BYTES_GOAL} bytes a track",
        f"{large.seconds:.0f} s, {large.bytes_per_track:.0f} bytes a track", "",
        met(large.seconds <= allowed_s and large.bytes_per_track <= BYTES_GOAL),
        {"seconds": large.seconds, "bytes_per_track": large.bytes_per_track, "tracks_per_s": tracks / large.seconds},
    )  # fmt: skip
    with bench.room("lookups") as room:
        taken_us = {}
        for name, catalog in (("large", large), ("small", small)):
            server = catalog.server(room / name)
            with bench.serving(server):
                _lookup_us(server)  # the pages of the catalog that are needed are in memory now, as far as they fit
            with bench.serving(server):  # and the kernel knows no name again
                taken_us[name] = _lookup_us(server)
    ratio = taken_us["large"] / taken_us["small"]
    yield Result(
        "15b", f"first lookup of a track among {tracks:,}", "O(log n)", f"{taken_us['large']:.0f} us",
        f"among {few:,}: {taken_us['small']:.0f} us ({ratio:.2f}x)", met(ratio <= LOGARITHMIC),
        {"large_us": taken_us["large"], "small_us": taken_us["small"]},
    )  # fmt: skip


def _lookup_us(server: MusicFS) -> float:
    """Median time of a stat of a track whose name the kernel does not know, spread over the whole library."""
    artists = sorted(os.listdir(server.point))
    tracks: list[Path] = []
    for artist in artists[:: max(1, len(artists) // LOOKUPS)]:
        album = server.point / artist / min(os.listdir(server.point / artist))
        tracks.append(album / min(os.listdir(album)))
    times = []
    for path in tracks:
        began = time.perf_counter()
        os.stat(path)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
