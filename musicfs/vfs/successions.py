"""What was played after what: the next time, it is fetched while the first one plays.

Kept by inode numbers, which are the same after a restart and in a rebuilt catalog, as long as the bytes are. The file is a
cache: one that cannot be read is begun anew.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict

import msgspec

from musicfs.clock import Clock

log = logging.getLogger(__name__)

_KEPT = 50_000
# Longer than a piece of music from its middle to the middle of the next one, shorter than a night.
_PAUSE_S = 3600.0
_decoder = msgspec.msgpack.Decoder(dict[int, int])


class Successions:
    """Used by the mount's handlers, one at a time; :meth:`save` by a thread that may wait."""

    def __init__(self, path: str, clock: Clock) -> None:
        """``path`` is the file; it need not be there."""
        self._path = path
        self._clock = clock
        self._next: OrderedDict[int, int] = OrderedDict(_load(path))
        self._last = 0
        self._last_at = 0.0
        self._changed = False
        self._lock = threading.Lock()  # of what save() copies

    def note(self, inode: int) -> int:
        """A track is being played, well into it; returns what followed it the last time, 0 if nothing is known."""
        now = self._clock.monotonic()
        before, self._last = self._last, inode
        is_recent = now - self._last_at < _PAUSE_S
        self._last_at = now
        if before and before != inode and is_recent and self._next.get(before) != inode:
            with self._lock:
                self._next[before] = inode
                self._next.move_to_end(before)
                self._changed = True
                while len(self._next) > _KEPT:
                    self._next.popitem(last=False)
        return self._next.get(inode, 0)

    def save(self) -> None:
        """Write what was learned since the last time; blocks. A disk that is full costs what was learned."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            learned = dict(self._next)
        temporary = f"{self._path}.new"
        try:
            with open(temporary, "wb") as file:
                file.write(msgspec.msgpack.encode(learned))
            os.replace(temporary, self._path)
        except OSError as error:
            log.info("what was learned of successions is not kept: %s", error.strerror)


def _load(path: str) -> dict[int, int]:
    try:
        with open(path, "rb") as file:
            return _decoder.decode(file.read())
    except (OSError, msgspec.MsgspecError):
        return {}
