"""What happens, as values, and who listens: a bus between the rooms that do things and those that tell about them.

Nobody who publishes ever waits: a listener that does not keep up loses the oldest events, and is told how many. What
happens to many files at once is published in one go, and made into events only by those who listen to it, when they are
ready for the next one: a scan of a million files costs nothing more for being listened to, and hardly any memory.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

T = TypeVar("T")


class EventType(StrEnum):
    """The kinds of events, by their names on the wire."""

    FILE_ADDED = "file_added"
    FILE_REMOVED = "file_removed"
    FILE_MODIFIED = "file_modified"
    FILE_ACCESSED = "file_accessed"  # a track was played, not only read
    METADATA_CHANGED = "metadata_changed"
    ORIGIN_CONNECTED = "origin_connected"
    ORIGIN_DISCONNECTED = "origin_disconnected"
    ORIGIN_HEALTH_CHANGED = "origin_health_changed"
    SYNC_STARTED = "sync_started"
    SYNC_COMPLETED = "sync_completed"
    CACHE_EVICTION = "cache_eviction"
    GAP = "gap"  # to one listener: here it has lost events, ``lost`` of them by its details


EVENT_TYPES = tuple(kind for kind in EventType if kind is not EventType.GAP)
"""What can be listened to; gaps are told to everybody."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``details`` are further facts as text, by names that stay."""

    type: EventType
    time_ms: int  # since 1970 UTC
    origin_id: str = ""
    path: str = ""  # in the mount; of a scan the folder of the origin
    file_id: int = 0  # 0: it is about no file
    details: Mapping[str, str] = {}


class FileNews(msgspec.Struct, frozen=True):
    """What happened to one file, as far as it differs from what happened to the others."""

    path: str = ""
    file_id: int = 0
    details: Mapping[str, str] = {}


class _Batch:
    """Events that were published together, the first of them ``start``. What they are is found out one by one."""

    __slots__ = ("describe", "head", "items", "start")

    def __init__(
        self,
        head: Event,
        items: Sequence[object] = (None,),
        describe: Callable[[object], FileNews | None] | None = None,
    ) -> None:
        self.head = head
        self.items = items
        self.describe = describe
        self.start = 0

    def __len__(self) -> int:
        return len(self.items) - self.start

    def make(self, item: object) -> Event | None:
        """The event of one item; None if there is nothing to tell any more."""
        if self.describe is None:
            return self.head
        news = self.describe(item)
        if news is None:
            return None
        return msgspec.structs.replace(self.head, path=news.path, file_id=news.file_id, details=news.details)


WAITING_MAX = 10_000


class Subscription:
    """One listener's queue. Take from it on one thread; :meth:`close` ends the waiting."""

    def __init__(
        self,
        types: Collection[EventType],
        origin_ids: Collection[str],
        now_ms: Callable[[], int],
        on_close: Callable[[Subscription], object],
        waiting_max: int,
    ) -> None:
        self.types = frozenset(types)
        self._origin_ids = frozenset(origin_ids)
        self._now_ms = now_ms
        self._on_close = on_close
        self._waiting_max = waiting_max
        self._wake = threading.Condition()
        self._batches: deque[_Batch] = deque()
        self._waiting = 0  # events in them
        self._gap = 0  # lost since the last event that was taken
        self._closed = False
        self.lost = 0  # of all that were published for this listener

    def offer(self, head: Event, items: Sequence[object], describe: Callable[[object], FileNews | None] | None) -> None:
        """Queue what is wanted of this. Does not block."""
        if head.type not in self.types or (self._origin_ids and head.origin_id not in self._origin_ids):
            return
        with self._wake:
            self._batches.append(_Batch(head, items, describe))
            self._waiting += len(items)
            self._drop(self._waiting - self._waiting_max)
            self._wake.notify()

    def _drop(self, count: int) -> None:
        """Lose so many of the oldest events."""
        while count > 0:
            batch = self._batches[0]
            dropped = min(count, len(batch))
            batch.start += dropped
            if not batch:
                self._batches.popleft()
            count -= dropped
            self._waiting -= dropped
            self._gap += dropped
            self.lost += dropped

    def wait(self, timeout_s: float) -> Event | None:
        """The next event; None after ``timeout_s`` without one, or when the subscription is closed.

        What is found out about a file is found out here: this may read the catalog.
        """
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closed, timeout_s)
                if not self._waiting:
                    return None
                if self._gap:
                    lost, self._gap = self._gap, 0
                    return Event(type=EventType.GAP, time_ms=self._now_ms(), details={"lost": str(lost)})
                batch = self._batches[0]
                item = batch.items[batch.start]
                batch.start += 1
                self._waiting -= 1
                if not batch:
                    self._batches.popleft()
            event = batch.make(item)
            if event is not None:
                return event

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
        self._published: Counter[str] = Counter()

    @property
    def published(self) -> Mapping[str, int]:
        """How many events of each type there were, heard or not."""
        with self._lock:
            return {kind.value: self._published[kind] for kind in EVENT_TYPES}

    def wants(self, *types: EventType) -> bool:
        """True if anybody listens to one of these: only then it need be known what there is to tell."""
        return any(not one.types.isdisjoint(types) for one in self._subscriptions)

    def publish(
        self, kind: EventType, *, origin_id: str = "", path: str = "", file_id: int = 0, **details: object
    ) -> None:
        """Tell everybody. Does not block."""
        head = Event(
            type=kind,
            time_ms=self._now_ms(),
            origin_id=origin_id,
            path=path,
            file_id=file_id,
            details={name: str(value) for name, value in details.items()},
        )
        self._tell(head, (None,), None)

    def publish_each(
        self, kind: EventType, origin_id: str, items: Sequence[T], describe: Callable[[T], FileNews | None]
    ) -> None:
        """Tell everybody who listens of something that happened to several files. Does not block.

        ``describe`` says what to tell of one of ``items``, None for nothing; it is called later, on the threads of those who
        listen, once for each of them.
        """
        if items:
            head = Event(type=kind, time_ms=self._now_ms(), origin_id=origin_id)
            self._tell(head, items, describe)  # type: ignore[arg-type] # describe takes what items hold

    def _tell(self, head: Event, items: Sequence[object], describe: Callable[[object], FileNews | None] | None) -> None:
        with self._lock:
            self._published[head.type] += len(items)
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.offer(head, items, describe)

    def _now_ms(self) -> int:
        return self._now_ns() // 1_000_000

    def subscribe(
        self,
        types: Collection[EventType] = EVENT_TYPES,
        origin_ids: Collection[str] = (),
        waiting_max: int = WAITING_MAX,
    ) -> Subscription:
        """Listen from now on to these types, of these origins (none: of all, and what is about no origin).

        Of more than ``waiting_max`` events that wait the oldest are lost.
        """
        subscription = Subscription(types or EVENT_TYPES, origin_ids, self._now_ms, self._forget, waiting_max)
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
