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


class _Row:
    """What :class:`OperationCount` is made from."""

    __slots__ = ("calls", "errors", "latencies", "max_s", "size_bytes", "total_s")

    def __init__(self) -> None:
        self.calls = 0
        self.size_bytes = 0
        self.total_s = 0.0
        self.max_s = 0.0
        self.errors: dict[str, int] = {}
        self.latencies = [0] * (len(LATENCY_BOUNDS_S) + 1)


class Tally:
    """Where traced origins leave their counts; belongs to whoever wants to read them. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[Operation, _Row] = {}

    def snapshot(self) -> Mapping[Operation, OperationCount]:
        """The counts as they are now."""
        with self._lock:
            return {
                operation: OperationCount(
                    row.calls, row.size_bytes, row.total_s, row.max_s, dict(row.errors), tuple(row.latencies)
                )
                for operation, row in self._rows.items()
            }

    def note(self, operation: Operation, took_s: float, *, size_bytes: int = 0, error: str = "") -> None:
        """Add one call; ``error`` is the class name of what it raised."""
        with self._lock:
            row = self._rows.get(operation)
            if row is None:
                row = self._rows[operation] = _Row()
            row.calls += 1
            row.size_bytes += size_bytes
            row.total_s += took_s
            row.max_s = max(row.max_s, took_s)
            row.latencies[bisect_left(LATENCY_BOUNDS_S, took_s)] += 1
            if error:
                row.errors[error] = row.errors.get(error, 0) + 1


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
