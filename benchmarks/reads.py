"""Rows 1 to 4, of a local origin: how fast files are read, and what that costs the server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench
from benchmarks.libraries import files_below, make_wav_files
from benchmarks.measure import Contender, Samples, interleaved, reads_of
from benchmarks.report import Result, met
from benchmarks.servers import Server, passthrough

ROWS = (1, 2, 3, 4)
BUFFER_BYTES = 1 << 20
STREAMS = 8


def read_all(paths: Sequence[Path]) -> int:
    """Read every file from its first byte to its last; bytes read."""
    buffer = bytearray(BUFFER_BYTES)
    total = 0
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            while count := os.readv(fd, [buffer]):
                total += count
        finally:
            os.close(fd)
    return total


def read_in_streams(paths: Sequence[Path]) -> int:
    """The same by eight threads, each with its share of the files; the kernel does the work with the GIL released."""
    with ThreadPoolExecutor(STREAMS) as pool:
        return sum(pool.map(read_all, [paths[number::STREAMS] for number in range(STREAMS)]))


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("reads") as room:
        count, size_bytes = bench.size(16, 8), bench.size(32, 8) << 20
        source = room / "music"
        originals = make_wav_files(source, count, size_bytes)
        total_gb = count * size_bytes / 1e9
        servers: list[Server] = [
            bench.musicfs(source, room),
            *bench.peers(source, room, "bindfs", "bindfs -mt", "mergerfs", "rclone"),
            *filter(None, [passthrough(source, room)]),
        ]
        with bench.serving(*servers):
            served = {server.name: files_below(server.point, ".wav") for server in servers}
            for server in servers:
                got = read_all(served[server.name])
                if got != count * size_bytes:
                    raise RuntimeError(f"{server.name} served {got} of {count * size_bytes} bytes")

            def warm_and_drop(server: Server) -> None:
                for path in originals:
                    pagecache.warm(path)
                for path in served[server.name]:
                    pagecache.drop_proven(path)

            cold = interleaved(
                [
                    Contender(
                        server.name,
                        work=partial(read_all, served[server.name]),
                        prepare=partial(warm_and_drop, server),
                        pids=server.pids,
                    )
                    for server in servers
                ],
                bench.rounds,
            )
            yield from _sequential(cold, total_gb)
            yield from _cpu(cold, total_gb)
            yield from _second_read(bench, servers, served, total_gb)
            streams = interleaved(
                [
                    Contender(
                        server.name,
                        work=partial(read_in_streams, served[server.name]),
                        prepare=partial(warm_and_drop, server),
                        pids=server.pids,
                    )
                    for server in servers
                    if server.name not in ("rclone", "passthrough")
                ],
                bench.rounds,
            )
            yield from _streams(streams, total_gb)


def speed(samples: Samples, total_gb: float) -> str:
    """As the table shows it."""
    return f"{total_gb / samples.median_s:.2f} GB/s"


def numbers(all_samples: Mapping[str, Samples], total_gb: float) -> dict[str, float]:
    """The raw figures of each contender."""
    found: dict[str, float] = {}
    for name, samples in all_samples.items():
        found[f"{name}_gb_per_s"] = total_gb / samples.median_s
        found[f"{name}_cpu_s_per_gb"] = samples.mean_cpu_s / total_gb
        found[f"{name}_spread"] = samples.spread
    return found


def _sequential(cold: Mapping[str, Samples], total_gb: float) -> Iterator[Result]:
    promise, goal = "sequential read, kernel cold, local origin", ">= 1.3x bindfs"
    ratios = {name: samples.median_s / cold["musicfs"].median_s for name, samples in cold.items() if name != "musicfs"}
    beside = ", ".join(f"{name} {speed(cold[name], total_gb)} ({ratio:.2f}x)" for name, ratio in ratios.items())
    yield Result(
        "1a", promise, goal, f"{speed(cold['musicfs'], total_gb)}", beside, met(ratios.get("bindfs", 0) >= 1.3),
        numbers(cold, total_gb),
    )  # fmt: skip


def _cpu(cold: Mapping[str, Samples], total_gb: float) -> Iterator[Result]:
    floor = "passthrough" if "passthrough" in cold else "bindfs"
    ratio = cold["musicfs"].mean_cpu_s / cold[floor].mean_cpu_s
    others = ", ".join(f"{name} {cold[name].mean_cpu_s / total_gb:.3f} s" for name in cold if name != "musicfs")
    yield Result(
        "2a", "server CPU per GB, local origin", "<= 1.1x a C libfuse 2 passthrough",
        f"{cold['musicfs'].mean_cpu_s / total_gb:.3f} s", f"{others} ({ratio:.2f}x {floor})", met(ratio <= 1.1),
        numbers(cold, total_gb),
    )  # fmt: skip


def _second_read(
    bench: Bench, servers: Sequence[Server], served: dict[str, list[Path]], total_gb: float
) -> Iterator[Result]:
    ours, bindfs = servers[0], next(server for server in servers if server.name == "bindfs")
    again = interleaved(
        [
            Contender(
                server.name,
                work=partial(read_all, served[server.name]),
                pids=server.pids,
            )
            for server in (ours, bindfs)
        ],
        bench.rounds,
    )
    calls_before = reads_of(ours.pids()[0])
    read_all(served[ours.name])
    # Opening, flushing and releasing a file are requests too, at most four a file; reading it would be one per 128 KiB.
    requests = (reads_of(ours.pids()[0]) - calls_before) / len(served[ours.name])
    ratio = again[bindfs.name].median_s / again[ours.name].median_s
    yield Result(
        "3a", "second read", ">= 3x bindfs, no READ reaches the daemon",
        f"{speed(again[ours.name], total_gb)}, {requests:.1f} requests a file",
        f"bindfs {speed(again[bindfs.name], total_gb)} ({ratio:.2f}x)",
        met(ratio >= 3 and requests <= 4), numbers(again, total_gb) | {"requests_per_file": requests},
    )  # fmt: skip


def _streams(streams: Mapping[str, Samples], total_gb: float) -> Iterator[Result]:
    best = min((name for name in streams if name != "musicfs"), key=lambda name: streams[name].median_s)
    ratio = streams[best].median_s / streams["musicfs"].median_s
    others = ", ".join(f"{name} {speed(streams[name], total_gb)}" for name in streams if name != "musicfs")
    yield Result(
        "4a", "eight streams, local origin", ">= 1.0x the best of bindfs, mergerfs", speed(streams["musicfs"], total_gb),
        f"{others} ({ratio:.2f}x {best})", met(ratio >= 1.0), numbers(streams, total_gb),
    )  # fmt: skip
