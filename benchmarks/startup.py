"""Row 8: from the start of the command to the first answer, whatever the size of the library."""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

SMALL_TRACKS = 1_000
LARGE_TRACKS = 10_000_000
REPOSITORY = Path(__file__).parent.parent
TIMEOUT_S = 60


def first_stat_s(server: MusicFS) -> float:
    """Seconds from exec of ``mount --foreground`` to the first stat that the mount itself answers; stops it again."""
    server.write_config()
    outside = os.stat(server.folder).st_dev
    began = time.perf_counter()
    process = server.spawn()
    try:
        while os.stat(server.point).st_dev == outside:
            if process.poll() is not None or time.perf_counter() - began > TIMEOUT_S:
                raise RuntimeError(f"it did not mount:\n{server.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.0005)
        os.stat(server.point)
        return time.perf_counter() - began
    finally:
        server.stop()


def evict(*folders: Path) -> None:
    """Take the files below these folders out of the page cache; what a running process has mapped stays in it."""
    os.sync()  # dirty pages cannot be dropped
    for path in itertools.chain.from_iterable(_files(folder) for folder in folders):
        pagecache.drop(path)


def _files(folder: Path) -> Iterable[Path]:
    for parent, _folders, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                yield path


def measure(bench: Bench) -> Iterator[Result]:
    large_tracks = bench.size(LARGE_TRACKS, 50_000)
    with bench.room("startup") as room:
        small = bench.catalog(SMALL_TRACKS).server(room / "small")
        large = bench.catalog(large_tracks).server(room / "large")
        code = [Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")), REPOSITORY / "musicfs"]
        warm: dict[str, list[float]] = {"small": [], "large": []}
        cold: list[float] = []
        for number in range(2 * bench.rounds + 1):
            for name, server in (
                (("small", small), ("large", large)) if number % 2 else (("large", large), ("small", small))
            ):
                taken = first_stat_s(server)
                if number > 0:
                    warm[name].append(taken)
        for _ in range(bench.rounds):
            evict(*code, large.cache or room)
            cold.append(first_stat_s(large))
    ms = {name: statistics.median(times) * 1000 for name, times in warm.items()}
    cold_ms = statistics.median(cold) * 1000
    ratio = ms["large"] / ms["small"]
    numbers = {"small_ms": ms["small"], "large_ms": ms["large"], "large_cold_ms": cold_ms, "ratio": ratio}
    yield Result(
        "8a", f"start to first stat, {large_tracks:,} tracks", "<= 1.1x the time of 1,000", f"{ms['large']:.0f} ms",
        f"{SMALL_TRACKS:,} tracks {ms['small']:.0f} ms ({ratio:.2f}x)", met(ratio <= 1.1), numbers,
    )  # fmt: skip
    yield Result(
        "8b", "the same, absolute", "<= 100 ms warm, <= 200 ms cold", f"{ms['large']:.0f} ms warm, {cold_ms:.0f} ms cold",
        f"an empty Python {_python_alone_ms():.0f} ms", met(ms["large"] <= 100 and cold_ms <= 200), numbers,
    )  # fmt: skip


def _python_alone_ms() -> float:
    """What the interpreter takes before it does anything of ours."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        os.waitpid(os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", ""]), 0)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
