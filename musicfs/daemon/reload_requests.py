"""Clients who ask for a reload, on the side of the keeper: what the mount process says comes back to who asked.

The mount process answers before it ends this keeper for one with the new settings, so the answer is out in time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from musicfs.api.service import ReloadOutcome
from musicfs.daemon.link import Reload, Reloaded
from musicfs.errors import ConfigError, MusicFSError, Problem

_ANSWER_S = 4.5  # a little less than a client waits


class ReloadRequests:
    """Requests on their way. Safe from any thread."""

    def __init__(self, send: Callable[[Reload], bool]) -> None:
        """``send`` tells the mount process."""
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[threading.Event, list[Reloaded]]] = {}

    def reload(self) -> ReloadOutcome:
        """Ask, and wait for what came of it. Raises ConfigError with all problems, when nothing has changed."""
        number = next(self._numbers)
        done, answers = threading.Event(), list[Reloaded]()
        self._waiting[number] = done, answers
        try:
            self._send(Reload(number))
            if not done.wait(_ANSWER_S):
                raise MusicFSError(
                    "the configuration is still being read", remedy="the log says how it ends; a folder may not answer"
                )
        finally:
            del self._waiting[number]
        answer = answers[0]
        if answer.problems:
            problems = tuple(Problem(*one) for one in answer.problems)
            where = f" in {answer.file}" if answer.file else ""
            noun = "problem" if len(problems) == 1 else "problems"
            raise ConfigError(
                f"nothing is reloaded: {len(problems)} {noun} with the configuration{where}",
                remedy="correct them; `musicfs config check` lists them again",
                problems=problems,
            )
        warnings = tuple(Problem(*one) for one in answer.warnings)
        return ReloadOutcome(answer.file, answer.applied, answer.needs_restart, warnings)

    def note(self, answer: Reloaded) -> None:
        """What the mount process says; to signals nobody waits for an answer."""
        found = self._waiting.get(answer.number)
        if found is not None:
            found[1].append(answer)
            found[0].set()
