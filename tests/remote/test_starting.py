"""Beginnings: all origins are down, a server goes in the middle of a scan, two daemons look at the same origins."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.living import restart, tree, wait_for
from tests.mounting import Mounted, Place, mount, start
from tests.remote.lines import FAR_S, KINDS, Line, Servers
from tests.remote.noise import FOLDERS, check_same, count_entries, make_noise
from tests.remote.watching import Walker

READ_TIMEOUT_S = 2.0
SETTINGS = (
    f"{FOLDERS}[cache]\nread_timeout_s = {READ_TIMEOUT_S}\n[health]\ncheck_interval_secs = 1\ntimeout_ms = 1000\n"
    "[prefetch]\nnext_track = false\n"
)
WORDS = "cannot be read|no answer|left alone|read: |waits"
ENDING_S = 10.0
SMALL_BYTES = 900_000  # more than a scan has read and kept


@contextlib.contextmanager
def _lines(servers: Servers, folder: str, kinds: tuple[str, ...], **changes: Any) -> Iterator[dict[str, Line]]:
    with contextlib.ExitStack() as stack:
        yield {kind: stack.enter_context(servers.line(kind, folder, **changes)) for kind in kinds}


def _places(lines: Mapping[str, Line]) -> dict[str, Path | Place]:
    return {kind: line.place for kind, line in lines.items()}


def test_all_origins_down_at_the_start(servers: Servers, home: Path) -> None:
    """Two refuse, two say nothing: the tree is whole, what was read before is read again, the rest fails in time."""
    with _lines(servers, "down", KINDS, timeout_s=1.0) as lines:
        for seed, (kind, line) in enumerate(lines.items()):
            for number, name in enumerate(("kept", "other")):
                make_noise(line.root / kind / f"{name}.wav", SMALL_BYTES, seed * 10 + number)
        servers.upload(lines["s3"].root)
        mounted = mount(_places(lines), home, SETTINGS)
        for kind, line in lines.items():
            wanted = (line.root / kind / "kept.wav").read_bytes()
            assert (mounted.point / kind / "kept.wav").read_bytes() == wanted
        entries = count_entries(mounted.point)
        mounted.close()
        for kind, line in lines.items():
            if kind in {"sftp", "s3"}:
                line.proxy.refuse()
            else:
                line.proxy.stall()
        again = restart(mounted, scanned=False)
        again.allow_log(WORDS)
        try:
            wait_for("the tree", lambda: _count(again.point) == entries, 10)
            for kind, line in lines.items():
                wanted = (line.root / kind / "kept.wav").read_bytes()
                assert (again.point / kind / "kept.wav").read_bytes() == wanted
            with ThreadPoolExecutor(len(lines)) as pool:
                for error in pool.map(partial(_fail_in_time, again.point), lines):
                    assert error == errno.EIO
            wait_for("all are unhealthy", lambda: _health(again) == {"unhealthy"}, 15)
            assert count_entries(again.point) == entries
            for kind in KINDS:
                assert again.command("origin", "health", kind).returncode == 1, kind
            for line in lines.values():
                line.proxy.resume()
            wait_for("all are healthy", lambda: _health(again) == {"healthy"}, 15)
            again.wait_until_scanned()
            for line in lines.values():
                check_same(again, line.root)
        except BaseException:
            again._abandon()
            raise
        again.close()


def test_the_end_does_not_wait_for_origins_that_hang(servers: Servers, home: Path) -> None:
    with _lines(servers, "hanging", KINDS) as lines:
        for seed, (kind, line) in enumerate(lines.items()):
            make_noise(line.root / kind / "other.wav", SMALL_BYTES, seed)
        servers.upload(lines["s3"].root)
        mounted = mount(_places(lines), home, SETTINGS)
        mounted.allow_log(WORDS)
        for line in lines.values():
            line.proxy.stall()
        with ThreadPoolExecutor(len(lines)) as pool:
            reads = [pool.submit(_fail_in_time, mounted.point, kind) for kind in lines]
            wait_for("reads that hang", lambda: mounted.status().get("open_file_handles", 0) >= len(lines), 10)
            begun = time.monotonic()
            mounted.close()
            assert time.monotonic() - begun < ENDING_S
            for read in reads:
                assert read.result(10) in {errno.EIO, errno.ENOTCONN, errno.ECONNABORTED}


def _fail_in_time(point: Path, kind: str) -> int | None:
    begun = time.monotonic()
    with pytest.raises(OSError) as caught:
        (point / kind / "other.wav").read_bytes()
    assert time.monotonic() - begun < READ_TIMEOUT_S + 1.0
    return caught.value.errno


def _count(point: Path) -> int:
    return count_entries(point) if os.path.ismount(point) else 0


def _health(mounted: Mounted) -> set[str]:
    return {str(origin["health"]) for origin in mounted.status().get("origins", ())}


@pytest.mark.parametrize("kind", ["sftp", pytest.param("nfs", marks=pytest.mark.soak)])
def test_a_server_restarts_in_the_middle_of_a_scan(kind: str, servers: Servers, home: Path) -> None:
    folders, files = 10, 4
    with servers.line(kind, f"scanned-{kind}", delay_s=FAR_S) as line:
        for number in range(folders * files):
            make_noise(line.root / f"{number // files:02}" / f"{number}.wav", 300_000, number)
        mounted = start({kind: line.place}, home, SETTINGS)
        mounted.allow_log(WORDS)
        try:
            wait_for("some files", lambda: len(list(mounted.point.rglob("*.wav"))) > 0, 30)
            line.server.kill()
            before = len(list(mounted.point.rglob("*.wav")))
            assert before < folders * files, "the scan was over before"
            line.server.start()
            walker = Walker(mounted.point, before)
            walker.start()
            wait_for("the rest", lambda: len(list(mounted.point.rglob("*.wav"))) == folders * files, 30)
            mounted.wait_until_scanned()
            walker.stop()
            # Once more with everything known: what is not listed is not gone.
            walker = Walker(mounted.point, folders * (files + 1))
            walker.start()
            line.proxy.cut_after(2000)
            mounted.command("origin", "rescan", kind, "--wait")
            wait_for("it is healthy", lambda: _health(mounted) == {"healthy"}, 15)
            mounted.wait_until_scanned()
            walker.stop()
            status = mounted.status()
            assert status["problems"] == 0 and not status["detail"], status
            check_same(mounted, line.root)
        except BaseException:
            mounted._abandon()
            raise
        mounted.close()


def test_two_daemons_show_the_same_paths_and_inodes(servers: Servers, sample_library: Path, tmp_path: Path) -> None:
    with _lines(servers, "twice", ("sftp", "nfs")) as lines:
        parts = sorted(path for path in sample_library.iterdir())
        for number, part in enumerate(parts):
            shutil.copytree(part, lines[("sftp", "nfs")[number % 2]].root / part.name)
        with contextlib.ExitStack() as stack:
            shown = []
            for name in ("one", "two"):
                mounted = mount(_places(lines), tmp_path / name)
                stack.callback(mounted.close)
                found = {str(path.relative_to(mounted.point)): path.stat().st_ino for path in mounted.point.rglob("*")}
                shown.append(found)
                assert len(tree(mounted)) == sum(1 for path in sample_library.rglob("*") if path.is_file())
            assert shown[0] == shown[1]
