"""Processes of our own: they find this package wherever it lies, and import nothing from the folder they start in."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from musicfs.daemon.supervisor import KEEPER_COMMAND
from musicfs.interpreter import child_environment, module_command, plain_environment
from musicfs.library.pool import WORKER_COMMAND
from musicfs.origins.mounted_process import CHILD_COMMAND
from tests.test_structure import PACKAGE, REPOSITORY, fenced_modules, label

COMMANDS = [
    (*KEEPER_COMMAND, "0"),
    WORKER_COMMAND,
    (*CHILD_COMMAND, "0"),
    module_command("musicfs.store.probe", "catalog"),
    module_command("musicfs.cli.main", "--version"),
]
PLANTED = ("musicfs", "msgspec", "mutagen", "lmdb", "logging", "struct", "sitecustomize")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder whose modules tell on whoever imports one."""
    folder = tmp_path / "music"
    folder.mkdir()
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__)\n")
    return folder


def run(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[3])
def test_nothing_is_imported_from_the_folder_it_starts_in(command: tuple[str, ...], trap: Path) -> None:
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = run(command, trap, plain_environment(outside))
    assert "No module named" not in done.stderr
    assert not (trap.parent / "imported").exists(), done.stderr


def test_a_checkout_is_found_from_anywhere(trap: Path) -> None:
    """Whoever runs from a checkout, by PYTHONPATH or by standing in it, has children that do too."""
    show = (sys.executable, "-P", "-c", "import musicfs; print(musicfs.__file__)")
    for given in ({}, {"PYTHONPATH": str(REPOSITORY)}, {"PYTHONPATH": "/nowhere"}):
        done = run(show, trap, child_environment(given))
        assert done.stdout.strip() == str(PACKAGE / "__init__.py"), done.stderr


def test_an_editable_installation_is_found(tmp_path: Path, trap: Path) -> None:
    """What ``pip install --editable`` leaves in an environment is a file that names the checkout."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "editable.pth").write_text(f"{REPOSITORY}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    python = str(tmp_path / "venv" / "bin" / "python")
    done = run((python, *WORKER_COMMAND[1:]), trap, {})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_plain_environment_holds_no_secrets() -> None:
    environment = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "NAS_PASSWORD": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "SSH_AUTH_SOCK": "x",
    }
    assert plain_environment(environment).keys() - {"PYTHONPATH"} == {"PATH", "LC_ALL"}
    assert child_environment(environment).items() >= environment.items()  # the keeper's origins look there


@pytest.mark.parametrize("path", fenced_modules(), ids=label)
def test_modules_are_started_in_one_way(path: Path) -> None:
    """Nobody spells ``python -m`` but the one who knows how."""
    spelled = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "-m"
    ]
    assert not spelled or path.stem in {"interpreter", "regenerate"}, f"{label(path)}:{spelled}: use module_command"
