"""Listing a local origin of 50,000 files, beside ``find -printf``: ``python -m benchmarks.listing [FILES]``.

Both print path, size and mtime of every file of the same tree in turns, caches warm. Goal: 120,000 files/s on one core
(a rescan with nothing changed has to reach 50,000, the comparison with the catalog included).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from musicfs.origins.local import LocalOrigin
from musicfs.origins.local_watch import LocalWatch

GOAL_FILES_PER_S = 120_000
ROUNDS = 5
TRACKS_PER_ALBUM = 12


def make_tree(root: Path, files: int) -> None:
    """Artists with ten albums of twelve empty tracks."""
    for album in range(-(-files // TRACKS_PER_ALBUM)):
        folder = root / f"Some Artist {album // 10:05d}" / f"Album Title {album % 10}"
        folder.mkdir(parents=True)
        for track in range(min(TRACKS_PER_ALBUM, files - album * TRACKS_PER_ALBUM)):
            (folder / f"{track + 1:02d} - A Title of Usual Length.flac").touch()


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of ``work``, children included."""
    begin, begin_cpu = time.perf_counter(), _cpu_s()
    work()
    return time.perf_counter() - begin, _cpu_s() - begin_cpu


def _cpu_s() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _watch_cost(root: Path) -> dict[str, float]:
    """Seconds and bytes to watch every folder; memory by the growth of this process."""
    before = _resident_bytes()
    watch = LocalWatch(os.fsencode(root), lambda _change: None)
    begin, begin_cpu = time.perf_counter(), _cpu_s()
    watch.start()
    watch.wait_armed(600)
    took, cpu = time.perf_counter() - begin, _cpu_s() - begin_cpu
    grown = _resident_bytes() - before
    watch.close()
    return {"seconds": took, "cpu_s": cpu, "bytes": grown}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    root = Path(tempfile.mkdtemp(prefix="musicfs-benchmark-"))
    try:
        make_tree(root, files)
        origin = LocalOrigin("benchmark", str(root))
        command = ["find", str(root), "-type", "f", "-printf", "%P\t%s\t%T@\n"]

        def list_all() -> None:
            assert sum(len(folder.files) for folder in origin.list()) == files

        def find_all() -> None:
            assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.count(b"\n") == files

        measure(list_all), measure(find_all)
        rounds = [(measure(list_all), measure(find_all)) for _ in range(ROUNDS)]
        folders = sum(1 for _ in origin.list())
        watch = _watch_cost(root)
    finally:
        shutil.rmtree(root)
    listing, listing_cpu, find, find_cpu = (
        statistics.median(r[who][what] for r in rounds) for who in (0, 1) for what in (0, 1)
    )
    verdict = "met" if files / listing >= GOAL_FILES_PER_S else "MISSED"
    bytes_a_folder = watch["bytes"] / folders
    print(f"listing {files:,} files   {files / listing:>10,.0f} files/s   {listing_cpu:.3f} s CPU")
    print(f"find -printf           {files / find:>10,.0f} files/s   {find_cpu:.3f} s CPU")
    print(f"goal                   {GOAL_FILES_PER_S:>10,} files/s   {verdict}")
    print(
        f"watching {folders:,} folders   {watch['seconds']:.2f} s, CPU {watch['cpu_s']:.2f} s, {bytes_a_folder:.0f} B each"
    )
    result = {
        "files_per_s": files / listing,
        "cpu_s": listing_cpu,
        "find_files_per_s": files / find,
        "find_cpu_s": find_cpu,
    }
    print(json.dumps({"listing": result, "watch": {"folders": folders, **watch}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
