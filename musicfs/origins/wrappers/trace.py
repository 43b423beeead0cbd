"""Count what is asked of an origin, and how long it takes."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from musicfs.clock import Clock, SystemClock
from musicfs.errors import OriginError
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper

T = TypeVar("T")

# Upper bounds in seconds; one more bucket holds what took longer.
LATENCY_BOUNDS_S = (0.0001, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)


class OperationCount(msgspec.Struct, frozen=True):
    """What was seen of one operation. ``latencies`` has one count for each of LATENCY_BOUNDS_S and one for the rest."""

    calls: int = 0
    size_bytes: int = 0  # read successfully
    total_s: float = 0.0
    max_s: float = 0.0
    errors: Mapping[str, int] = {}  # class name -> how often
    latencies: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_S) + 1)


class Tally:
    """Where traced origins leave their counts; belongs to whoever wants to read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Operation, OperationCount] = {}

    def snapshot(self) -> Mapping[Operation, OperationCount]:
        """The counts as they are now."""
        with self._lock:
            return dict(self._counts)

    def note(self, operation: Operation, took_s: float, *, size_bytes: int = 0, error: str = "") -> None:
        """Add one call; ``error`` is the class name of what it raised."""
        with self._lock:
            seen = self._counts.get(operation, OperationCount())
            latencies = list(seen.latencies)
            latencies[bisect_left(LATENCY_BOUNDS_S, took_s)] += 1
            self._counts[operation] = OperationCount(
                seen.calls + 1,
                seen.size_bytes + size_bytes,
                seen.total_s + took_s,
                max(seen.max_s, took_s),
                {**seen.errors, error: seen.errors.get(error, 0) + 1} if error else seen.errors,
                tuple(latencies),
            )


class Trace(Wrapper):
    """Notes every call on the inner origin in a :class:`Tally`."""

    def __init__(self, inner: Origin, tally: Tally, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._tally = tally
        self._clock = clock or SystemClock()

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        begin = self._clock.monotonic()
        try:
            result = action()
        except OriginError as error:
            self._tally.note(operation, self._clock.monotonic() - begin, error=type(error).__name__)
            raise
        self._tally.note(operation, self._clock.monotonic() - begin, size_bytes=size_bytes)
        return result
