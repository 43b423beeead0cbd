"""Row 7: large folders, listed again, and complete while another walker is at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.libraries import make_flat_folder
from benchmarks.measure import Contender, interleaved
from benchmarks.report import Result, met
from benchmarks.servers import Server

REPEATS = 10  # a single listing is too short to time
FOLDERS_VIEW = "[tree]\nfolders = true\ncovers = false"  # the origin's own layout: the same folder as the peers show


def list_names(folder: Path) -> None:
    for _ in range(REPEATS):
        os.listdir(folder)


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("directories") as room:
        source = room / "music"
        small, large = bench.size(10_000, 1_000), bench.size(100_000, 5_000)
        make_flat_folder(source / "small", small)
        make_flat_folder(source / "large", large)
        ours = bench.musicfs(source, room, FOLDERS_VIEW)
        servers: list[Server] = [ours, *bench.peers(source, room, "bindfs", "mergerfs")]
        with bench.serving(*servers):
            samples = interleaved(
                [
                    Contender(server.name, partial(list_names, server.point / "small"), pids=server.pids)
                    for server in servers
                ],
                bench.rounds,
            )
            times = {name: of_one.median_s / REPEATS * 1000 for name, of_one in samples.items()}
            ratio = times["musicfs"] / times["bindfs"]
            yield Result(
                "7a", f"listing {small:,} entries again", "<= 0.9x bindfs's time", f"{times['musicfs']:.1f} ms",
                ", ".join(f"{name} {time:.1f} ms" for name, time in times.items() if name != "musicfs")
                + f" ({ratio:.2f}x bindfs)",
                met(ratio <= 0.9), {f"{name}_ms": time for name, time in times.items()},
            )  # fmt: skip
            with ThreadPoolExecutor(2) as pool:
                found = list(pool.map(_names_with_stat, [ours.point / "large"] * 2))
            complete = all(names == set(os.listdir(source / "large")) for names in found)
            yield Result(
                "7b", f"listing {large:,} entries", "complete under a parallel walker",
                ", ".join(f"{len(names):,}" for names in found), "two walkers at once", met(complete),
                {"entries": float(min(map(len, found)))},
            )  # fmt: skip


def _names_with_stat(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.stat().st_size > 0}
