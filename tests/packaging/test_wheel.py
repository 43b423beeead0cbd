"""What is installed: the package, and beside it what shells, ``man`` and administrators look for."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.mounting import REPOSITORY
from tests.players.programs import run

DELIVERED = {
    "share/man/man1/musicfs.1": "dist/man/musicfs.1",
    "share/bash-completion/completions/musicfs": "dist/completions/musicfs.bash",
    "share/zsh/site-functions/_musicfs": "dist/completions/_musicfs",
    "share/fish/vendor_completions.d/musicfs.fish": "dist/completions/musicfs.fish",
    "share/doc/musicfs/musicfs.service": "dist/musicfs.service",
    "share/doc/musicfs/musicfs@.service": "dist/musicfs@.service",
    "share/doc/musicfs/musicfs-user.service": "dist/musicfs-user.service",
    "share/doc/musicfs/config.example.toml": "config.example.toml",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip does it, and what it puts below a prefix in ``data``."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    [data] = folder.glob("*.data/data")
    data.rename(folder / "data")
    return folder


def test_the_package_is_whole(installed: Path) -> None:
    files = [path for path in (REPOSITORY / "musicfs").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) > 400
    for path in files:
        assert (installed / path.relative_to(REPOSITORY)).is_file(), path
    assert not (installed / "tests").exists()


def test_what_lies_beside_it(installed: Path) -> None:
    found = {str(path.relative_to(installed / "data")) for path in (installed / "data").rglob("*") if path.is_file()}
    assert found == DELIVERED.keys()
    for name, source in DELIVERED.items():
        assert (installed / "data" / name).read_bytes() == (REPOSITORY / source).read_bytes(), name


def test_a_source_distribution_has_what_a_wheel_is_made_of() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    targets = settings["tool"]["hatch"]["build"]["targets"]
    included = [name.strip("/") for name in targets["sdist"]["include"]]
    for source in targets["wheel"]["shared-data"]:
        assert source.split("/")[0] in included, source


def test_man_and_zsh_find_it(installed: Path) -> None:
    share = installed / "data" / "share"
    assert run("man", "-M", share / "man", "-w", "musicfs").strip() == str(share / "man/man1/musicfs.1")
    script = f"fpath=({share}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D; print $_comps[musicfs]"
    assert run("zsh", "-f", "-c", script).strip() == "_musicfs"
