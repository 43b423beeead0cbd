"""Rows 9 and 10: memory, idle with a huge catalog, with a thousand open files, and while scanning."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.bench import WATCHED_FOLDERS, Bench
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import Memory, memory_of
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS

CATALOG_TRACKS = 10_000_000
SCANNED_TRACKS = 100_000
OPEN_FILES = 1_000
SETTLE_S = 10
SAMPLE_S = 0.2
MB = 1 << 20


def measure(bench: Bench) -> Iterator[Result]:
    yield _idle(bench)
    yield from _working(bench)


def _idle(bench: Bench) -> Result:
    """The files of a generated catalog do not exist: the keeper has looked each of them up once before it is idle, and
    holds their removal back. Clean pages of the catalog that it has mapped count in PSS, not as anonymous memory.
    """
    tracks = bench.size(CATALOG_TRACKS, 50_000)
    with bench.room("memory") as room:
        server = bench.catalog(tracks).server(room / "musicfs")
        with bench.serving(server):
            time.sleep(SETTLE_S)  # the allocator and the scan's last worker get their chance
            mount, everything = memory_of([server.mount_pid]), memory_of(server.pids())
    small_enough = mount.anonymous <= 25 * MB and mount.pss <= 50 * MB and everything.pss <= 120 * MB
    return Result(
        "9", f"memory, idle, {tracks:,} tracks, {bench.size(WATCHED_FOLDERS, 1_000):,} watched folders",
        "mount <= 25 MB anonymous, <= 50 MB PSS; both <= 120 MB PSS",
        f"mount {mount.anonymous / MB:.0f} MB anonymous, {mount.pss / MB:.0f} MB PSS; both {everything.pss / MB:.0f} MB PSS",
        f"of both, anonymous: {everything.anonymous / MB:.0f} MB", met(small_enough),
        {"mount_anonymous_mb": mount.anonymous / MB, "mount_pss_mb": mount.pss / MB,
         "all_pss_mb": everything.pss / MB, "all_anonymous_mb": everything.anonymous / MB},
    )  # fmt: skip


def _working(bench: Bench) -> Iterator[Result]:
    tracks = bench.size(SCANNED_TRACKS, 2_000)
    with bench.room("memory") as room:
        make_tiny_library(room / "music", tracks)
        server = MusicFS(room / "music", room / "musicfs")
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            server.mount()
            with peak_memory(server.pids) as peak:
                server.wait_until_scanned()
            scanning = peak()
            files = []
            for folder, _folders, names in os.walk(server.point):
                files += [os.path.join(folder, name) for name in names]
                if len(files) >= OPEN_FILES:
                    break
            for path in files[:OPEN_FILES]:
                fd = os.open(path, os.O_RDONLY)
                stack.callback(os.close, fd)
                while os.read(fd, 1 << 17):
                    pass
            opened = memory_of(server.pids())
            stack.pop_all().close()
    yield Result(
        "10a", f"memory, {len(files[:OPEN_FILES]):,} files open and read", "<= 150 MB PSS, all processes",
        f"{opened.pss / MB:.0f} MB", "", met(opened.pss <= 150 * MB), {"pss_mb": opened.pss / MB},
    )  # fmt: skip
    yield Result(
        "10b", f"memory, peak during a scan of {tracks:,} files", "<= 300 MB PSS, all processes",
        f"{scanning.pss / MB:.0f} MB", "", met(scanning.pss <= 300 * MB), {"pss_mb": scanning.pss / MB},
    )  # fmt: skip


@contextlib.contextmanager
def peak_memory(pids: Callable[[], list[int]]) -> Iterator[Callable[[], Memory]]:
    """Watch from a thread; the yielded function tells the highest sum seen so far."""
    ended = threading.Event()
    highest = Memory(0, 0)

    def watch() -> None:
        nonlocal highest
        while not ended.wait(SAMPLE_S):
            now = memory_of(pids())
            highest = max(highest, now, key=lambda memory: memory.pss)

    watcher = threading.Thread(target=watch, name="peak-memory")
    watcher.start()
    try:
        yield lambda: highest
    finally:
        ended.set()
        watcher.join()
