"""Row 24: what it costs that requests are counted and timed for metrics, beside a mount that counts none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench
from benchmarks.libraries import files_below, make_wav_files
from benchmarks.measure import Contender, Samples, interleaved
from benchmarks.reads import read_all
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

GOAL_PERCENT = 2
PASSES = 8  # CPU is counted in hundredths of a second
REQUESTS = 100_000


@dataclass(slots=True)
class Uncounted(MusicFS):
    """The same, without the counting."""

    def arguments(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "benchmarks.uncounted", "--config", str(self.folder / "config.toml"), *arguments]


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("counting") as room:
        originals = make_wav_files(room / "music", bench.size(16, 4), 32 << 20)
        quiet = '[metrics]\naddress = ""\n[grpc]\naddresses = []'
        servers = [
            MusicFS(room / "music", room / "counted", quiet, name="counted"),
            Uncounted(room / "music", room / "uncounted", quiet, name="uncounted"),
        ]
        with bench.serving(*servers):
            served = {server.name: files_below(server.point, ".wav") for server in servers}
            reads = [
                Contender(server.name, partial(_read, originals, served[server.name]), pids=partial(_pids, server))
                for server in servers
            ]
            yield _result("24a", "CPU of the mount, reading a local origin", interleaved(reads, bench.rounds * 2))
            count = bench.size(REQUESTS, REQUESTS // 20)
            asks = [
                Contender(server.name, partial(_ask, served[server.name][0], count), pids=partial(_pids, server))
                for server in servers
            ]
            yield _result("24b", "CPU of the mount, the cheapest request", interleaved(asks, bench.rounds * 2))


def _pids(server: MusicFS) -> list[int]:
    return [server.mount_pid]


def _read(originals: Sequence[Path], served: Sequence[Path]) -> None:
    for _ in range(PASSES):
        for path in originals:
            pagecache.warm(path)
        for path in served:
            pagecache.drop(path)
        read_all(served)


def _ask(path: Path, count: int) -> None:
    """Ask for an attribute, which the kernel never keeps."""
    for _ in range(count):
        os.getxattr(path, "user.musicfs.origin")


def _result(row: str, promise: str, samples: Mapping[str, Samples]) -> Result:
    counted, uncounted = samples["counted"], samples["uncounted"]
    percent = 100 * (counted.mean_cpu_s / uncounted.mean_cpu_s - 1)
    wall_percent = 100 * (counted.median_s / uncounted.median_s - 1)
    return Result(
        row, f"{promise}: what counting costs", f"<= {GOAL_PERCENT} %", f"{percent:.1f} %",
        f"counted {counted.mean_cpu_s:.3f} s, uncounted {uncounted.mean_cpu_s:.3f} s; in time {wall_percent:+.1f} %",
        met(percent <= GOAL_PERCENT),
        {"counted_cpu_s": counted.mean_cpu_s, "uncounted_cpu_s": uncounted.mean_cpu_s, "percent": percent},
    )  # fmt: skip
