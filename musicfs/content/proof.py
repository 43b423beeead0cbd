"""Which sources hold the same bytes: found out while all of them answer, needed when one of them does not any more.

Two files are taken for equal when their origins say so by themselves (equal versions where a version proves the bytes),
or when size, beginning, end and probes at places that nobody could foresee agree. That is a probability and not a proof, and
``failover = "proven"`` does without it.

Threads: one, ``proof``, started by the first pair.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence

from musicfs.content.keys import Source
from musicfs.content.origins import ReadableOrigins
from musicfs.errors import MusicFSError

log = logging.getLogger(__name__)

_EDGE_BYTES = 4096
_PROBES = 16
_PROBE_BYTES = 512
_KNOWN_MAX = 20_000  # pairs; some 10 MB
_WAITING_MAX = 256


class Proofs:
    """What is known about pairs of sources. Safe from any thread; nothing blocks but its own thread."""

    def __init__(self, origins: ReadableOrigins, *, probable: bool) -> None:
        """Without ``probable`` only origins' own word counts."""
        self._origins = origins
        self._probable = probable
        self._lock = threading.Condition()
        self._known: OrderedDict[tuple[Source, Source], bool] = OrderedDict()
        self._waiting: deque[tuple[Source, Source]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def equal(self, source: Source, others: Sequence[Source]) -> list[Source]:
        """Those of ``others`` that are known to hold the bytes of ``source``."""
        with self._lock:
            return [other for other in others if self._known.get((source, other)) or self._is_certain(source, other)]

    def begin(self, source: Source, others: Sequence[Source]) -> None:
        """Find out about pairs of which nothing is known yet."""
        if not self._probable:
            return
        with self._lock:
            pairs = [(source, other) for other in others if other.size == source.size]
            unknown = [pair for pair in pairs if pair not in self._known and not self._is_certain(*pair)]
            if not unknown or self._closed:
                return
            if len(self._waiting) < _WAITING_MAX:
                self._waiting.extend(pair for pair in unknown if pair not in self._waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="proof", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    def _is_certain(self, source: Source, other: Source) -> bool:
        """Equal checksums: versions of stores that say that these prove the bytes."""
        if source.size != other.size or source.version != other.version:
            return False
        accesses = (self._origins.access(one.origin_id) for one in (source, other))
        return all(access is not None and access.stable_version for access in accesses)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closed:
                    self._lock.wait(60.0)
                if self._closed:
                    return
                pair = self._waiting[0]
            same: bool | None = None
            try:
                same = self._compare(*pair)
            except MusicFSError as error:  # tried again when it is opened again
                log.debug("%s and %s could not be compared: %s", pair[0].path, pair[1].path, error)
            with self._lock:
                self._waiting.popleft()
                if same is not None:
                    self._known[pair] = same
                while len(self._known) > _KNOWN_MAX:
                    self._known.popitem(last=False)
                self._lock.notify_all()

    def _compare(self, source: Source, other: Source) -> bool:
        return all(self._read(source, *part) == self._read(other, *part) for part in parts_to_compare(source.size))

    def _read(self, source: Source, start: int, stop: int) -> bytes:
        origin = self._origins.get(source.origin_id)
        if origin is None:
            raise MusicFSError(f"origin {source.origin_id!r} is not configured")
        return origin.read(source.path, start, stop, source.version)

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until nothing waits to be compared; False after ``timeout_s``."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._waiting, timeout_s)

    def close(self) -> None:
        """End the thread after the pair it is at."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()


def parts_to_compare(size: int) -> list[tuple[int, int]]:
    """Ranges whose equality makes two files of this size the same: beginning, end, and random places between."""
    if size <= 2 * _EDGE_BYTES + _PROBES * _PROBE_BYTES:
        return [(0, size)]
    between = size - 2 * _EDGE_BYTES - _PROBE_BYTES
    places = sorted(_EDGE_BYTES + int.from_bytes(os.urandom(8)) % between for _ in range(_PROBES))
    return [(0, _EDGE_BYTES), (size - _EDGE_BYTES, size), *((place, place + _PROBE_BYTES) for place in places)]
