"""The manual page and the completion scripts are what the commands say now, and others can read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from musicfs.cli import manual
from musicfs.cli.main import cli
from tests.cli.conftest import REPOSITORY

DIST = REPOSITORY / "dist"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    assert manual.main(str(folder)) == 0
    return folder


@pytest.mark.parametrize("place", [manual.PAGE, *manual.COMPLETIONS.values()])
def test_what_is_delivered_is_made_from_the_commands(made: Path, place: str) -> None:
    assert (DIST / place).read_text() == (made / place).read_text(), "run python -m musicfs.cli.manual"


def commands(group: click.Group, context: click.Context) -> list[str]:
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context) as inner:
            found.append(inner.command_path)
            if isinstance(command, click.Group):
                found += commands(command, inner)
    return found


def test_no_linter_complains(made: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(made / manual.PAGE)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", str(made / manual.PAGE)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_man_shows_every_command_and_its_options(made: Path) -> None:
    done = subprocess.run(
        ["man", "-l", str(made / manual.PAGE)],
        capture_output=True, text=True, check=True, timeout=30,
        env={"MANPAGER": "cat", "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MAN_KEEP_FORMATTING": ""},
    )  # fmt: skip
    text = done.stdout
    with click.Context(cli, info_name="musicfs") as context:
        for path in commands(cli, context):
            assert f"   {path}" in text
    for words in ("--limit", "'added:>7d' --paths0 | xargs -0 mpv", "NO_COLOR", "artist:björk", r"\*"):
        assert words in text
    assert "`" not in text
