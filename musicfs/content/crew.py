"""The threads that carry one origin's flights, so that an origin that hangs holds up its own and nobody else's.

Threads: up to ``limit``, which start when they are needed and wait for more work then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_IDLE_S = 60.0


class Crew(Generic[T]):
    """Two queues and who works them off: what somebody waits for goes first. Safe from any thread; nothing blocks."""

    def __init__(self, name: str, limit: int, carry: Callable[[T], object]) -> None:
        """``carry`` is called for one item after the other on each thread, and must not raise."""
        self._name = name
        self._limit = limit
        self._carry = carry
        self._lock = threading.Condition()
        self._urgent: deque[T] = deque()
        self._ahead: deque[T] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    @property
    def waiting_ahead(self) -> int:
        """Items nobody waits for that nobody carries yet."""
        return len(self._ahead)

    def add(self, item: T, *, urgent: bool) -> None:
        """Have an item carried."""
        with self._lock:
            (self._urgent if urgent else self._ahead).append(item)
            if self._idle:
                self._lock.notify()
            elif self._threads < self._limit:
                name = f"fetch-{self._name}-{self._threads}"
                self._threads += 1
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def hasten(self, item: T) -> None:
        """Somebody waits for it now; nothing changes when it is being carried already."""
        with self._lock:
            try:
                self._ahead.remove(item)
            except ValueError:
                return
            self._urgent.append(item)

    def close(self) -> None:
        """Forget what waits; threads end with what they carry."""
        with self._lock:
            self._closed = True
            self._urgent.clear()
            self._ahead.clear()
            self._lock.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not (self._urgent or self._ahead or self._closed):
                    self._idle += 1
                    self._lock.wait(_IDLE_S)
                    self._idle -= 1
                if self._closed:
                    return
                item = (self._urgent or self._ahead).popleft()
            self._carry(item)
