"""Rows 12 and 13: the first scan of a local library, and a scan that finds nothing changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.libraries import make_tiny_library
from benchmarks.measure import Samples
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS
from musicfs.errors import IndexNotReadyError
from musicfs.index.parser import parse
from musicfs.index.reader import IndexReader
from tests.players.mpd_server import mpd_on

TRACKS = 100_000
BEETS_TRACKS = 1_000  # beets takes minutes for what the others do in seconds; its rate does not depend on the number

_SEARCHABLE_S = 120
_POLL_S = 0.02


def measure(bench: Bench) -> Iterator[Result]:
    tracks, few = bench.size(TRACKS, 2_000), bench.size(BEETS_TRACKS, 200)
    with bench.room("scans") as room:
        make_tiny_library(room / "music", tracks)
        make_tiny_library(room / "few", few)
        subprocess.run(["find", str(room / "music"), "-printf", "%s"], stdout=subprocess.DEVNULL, check=True)
        rates: dict[str, list[float]] = {"musicfs": [], "visible": [], "mpd": [], "beets": []}
        for number in range(bench.rounds):
            visible_s, searchable_s = _first_scan_s(room, tracks)
            rates["musicfs"].append(tracks / searchable_s)
            rates["visible"].append(tracks / visible_s)
            if shutil.which("mpd") and shutil.which("mpc"):
                rates["mpd"].append(tracks / _mpd_update_s(room / "music", tracks))
            if shutil.which("beet"):
                rates["beets"].append(few / _beet_import_s(room, room / "few", number))
        median = {name: statistics.median(values) for name, values in rates.items() if values}
        beside = ", ".join(
            f"{name} {rate:,.0f}/s ({median['musicfs'] / rate:.1f}x)"
            for name, rate in median.items()
            if name != "musicfs"
        )
        fast_enough = median["musicfs"] >= 4_000 and median["musicfs"] >= 10 * median.get("beets", 0)
        yield Result(
            "12", f"first scan of {tracks:,} files, to searchable", ">= 4,000 files/s on 2 cores, >= 10x beet import -A",
            f"{median['musicfs']:,.0f}/s", beside or "no peer installed", met(fast_enough),
            {f"{name}_files_per_s": rate for name, rate in median.items()},
        )  # fmt: skip
        yield _rescan(bench, room, tracks)


def _first_scan_s(room: Path, tracks: int) -> tuple[float, float]:
    """From the start of the command with an empty cache until all of it is in the tree, and until all of it is found."""
    server = MusicFS(room / "music", room / "musicfs")
    try:
        began = time.perf_counter()
        server.start()
        visible_s = time.perf_counter() - began
        status = server.status()
        if status is None or status.files_indexed != tracks:
            raise RuntimeError(f"{tracks} files, but the status says {status}")
        _wait_until_found(server, tracks)
        return visible_s, time.perf_counter() - began
    finally:
        server.stop()
        shutil.rmtree(room / "musicfs")


def _wait_until_found(server: MusicFS, tracks: int) -> None:
    reader = IndexReader(str(server.folder / "cache" / "search.idx"))
    deadline = time.monotonic() + _SEARCHABLE_S
    while True:
        with contextlib.suppress(IndexNotReadyError):
            if reader.search(parse("*"), now_ns=0, limit=1).total == tracks:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all is searchable {_SEARCHABLE_S} s after it was visible")
        time.sleep(_POLL_S)


def _mpd_update_s(music: Path, tracks: int) -> float:
    with mpd_on(music) as mpd:
        began = time.perf_counter()
        mpd.mpc("--wait", "update", timeout_s=3600)
        seconds = time.perf_counter() - began
        if len(mpd.songs()) != tracks:
            raise RuntimeError(f"mpd found {len(mpd.songs())} of {tracks} files")
        return seconds


def _beet_import_s(room: Path, music: Path, number: int) -> float:
    """``beet import -A``: read tags and file them, without looking anything up, copying or writing."""
    home = room / f"beets-{number}"
    home.mkdir()
    config = {"directory": str(home / "out"), "library": str(home / "library.db"), "plugins": [],
              "import": {"copy": False, "write": False, "move": False}}  # fmt: skip
    (home / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    began = time.perf_counter()
    subprocess.run(
        ["beet", "-c", str(home / "config.yaml"), "import", "-A", "-q", str(music)],
        env={**os.environ, "HOME": str(home), "BEETSDIR": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - began


def _rescan(bench: Bench, room: Path, tracks: int) -> Result:
    samples = {"musicfs": Samples(), "find": Samples()}
    server = MusicFS(room / "music", room / "musicfs")
    with bench.serving(server):
        for number in range(bench.rounds + 1):
            for name, of_one in samples.items():
                began = time.perf_counter()
                if name == "find":
                    command = ["find", str(room / "music"), "-printf", "%p %s %T@ %i\\n"]
                    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                else:
                    done = server.run("origin", "rescan", "music", "--wait")
                    if done.returncode != 0:
                        raise RuntimeError(f"rescan failed: {done.stderr}")
                if number > 0:
                    of_one.wall_s.append(time.perf_counter() - began)
    rate = {name: tracks / of_one.median_s for name, of_one in samples.items()}
    return Result(
        "13", f"rescan of {tracks:,} unchanged files, by the command", ">= 50,000 files/s",
        f"{rate['musicfs']:,.0f}/s", f"find -printf {rate['find']:,.0f}/s", met(rate["musicfs"] >= 50_000),
        {f"{name}_files_per_s": value for name, value in rate.items()},
    )  # fmt: skip
