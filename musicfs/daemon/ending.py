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


class Ending:
    """Ends llfuse's loop on the thread that made this, and the process if that does not help. Safe from any thread."""

    def __init__(self, on_begin: Callable[[], object], leave: Callable[[], object]) -> None:
        """``on_begin`` is called once, when the end is asked for. ``leave`` gives the mount point back, whoever uses it."""
        self._on_begin = on_begin
        self._leave = leave
        self._main = threading.current_thread()
        self._lock = threading.Lock()
        self._deadline: threading.Timer | None = None
        self.has_begun = threading.Event()  # llfuse's loop has ended, or is about to: nobody need interrupt it

    def begin(self, drain_s: float) -> None:
        """Have requests in flight end within ``drain_s``, then the process goes without them. Does not block."""
        with self._lock:
            if self._deadline is not None:
                return
            why = "requests did not end in time; unmounting without them"
            self._deadline = threading.Timer(drain_s + _MARGIN_S, self.force, (why,))
            self._deadline.daemon = True
            self._deadline.start()
        self._on_begin()
        threading.Thread(target=interrupt, args=(self._main, self.has_begun), name="interrupt", daemon=True).start()

    def call_off(self) -> None:
        """All is done: nothing need be forced."""
        with self._lock:
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
