"""The rules of ``tests/conftest.py``, tried on a file of small tests: a guard that never bites is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounting import REPOSITORY

SMALL_TESTS = """
import logging
import pytest

log = logging.getLogger("musicfs.somewhere")

def test_quiet():
    log.info("nothing to see")

def test_warns():
    log.warning("disk %s is odd", "sda")

@pytest.mark.expects_log("is odd")
def test_expected():
    log.warning("disk sda is odd")

@pytest.mark.expects_log("something else")
def test_expects_another():
    log.error("disk sda is odd")

def test_looks_itself(caplog):
    log.warning("disk sda is odd")
    assert "odd" in caplog.text

@pytest.mark.soak
def test_long():
    pass

@pytest.mark.real_music
def test_real():
    pass
"""


def outcomes(folder: Path, *options: str) -> dict[str, str]:
    """Test name -> PASSED or FAILED, of the small tests under the rules of the real ones."""
    (folder / "test_small.py").write_text(SMALL_TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n soak: s\n real_music: r\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "-v",
            *options,
            "test_small.py",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("test_small.py::")]
    assert lines, done.stdout + done.stderr
    return {words[0].partition("::")[2]: words[1] for words in lines}


def test_an_unexpected_warning_fails_a_test(tmp_path: Path) -> None:
    assert outcomes(tmp_path) == {
        "test_quiet": "PASSED",
        "test_warns": "FAILED",
        "test_expected": "PASSED",
        "test_expects_another": "FAILED",
        "test_looks_itself": "PASSED",
        "test_real": "PASSED",
    }


@pytest.mark.parametrize(
    ("options", "ran"),
    [
        ((), {"test_real"}),
        (("--quick",), set()),
        (("--soak",), {"test_long", "test_real"}),
        (("--quick", "--soak"), {"test_long"}),
    ],
)
def test_options_choose_what_runs(options: tuple[str, ...], ran: set[str], tmp_path: Path) -> None:
    assert outcomes(tmp_path, *options).keys() & {"test_long", "test_real"} == ran
