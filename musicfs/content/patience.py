"""How long and how many wait for origins: so many places for each, and nobody twice for what was just lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from musicfs.content.recent import BlockKey
from musicfs.errors import UnreachableError

_LONG_WAIT_S = 0.5
_LOST_S = 0.5


class Places:
    """How many handlers may wait for origins at once: the others must go on answering. Each origin has some to itself."""

    def __init__(self, count: int, origins: Iterable[str] = ()) -> None:
        """Half of ``count`` is divided among ``origins``, so that those that hang leave room for the rest; half is common."""
        self._count = max(count, 1)
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self.divide(origins)

    def divide(self, origins: Iterable[str]) -> None:
        """These are the origins from now on. Who waits for others keeps his place until he has done with it."""
        with self._lock:
            self._origins = frozenset(origins)
            self._own = max(self._count // (2 * max(len(self._origins), 1)), 1)

    @contextmanager
    def one(self, origin_id: str) -> Iterator[None]:
        """A place for who waits for this origin. Raises UnreachableError at once if there is none."""
        with self._lock:
            if not self._has_room(origin_id):
                raise UnreachableError(f"too many reads wait for origin {origin_id!r} or others that do not answer")
            self._taken[origin_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[origin_id] -= 1
                if not self._taken[origin_id]:
                    del self._taken[origin_id]

    def _has_room(self, origin_id: str) -> bool:
        if sum(self._taken.values()) >= self._count:  # the origins may just have been others, who took all there is
            return False
        has_own = origin_id in self._origins and self._taken[origin_id] < self._own
        return has_own or self._spoken_for() < self._count

    def _spoken_for(self) -> int:
        """Places that are taken, or kept for an origin that has not taken all of its own."""
        kept = sum(max(self._own - self._taken[origin_id], 0) for origin_id in self._origins)
        return sum(self._taken.values()) + kept


class LostBlocks:
    """The blocks for which somebody has just waited in vain.

    The kernel asks again, page by page and maybe through another handle, for what it could not read ahead, and so would
    make its caller wait once more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost: dict[BlockKey, tuple[float, UnreachableError]] = {}  # until when, and why

    def note(self, keys: Iterable[BlockKey], begun: float, error: UnreachableError) -> None:
        """A read of these, which began at ``begun`` on the monotonic clock, has failed; short waits do not count."""
        now = time.monotonic()
        if now - begun >= _LONG_WAIT_S:
            with self._lock:
                kept = {key: lost for key, lost in self._lost.items() if lost[0] > now}
                self._lost = kept | dict.fromkeys(keys, (now + _LOST_S, error))

    def check(self, keys: Iterable[BlockKey]) -> None:
        """Raise again what was raised for one of these, if that was just now."""
        for key in keys if self._lost else ():
            found = self._lost.get(key)
            if found is not None and time.monotonic() < found[0]:
                raise UnreachableError(str(found[1]), remedy=found[1].remedy) from found[1]
