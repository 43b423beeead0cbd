"""What the keeper hears from the mount process, received from its first moment on.

While the keeper still starts (it may make the whole tree anew, for minutes) nobody follows what comes; whether it lives is
answered all the same. From the first :meth:`Inbox.receive` on that is asked of who follows, in the order of everything else:
the answer then says that this thread is not stuck.

Threads: ``inbox``.
"""

from __future__ import annotations

import queue
import threading

from musicfs.daemon.link import Link, Message, Ping


class Inbox:
    """Messages that wait for the one thread that calls :meth:`receive`."""

    def __init__(self, link: Link) -> None:
        """Receives from ``link`` from now on, as nobody else may."""
        self._link = link
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._is_followed = False
        threading.Thread(target=self._run, name="inbox", daemon=True).start()

    def receive(self) -> Message | None:
        """The next message; None when the mount process is gone. Blocks."""
        self._is_followed = True
        return self._waiting.get()

    def _run(self) -> None:
        while (message := self._link.receive()) is not None:
            if isinstance(message, Ping) and not self._is_followed:
                self._link.send(message)
            else:
                self._waiting.put(message)
        self._waiting.put(None)
