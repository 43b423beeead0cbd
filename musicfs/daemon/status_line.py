"""The line that ``systemctl status`` shows: what the keeper works at, what is wrong, what is served.

The keeper knows most of it and says it when it changes (:class:`StatusTeller`); the mount process adds what it alone knows,
and tells systemd, once a second at most (:class:`StatusLine`). Without systemd nobody asks, and nothing is said.

Threads: ``status``, in the keeper.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from musicfs.clock import Clock
from musicfs.daemon.link import StatusText

if TYPE_CHECKING:
    from musicfs.api.backend import Status, Work
    from musicfs.daemon.notify import Notifier

log = logging.getLogger(__name__)

_WORKING_S = 1.0  # between two looks while something is done,
_RESTING_S = 5.0  # and while nothing is
_SILENT_S = 30.0  # a keeper that died is long replaced by then
_MAX_CHARS = 400


def describe_status(status: Status) -> str:
    """One line: what is done, what is wrong, and how much is served."""
    parts = [_describe_work(work) for work in status.work]
    if status.detail:
        parts.append(f"degraded: {status.detail}")
    noun = "track" if status.tracks == 1 else "tracks"
    parts.append(f"serving {status.mount_point} ({status.tracks:,} {noun})")
    text = "; ".join(parts)
    text = text[0].upper() + text[1:]
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 3]}..."


def _describe_work(work: Work) -> str:
    kind, _, origin_id = work.name.partition(" ")
    what = {"scan": f"scanning origin {origin_id}" if origin_id else "asking the origins", "index": "indexing"}.get(
        kind, work.name
    )
    return f"{what} {work.done:,}/{work.total:,}" if work.total else what


class StatusTeller:
    """The keeper's thread that looks at the status, and says it when it is another one."""

    def __init__(
        self, status: Callable[[], Status], tell: Callable[[StatusText], object], clock: Clock, *, is_wanted: bool
    ) -> None:
        self._status = status
        self._tell = tell
        self._clock = clock
        self._ended = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="status", daemon=True) if is_wanted else None

    def start(self) -> None:
        """Begin, if somebody wants to know."""
        if self._thread is not None:
            self._thread.start()

    def close(self) -> None:
        """Say nothing more."""
        self._ended.set()

    def look(self) -> bool:
        """Say it if it has changed; True while something is done."""
        status = self._status()
        text = describe_status(status)
        if text != self._said:
            self._said = text
            self._tell(StatusText(text))
        return bool(status.work)

    def _run(self) -> None:
        is_working = True
        while not self._clock.wait(self._ended, _WORKING_S if is_working else _RESTING_S):
            try:
                is_working = self.look()
            except Exception:  # a line for people must not end the keeper; what is wrong shows elsewhere too
                log.exception("the status could not be told")
                is_working = False


class StatusLine:
    """The mount process's side. :meth:`look` is for one thread; everything else may be called on any."""

    def __init__(self, notifier: Notifier, mount_point: str, keeper_silent_s: Callable[[], float]) -> None:
        self._notifier = notifier
        self._serving = f"Serving {mount_point}"
        self._keeper_silent_s = keeper_silent_s
        self._heard = ""
        self._trouble = ""
        self._said = self._serving
        self._is_ending = False

    @property
    def text(self) -> str:
        """The line as it is now."""
        if self._keeper_silent_s() > _SILENT_S:
            heard = f"Degraded: no keeper answers; {self._serving[0].lower()}{self._serving[1:]}"
        else:
            heard = self._heard or self._serving
        return f"{self._trouble}; {heard[0].lower()}{heard[1:]}" if self._trouble else heard

    def hear(self, text: str) -> None:
        """The keeper says how things are."""
        self._heard = text

    def set_trouble(self, text: str) -> None:
        """What is to stand before everything else from now on; empty for nothing."""
        self._trouble = text

    def end(self) -> None:
        """The end has its own words."""
        self._is_ending = True

    def look(self) -> None:
        """Tell systemd if it has changed. Called once a second or so, which is what limits how often that is."""
        text = self.text
        if text != self._said and not self._is_ending:
            self._said = text
            self._notifier.status(text)
