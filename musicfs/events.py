"""What happens, as values, and who listens: a bus between the rooms that do things and those that tell about them.

Nobody who publishes ever waits: a listener that does not keep up loses the oldest events, and is told how many.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """The kinds of events, by their names on the wire."""

    ORIGIN_CONNECTED = "origin_connected"
    ORIGIN_DISCONNECTED = "origin_disconnected"
    ORIGIN_HEALTH_CHANGED = "origin_health_changed"
    SYNC_STARTED = "sync_started"
    SYNC_COMPLETED = "sync_completed"
    CACHE_EVICTION = "cache_eviction"
    METADATA_CHANGED = "metadata_changed"
    FILE_ACCESSED = "file_accessed"  # a track was played, not only read


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``details`` are further facts as text, by names that stay."""

    type: EventType
    time_ms: int  # since 1970 UTC
    origin_id: str = ""
    path: str = ""
    details: Mapping[str, str] = {}


_WAITING_MAX = 1000


class Subscription:
    """One listener's queue. Iterate over it from one thread; :meth:`close` ends the iteration."""

    def __init__(self, wanted: Callable[[Event], bool], on_close: Callable[[Subscription], object]) -> None:
        self._wanted = wanted
        self._on_close = on_close
        self._wake = threading.Condition()
        self._waiting: deque[Event] = deque(maxlen=_WAITING_MAX)
        self._closed = False
        self.lost = 0

    def offer(self, event: Event) -> None:
        """Queue the event if it is wanted. Does not block."""
        if not self._wanted(event):
            return
        with self._wake:
            self.lost += len(self._waiting) == _WAITING_MAX
            self._waiting.append(event)
            self._wake.notify()

    def wait(self, timeout_s: float) -> Event | None:
        """The next event; None after ``timeout_s`` without one, or when the subscription is closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closed, timeout_s)
            return self._waiting.popleft() if self._waiting else None

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    def close(self) -> None:
        """Listen no more; idempotent."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._on_close(self)


class EventBus:
    """Hands events to all who listen. Safe from any thread."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """``now_ns`` is the time of day that events carry."""
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def publish(self, kind: EventType, *, origin_id: str = "", path: str = "", **details: object) -> None:
        """Tell everybody. Does not block."""
        event = Event(
            type=kind,
            time_ms=self._now_ns() // 1_000_000,
            origin_id=origin_id,
            path=path,
            details={name: str(value) for name, value in details.items()},
        )
        for subscription in self._subscriptions:
            subscription.offer(event)

    def subscribe(self, wanted: Callable[[Event], bool] = lambda _: True) -> Subscription:
        """Listen from now on."""
        subscription = Subscription(wanted, self._forget)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)

    def close(self) -> None:
        """End every subscription."""
        for subscription in self._subscriptions:
            subscription.close()


def stream(subscription: Subscription, pulse_s: float) -> Iterator[Event | None]:
    """The events as they come, and None whenever ``pulse_s`` pass without one; ends with the subscription."""
    try:
        while not subscription.closed:
            yield subscription.wait(pulse_s)
    finally:
        subscription.close()
