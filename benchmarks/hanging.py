"""Row 11, its third part: what is cached is served as ever while 64 readers hang on an origin that does not answer."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import Bench, NotMeasurable
from benchmarks.content import fill
from benchmarks.interference import GOAL, latencies
from benchmarks.libraries import files_below, make_tiny_library, make_wav_files
from benchmarks.measure import percentile
from benchmarks.remotes import Line, Remote, remote
from benchmarks.report import Result, met, not_measured
from benchmarks.servers import MusicFS

HANGING = 64
_PATIENT = "[cache]\nread_timeout_s = 600\n[prefetch]\nnext_track = false\n"
_SETTLE_S = 2.0


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("hanging") as room:
        stats = bench.size(8_000, 1_000)
        make_tiny_library(room / "music" / "tiny", stats)
        make_wav_files(room / "music" / "long", 8, bench.size(16, 4) << 20)
        make_wav_files(room / "music" / "hanging", HANGING, 1 << 20)
        try:
            with remote("sftp", room, Line()) as server:
                server.add_folder(room / "music")
                yield from _measure(bench, server, room, stats)
        except NotMeasurable as reason:
            yield not_measured("11c", "the same while 64 origin reads hang", f"<= {GOAL:g}x idle", str(reason))


def _measure(bench: Bench, server: Remote, room: Path, stats: int) -> Iterator[Result]:
    musicfs = server.musicfs(room, _PATIENT)
    with bench.serving(musicfs):
        musicfs.client().clear_cache()  # what the scan has left of those that are to hang
        wav = files_below(musicfs.point, ".wav")
        long = [path for path in wav if _origin_path(path).startswith("long/")]
        hanging = [path for path in wav if path not in long]
        fill(musicfs, long)
        tracks = [*files_below(musicfs.point, ".flac"), *files_below(musicfs.point, ".mp3")]
        musicfs.stop()
        musicfs.start()  # the names are known here, but not to the kernel: every stat will be a request
        half = len(tracks) // 2
        latencies([], long)  # verified, as they will be in both cases
        idle = latencies(tracks[:half], long)
        readers = _hang(server, musicfs, hanging)
        try:
            busy = latencies(tracks[half:], long)
            alive = sum(reader.is_alive() for reader in readers)
        finally:
            server.proxy.resume()
        for reader in readers:
            reader.join(60)
    if alive < HANGING:
        raise NotMeasurable(f"only {alive} of {HANGING} reads hung to the end")
    for letter, name in (("c", "stat"), ("d", "cached read")):
        idle_us, busy_us = (percentile(kind[name.split()[-1]], 0.99) * 1e6 for kind in (idle, busy))
        ratio = busy_us / idle_us
        yield Result(
            f"11{letter}", f"{name} p99 while {HANGING} origin reads hang", f"<= {GOAL:g}x idle", f"{busy_us:.0f} us",
            f"idle {idle_us:.0f} us ({ratio:.2f}x)", met(ratio <= GOAL), {"idle_p99_us": idle_us, "busy_p99_us": busy_us},
        )  # fmt: skip


def _origin_path(path: Path) -> str:
    return os.getxattr(path, "user.musicfs.origin_path").decode()


def _hang(server: Remote, musicfs: MusicFS, paths: Sequence[Path]) -> list[threading.Thread]:
    """Stop the line, and begin to read each of these files on a thread of its own."""
    server.proxy.stall()
    readers = [threading.Thread(target=_read, args=(path,), daemon=True) for path in paths]
    for reader in readers:
        reader.start()
    time.sleep(_SETTLE_S)
    if musicfs.status() is None:
        raise NotMeasurable("the daemon does not answer while reads hang")
    return readers


def _read(path: Path) -> None:
    with contextlib.suppress(OSError):  # an origin that was away for too long
        path.read_bytes()
