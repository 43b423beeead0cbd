"""The end of the mount: begun once, and forced when it takes too long or somebody asks again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from musicfs.errors import MusicFSError
from musicfs.mount.session import interrupt

log = logging.getLogger(__name__)

_MARGIN_S = 5.0  # for what follows the draining
_AT_ONCE_S = 0.5  # an end without requests in flight takes less to get out of llfuse's loop


class Ending:
    """Ends llfuse's loop on the thread that made this, and the process if that does not help. Safe from any thread."""

    def __init__(self, on_begin: Callable[[], object], leave: Callable[[], object]) -> None:
        """``on_begin`` is called once, when the end is asked for. ``leave`` gives the mount point back, whoever uses it."""
        self._on_begin = on_begin
        self._leave = leave
        self._main = threading.current_thread()
        self._lock = threading.Lock()
        self._deadline: threading.Timer | None = None
        self._is_hurried = False
        self._is_done = False
        self.loop_ended = threading.Event()  # llfuse's; nobody need interrupt it

    def begin(self, drain_s: float) -> None:
        """Have requests in flight end within ``drain_s``, then the process goes without them. Does not block."""
        with self._lock:
            if self._deadline is not None:
                return
            self._limit(drain_s + _MARGIN_S, self.force, "requests did not end in time; unmounting without them")
        self._on_begin()
        threading.Thread(target=interrupt, args=(self._main, self.loop_ended), name="interrupt", daemon=True).start()

    def hurry(self) -> None:
        """Somebody asks again: what ends at once may do so in order, and nothing in flight is waited for. Does not block."""
        with self._lock:
            if self._deadline is not None and not self._is_hurried:
                self._is_hurried = True
                self._limit(_AT_ONCE_S, self._leave_requests)

    def _leave_requests(self) -> None:
        if not self.loop_ended.is_set():
            self.force("asked twice to end: unmounting without waiting for requests")
        with self._lock:
            self._limit(_MARGIN_S, self.force, "the end takes too long; leaving without it")

    def _limit(self, seconds: float, what: Callable[..., object], *arguments: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._is_done:
            self._deadline = threading.Timer(seconds, what, arguments)
            self._deadline.daemon = True
            self._deadline.start()

    def call_off(self) -> None:
        """All is done: nothing need be forced."""
        with self._lock:
            self._is_done = True
            if self._deadline is not None:
                self._deadline.cancel()

    def force(self, why: str) -> None:
        """Go without the requests that hang. Does not return."""
        log.warning("%s", why)
        try:
            self._leave()
        except (MusicFSError, OSError) as error:
            log.error("%s", error)
        os._exit(1)
