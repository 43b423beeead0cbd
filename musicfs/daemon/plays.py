"""The keeper's side of what is played: counts it in the user's state, has searches find it, and tells everybody.

What is played is known by its audio, so the count follows a track that is moved, given other tags, or read from another
origin.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.daemon.link import Accessed
from musicfs.errors import StoreError
from musicfs.events import EventBus, EventType
from musicfs.store.catalog import Catalog
from musicfs.store.environment import is_damage
from musicfs.store.overlays import Anchor, Play, Played, play_key
from musicfs.store.records import TRASH_ORIGIN, unpack_stored
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import original_anchor

log = logging.getLogger(__name__)

_IDLE_S = 3600.0
_RETRY_S = 30.0
_END_S = 5.0
_WAITING_MAX = 1000
# A crash may come between the count and the note for the index: what was played last is noted again at the next start.
_LAST_NS = 60 * 1_000_000_000


class PlayCounts:
    """How often what was played, and when last. Safe from any thread; all of it is held in memory, 300 bytes
    for a piece ever played.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[int, int]] | None = None  # count, last time

    def of(self, audio_id: int) -> tuple[int, int]:
        """How often this audio was played, and when last (ns since 1970 UTC); zeros for never, and for unknown audio (0).

        The first call reads everything.
        """
        known = self._known
        if known is None:
            with self._lock:
                known = self._known = self._known or {one.key: (one.count, one.last_ns) for one in self._state.plays()}
        return known.get(play_key(audio_id, ("", b"")), (0, 0)) if audio_id else (0, 0)

    def note(self, played: Sequence[Played]) -> dict[bytes, Play]:
        """Count plays; they are on disk when this returns what is known of each key. Raises DiskFullError, StoreError."""
        with self._lock:
            self._state.note_plays(played)
            found = {one.key: self._state.play(one.key) for one in played}
            counted = {key: play for key, play in found.items() if play is not None}
            if self._known is not None:
                self._known.update((key, (play.count, play.last_ns)) for key, play in counted.items())
        return counted

    def last(self) -> list[Play]:
        """What was played within the minute before the end of the last play."""
        plays = list(self._state.plays())
        newest_ns = max((one.last_ns for one in plays), default=0)
        return [one for one in plays if one.last_ns > newest_ns - _LAST_NS]


class _Located(msgspec.Struct, frozen=True):
    """What was played, and where it is."""

    object_id: int
    played: Played
    opened_ns: int
    path: str  # in the mount; empty if it is not there any more


class Plays:
    """Runs on a thread of its own from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        catalog: Catalog,
        counts: PlayCounts,
        events: EventBus,
        clock: Clock,
        on_failure: Callable[[Exception], object],
        on_commit: Callable[[], object] = lambda: None,
    ) -> None:
        """``on_failure`` is told what has ended the thread, which nothing should; ``on_commit`` that the catalog has noted
        which tracks were touched.
        """
        self._catalog = catalog
        self._counts = counts
        self._events = events
        self._clock = clock
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._told: deque[Accessed] = deque(maxlen=_WAITING_MAX)
        self._uncounted: deque[_Located] = deque(maxlen=_WAITING_MAX)
        self._untouched: set[int] = set()
        self._has_failed = False
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plays", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def note(self, accessed: Accessed) -> None:
        """The mount says that a track was played. Does not block."""
        self._told.append(accessed)
        self._wake.set()

    def close(self) -> None:
        """Count what was told, and end; blocks some seconds at most."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._untouched.update(self._objects_of(one.anchor for one in self._counts.last()))
            while True:
                is_last = self._ended.is_set()
                self._wake.clear()
                self._work()
                if is_last:
                    return
                if not self._ended.is_set():
                    self._clock.wait(self._wake, _RETRY_S if self._uncounted or self._untouched else _IDLE_S)
        except Exception as error:  # whatever it is, somebody must know
            self._on_failure(error)

    def _objects_of(self, anchors: Iterable[Anchor]) -> Iterable[int]:
        found = (self._catalog.object_at(*anchor) for anchor in anchors)
        return [object_id for object_id in found if object_id is not None]

    def _work(self) -> None:
        """All that waits, in one write of the state and one of the catalog. What fails waits on."""
        while self._told:
            located = self._locate(self._told.popleft())
            if located is not None:
                self._uncounted.append(located)
                self._publish(located)
        try:
            if self._uncounted:
                counted = list(self._uncounted)
                self._counts.note([one.played for one in counted])
                self._uncounted.clear()
                self._untouched.update(one.object_id for one in counted)
            self._touch()
            self._has_failed = False
        except StoreError as error:
            if is_damage(error):
                raise
            if not self._has_failed:
                log.warning("what was played is not counted yet: %s", error)
            self._has_failed = True

    def _locate(self, accessed: Accessed) -> _Located | None:
        """None for what has gone meanwhile."""
        located = self._catalog.locate(accessed.object_id)
        if located is None:
            return None
        number, path, record = located
        origin_id = next((one for one, known in self._catalog.origins().items() if known.number == number), "")
        facts = unpack_stored(record.facts)
        anchor = original_anchor(path) if number == TRASH_ORIGIN else (origin_id, path)
        key = play_key(facts.audio_id if facts is not None else 0, anchor)
        inode = self._catalog.place_of(self._catalog.track_of(accessed.object_id)[0])
        virtual = self._catalog.path_of(inode) if inode else None
        played = Played(key, accessed.played_ns, anchor)
        return _Located(accessed.object_id, played, accessed.opened_ns, os.fsdecode(virtual or b""))

    def _publish(self, located: _Located) -> None:
        origin_id, path = located.played.anchor
        self._events.publish(
            EventType.FILE_ACCESSED,
            origin_id=origin_id,
            path=located.path,
            file_id=located.object_id,
            origin_path=os.fsdecode(path),
            track_id=located.object_id,
            opened_ms=located.opened_ns // 1_000_000,
            played_ms=located.played.time_ns // 1_000_000,
        )

    def _touch(self) -> None:
        """Have searches and collections look at the tracks again."""
        if not self._untouched:
            return
        touched = {source for object_id in self._untouched for source in self._catalog.track_of(object_id)}
        with self._catalog.writing, WriteTransaction(self._catalog) as tx:
            tx.note_touched(*touched)
        self._untouched.clear()
        self._on_commit()
