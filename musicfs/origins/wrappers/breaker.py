"""Leave an origin that is down alone: fail at once instead of waiting for one more timeout."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from musicfs.clock import Clock, SystemClock
from musicfs.errors import OriginError, UnreachableError
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper

T = TypeVar("T")


class BreakerState(StrEnum):
    """``open`` lets nothing through, ``half_open`` a single call that decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(Wrapper):
    """After ``threshold`` ``retryable`` failures in a row, every call fails for ``rest_s``; then one goes through as a probe.

    An answer of any kind, also "gone" or "denied", shows that the origin lives. Health checks always go through, and a
    good one closes the breaker; so does a listing that is under way.
    """

    def __init__(self, inner: Origin, *, threshold: int = 3, rest_s: float = 10.0, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._threshold = threshold
        self._rest_s = rest_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._rests_until = 0.0

    @property
    def state(self) -> BreakerState:
        with self._lock:
            return self._state

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        is_probe = operation not in {Operation.CHECK, Operation.LIST_NEXT} and self._enter()
        try:
            result = action()
        except OriginError as error:
            self._note(failed=error.retryable)
            raise
        except BaseException:
            if is_probe:  # the probe ended without an answer, by an interrupt say: let another one go
                self._note(failed=True)
            raise
        self._note(failed=False)
        return result

    def _enter(self) -> bool:
        """Raise while the breaker is open; True for the call that is let through as a probe."""
        with self._lock:
            if self._state is BreakerState.CLOSED:
                return False
            if self._state is BreakerState.OPEN and self._clock.monotonic() >= self._rests_until:
                self._state = BreakerState.HALF_OPEN
                return True
        raise UnreachableError(
            f"origin {self.id!r} is left alone for a while after {self._threshold} failures in a row",
            remedy="it is tried again by itself",
        )

    def _note(self, *, failed: bool) -> None:
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if not failed:
                self._state = BreakerState.CLOSED
            elif self._state is BreakerState.HALF_OPEN or self._failures >= self._threshold:
                self._state = BreakerState.OPEN
                self._rests_until = self._clock.monotonic() + self._rest_s
