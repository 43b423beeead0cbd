"""Looks at the folders of a configuration without ever waiting for a dead server.

A path on a network filesystem whose server is gone can hang every call that touches it, for ever, and with it the process:
not even SIGKILL ends it. So what lies behind a network mount is looked at by a process of its own, which is killed when it is
late, and left behind where not even that helps. Every other path is looked at by a daemon thread. All of them together get
one deadline.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from musicfs.config import look
from musicfs.config.mounts import is_network_filesystem

if TYPE_CHECKING:
    import subprocess


class Reach:
    """What is at some paths: their real names, and whether they are folders that can be read.

    Building it blocks for ``timeout_s`` at most. Without ``paths`` nothing is looked at, and paths stand for themselves.
    """

    NO_ANSWER: ClassVar[str] = "does not answer"

    def __init__(self, paths: Iterable[str] = (), timeout_s: float = 2.0) -> None:
        self._asked = frozenset(path for path in paths if path)
        self._found: dict[str, tuple[str, str]] = {}  # real path, what is wrong
        deadline = time.monotonic() + timeout_s
        remote = [path for path in self._asked if is_network_filesystem(path)]
        threads = [
            threading.Thread(target=self._look, args=(path,), daemon=True) for path in self._asked.difference(remote)
        ]
        for thread in threads:
            thread.start()
        processes = {path: _start_look(path) for path in remote}
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for path, process in processes.items():
            self._collect(path, process, deadline)

    def real(self, path: str) -> str:
        """``path`` with symbolic links resolved, where that is known."""
        return self._found[path][0] if path in self._found else path

    def wrong(self, path: str) -> str:
        """Why ``path`` is no readable folder, as the end of a sentence; empty when it is one or was not looked at."""
        return self._found[path][1] if path in self._found else self.NO_ANSWER if path in self._asked else ""

    def _look(self, path: str) -> None:
        self._found[path] = look.look(path)

    def _collect(self, path: str, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Wait for the process until ``deadline``; afterwards nothing waits for it any more."""
        import subprocess

        try:
            output, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)  # one that hangs in the kernel ends when its server answers
            if process.stdout is not None:
                process.stdout.close()
            return
        real, _, wrong = os.fsdecode(output).partition("\0")
        if real:
            self._found[path] = (real, wrong)


def _start_look(path: str) -> subprocess.Popen[bytes]:
    import subprocess  # late: few configurations have a share, and every command reads one

    return subprocess.Popen(
        [sys.executable, "-I", "-S", look.__file__, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",  # the present folder may be what hangs
    )
