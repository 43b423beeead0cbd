"""Not too much at once: parallel calls and bytes per second."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from musicfs.clock import Clock, SystemClock
from musicfs.errors import UnreachableError
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper

T = TypeVar("T")

BURST_S = 0.5  # an idle line saves up this much


class Limit(Wrapper):
    """At most ``parallel`` calls at a time and ``bandwidth_limit`` bytes read per second; zero is no limit.

    A read waits for the line first and for a free place then, ``timeout_s`` for the place: UnreachableError after that. A
    listing holds its place while a folder is fetched, not while its caller thinks. A health check never waits.
    """

    def __init__(
        self,
        inner: Origin,
        *,
        parallel: int = 0,
        bandwidth_limit: int = 0,
        timeout_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(inner)
        self._places = threading.BoundedSemaphore(parallel) if parallel else None
        self._line = _Line(bandwidth_limit) if bandwidth_limit else None
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()
        super().close()

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        if operation is Operation.CHECK:
            return action()
        if self._line is not None and size_bytes > 0:
            wait_s = self._line.reserve(size_bytes, self._clock.monotonic())
            if wait_s > 0 and self._clock.wait(self._closed, wait_s):
                raise UnreachableError(f"origin {self.id!r} is being closed")
        if self._places is None:
            return action()
        if not self._places.acquire(timeout=self._timeout_s):
            raise UnreachableError(f"origin {self.id!r} is busy: no call ended within {self._timeout_s:g} s")
        with contextlib.ExitStack() as stack:
            stack.callback(self._places.release)
            return action()


class _Line:
    """A token bucket: who reserves is told how long to wait; a reservation may be larger than what is saved up."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_at: float | None = None  # when all that was reserved will have passed

    def reserve(self, size_bytes: int, now: float) -> float:
        with self._lock:
            begin = now - BURST_S if self._free_at is None else max(self._free_at, now - BURST_S)
            self._free_at = begin + size_bytes / self._bytes_per_s
            return begin - now
