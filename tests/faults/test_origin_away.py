"""SPEC 3: an origin that is away takes no name with it, before the start, while mounted, and whatever is done meanwhile."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.living import accept_originals, album, check_everything, kill, restart, tree, wait_for
from tests.mounting import Mounted, mount

WORDS = "cannot be read|is not a folder|is not there|there is no folder|is not on the filesystem|waits|vanished"


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """Two origins of fifteen tracks each."""
    for name in ("near", "far"):
        for number in range(3):
            album(tmp_path / name, f"{name} {number}", 5)
    return {name: tmp_path / name for name in ("near", "far")}


@pytest.fixture
def mounted(roots: dict[str, Path], tmp_path: Path) -> Iterator[Mounted]:
    found = mount(roots, tmp_path / "home")
    found.allow_log(WORDS)
    yield found
    found._abandon()


def _check_away(mounted: Mounted, before: dict[str, Path]) -> None:
    """All names are there; what is away fails as unreachable, never as missing; the rest plays; the log is not flooded."""
    assert tree(mounted) == before
    for virtual, origin in before.items():
        path = mounted.point / virtual
        assert path.stat().st_size > 0
        if "far" in origin.parts:
            with pytest.raises(OSError) as error:
                path.read_bytes()
            assert errno.errorcode[error.value.errno or 0] == "EIO", virtual
        else:
            assert path.read_bytes() == origin.read_bytes()
    assert mounted.log.count("WARNING mount") <= 2, mounted.log


def test_gone_while_mounted_and_back(mounted: Mounted, roots: dict[str, Path]) -> None:
    before = tree(mounted)
    assert len(before) == 30
    away = roots["far"].with_name("away")
    mounted.allow_log("far does not exist")  # who reads the configuration again says so too
    roots["far"].rename(away)
    mounted.process.send_signal(signal.SIGHUP)
    wait_for("it is noticed", lambda: mounted.status().get("state") == "degraded", 20)
    _check_away(mounted, before)
    away.rename(roots["far"])
    mounted.process.send_signal(signal.SIGHUP)
    mounted.wait_until_scanned()
    assert check_everything(mounted) == before
    mounted.close()


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a file"])
def test_gone_before_the_start(mounted: Mounted, roots: dict[str, Path], left: str) -> None:
    before = tree(mounted)
    mounted.close()
    away = roots["far"].with_name("away")
    roots["far"].rename(away)
    if left == "an empty folder":
        roots["far"].mkdir()
    elif left == "a file":
        roots["far"].write_text("")
    again = restart(mounted, scanned=False)
    again.allow_log(WORDS)
    try:
        wait_for("it is noticed", lambda: again.status().get("state") == "degraded", 20)
        _check_away(again, before)
        if left == "an empty folder":
            roots["far"].rmdir()
        elif left == "a file":
            roots["far"].unlink()
        away.rename(roots["far"])
        again.process.send_signal(signal.SIGHUP)
        again.wait_until_scanned()
        assert check_everything(again) == before
        again.close()
    finally:
        again._abandon()


def test_gone_after_a_crash(mounted: Mounted, roots: dict[str, Path]) -> None:
    before = tree(mounted)
    kill(mounted)
    roots["far"].rename(roots["far"].with_name("away"))
    again = restart(mounted, scanned=False)
    again.allow_log(WORDS)
    try:
        wait_for("it is noticed", lambda: again.status().get("state") == "degraded", 20)
        _check_away(again, before)
    finally:
        again._abandon()


def test_everything_in_it_is_deleted(mounted: Mounted, roots: dict[str, Path]) -> None:
    """The folder is there and empty: that is held, until somebody says it is meant."""
    before = tree(mounted)
    for folder in roots["far"].iterdir():
        shutil.rmtree(folder)
    accept_originals(mounted)
    mounted.process.send_signal(signal.SIGHUP)
    wait_for("it is held", lambda: "musicfs origin confirm" in str(mounted.status().get("detail")), 20)
    assert set(before) == set(tree(mounted))
    assert mounted.command("origin", "confirm", "far").returncode == 0
    wait_for("they leave", lambda: len(tree(mounted)) == 15)
    check_everything(mounted)
    mounted.close()
