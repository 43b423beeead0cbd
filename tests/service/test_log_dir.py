"""The folder of the log runs full, or cannot be written: lines are lost, and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.living import album, wait_for
from tests.mounting import mount


@pytest.fixture(params=["full", "read-only"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder without room for a single line, or that takes none."""
    folder = tmp_path / "logs"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while request.param == "full":
            file.write(bytes(4096))
    if request.param == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_or_read_only_folder_of_logs_ends_nothing(tmp_path: Path, small_disk: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 3)
    settings = f'[logging]\nlevel = "trace"\ntrace_sample_rate = 1.0\nlog_dir = "{small_disk}"'
    mounted = mount({"music": music}, tmp_path / "home", settings)
    mounted.allow_log("asked for:")
    try:
        keeper = mounted.status()["keeper_pid"]

        def works() -> None:
            assert sorted(path.name for path in mounted.point.rglob("*.flac"))
            before = mounted.log.count("nothing has changed")
            os.kill(mounted.process.pid, signal.SIGHUP)
            wait_for("the reload", lambda: mounted.log.count("nothing has changed") > before)
            assert mounted.status()["keeper_pid"] == keeper

        works()
        assert not any(path.stat().st_size for path in small_disk.glob("*.log"))
        subprocess.run(["mount", "-o", "remount,rw,size=8m", str(small_disk)], check=True)
        works()
        wait_for("lines", lambda: [one for one in small_disk.glob("*.log") if "nothing has changed" in one.read_text()])
    finally:
        mounted.close()
