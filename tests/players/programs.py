"""Running other people's programs: each must be installed, must end in time, and is quoted when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def need(program: str) -> str:
    """The path of an installed program; fails the test when it is missing, for a skip would hide what is not tested."""
    found = shutil.which(program)
    assert found, f"{program} is not installed: dist/test installs what the tests need"
    return found


def run(
    *command: str | Path, timeout_s: float = 120, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run to the end, require exit code 0, and return standard output; both outputs are quoted on failure."""
    need(str(command[0]))
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        cwd=cwd,
    )
    output, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{output}\n{errors}"
    return output
