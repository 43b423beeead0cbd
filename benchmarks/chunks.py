"""Rows 1 to 4, of an origin whose content is kept: reading from chunks.

The origin is a folder with ``cache = "on"``: what it is does not matter once its content is in the store. "Verified before"
means that this process has read all of it before; "verified on this read" that it was started anew, and checks every chunk
again. rclone reads its own cache of whole files, warm, as whoever mounts a remote with it would have it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import pagecache
from benchmarks.bench import Bench
from benchmarks.content import fill, wait_cached, warm_store
from benchmarks.libraries import files_below, make_wav_files
from benchmarks.measure import Contender, Samples, cpu_seconds, interleaved, reads_of
from benchmarks.reads import numbers, read_all, read_in_streams, speed
from benchmarks.report import Result, met, not_measured
from benchmarks.servers import MusicFS, Server, passthrough
from musicfs.config.settings import OriginSettings

ANEW = "musicfs anew"
STREAMED = ("musicfs", "bindfs", "bindfs -mt", "mergerfs")
SMALL_REQUESTS = 4  # to open, flush, release and look at a file; reading it would be one for 128 KiB


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("chunks") as room:
        count, size_bytes = bench.size(16, 6), bench.size(32, 8) << 20
        source = room / "music"
        originals = make_wav_files(source, count, size_bytes)
        total_gb = count * size_bytes / 1e9
        kept = OriginSettings(id="music", path=str(source), cache="on")
        ours, anew = (
            MusicFS(source, room / name.replace(" ", "-"), name=name, origin=kept) for name in ("musicfs", ANEW)
        )
        servers: list[Server] = [
            ours,
            anew,
            *bench.peers(source, room, "bindfs", "bindfs -mt", "mergerfs", "rclone vfs"),
            *filter(None, [passthrough(source, room)]),
        ]
        with bench.serving(*servers):
            served = {server.name: files_below(server.point, ".wav") for server in servers}
            for server in servers:
                if isinstance(server, MusicFS):
                    fill(server, served[server.name])
                elif (got := read_all(served[server.name])) != count * size_bytes:
                    raise RuntimeError(f"{server.name} served {got} of {count * size_bytes} bytes")

            def make_cold(server: Server) -> None:
                if server is anew:
                    anew.stop()
                    anew.start()
                if isinstance(server, MusicFS):
                    warm_store(server)
                else:
                    for path in originals:
                        pagecache.warm(path)
                for path in served[server.name]:
                    pagecache.drop_proven(path)

            def contenders(work: Callable[[Sequence[Path]], object], names: Sequence[str]) -> list[Contender]:
                return [
                    Contender(
                        server.name,
                        work=partial(work, served[server.name]),
                        prepare=partial(make_cold, server),
                        pids=server.pids,
                    )
                    for server in servers
                    if server.name in names
                ]

            cold = interleaved(contenders(read_all, [server.name for server in servers]), bench.rounds)
            yield from _sequential(cold, total_gb)
            streams = interleaved(contenders(read_in_streams, STREAMED), bench.rounds)
            yield _streams(streams, total_gb)
    yield _next_track(bench)


def _sequential(cold: Mapping[str, Samples], total_gb: float) -> Iterator[Result]:
    peers = [name for name in cold if name not in ("musicfs", ANEW)]
    missing = "".join(f", no {name}" for name in ("mergerfs", "rclone vfs") if name not in cold)

    def times(ours: str) -> dict[str, float]:
        return {name: cold[name].median_s / cold[ours].median_s for name in peers}

    def beside(ours: str) -> str:
        shown = (f"{name} {speed(cold[name], total_gb)} ({ratio:.2f}x)" for name, ratio in times(ours).items())
        return ", ".join(shown) + missing

    before, now = times("musicfs"), times(ANEW)
    goals = {"bindfs": 1.5, "mergerfs": 2.0, "rclone vfs": 8.0}
    yield Result(
        "1b", "sequential read, kernel cold, from chunks verified before", ">= 1.5x bindfs, 2x mergerfs, 8x rclone",
        speed(cold["musicfs"], total_gb), beside("musicfs"),
        met(all(before.get(name, goal) >= goal for name, goal in goals.items())), numbers(cold, total_gb),
    )  # fmt: skip
    yield Result(
        "1c", "from chunks verified on this read", ">= 1.1x bindfs", speed(cold[ANEW], total_gb), beside(ANEW),
        met(now.get("bindfs", 0) >= 1.1), numbers(cold, total_gb),
    )  # fmt: skip
    floor = "passthrough" if "passthrough" in cold else "bindfs"
    cpu = {name: samples.mean_cpu_s / total_gb for name, samples in cold.items()}
    ratio, ratio_anew = (cpu[name] / cpu[floor] for name in ("musicfs", ANEW))
    yield Result(
        "2b", "server CPU per GB, chunks", "<= 1.1x a C libfuse 2 passthrough; <= 1.4x verified on this read",
        f"{cpu['musicfs']:.3f} s; {cpu[ANEW]:.3f} s",
        ", ".join(f"{name} {cpu[name]:.3f} s" for name in peers) + f" ({ratio:.2f}x, {ratio_anew:.2f}x {floor})",
        met(ratio <= 1.1 and ratio_anew <= 1.4), {f"{name}_cpu_s_per_gb": value for name, value in cpu.items()},
    )  # fmt: skip


def _streams(streams: Mapping[str, Samples], total_gb: float) -> Result:
    best = min((name for name in streams if name != "musicfs"), key=lambda name: streams[name].median_s)
    ratio = streams[best].median_s / streams["musicfs"].median_s
    others = ", ".join(f"{name} {speed(streams[name], total_gb)}" for name in streams if name != "musicfs")
    return Result(
        "4b", "eight streams, chunks", ">= 0.9x the best of bindfs, mergerfs", speed(streams["musicfs"], total_gb),
        f"{others} ({ratio:.2f}x {best})", met(ratio >= 0.9), numbers(streams, total_gb),
    )  # fmt: skip


def _next_track(bench: Bench) -> Result:
    """Play one track after the other: each is fetched while the one before it is read, and then read for the first time."""
    promise, goal = "first read of a prefetched next track", ">= 3x bindfs, no READ reaches the daemon"
    with bench.room("next-track") as room:
        source = room / "music"
        size_bytes = bench.size(32, 8) << 20
        make_wav_files(source, bench.rounds + 2, size_bytes)
        server = MusicFS(source, room / "musicfs", origin=OriginSettings(id="music", path=str(source), cache="on"))
        peers = bench.peers(source, room, "bindfs")
        if not peers:
            return not_measured("3b", promise, goal, "bindfs is not installed")
        samples = {"musicfs": Samples(), "bindfs": Samples()}
        requests = 0
        with bench.serving(server, *peers):
            tracks, beside = files_below(server.point, ".wav"), files_below(peers[0].point, ".wav")
            read_all(tracks[:1])
            for number in range(1, len(tracks)):
                wait_cached([tracks[number]])
                time.sleep(0.5)  # what else the mount does with it is done
                pagecache.warm(source / beside[number].name)
                for one, path in ((server, tracks[number]), (peers[0], beside[number])):
                    name, pids = one.name, one.pids()
                    cpu_before, calls_before = cpu_seconds(pids), reads_of(server.mount_pid)
                    began = time.perf_counter()
                    read_all([path])
                    wall_s = time.perf_counter() - began
                    if number > 1:
                        samples[name].wall_s.append(wall_s)
                        samples[name].cpu_s.append(cpu_seconds(pids) - cpu_before)
                        requests += reads_of(server.mount_pid) - calls_before if name == "musicfs" else 0
    each = requests / len(samples["musicfs"].wall_s)
    ratio = samples["bindfs"].median_s / samples["musicfs"].median_s
    return Result(
        "3b", promise, goal, f"{speed(samples['musicfs'], size_bytes / 1e9)}, {each:.0f} requests",
        f"bindfs {speed(samples['bindfs'], size_bytes / 1e9)} ({ratio:.2f}x)",
        met(ratio >= 3 and each <= SMALL_REQUESTS),
        numbers(samples, size_bytes / 1e9) | {"requests": each},
    )  # fmt: skip
