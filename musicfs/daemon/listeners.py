"""The mount's side of what is played: looks at open handles, and tells the keeper."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from musicfs.clock import Clock
from musicfs.daemon.link import Accessed
from musicfs.store.catalog import Catalog
from musicfs.vfs.listening import Listening, duration_of

_LOOK_S = 0.9  # less than the second after which the mount is at rest, so that every rest looks
_KEPT = 1000  # while there is no keeper


class Listeners:
    """:attr:`listening` is for the mount's handlers, :meth:`look` for one other thread."""

    def __init__(self, catalog: Catalog, clock: Clock, send: Callable[[Accessed], bool]) -> None:
        """``send`` may block; what it says False to is sent again with the next look."""
        self.listening = Listening(clock, partial(duration_of, catalog))
        self._clock = clock
        self._send = send
        self._looked_at = clock.monotonic()
        self._unsent: deque[Accessed] = deque(maxlen=_KEPT)

    def look(self) -> None:
        """Tell what has been played; does nothing if that was done less than a second ago. Call it often."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        now_ns = self._clock.time_ns()
        for one in self.listening.look():
            opened_ns, played_ns = (now_ns - int(ago_s * 1e9) for ago_s in (one.opened_s, one.played_s))
            self._unsent.append(Accessed(one.object_id, opened_ns, played_ns))
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()
