"""Looks at folders on a share: one that is well, and one whose server stands still."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.config.reach import Reach
from tests.mounting import REPOSITORY
from tests.servers.bindfs import Bindfs

TIMEOUT_S = 0.5
SLACK_S = 5.0  # a process starts, on a busy machine


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Bindfs]:
    """A share with one folder, and a link to it on the disk beside."""
    server = Bindfs(tmp_path / "disk", tmp_path / "nas")
    (server.root / "music").mkdir()
    (tmp_path / "link").symlink_to(server.point)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upper(nas: Bindfs, tmp_path: Path) -> Iterator[Bindfs]:
    """A share on top of it: when the lower one stands still, calls on this one survive SIGKILL."""
    server = Bindfs(nas.point, tmp_path / "upper")
    server.start()
    yield server
    nas.resume()
    server.stop()


def test_a_share_that_is_well_is_looked_at(nas: Bindfs, tmp_path: Path) -> None:
    music, missing, link = (
        str(path) for path in (nas.point / "music", nas.point / "typo", tmp_path / "link" / "music")
    )
    (nas.root / "file").touch()
    file = str(nas.point / "file")
    reach = Reach([music, missing, link, file], timeout_s=20)
    assert [reach.wrong(path) for path in (music, missing, link, file)] == ["", "does not exist", "", "is not a folder"]
    assert reach.real(link) == os.path.realpath(music)


def test_a_dead_share_is_given_up_in_time(upper: Bindfs, nas: Bindfs, tmp_path: Path) -> None:
    local, dead = str(tmp_path), str(upper.point / "music")
    nas.pause()
    begun = time.monotonic()
    reach = Reach([local, dead, "/nowhere"], TIMEOUT_S)
    assert time.monotonic() - begun < TIMEOUT_S + SLACK_S
    assert [reach.wrong(path) for path in (local, dead, "/nowhere")] == ["", Reach.NO_ANSWER, "does not exist"]
    assert reach.real(dead) == dead


@pytest.mark.parametrize("known", [False, True])
def test_config_check_ends_when_a_share_is_dead(upper: Bindfs, nas: Bindfs, tmp_path: Path, known: bool) -> None:
    """Nothing of the command hangs in the kernel with it: it says what it found, and is gone."""
    file = tmp_path / "musicfs.toml"
    file.write_text(
        f"cache_dir = '{tmp_path}/cache'\n[[origins]]\nid = 'nas'\npath = '{upper.point}/music'\n", encoding="utf-8"
    )
    if known:
        (tmp_path / "cache" / "catalog").mkdir(parents=True)
    nas.pause()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "musicfs.cli.main", "--config", str(file), "config", "check"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f'origin "nas": {upper.point}/music does not answer' in done.stdout + done.stderr
    assert "what was known about it is served until it is back" in done.stdout + done.stderr
