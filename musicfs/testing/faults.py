"""An origin that fails by a script, to see what the rest of the house does about it.

A script is a string; every read takes its next letter, and its end is as good as a ``.``:

===== =========================================================================
``R`` goes well
``.`` goes well, and so does everything after
``T`` times out: UnreachableError, after ``timeout_s`` on the clock
``E`` I/O error: UnreachableError at once
``S`` the connection delivers less than asked for: UnreachableError
``D`` DeniedError
``G`` GoneError
``C`` ChangedError
``H`` hangs until :meth:`FaultyOrigin.release` or close, then times out
``W`` wrong bytes, of the right length: an origin that lies
===== =========================================================================

``RRTES.`` is two good reads, a timeout, an I/O error, a short read, and peace.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from musicfs.clock import Clock, SystemClock
from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.contract import Origin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper

T = TypeVar("T")

_ERRORS: Mapping[str, tuple[type[OriginError], str]] = {
    "T": (UnreachableError, "timed out"),
    "H": (UnreachableError, "timed out"),
    "E": (UnreachableError, "input/output error"),
    "S": (UnreachableError, "the connection ended before all bytes had come"),
    "D": (DeniedError, "permission denied"),
    "G": (GoneError, "is not there"),
    "C": (ChangedError, "is not the version it was"),
}
LETTERS = frozenset("R.W") | frozenset(_ERRORS)


class FaultyOrigin(Wrapper):
    """Any origin, with faults. Other operations than reads follow scripts of their own, ``others``; without one they work.

    ``OPEN`` (a descriptor) follows the script of reads, unless it has its own. From many threads the letters are taken in
    the order of the calls.
    """

    def __init__(
        self,
        inner: Origin,
        script: str = ".",
        others: Mapping[Operation, str] | None = None,
        *,
        timeout_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        """``timeout_s`` is how long a ``T`` waits on ``clock``. Raises ValueError for a letter that is not in the table."""
        super().__init__(inner)
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._released = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Condition()
        self._taken: list[tuple[Operation, str]] = []
        self._reads = _Script(script)
        self._others = {operation: _Script(text) for operation, text in (others or {}).items()}

    @property
    def taken(self) -> tuple[tuple[Operation, str], ...]:
        """What was called so far, and the letter it met."""
        with self._lock:
            return tuple(self._taken)

    def wait_taken(self, count: int, timeout_s: float = 10.0) -> None:
        """Block until ``count`` calls have met their letter; TimeoutError after ``timeout_s``."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._taken) >= count, timeout_s):
                raise TimeoutError(f"{len(self._taken)} calls instead of {count} in {timeout_s:g} s")

    def release(self) -> None:
        """Let every call that hangs, and those that would hang from now on, time out."""
        self._released.set()

    def close(self) -> None:
        self._closed.set()
        self._released.set()
        super().close()

    def _call(self, operation: Operation, action: Callable[[], T], *, size_bytes: int = 0) -> T:
        letter = self._next(operation)
        if letter == "H":
            self._released.wait()
        elif letter == "T" and self._timeout_s:
            self._clock.wait(self._closed, self._timeout_s)
        if letter in _ERRORS:
            error, reason = _ERRORS[letter]
            raise error(f"origin {self.id!r}: {operation}: {reason} (scripted)")
        result = action()
        if letter == "W" and isinstance(result, bytes):
            return type(result)(byte ^ 0xFF for byte in result)
        return result

    def _next(self, operation: Operation) -> str:
        with self._lock:
            script = self._others.get(operation)
            if script is None and operation in {Operation.READ, Operation.OPEN}:
                script = self._reads
            letter = script.next() if script is not None else "."
            self._taken.append((operation, letter))
            self._lock.notify_all()
            return letter


class _Script:
    def __init__(self, letters: Iterable[str]) -> None:
        self._letters = list(letters)
        if unknown := set(self._letters) - LETTERS:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; the letters are {''.join(sorted(LETTERS))}")
        self._letters.reverse()

    def next(self) -> str:
        if not self._letters:
            return "."
        return self._letters[-1] if self._letters[-1] == "." else self._letters.pop()
