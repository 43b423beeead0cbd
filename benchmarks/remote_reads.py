"""Rows 17 and 18: the first byte of what is not here, and a file from its first byte to its last, 50 ms away."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import Bench, NotMeasurable
from benchmarks.libraries import files_below, make_wav_files
from benchmarks.measure import cpu_seconds
from benchmarks.remotes import GIGABIT_BYTES_PER_S, KINDS, Line, Remote, remote
from benchmarks.report import Result, met, not_measured
from benchmarks.servers import Server

ROUND_TRIP_S = 0.05
FIRST_BYTE_GOAL = 3.0  # round trips
CLIENT_GOAL, MOUNT_GOAL = 0.9, 1.5
_FILE_BYTES = 4 << 20
_PATIENCE_S = 6.0  # of a slow reader: its rate is known by then
_BUFFER_BYTES = 1 << 20


def measure(bench: Bench) -> Iterator[Result]:
    for kind in KINDS:
        with bench.room(f"first-byte-{kind}") as room:
            try:
                with remote(kind, room, Line(ROUND_TRIP_S)) as server:
                    yield _first_byte(bench, server, room)
            except NotMeasurable as reason:
                yield not_measured("17", _first_promise(kind), f"<= {FIRST_BYTE_GOAL:g} round trips p50", str(reason))
    for kind in KINDS:
        with bench.room(f"sequential-{kind}") as room:
            try:
                with remote(kind, room, Line(ROUND_TRIP_S, GIGABIT_BYTES_PER_S)) as server:
                    yield _sequential(bench, server, room)
            except NotMeasurable as reason:
                yield not_measured("18", f"sequential read, {kind}, 50 ms, 1 Gbit/s", _SEQUENTIAL_GOAL, str(reason))


_SEQUENTIAL_GOAL = f">= {CLIENT_GOAL:g}x its own client or the line, >= {MOUNT_GOAL:g}x rclone mount, sshfs"


def _first_promise(kind: str) -> str:
    return f"first byte on a miss, {kind}, 50 ms, connections warm"


def read_byte(path: Path, at: int = 0) -> float:
    """Seconds from ``open`` to the first byte."""
    began = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    try:
        if len(os.pread(fd, 1, at)) != 1:
            raise RuntimeError(f"{path}: there is no byte {at}")
    finally:
        os.close(fd)
    return time.perf_counter() - began


def _first_byte(bench: Bench, server: Remote, room: Path) -> Result:
    """Nothing of the files is kept: what the scan left is cleared, and each is read once only."""
    files = bench.size(40, 12)
    make_wav_files(room / "music", files, _FILE_BYTES)
    server.add_folder(room / "music")
    musicfs = server.musicfs(room)
    warm: list[float] = []
    turns: list[int] = []
    cold: list[float] = []
    with bench.serving(musicfs):
        musicfs.client().clear_cache()
        paths = files_below(musicfs.point, ".wav")
        if len(paths) != files:
            raise RuntimeError(f"{len(paths)} of {files} files in the mount:\n{musicfs.log.read_text()[-2000:]}")
        waiting = iter(paths)
        read_byte(next(waiting))  # connects
        for path in [next(waiting) for _ in range(files // 2)]:
            time.sleep(4 * ROUND_TRIP_S)  # what was fetched along with the last one has come
            server.reset()
            warm.append(read_byte(path) / ROUND_TRIP_S)
            turns.append(server.counts().turns)
        for _ in range(bench.rounds):
            musicfs.stop()
            musicfs.mount()
            cold.append(read_byte(next(waiting)) / ROUND_TRIP_S)
    p50 = statistics.median(warm)
    return Result(
        "17", _first_promise(server.kind), f"<= {FIRST_BYTE_GOAL:g} round trips p50", f"{p50:.2f} round trips",
        f"slowest of {len(warm)}: {max(warm):.2f}; cold, that is with connecting: {statistics.median(cold):.2f}",
        met(p50 <= FIRST_BYTE_GOAL),
        {"p50_round_trips": p50, "max_round_trips": max(warm), "cold_p50_round_trips": statistics.median(cold),
         "turns_p50": statistics.median(turns)},
    )  # fmt: skip


def read_for_a_while(path: Path, patience_s: float = _PATIENCE_S) -> float:
    """Bytes a second of a sequential read, from opening to the end of the file, or for ``patience_s``."""
    buffer = bytearray(_BUFFER_BYTES)
    total = 0
    began = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    try:
        while (count := os.readv(fd, [buffer])) and time.perf_counter() - began < patience_s:
            total += count
        total += count
    finally:
        os.close(fd)
    return total / (time.perf_counter() - began)


def _sequential(bench: Bench, server: Remote, room: Path) -> Result:
    """A file of its own for every round: nobody has seen it before."""
    size_bytes = bench.size(64, 32) << 20
    make_wav_files(room / "music", bench.rounds + 1, size_bytes)
    server.add_folder(room / "music")
    server.put(tiny := "tiny.txt", b"x")
    # In this order the next track would be here before it is asked for, which is row 3b.
    musicfs = server.musicfs(room, "[prefetch]\nnext_track = false\n")
    peers: Sequence[Server] = server.peers(room)
    rates: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}
    with bench.serving(musicfs, *peers):
        musicfs.client().clear_cache()  # what the scan kept of the files' ends is not to be counted among what was read
        overhead_s = _time_of_client(server, tiny)
        contenders: list[Server] = [musicfs, *peers]
        served = {one.name: files_below(one.point, ".wav") for one in contenders}
        for number in range(bench.rounds + 1):
            turn = number % len(contenders)
            for one in [*contenders[turn:], *contenders[:turn]]:
                before = cpu_seconds(one.pids())
                rate = read_for_a_while(served[one.name][number])
                if number > 0:
                    rates.setdefault(one.name, []).append(rate)
                    cpu[one.name] = cpu.get(one.name, 0.0) + cpu_seconds(one.pids()) - before
                time.sleep(1.0)  # what was read ahead of a reader that gave up has come
            if server.fetch is not None and number > 0:
                took_s = _time_of_client(server, served[musicfs.name][number].name) - overhead_s
                rates.setdefault(server.fetch[0], []).append(size_bytes / took_s)
    return _judge(server, rates, cpu["musicfs"] / bench.rounds / size_bytes * 1e9)


def _time_of_client(server: Remote, name: str) -> float:
    """Seconds that the origin's own client needs for a file; 0 without one. A tiny file is what it needs to connect."""
    if server.fetch is None:
        return 0.0
    began = time.perf_counter()
    try:
        server.fetch_file(name)
    except subprocess.CalledProcessError as error:
        raise NotMeasurable(f"{server.fetch[0]}: {error.stderr.decode(errors='replace').strip()[-200:]}") from None
    return time.perf_counter() - began


def _judge(server: Remote, rates: dict[str, list[float]], cpu_s_per_gb: float) -> Result:
    median = {name: statistics.median(values) / 1e6 for name, values in rates.items()}
    ours = median["musicfs"]
    own = server.fetch[0] if server.fetch is not None else ""
    line = GIGABIT_BYTES_PER_S / 1e6
    bar = min(median.get(own, line), line)
    enough = ours >= CLIENT_GOAL * bar and all(
        ours >= MOUNT_GOAL * median[name] for name in ("rclone mount", "sshfs") if name in median
    )
    beside = ", ".join(
        f"{name} {rate:.0f} MB/s ({ours / rate:.2f}x)" for name, rate in median.items() if name != "musicfs"
    )
    return Result(
        "18", f"sequential read, {server.kind}, 50 ms, 1 Gbit/s", _SEQUENTIAL_GOAL,
        f"{ours:.0f} MB/s, {cpu_s_per_gb:.1f} s CPU per GB", beside or "no peer installed", met(enough),
        {f"{name}_mb_per_s": rate for name, rate in median.items()} | {"musicfs_cpu_s_per_gb": cpu_s_per_gb},
    )  # fmt: skip
