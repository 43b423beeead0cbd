"""Try again after a pause, when the error says that this may help."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from musicfs.clock import Clock, SystemClock
from musicfs.errors import OriginError
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.wrapper import RETRY_DELAYS_S, Operation, Wrapper

T = TypeVar("T")

# A health check must see what is; a listing cannot resume in the middle, its caller begins again.
_NEVER = frozenset({Operation.CHECK, Operation.LIST_NEXT})


class Retry(Wrapper):
    """Repeats what failed with a ``retryable`` error, after each of ``delays_s`` seconds; then the last error is raised.

    Blocks for the sum of the delays at most, beside the attempts themselves; :meth:`close` cuts every pause short.
    """

    def __init__(
        self, inner: Origin, delays_s: Sequence[float] = RETRY_DELAYS_S, *, clock: Clock | None = None
    ) -> None:
        super().__init__(inner)
        self._delays_s = tuple(delays_s)
        self._clock = clock or SystemClock()
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()
        super().close()

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        for delay_s in () if operation in _NEVER else self._delays_s:
            try:
                return action()
            except OriginError as error:
                if not error.retryable or self._clock.wait(self._closed, delay_s):
                    raise
        return action()
