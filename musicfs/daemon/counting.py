"""The mount's side of what is counted: looks at the counts of requests, reads and origins, and tells the keeper."""

from __future__ import annotations

from typing import Protocol

from musicfs.clock import Clock
from musicfs.daemon.link import Counters
from musicfs.daemon.reading import Reading
from musicfs.mount.operations import Operations

_LOOK_S = 0.9  # less than the second after which the mount is at rest, so that every rest looks


class Keepers(Protocol):
    """Whom to tell: there may be none, or another one than last time."""

    @property
    def started(self) -> int:
        """How many there were so far, with this one."""
        ...

    def send(self, message: Counters) -> bool:
        """Tell the one that lives; False if there is none. May block."""
        ...


class CountersReport:
    """:meth:`look` is for one thread. The counts go on for as long as the mount lives, whatever becomes of keepers."""

    def __init__(self, operations: Operations, reading: Reading, keepers: Keepers, clock: Clock) -> None:
        self._operations = operations
        self._reading = reading
        self._keepers = keepers
        self._clock = clock
        self._told: tuple[int, Counters] | None = None  # whom, and what
        self._looked_at = float("-inf")
        self._activity = 0
        self._active_at = clock.monotonic()

    @property
    def idle_s(self) -> float:
        """For how long nobody has used the mount, as far as was looked."""
        return self._clock.monotonic() - self._active_at

    def look(self) -> None:
        """Tell what has changed; does nothing if that was done less than a second ago. Call it often."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        activity = self._operations.counts.activity
        if activity != self._activity:
            self._activity, self._active_at = activity, now
        keeper, counters = self._keepers.started, self.counters()
        if (keeper, counters) != self._told and self._keepers.send(counters):
            self._told = (keeper, counters)

    def counters(self) -> Counters:
        """What is counted now."""
        counts, reads, keeping = self._operations.counts, self._reading.counts, self._reading.keeping
        fuse = counts.snapshot()
        return Counters(
            open_files=self._operations.open_files,
            served=sum(operation.calls for operation in fuse),
            hits=reads.hits,
            misses=reads.misses,
            fetched_bytes=reads.fetched_bytes,
            read_bytes=counts.read_bytes,
            dropped_bytes=keeping.dropped_bytes if keeping is not None else 0,
            fuse=fuse,
            origins=self._reading.tallies.snapshot(),
        )
