"""Which of several sources of the same bytes to ask first: the healthy, then the preferred, then the quick."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from musicfs.content.keys import Source
from musicfs.model import Health

_WEIGHT = 0.2  # of the newest measurement


class Ranking:
    """What is known about origins while reading from them. Safe from any thread."""

    def __init__(self, priorities: Mapping[str, int]) -> None:
        """``priorities`` are those of the settings, by origin id; lower ones are preferred."""
        self._priorities = priorities
        self._lock = threading.Lock()
        self._health: Mapping[str, Health] = {}
        self._latency_s: dict[str, float] = {}

    def set_health(self, health: Mapping[str, Health]) -> None:
        """What the last probes said, by origin id."""
        self._health = health

    def note_latency(self, origin_id: str, took_s: float) -> None:
        """One small read took that long."""
        with self._lock:
            known = self._latency_s.get(origin_id, took_s)
            self._latency_s[origin_id] = known + _WEIGHT * (took_s - known)

    def rank(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources, best first."""
        return sources if len(sources) < 2 else sorted(sources, key=self._rank)

    def _rank(self, source: Source) -> tuple[int, int, float]:
        origin_id = source.origin_id
        health = self._health.get(origin_id, Health.UNKNOWN)
        return _ORDER[health], self._priorities.get(origin_id, 0), self._latency_s.get(origin_id, 0.0)


# Unknown is before the first probe: as good as healthy until somebody says otherwise.
_ORDER = {Health.HEALTHY: 0, Health.UNKNOWN: 0, Health.DEGRADED: 1, Health.UNHEALTHY: 2}
