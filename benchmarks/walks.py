"""Rows 5 and 6: walking a library of 120,000 entries, the first time and again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import Contender, Samples, interleaved
from benchmarks.report import Result, met
from benchmarks.servers import Server

TRACKS = 106_000  # with their albums and artists some 120,000 entries


def walk(point: Path) -> int:
    """Look up and stat every entry, as an indexer does; the number of entries."""
    done = subprocess.run(["find", str(point), "-printf", "%s\\n"], stdout=subprocess.PIPE, check=True)
    return done.stdout.count(b"\n")


def list_long(point: Path) -> int:
    done = subprocess.run(["ls", "-lR", str(point)], stdout=subprocess.PIPE, check=True)
    return done.stdout.count(b"\n")


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("walks") as room:
        source = room / "music"
        make_tiny_library(source, bench.size(TRACKS, TRACKS // 20))
        ours = bench.musicfs(source, room)
        peers = bench.peers(source, room, "bindfs", "mergerfs", "rclone")
        servers: list[Server] = [ours, *peers]
        walk(source)  # the underlying names and attributes are warm
        with bench.serving(*servers):
            entries = {server.name: walk(server.point) for server in servers}

            def mount_anew(server: Server) -> None:
                server.stop()
                server.start()

            first = interleaved(
                [
                    Contender(server.name, partial(walk, server.point), partial(mount_anew, server), server.pids)
                    for server in servers
                ],
                bench.rounds,
            )
            numbers = _numbers(first, entries)
            ratio = {name: _per_entry(first, entries, name) / _per_entry(first, entries, "musicfs") for name in first}
            yield Result(
                "5", f"first walk, lookup and stat of {entries['musicfs']:,} entries", ">= 0.9x bindfs, >= 2x rclone",
                _rate(first, entries, "musicfs"), _beside(first, entries, ratio),
                met(ratio["bindfs"] >= 0.9 and ratio.get("rclone", 0) >= 2), numbers,
            )  # fmt: skip
            pair: list[Server] = [ours, *(server for server in peers if server.name == "bindfs")]
            for letter, label, work, goal in (
                ("a", "repeated walk", walk, 2.5),
                ("b", "ls -lR, repeated", list_long, 5.0),
            ):
                again = interleaved(
                    [Contender(server.name, partial(work, server.point), pids=server.pids) for server in pair],
                    bench.rounds,
                )
                ratio = {
                    name: _per_entry(again, entries, name) / _per_entry(again, entries, "musicfs") for name in again
                }
                yield Result(
                    f"6{letter}", label, f">= {goal:g}x bindfs", _rate(again, entries, "musicfs"),
                    _beside(again, entries, ratio), met(ratio["bindfs"] >= goal), _numbers(again, entries),
                )  # fmt: skip


AllSamples = Mapping[str, Samples]


def _per_entry(samples: AllSamples, entries: dict[str, int], name: str) -> float:
    """Seconds for one entry: the trees differ a little (covers), so times alone would not compare."""
    return samples[name].median_s / entries[name]


def _rate(samples: AllSamples, entries: dict[str, int], name: str) -> str:
    return f"{1 / _per_entry(samples, entries, name):,.0f}/s, {samples[name].mean_cpu_s:.2f} s CPU"


def _beside(samples: AllSamples, entries: dict[str, int], ratio: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {_rate(samples, entries, name)} ({ratio[name]:.2f}x)" for name in samples if name != "musicfs"
    )


def _numbers(samples: AllSamples, entries: dict[str, int]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, of_one in samples.items():
        numbers[f"{name}_entries"] = entries[name]
        numbers[f"{name}_s"] = of_one.median_s
        numbers[f"{name}_cpu_s"] = of_one.mean_cpu_s
        numbers[f"{name}_spread"] = of_one.spread
    return numbers
