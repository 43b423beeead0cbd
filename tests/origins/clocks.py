"""A clock that passes by waiting only."""

from __future__ import annotations

import threading


class FakeClock:
    """Waiting takes no time and moves the clock; ``waits`` remembers each."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def time_ns(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        with self._lock:
            self.waits.append(timeout_s)
            self.now += timeout_s
        return event.is_set()
