"""Row 20: correcting a tag, until the mount shows it; and what reading a corrected file costs.

A corrected file is read beside a file that simply has the bytes the correction makes, each served by a MusicFS of its own, so
that nothing but the correction makes the difference.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks import pagecache
from benchmarks.bench import Bench, NotMeasurable
from benchmarks.content import cached_percent, wait_recut
from benchmarks.libraries import files_below, make_tiny_library
from benchmarks.measure import Samples, cpu_seconds, percentile
from benchmarks.reads import numbers, read_all, speed
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS
from musicfs.api.metadata import MetadataChange, Served, TrackMetadata
from musicfs.config.settings import OriginSettings
from musicfs.testing.images import make_jpeg
from tests.players.mpd_server import mpd_on

EDITS = 100
TRACKS = 2_000
FIRST_BYTES = 150
READS = 8  # of a file, a round
HEAD_BYTES = 4096
VISIBLE_S = 0.1
FIRST_GOAL, THROUGHPUT_GOAL = 1.2, 0.95
_DEADLINE_S = 20.0
_KEPT_S = 120.0
_PIECE_S = 20  # of audio that is encoded; it is repeated without encoding


def measure(bench: Bench) -> Iterator[Result]:
    yield from _visible(bench)
    if missing := [tool for tool in ("metaflac", "ffmpeg") if shutil.which(tool) is None]:
        raise NotMeasurable(f"not installed: {', '.join(missing)}")
    yield from _reading(bench, "b", "local origin", "off")
    yield from _reading(bench, "c", "chunks", "on")


# From the call to the mount.


def _visible(bench: Bench) -> Iterator[Result]:
    tracks, edits = bench.size(TRACKS, 300), bench.size(EDITS, 20)
    with bench.room("overlays") as room:
        source = room / "music"
        make_tiny_library(source, tracks)
        server = MusicFS(source, room / "musicfs")
        with bench.serving(server):
            files = files_below(server.point, ".flac") + files_below(server.point, ".mp3")
            for path in files:
                path.read_bytes()
            chosen = files[:: len(files) // edits][:edits]
            took = [_correct(server, path, number) for number, path in enumerate(chosen)]
        beside = _tagged_and_rescanned(source, room, edits)
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    yield Result(
        "20a", f"overlay: gRPC set to visible in the mount, {edits} edits among {tracks:,} tracks", "<= 100 ms",
        f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms",
        ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in beside.items()), met(p99 <= VISIBLE_S),
        {"p50_s": p50, "p99_s": p99, "slowest_s": max(took)} | {f"{name}_s": value for name, value in beside.items()},
    )  # fmt: skip


def _correct(server: MusicFS, path: Path, number: int) -> float:
    """Seconds from a call that gives a track another title, every other time another comment, until its bytes say it."""
    client = server.client()
    text = f"Corrected {number}"
    field = ("title", "comment")[number % 2]
    name = path.name if number % 2 else f"{path.name.partition(' - ')[0]} - {text}{path.suffix}"
    after, before = path.with_name(name), path.stat()
    virtual = "/" + str(path.relative_to(server.point))
    began = time.perf_counter()
    (result,) = client.change_metadata([MetadataChange(path=virtual, set={field: (text,)})])
    if result.error or not result.changes:
        raise RuntimeError(f"{path} was not corrected: {result}")
    while True:
        with contextlib.suppress(FileNotFoundError):
            if after.stat().st_mtime_ns != before.st_mtime_ns and text.encode() in after.read_bytes():
                return time.perf_counter() - began
        if time.perf_counter() - began > _DEADLINE_S:
            raise RuntimeError(f"{after} does not show the correction")


def _tagged_and_rescanned(source: Path, room: Path, edits: int) -> dict[str, float]:
    """What it takes without overlays: to write the file itself, and to have a player's database follow."""
    if shutil.which("metaflac") is None:
        return {}
    own = room / "beside"
    shutil.copytree(source, own)
    files = files_below(own, ".flac")[: max(edits // 5, 3)]
    tools: dict[str, Callable[[Path], None]] = {"metaflac": partial(_tag, "Corrected")}
    took: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        if shutil.which("mpd") and shutil.which("mpc"):
            mpd = stack.enter_context(mpd_on(own))
            mpd.mpc("--wait", "update", timeout_s=600)

            def tag_and_update(path: Path) -> None:
                _tag("Again", path)
                mpd.mpc("--wait", "update", str(path.relative_to(own)))

            tools["metaflac and mpc update"] = tag_and_update
        for path in files:
            for name, work in tools.items():
                began = time.perf_counter()
                work(path)
                took.setdefault(name, []).append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def _tag(title: str, path: Path) -> None:
    subprocess.run(["metaflac", "--remove-tag=TITLE", f"--set-tag=TITLE={title}", str(path)], check=True)


# Reading what was corrected.


@dataclass(frozen=True, slots=True)
class _Case:
    """``make`` makes a file of at least some bytes; ``change`` is what is corrected of it."""

    name: str
    suffix: str
    make: Callable[[Path, int], None]
    change: Callable[[], MetadataChange]


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


def _repeated(path: Path, size_bytes: int, encode: Sequence[str], copy: Sequence[str] = ()) -> None:
    """Some seconds of noise as often as ``size_bytes`` need."""
    piece = path.with_name(f"piece{path.suffix}")
    noise = f"anoisesrc=r=44100:d={_PIECE_S}:a=1:seed={path.stem}"  # no two files have the same audio
    _ffmpeg("-f", "lavfi", "-i", noise, "-ac", "2", *encode, str(piece))
    times = -(-size_bytes // piece.stat().st_size) + 1
    _ffmpeg("-stream_loop", str(times), "-i", str(piece), "-c", "copy", "-metadata", "artist=Somebody",
            "-metadata", f"title={path.stem}", *copy, str(path))  # fmt: skip
    piece.unlink()


def _make_flac(path: Path, size_bytes: int) -> None:
    _repeated(path, size_bytes, ["-c:a", "flac"])
    subprocess.run(["metaflac", "--remove", "--block-type=PADDING", "--dont-use-padding", str(path)], check=True)


def _make_mp3(path: Path, size_bytes: int) -> None:
    _repeated(path, size_bytes, ["-c:a", "libmp3lame", "-b:a", "320k"])


def _make_m4a(path: Path, size_bytes: int) -> None:
    _repeated(path, size_bytes, ["-c:a", "alac"], ["-movflags", "+faststart"])


def _make_ogg(path: Path, size_bytes: int) -> None:
    # Pages of some 6 KB, as other encoders make them; ffmpeg's own are of a second.
    _repeated(path, size_bytes, ["-c:a", "libvorbis", "-q:a", "10"], ["-page_duration", "100000"])


_SMALL = {"comment": ("x" * 26,)}
_LONG = {"comment": tuple(letter * 50_000 for letter in "xyz")}  # more than two pages of Ogg
_CASES = (
    _Case("FLAC, few bytes more", "flac", _make_flac, lambda: MetadataChange(set=_SMALL)),
    _Case(
        "FLAC, a new cover",
        "flac",
        _make_flac,
        lambda: MetadataChange(cover=make_jpeg(size_bytes=90_000)),
    ),
    _Case("MP3", "mp3", _make_mp3, lambda: MetadataChange(set=_LONG)),
    _Case("M4A, offsets", "m4a", _make_m4a, lambda: MetadataChange(set=_LONG)),
    _Case("Ogg, renumbered", "ogg", _make_ogg, lambda: MetadataChange(set=_LONG)),
)


def _reading(bench: Bench, letter: str, kind: str, cache: Literal["on", "off"]) -> Iterator[Result]:
    size_bytes = bench.size(50, 6) * 1_000_000
    with bench.room(f"overlays-{letter}") as room:
        own, plain = room / "own", room / "plain"
        corrected, beside = (
            MusicFS(source, room / f"musicfs-{source.name}", name=source.name, origin=_origin(source, cache))
            for source in (own, plain)
        )
        own.mkdir()
        plain.mkdir()
        for number, case in enumerate(_CASES):
            made = room / f"{number}.{case.suffix}"
            case.make(made, size_bytes)
            # As the other one comes to be: how a file was written decides how large the pieces of the page cache are.
            shutil.copyfile(made, own / made.name)
            made.unlink()
        with bench.serving(corrected):
            ours = _correct_all(corrected)
            for number, path in enumerate(ours):
                shutil.copyfile(path, plain / f"{number}{path.suffix}")
            with bench.serving(beside):
                theirs = [beside.point / track.path.lstrip("/") for track in _tracks(beside)]
                for server, paths in ((corrected, ours), (beside, theirs)):
                    if cache == "on":
                        _keep(server, paths)
                for case, mine, other in zip(_CASES, ours, theirs, strict=True):
                    if mine.read_bytes() != other.read_bytes():
                        raise RuntimeError(f"{case.name}: the plain file is not what the corrected one says")
                    yield _cost(
                        bench,
                        f"20{letter}",
                        f"{case.name}, {kind}",
                        {"own": (corrected, mine), "plain": (beside, other)},
                    )


def _origin(source: Path, cache: Literal["on", "off"]) -> OriginSettings:
    return OriginSettings(id="music", path=str(source), cache=cache)


def _tracks(server: MusicFS) -> list[TrackMetadata]:
    return sorted(server.client().tracks(), key=lambda track: track.origin_path)


def _correct_all(server: MusicFS) -> list[Path]:
    """Correct one file for each case; where they are in the mount, once it shows them."""
    found = []
    for case, track in zip(_CASES, _tracks(server), strict=True):
        change = msgspec.structs.replace(case.change(), file_id=track.file_id)
        (result,) = server.client().change_metadata([change])
        after = server.client().metadata(file_id=track.file_id)
        if result.error or result.reason or after.served != Served.CORRECTED:
            raise RuntimeError(f"{case.name} was not corrected: {result}")
        path = server.point / result.new_path.lstrip("/")
        deadline = time.monotonic() + _DEADLINE_S
        while path.stat().st_mtime_ns == (server.source / track.origin_path).stat().st_mtime_ns:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} does not show the correction")
            time.sleep(0.01)
        found.append(path)
    return found


def _keep(server: MusicFS, paths: Sequence[Path]) -> None:
    """Have all of these in the store. What is read faster than the disk writes is not kept: then it is read again."""
    for path in paths:
        deadline = time.monotonic() + _KEPT_S
        while cached_percent(path) < 100:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} is not kept after {_KEPT_S:.0f} s")
            pagecache.drop(path)
            pagecache.warm(path)
            time.sleep(0.5)
    wait_recut(server)


def _cost(bench: Bench, row: str, name: str, paths: Mapping[str, tuple[MusicFS, Path]]) -> Result:
    """The first bytes and the whole of one file, from both servers in turns."""
    first: dict[str, list[float]] = {which: [] for which in paths}
    for number in range(bench.size(FIRST_BYTES, 20)):
        for which, (_, path) in _in_turn(paths, number):
            pagecache.drop_proven(path)
            began = time.perf_counter()
            with path.open("rb", buffering=0) as stream:
                stream.read(HEAD_BYTES)
            first[which].append(time.perf_counter() - began)
    whole = {which: Samples() for which in paths}
    reads = bench.size(READS, 2)
    for number in range(bench.rounds + 1):
        for which, (server, path) in _in_turn(paths, number):
            wall_s, cpu_before = 0.0, cpu_seconds(server.pids())
            for _ in range(reads):
                pagecache.drop_proven(path)
                began = time.perf_counter()
                read_all([path])
                wall_s += time.perf_counter() - began
            if number:
                whole[which].wall_s.append(wall_s)
                whole[which].cpu_s.append(cpu_seconds(server.pids()) - cpu_before)
    total_gb = paths["own"][1].stat().st_size * reads / 1e9
    first_ms = {which: statistics.median(seconds) * 1000 for which, seconds in first.items()}
    later = first_ms["own"] / first_ms["plain"]
    share = whole["plain"].median_s / whole["own"].median_s
    cpu = {which: samples.mean_cpu_s / total_gb for which, samples in whole.items()}
    return Result(
        row, f"cost of a corrected file, {name}",
        f"first byte <= {FIRST_GOAL}x, throughput >= {THROUGHPUT_GOAL}x of the plain file",
        f"{first_ms['own']:.2f} ms ({later:.2f}x); {speed(whole['own'], total_gb)} ({share:.2f}x), {cpu['own']:.2f} s/GB",
        f"plain {first_ms['plain']:.2f} ms; {speed(whole['plain'], total_gb)}, {cpu['plain']:.2f} s/GB",
        met(later <= FIRST_GOAL and share >= THROUGHPUT_GOAL),
        numbers(whole, total_gb) | {f"{which}_first_byte_ms": value for which, value in first_ms.items()},
    )  # fmt: skip


def _in_turn(paths: Mapping[str, tuple[MusicFS, Path]], number: int) -> list[tuple[str, tuple[MusicFS, Path]]]:
    items = list(paths.items())
    return items[number % len(items) :] + items[: number % len(items)]
