"""Odd audio files that other people collected: those of mutagen's own tests, from its source distribution.

They are fetched with pip from the package index, in one version, whatever is installed, and never changed. Most were sent
in by users whose programs made them: tags that overlap, lie about their size, or are of versions nobody writes any more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

_TIMEOUT_S = 120
_DATA = ("tests", "data")

_VERSION = "1.48.1"  # what tests/formats/odd_files.py is about


def fetch(folder: Path) -> Path:
    """Fetch the corpus into ``folder``; return the folder with its files. AssertionError, with what pip said, if it cannot.

    pip asks the package index (or what ``PIP_INDEX_URL`` or ``PIP_FIND_LINKS`` name), unless its cache has the answer.
    """
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps",
            "--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder), f"mutagen=={_VERSION}",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"the test files of mutagen {_VERSION} come from its source distribution, and pip could not get it: give pip an index"
        f" (PIP_INDEX_URL, or PIP_FIND_LINKS with mutagen-{_VERSION}.tar.gz). pip said:\n{done.stdout}{done.stderr}"
    )
    return unpack(folder / f"mutagen-{_VERSION}.tar.gz", folder / "corpus")


def unpack(archive: Path, target: Path) -> Path:
    """Write the plain files of the archive's data folder into ``target``, by their bare names; nothing else of it."""
    target.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if not member.isfile() or path.parts[1:-1] != _DATA or path.name in ("", ".", ".."):
                continue
            stream = tar.extractfile(member)
            assert stream is not None
            with open(os.open(target / path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as out:
                out.write(stream.read())
    assert any(target.iterdir()), f"{archive} has no folder {'/'.join(_DATA)}"
    return target
