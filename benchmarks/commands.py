"""Row 22: how long a user waits for a command."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import Samples
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

GOAL_MS = 350
REPEATS = 4


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("commands") as room:
        make_tiny_library(room / "music", 200)
        server = MusicFS(room / "music", room / "musicfs")
        with bench.serving(server):
            yield _timed(bench, server, "22a", "status")
            yield _timed(bench, server, "22b", "search", "title:*")


def _timed(bench: Bench, server: MusicFS, row: str, *command: str) -> Result:
    samples = Samples()
    for number in range(bench.rounds * REPEATS + 1):
        began = time.perf_counter()
        done = server.run(*command)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stderr}")
        if number > 0:
            samples.wall_s.append(time.perf_counter() - began)
    median_ms = samples.median_s * 1000
    return Result(
        row, f"musicfs {' '.join(command)}, exec to output", f"<= {GOAL_MS} ms", f"{median_ms:.0f} ms",
        f"slowest of {len(samples.wall_s)}: {max(samples.wall_s) * 1000:.0f} ms", met(median_ms <= GOAL_MS),
        {"median_ms": median_ms, "max_ms": max(samples.wall_s) * 1000},
    )  # fmt: skip
