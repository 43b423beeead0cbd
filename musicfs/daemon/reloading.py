"""Reloading, on the side of the mount process: the configuration is read again, and what can be applied is.

Threads: ``reload``, which waits to be asked: reading the file may take seconds when a disk hangs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from musicfs.config.settings import Settings
from musicfs.daemon.link import Message, Reloaded
from musicfs.errors import MusicFSError

if TYPE_CHECKING:
    from musicfs.config.load import Loaded
    from musicfs.daemon.reload import ReloadPlan
    from musicfs.errors import Problem

log = logging.getLogger(__name__)


class Reloading:
    """Reads and plans; what applying means is for its owner."""

    def __init__(
        self,
        settings: Settings,
        read_again: Callable[[], Loaded] | None,
        store_limit_bytes: Callable[[], int],
        apply: Callable[[ReloadPlan], object],
        answer: Callable[[Message], object],
        *,
        on_signal: Callable[[], object] = lambda: None,
        on_trouble: Callable[[str], object] = lambda _: None,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """``read_again`` is how the first configuration was read (None: it was not, and stays). ``apply`` is called with a
        plan that changes something; before it, ``answer`` gets what a client who asked is told, as applying may end who would
        tell him. ``on_signal`` is called after a signal, whatever it led to; ``on_trouble`` with what is wrong with the
        configuration, or nothing. Each reload takes place in ``around``.
        """
        self._settings = settings
        self._read_again = read_again
        self._store_limit_bytes = store_limit_bytes
        self._apply = apply
        self._answer = answer
        self._on_signal = on_signal
        self._on_trouble = on_trouble
        self._around = around
        self._asked: deque[int] = deque()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Serve who asked, from now on."""
        self._thread.start()

    def ask(self, number: int = 0) -> None:
        """Reload soon. ``number`` is what a client's request is known by; 0 for a signal. Does not block."""
        self._asked.append(number)
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._asked:
                number = self._asked.popleft()
                try:
                    with self._around():
                        self._reload(number)
                        if not number:
                            self._on_signal()
                except Exception:  # whatever is wrong with the new configuration, the old one is still in force
                    log.exception("reloading failed; some of the new settings may not apply before a restart")
                    self._on_trouble("Reloading failed, as the log says")
                    self._answer(Reloaded(number, problems=(("", "reloading failed", "the log says more"),)))

    def _reload(self, number: int) -> None:
        if self._read_again is None:
            return
        from musicfs.daemon.ports import busy_ports, unusable_files  # late, both: most mounts are never asked
        from musicfs.daemon.reload import plan_reload

        loaded = self._read_again()
        warnings = list(loaded.warnings)
        if not loaded.problems:
            warnings += [*busy_ports(self._settings, loaded.settings), *unusable_files(loaded.settings)]
        for warning in warnings:
            log.warning("%s", warning)
        if loaded.problems:
            log.error("the configuration is not reloaded: %s", loaded.error())
            noun = "problem" if len(loaded.problems) == 1 else "problems"
            self._on_trouble(f"The changed configuration has {len(loaded.problems)} {noun} and is not in force")
            for problem in loaded.problems:
                log.error("%s", problem)
            self._answer(Reloaded(number, problems=_plain(loaded.problems), file=loaded.file or ""))
            return
        self._on_trouble("")
        plan = plan_reload(self._settings, loaded.settings, store_limit_bytes=self._store_limit_bytes())
        self._say(plan)
        self._answer(
            Reloaded(number, plan.applied, plan.needs_restart, warnings=_plain(warnings), file=loaded.file or "")
        )
        self._settings = plan.settings
        if plan.takes:
            try:
                self._apply(plan)
            except MusicFSError as error:
                log.error("the new settings cannot be applied: %s; %s", error, error.remedy)
                self._on_trouble(f"The new settings cannot be applied: {error}")

    def _say(self, plan: ReloadPlan) -> None:
        if plan.applied:
            log.info("configuration reloaded: %s", "; ".join(plan.applied))
        elif not plan.needs_restart:
            log.info("configuration reloaded: nothing has changed")
        if plan.needs_restart:
            log.warning("these settings apply after unmounting and mounting again: %s", "; ".join(plan.needs_restart))


def _plain(problems: Iterable[Problem]) -> tuple[tuple[str, str, str], ...]:
    return tuple((one.place, one.message, one.suggestion) for one in problems)
