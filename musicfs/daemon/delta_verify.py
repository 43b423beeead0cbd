"""Comparing what was adopted with its origin, when the line is not used: adoption is a probability until then.

Threads: ``verify``. It reads one piece after the other, and stops as soon as somebody else fetches something.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from musicfs.clock import Clock
from musicfs.content.ranges import subtract
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import ChangedError, GoneError, MusicFSError, OriginError
from musicfs.origins.contract import Origin
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import Adopted, Content

log = logging.getLogger(__name__)

QUIET_S = 15 * 60.0
_LOOK_EVERY_S = 30.0
_PIECE_BYTES = 256 << 10
_TASK_S = 60.0


class _InterruptedError(Exception):
    """Somebody needs the line, or the keeper ends."""


class DeltaVerification:
    """Runs from :meth:`start` to :meth:`close`; :meth:`look` is one round of it."""

    def __init__(
        self,
        store: ChunkStore,
        upkeep: Upkeep,
        origin: Callable[[str], Origin | None],
        activity: Callable[[], object],
        on_wrong: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """``origin`` finds an open origin by its id; ``activity`` is another value whenever somebody has fetched something;
        ``on_wrong`` is told the object whose content turned out to be wrong, after it has gone from the store.
        """
        self._store = store
        self._upkeep = upkeep
        self._origin = origin
        self._activity = activity
        self._on_wrong = on_wrong
        self._clock = clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verify", daemon=True)
        self._seen = activity()
        self._quiet_since = clock.monotonic()
        self._position = (b"", 0)  # the content that was interrupted, and how far it was right

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """End after the piece that is being read, for which this does not wait long."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._clock.wait(self._ended, _LOOK_EVERY_S):
            try:
                self.look()
            except MusicFSError as error:  # the origin is away, or the store is full: another time
                log.info("what was adopted is compared another time: %s", error)
                self._quiet_since = self._clock.monotonic()

    def look(self) -> None:
        """Compare all that waits for it while the line is quiet, if it was so long enough. Raises OriginError, StoreError."""
        if self._is_busy() or self._clock.monotonic() - self._quiet_since < QUIET_S:
            return
        try:
            for adopted in self._upkeep.adopted():
                self._compare(adopted)
        except _InterruptedError:
            return

    def _is_busy(self) -> bool:
        seen = self._activity()
        if seen != self._seen:
            self._seen, self._quiet_since = seen, self._clock.monotonic()
            return True
        return self._ended.is_set()

    def _compare(self, adopted: Adopted) -> None:
        content = Content(adopted.key, adopted.size)
        origin = self._origin(adopted.origin_id)
        if origin is not None and self._store.coverage(content).cached_bytes:
            try:
                right = self._is_right(adopted, content, origin)
            except (ChangedError, GoneError):
                right = True  # nobody can read that version any more, and so nobody can tell
            if not right:
                self._remove(adopted, content)
        self._wait_for(lambda keep: keep.forget_adopted(adopted.key))

    def _is_right(self, adopted: Adopted, content: Content, origin: Origin) -> bool:
        key, begun = self._position
        stored = self._store.open(content)
        for start, stop in adopted.ranges:
            first = max(start, begun) if key == adopted.key else start
            for begin in range(first, stop, _PIECE_BYTES):
                if self._is_busy():
                    raise _InterruptedError
                end = min(begin + _PIECE_BYTES, stop)
                ours = bytearray(end - begin)
                with memoryview(ours) as view:
                    gaps = stored.read_into(view, begin)
                theirs = origin.read(os.fsdecode(adopted.path), begin, end, adopted.version)
                for low, high in subtract([(begin, end)], gaps):
                    if ours[low - begin : high - begin] != theirs[low - begin : high - begin]:
                        return False
                self._position = (adopted.key, end)
        return True

    def _remove(self, adopted: Adopted, content: Content) -> None:
        log.warning(
            "origin %s: what was kept of the new version of %r differs from it, and is fetched again when it is read",
            adopted.origin_id, os.fsdecode(adopted.path),
        )  # fmt: skip
        self._wait_for(lambda keep: keep.clear([content.key]))
        self._on_wrong(adopted.object_id)

    def _wait_for(self, action: Callable[..., object]) -> None:
        task = self._upkeep.begin(action)
        if not task.wait(_TASK_S):
            raise OriginError("the content store is busy")
        task.result()
