"""Row 23: the field's own absolute promises, for orientation: the slowest in a hundred of each kind of call."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench, NotMeasurable
from benchmarks.content import fill
from benchmarks.libraries import files_below, make_tiny_library, make_wav_files
from benchmarks.measure import percentile
from benchmarks.remotes import Line, Remote, remote
from benchmarks.report import Result, met, not_measured
from benchmarks.servers import MusicFS

ROUND_TRIP_S = 0.02
READ_BYTES = 128 << 10
GOALS_MS = {"stat": 1, "readdir": 10, "open": 5, "read": 1}
LOCAL_MISS_GOAL_MS, REMOTE_MISS_GOAL_MS = 50, 200
_MISSED_BYTES = 1 << 20
_NO_PREFETCH = "[prefetch]\nnext_track = false\n"


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("latencies") as room:
        make_tiny_library(room / "music" / "tiny", bench.size(4_000, 400))
        make_wav_files(room / "music" / "long", 8, bench.size(32, 8) << 20)
        make_wav_files(room / "music" / "missed", bench.size(200, 40), _MISSED_BYTES)
        server = MusicFS(room / "music", room / "musicfs", _NO_PREFETCH)
        with bench.serving(server):
            wav = files_below(server.point, ".wav")
            missed = [path for path in wav if path.stat().st_size == _MISSED_BYTES]
            for path in (room / "music" / "missed").iterdir():
                _forget_on_disk(path)
            yield _row(
                "a miss, local disk", [_timed(partial(_read_first, path)) for path in missed], LOCAL_MISS_GOAL_MS
            )
        try:
            with remote("sftp", room, Line(ROUND_TRIP_S)) as far:
                far.add_folder(room / "music")
                yield from _remote(far, room)
        except NotMeasurable as reason:
            yield not_measured("23", "p99 of cached calls and of a miss, sftp, 20 ms", "", str(reason))


def _remote(far: Remote, room: Path) -> Iterator[Result]:
    server = far.musicfs(room, _NO_PREFETCH)
    try:
        server.start()
        server.client().clear_cache()
        wav = files_below(server.point, ".wav")
        missed = [path for path in wav if path.stat().st_size == _MISSED_BYTES]
        long = [path for path in wav if path not in missed]
        fill(server, long)
        server.stop()
        server.start()  # the kernel knows no names any more
        for path in long:
            pagecache.warm(path)
            pagecache.drop(path)
        taken = _cached_calls(server.point, long)
        for name, goal_ms in GOALS_MS.items():
            yield _row(f"cached {name}", taken[name], goal_ms)
        _read_first(missed[0])  # connects
        yield _row(
            "a miss, sftp, 20 ms away", [_timed(partial(_read_first, path)) for path in missed[1:]], REMOTE_MISS_GOAL_MS
        )
    finally:
        server.stop()


def _cached_calls(root: Path, long: Sequence[Path]) -> dict[str, list[float]]:
    """Every call reaches the server: the kernel knows neither the names nor the pages."""
    taken: dict[str, list[float]] = {name: [] for name in GOALS_MS}
    folders = [root]
    while folders:
        folder = folders.pop()
        names: list[str] = []
        taken["readdir"].append(_timed(partial(_list, folder, names)))
        for name in names:
            taken["stat"].append(_timed(partial(os.stat, folder / name)))
        folders.extend(folder / name for name in names if (folder / name).is_dir())
    for path in [*long] * 50:
        taken["open"].append(_timed(partial(_open, path)))
    order = random.Random(1)
    for path in long:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead: each read is one request
            starts = list(range(0, os.fstat(fd).st_size - READ_BYTES, READ_BYTES))
            order.shuffle(starts)
            taken["read"].extend(_timed(partial(os.pread, fd, READ_BYTES, start)) for start in starts)
        finally:
            os.close(fd)
    return taken


def _list(folder: Path, names: list[str]) -> None:
    names.extend(os.listdir(folder))


def _open(path: Path) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _read_first(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.pread(fd, 1, 0)
    finally:
        os.close(fd)


def _forget_on_disk(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _row(what: str, taken: Sequence[float], goal_ms: float) -> Result:
    p50, p99 = (percentile(taken, share) * 1e3 for share in (0.5, 0.99))
    return Result(
        "23", f"{what}, p99", f"<= {goal_ms:g} ms", f"{p99:.2f} ms", f"p50 {p50:.2f} ms, {len(taken):,} calls",
        met(p99 <= goal_ms), {"p50_ms": p50, "p99_ms": p99},
    )  # fmt: skip
