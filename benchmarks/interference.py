"""Row 11, its first parts: how much a scan slows the reads and stats of those who listen meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench, NotMeasurable
from benchmarks.libraries import files_below, make_tiny_library, make_wav_files
from benchmarks.measure import percentile
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

READ_BYTES = 128 << 10  # the most the kernel asks for at once
PASSES = 4
GOAL = 2.0


def measure(bench: Bench) -> Iterator[Result]:
    listened, arriving = bench.size(20_000, 2_000), bench.size(80_000, 4_000)
    with bench.room("interference") as room:
        make_tiny_library(room / "music" / "here", listened)
        make_wav_files(room / "music" / "long", 8, 16 << 20)
        make_tiny_library(room / "arriving", arriving)
        server = MusicFS(room / "music", room / "musicfs")
        with bench.serving(server):
            tracks = [*files_below(server.point, ".flac"), *files_below(server.point, ".mp3")]
            server.stop()
            server.start()  # the names are known here, but not to the kernel: every stat will be a request
            half = len(tracks) // 2
            long = files_below(server.point, ".wav")
            idle = latencies(tracks[:half:2], long)
            os.rename(room / "arriving", room / "music" / "arrived")
            _wait_for(lambda: (status := server.status()) is not None and bool(status.work))
            busy = latencies(tracks[half::2], long)
            status = server.status()
            if status is None or not status.work:
                raise NotMeasurable("the scan was over before the readers were: nothing to compare")
    for letter, name in (("a", "stat"), ("b", "read")):
        idle_us, busy_us = (percentile(kind[name], 0.99) * 1e6 for kind in (idle, busy))
        ratio = busy_us / idle_us
        yield Result(
            f"11{letter}", f"{name} p99 while {arriving:,} new files are scanned", f"<= {GOAL:g}x idle", f"{busy_us:.0f} us",
            f"idle {idle_us:.0f} us ({ratio:.2f}x)", met(ratio <= GOAL),
            {"idle_p99_us": idle_us, "busy_p99_us": busy_us, "idle_p50_us": percentile(idle[name], 0.5) * 1e6,
             "busy_p50_us": percentile(busy[name], 0.5) * 1e6},
        )  # fmt: skip


def latencies(tracks: Sequence[Path], long: Sequence[Path]) -> dict[str, list[float]]:
    """Seconds of single calls that reach the server: stats of names the kernel does not know, reads of pages it has not."""
    taken: dict[str, list[float]] = {"stat": [], "read": []}
    for path in tracks:
        began = time.perf_counter()
        os.stat(path)
        taken["stat"].append(time.perf_counter() - began)
    for _ in range(PASSES):
        for path in long:
            pagecache.drop(path)
            fd = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead: each read is one request
                size = os.fstat(fd).st_size
                for start in range(0, size, READ_BYTES):
                    began = time.perf_counter()
                    os.pread(fd, READ_BYTES, start)
                    taken["read"].append(time.perf_counter() - began)
            finally:
                os.close(fd)
    return taken


def _wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not happen within {timeout_s:.0f} s")
        time.sleep(0.02)
