"""Looks at the folders of a configuration without ever waiting for a dead server.

A path on a network filesystem whose server is gone can hang every call that touches it, for ever. Each path is therefore
looked at by a daemon thread of its own, and all of them together get one deadline.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import ClassVar


class Reach:
    """What is at some paths: their real names, and whether they are folders that can be read.

    Building it blocks for ``timeout_s`` at most. Without ``timeout_s`` nothing is looked at, and paths stand for themselves.
    """

    NO_ANSWER: ClassVar[str] = "does not answer"

    def __init__(self, paths: Iterable[str] = (), timeout_s: float = 2.0) -> None:
        self._asked = frozenset(path for path in paths if path)
        self._real: dict[str, str] = {}
        self._wrong: dict[str, str] = {}
        threads = [threading.Thread(target=self._look, args=(path,), daemon=True) for path in self._asked]
        for thread in threads:
            thread.start()
        stop = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, stop - time.monotonic()))

    def real(self, path: str) -> str:
        """``path`` with symbolic links resolved, where that is known."""
        return self._real.get(path, path)

    def wrong(self, path: str) -> str:
        """Why ``path`` is no readable folder, as the end of a sentence; empty when it is one or was not looked at."""
        return self._wrong.get(path, self.NO_ANSWER if path in self._asked else "")

    def _look(self, path: str) -> None:
        real = os.path.realpath(path)
        if not os.path.lexists(path):
            wrong = "does not exist"
        elif not os.path.isdir(path):
            wrong = "is not a folder"
        else:
            wrong = "" if os.access(path, os.R_OK | os.X_OK) else "cannot be read by this user"
        self._real[path] = real
        self._wrong[path] = wrong
