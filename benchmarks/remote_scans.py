"""Row 14: the first scan of a library 50 ms away, beside mutagen reading the same tags through rclone mount."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.bench import Bench, NotMeasurable
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import cpu_seconds
from benchmarks.remotes import KINDS, Line, Remote, remote
from benchmarks.report import Result, met, not_measured
from benchmarks.servers import MusicFS

ROUND_TRIP_S = 0.05
GOAL = "<= 3 round trips and 320 KB a file, >= 150 files/s"
TRIPS_GOAL, BYTES_GOAL, RATE_GOAL = 3.0, 320_000, 150.0
FILE_BYTES = 1 << 20
PEER_FILES = 20  # of each round and way: it takes seconds for what takes us milliseconds, and
_PATIENCE_S = 5.0  # gets no more of them then
PEER_THREADS = 16


def measure(bench: Bench) -> Iterator[Result]:
    tracks = bench.size(1000, 100)
    with bench.room("remote-scans") as room:
        make_tiny_library(room / "music", tracks, size_bytes=FILE_BYTES)
        for kind in KINDS:
            own = room / kind
            own.mkdir()
            try:
                with remote(kind, own, Line(ROUND_TRIP_S)) as server:
                    server.add_folder(room / "music")
                    yield _first_scans(bench, server, own, tracks)
            except NotMeasurable as reason:
                yield not_measured("14", f"first scan, {kind}, 50 ms", GOAL, str(reason))
            shutil.rmtree(own)


def _first_scans(bench: Bench, server: Remote, room: Path, tracks: int) -> Result:
    rates: dict[str, list[float]] = {}
    trips: list[float] = []
    sizes: list[float] = []
    cpu: list[float] = []
    peers = [peer for peer in server.peers(room) if peer.name == "rclone mount"]
    per_round = 2 * PEER_FILES
    for number in range(bench.rounds):
        server.reset()
        musicfs = server.musicfs(room)
        rate, cpu_s = _scan(musicfs, tracks)
        rates.setdefault("musicfs", []).append(rate)
        cpu.append(cpu_s / tracks)
        counts = server.counts()
        trips.append(counts.turns / tracks)
        sizes.append((counts.to_client_bytes + counts.to_server_bytes) / tracks)
        for peer in peers:
            with bench.serving(peer):
                files = [path for path in sorted(peer.point.rglob("*")) if path.suffix in (".flac", ".mp3")]
                begin = number * per_round % max(len(files) - per_round, 1)
                one, many = files[begin : begin + PEER_FILES], files[begin + PEER_FILES : begin + per_round]
                rates.setdefault("rclone mount + mutagen", []).append(_read_tags(one, 1))
                rates.setdefault(f"the same, {PEER_THREADS} threads", []).append(_read_tags(many, PEER_THREADS))
    median = {name: statistics.median(values) for name, values in rates.items()}
    ours, trip, size = median["musicfs"], statistics.median(trips), statistics.median(sizes)
    beside = ", ".join(
        f"{name} {rate:.1f}/s ({ours / rate:.0f}x)" for name, rate in median.items() if name != "musicfs"
    )
    return Result(
        "14", f"first scan of {tracks:,} files, {server.kind}, 50 ms", GOAL,
        f"{trip:.1f} round trips, {size / 1e3:.0f} KB, {ours:.0f} files/s, {statistics.fmean(cpu) * 1e3:.1f} ms CPU",
        beside or "no peer for this kind",
        met(trip <= TRIPS_GOAL and size <= BYTES_GOAL and ours >= RATE_GOAL),
        {f"{name}_files_per_s": rate for name, rate in median.items()}
        | {"round_trips_per_file": trip, "bytes_per_file": size, "cpu_s_per_file": statistics.fmean(cpu)},
    )  # fmt: skip


def _scan(musicfs: MusicFS, tracks: int) -> tuple[float, float]:
    """Files a second from the start of the command until all are in the tree, and the CPU seconds that took."""
    try:
        began = time.perf_counter()
        musicfs.start()
        seconds = time.perf_counter() - began
        status = musicfs.status()
        if status is None or status.files_indexed != tracks:
            raise RuntimeError(f"{tracks} files, but the status says {status}:\n{musicfs.log.read_text()[-2000:]}")
        return tracks / seconds, cpu_seconds(musicfs.pids())
    finally:
        musicfs.stop()
        shutil.rmtree(musicfs.folder)


def _read_tags(paths: Sequence[Path], threads: int) -> float:
    """Files a second whose tags mutagen reads; gives up after a while."""
    import mutagen

    began = time.perf_counter()
    waiting = iter(paths)

    def work(_: int) -> int:
        count = 0
        while time.perf_counter() - began < _PATIENCE_S and (path := next(waiting, None)) is not None:
            found = mutagen.File(path)
            if not found or not found.tags:
                raise RuntimeError(f"mutagen found no tags in {path}")
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(work, range(threads)))
    return count / (time.perf_counter() - began)
