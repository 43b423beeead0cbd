"""The health of origins: probed at an interval, learned from every scan, told to whoever wants to know when it changes.

One failure makes an origin degraded, ``threshold`` failures in a row make it unhealthy, one success makes it healthy again.

Threads: one for each origin, named ``health-ID``, and one for each probe: one that hangs holds up nobody else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from musicfs.clock import Clock
from musicfs.config.settings import HealthSettings, OriginType
from musicfs.errors import OriginError, UnreachableError
from musicfs.model import Health
from musicfs.origins.contract import Origin

log = logging.getLogger(__name__)

_ANSWER_S = 4.0  # who asks for a probe must have an answer after five seconds


class Verdict(msgspec.Struct, frozen=True):
    """What is known about one origin's health."""

    health: Health = Health.UNKNOWN
    failures: int = 0  # in a row
    message: str = ""  # why it is not healthy
    checked_at: float = 0.0  # on the monotonic clock


class Watched(Protocol):
    """Who to probe: an origin may be opened anew while it is watched over."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def origin(self) -> Origin:
        """The origin as it is open now."""
        ...


def threshold_of(settings: HealthSettings, origin_type: OriginType) -> int:
    """How many failures in a row make an origin of this type unhealthy: the type's own number, or else the general one."""
    own: int = getattr(settings.per_origin_thresholds, origin_type)
    return own or settings.unhealthy_threshold


class _Probe:
    """One question to an origin, on a thread of its own: it may hang. ``error`` is the answer once it is ``done``."""

    def __init__(self, origin_id: str, origin: Origin) -> None:
        self.done = threading.Event()
        self.error: OriginError | None = None
        threading.Thread(target=self._ask, args=(origin,), name=f"probe-{origin_id}", daemon=True).start()

    def _ask(self, origin: Origin) -> None:
        try:
            origin.check()
        except OriginError as error:
            self.error = error
        except Exception as error:  # what an origin raises against its contract must not end the watch over it
            log.exception("probing origin %s failed", origin.id)
            self.error = OriginError(f"origin {origin.id!r}: {type(error).__name__}")
        finally:
            self.done.set()


class HealthMonitor:
    """The verdicts on all origins. Safe from any thread."""

    def __init__(
        self,
        thresholds: Mapping[str, int],
        clock: Clock,
        on_change: Callable[[HealthMonitor, str, Health], object],
    ) -> None:
        """``thresholds`` by origin id; ``on_change`` is told (this, id, health now) on the thread that found out."""
        self._thresholds = thresholds
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        now = clock.monotonic()
        self._verdicts = {origin_id: Verdict(checked_at=now) for origin_id in thresholds}
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def verdict(self, origin_id: str) -> Verdict:
        """What is known about this origin now. KeyError for an unknown id."""
        return self._verdicts[origin_id]

    def health(self) -> dict[str, Health]:
        """The health of every origin."""
        return {origin_id: verdict.health for origin_id, verdict in self._verdicts.items()}

    def note(self, origin_id: str, error: OriginError | None) -> Verdict:
        """An origin has answered, or failed with ``error``."""
        with self._lock:
            before = self._verdicts[origin_id]
            after = self._judge(before, error, self._thresholds[origin_id])
            self._verdicts[origin_id] = after
        if after.health != before.health:
            _report(origin_id, before, after)
            self._on_change(self, origin_id, after.health)
        return after

    def _judge(self, before: Verdict, error: OriginError | None, threshold: int) -> Verdict:
        now = self._clock.monotonic()
        if error is None:
            return Verdict(Health.HEALTHY, checked_at=now)
        failures = before.failures + 1
        health = Health.UNHEALTHY if failures >= threshold else Health.DEGRADED
        return Verdict(health, failures, str(error), now)

    def probe(self, origin_id: str, origin: Origin, timeout_s: float = _ANSWER_S) -> Verdict:
        """Ask an origin now, and take its answer into account; none within ``timeout_s`` is a failure. Blocks."""
        return self._conclude(origin_id, _Probe(origin_id, origin), timeout_s)

    def _conclude(self, origin_id: str, probe: _Probe, timeout_s: float) -> Verdict:
        if self._clock.wait(probe.done, timeout_s):
            return self.note(origin_id, probe.error)
        return self.note(origin_id, UnreachableError(f"origin {origin_id!r}: no answer within {timeout_s:g} s"))

    def watch_over(self, watched: Watched, interval_s: float, timeout_s: float) -> None:
        """Probe an origin every ``interval_s`` from now on; no answer within ``timeout_s`` is a failure.

        A probe that hangs is one more failure every time, until it ends: no other is begun meanwhile.
        """
        thread = threading.Thread(
            target=self._watch, args=(watched, interval_s, timeout_s), name=f"health-{watched.id}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _watch(self, watched: Watched, interval_s: float, timeout_s: float) -> None:
        probe: _Probe | None = None
        while not self._clock.wait(self._ended, interval_s):
            if probe is None or probe.done.is_set():
                probe = _Probe(watched.id, watched.origin)
            self._conclude(watched.id, probe, timeout_s)

    def close(self) -> None:
        """No more probes; a probe in flight ends by itself."""
        self._ended.set()


def _report(origin_id: str, before: Verdict, after: Verdict) -> None:
    match after.health:
        case Health.UNHEALTHY:
            log.warning("origin %s cannot be read: %s; its files stay in the tree", origin_id, after.message)
        case Health.DEGRADED:
            log.info("origin %s did not answer well: %s", origin_id, after.message)
        case Health.HEALTHY if before.health is not Health.UNKNOWN:
            log.info("origin %s is back", origin_id)
