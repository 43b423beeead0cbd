"""What signals mean to the mount process.

=================  ==============================================================================================
SIGTERM, SIGINT    end: requests in flight get their time, then the mount goes. The second one does not wait
SIGHUP             read the configuration again, and list every origin
SIGUSR1            write state and stacks of both processes to the log and a file
=================  ==============================================================================================

All four are blocked in every thread and taken by one that waits for nothing else, so no handler of Python's ever runs in the
middle of something. SIGUSR2 is the mount's own (see :mod:`musicfs.mount.session`).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

HANDLED = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))
_ENDING = frozenset((signal.SIGINT, signal.SIGTERM))


class Signals:
    """The thread that takes them. What it calls must not block for long: the next signal waits meanwhile."""

    def __init__(
        self,
        *,
        on_end: Callable[[], object],
        on_again: Callable[[], object],
        on_reload: Callable[[], object],
        on_dump: Callable[[], object],
    ) -> None:
        """``on_again`` is called from the second signal on that asks for the end."""
        self._on_end = on_end
        self._on_again = on_again
        self._others: dict[int, Callable[[], object]] = {signal.SIGHUP: on_reload, signal.SIGUSR1: on_dump}
        self._thread = threading.Thread(target=self._wait, name="signals", daemon=True)

    def start(self) -> None:
        """Take signals from now on, also those that came since :func:`block`."""
        self._thread.start()

    def _wait(self) -> None:
        is_ending = False
        while True:
            number = signal.sigwait(HANDLED)
            try:
                if number not in _ENDING:
                    self._others[number]()
                elif is_ending:
                    self._on_again()
                else:
                    is_ending = True
                    self._on_end()
            except Exception:  # what one signal stumbles over must not make the process deaf to the next
                log.exception("%s could not be followed", signal.Signals(number).name)


def block() -> None:
    """Keep the signals for the thread that takes them. On the main thread, before there is any other: masks are inherited.

    Children inherit the mask too: who starts one that is to hear signals sees to that.
    """
    # Whoever lets one of them in (the mount does, to end llfuse's loop) must not meet Python's own handlers: one raises
    # KeyboardInterrupt wherever the main thread happens to be.
    for number in HANDLED:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
