"""The sign of life for systemd's watchdog: given only when the mount has answered and the keeper too.

A timer alone would go on saying that all is well while every reader hangs. So a process of its own asks our mount for its
size, which no cache of the kernel answers; and the keeper must have answered (see :mod:`musicfs.daemon.keeper_watch`). A
process, because a thread of ours that waits for our own mount could not even be killed: the kernel lets nobody out of a
request that was begun, and who should answer it would be the one that dies.

Threads: ``watchdog``, while there is one.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from musicfs.clock import Clock
from musicfs.daemon.notify import Notifier

log = logging.getLogger(__name__)

_SHARE = 3  # signs of life an interval, so that one may come late
_KEEPER_PATIENCE_S = 180.0  # beside the interval: one that hangs is replaced after 120 s, one that dies within 30 s
_LOOK = "import os, sys; os.statvfs(sys.argv[1])"


class Probe(Protocol):
    """What the liveness looks with; see :class:`MountProbe`."""

    def ask(self, timeout_s: float) -> bool: ...

    def close(self) -> None: ...


class MountProbe:
    """Asks a mount from outside; one that hangs is waited for by the next question."""

    def __init__(self, mount_point: str) -> None:
        # Isolated and without site: ten milliseconds, and nothing of the user's is imported.
        self._command = (sys.executable, "-I", "-S", "-c", _LOOK, mount_point)
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, timeout_s: float) -> bool:
        """True if the mount has answered within that time. Blocks for it at most."""
        try:
            if self._process is None:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            code = self._process.wait(timeout_s)
        except (subprocess.TimeoutExpired, OSError):
            return False
        self._process = None
        return code == 0

    def close(self) -> None:
        """Nobody waits for the answer any longer."""
        if self._process is not None:
            self._process.kill()


class Liveness:
    """The thread that looks and says so."""

    def __init__(
        self,
        notifier: Notifier,
        probe: Probe,
        keeper_silent_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        """``keeper_silent_s`` says for how long no keeper has answered."""
        self._notifier = notifier
        self._interval_s = notifier.watchdog_s
        self._probe = probe
        self._keeper_silent_s = keeper_silent_s
        self._clock = clock
        self._ended = threading.Event()
        self._complaint = ""

    def start(self) -> None:
        """Begin, unless nobody waits for it."""
        if self._interval_s:
            threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._probe.close()

    def _run(self) -> None:
        pause_s = self._interval_s / _SHARE
        while True:
            began = self._clock.monotonic()
            self._look(pause_s)
            rest_s = max(0.0, pause_s - (self._clock.monotonic() - began))
            if self._clock.wait(self._ended, rest_s):
                return

    def _look(self, timeout_s: float) -> None:
        complaint = ""
        if not self._probe.ask(timeout_s):
            complaint = f"the mount has not answered within {timeout_s:.0f} s"
        elif self._keeper_silent_s() > self._interval_s + _KEEPER_PATIENCE_S:
            complaint = "no keeper has answered for minutes"
        if self._ended.is_set():
            return
        if not complaint:
            self._notifier.alive()
        elif complaint != self._complaint:
            log.error("%s: systemd's watchdog is not told that all is well", complaint)
        self._complaint = complaint
