"""Seeing that the keeper answers: one that hangs is ended, so that another takes its place.

It returns our messages on the thread that follows all of them and never waits for a transaction, a scan or an origin, so a
keeper at long work answers as ever; one that still starts does so too (see :mod:`musicfs.daemon.inbox`). What does not for
minutes is stopped, or stuck, and would stay so.

Threads: ``keeper-watch``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from musicfs.clock import Clock
from musicfs.daemon.link import Ping

_PING_S = 10.0
_HANG_S = 120.0  # a machine that swaps makes everything wait for long, and a new keeper would not be faster


class Keepers(Protocol):
    """Whom to ask: there may be none, or another one than last time."""

    @property
    def started(self) -> int:
        """How many there were so far, with this one."""
        ...

    def send(self, message: Ping) -> bool:
        """Tell the one that lives; False if there is none. May block."""
        ...


class KeeperWatch:
    """The thread that asks. ``silent_s`` and :meth:`note_answer` are safe from any thread."""

    def __init__(self, keepers: Keepers, on_hang: Callable[[int, float], object], clock: Clock) -> None:
        """``on_hang`` is called with the number of a keeper that hangs, and since when; once each, and it must end it."""
        self._keepers = keepers
        self._on_hang = on_hang
        self._clock = clock
        self._ended = threading.Event()
        self._number = 0
        self._keeper = 0  # that was asked last
        self._asked_at = self._answered_at = clock.monotonic()
        self._is_given_up = False
        self._thread = threading.Thread(target=self._run, name="keeper-watch", daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        self._asked_at = self._answered_at = self._clock.monotonic()
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """For how long no keeper has answered."""
        return self._clock.monotonic() - self._answered_at

    def note_answer(self) -> None:
        """A keeper has returned one of our messages, however late."""
        self._answered_at = self._clock.monotonic()

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._clock.wait(self._ended, _PING_S):
            self._look()

    def _look(self) -> None:
        keeper = self._keepers.started
        if keeper != self._keeper:
            self._keeper, self._is_given_up = keeper, False
            self._asked_at = self._clock.monotonic()
        silent_s = self._clock.monotonic() - max(self._answered_at, self._asked_at)
        if silent_s > _HANG_S and keeper and not self._is_given_up:
            self._is_given_up = True
            self._on_hang(keeper, silent_s)
        self._number += 1
        self._keepers.send(Ping(self._number))
