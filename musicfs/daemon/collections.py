"""Collections, kept in step with the library: when to look again at what is in one, and having the tree show it.

Thread ``collections``: asks the index again when a change concerns a collection, when its definition changed, and when time
takes tracks out. A library that changes all the time costs a tenth of this thread at most: the next look at a collection is
not before ten times what the last one took. While there is no index, and whatever fails, folders stay as they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence

import msgspec

from musicfs.clock import Clock
from musicfs.daemon.collection_definitions import Definition
from musicfs.errors import DiskFullError, StoreError
from musicfs.library.collecting import Collected, Collector, Stopped
from musicfs.library.rules import Plan
from musicfs.store.catalog import Catalog
from musicfs.store.environment import is_damage
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.collection_names import folder_inode, names
from musicfs.vfs.collections import Shelf, Wanted, shelf_path
from musicfs.vfs.names import clean

log = logging.getLogger(__name__)

_SPARING = 10  # the next look is not before so many times what the last one took
_SOONEST_AGE_S = 60.0
_AGES_SHARE = 1000  # tracks that come in by their age come in after a thousandth of it more, at the latest
_IDLE_S = 3600.0
_RETRY_S = 30.0
_END_S = 5.0
_SECOND_NS = 1_000_000_000


class _Standing(msgspec.Struct):
    """What is known of a collection since this keeper began."""

    plan: Plan
    members: frozenset[int] = frozenset()
    digest: bytes = b""
    is_due: bool = True
    not_before: float = 0.0  # monotonic
    again_at_ns: int | None = None  # when time changes what is in it


class Collections:
    """Built once a keeper."""

    def __init__(
        self,
        catalog: Catalog,
        collector: Collector,
        definitions: Callable[[], Sequence[Definition]],
        directory: str,
        clock: Clock,
        on_commit: Callable[[], object],
        on_failure: Callable[[Exception], object],
        *,
        windows_names: bool = False,
    ) -> None:
        """``definitions`` is asked whenever they may have changed. ``directory`` is as in the configuration. ``on_commit`` is
        called when there is something to see; ``on_failure`` is told that the catalog is damaged, which ends the thread.
        """
        self._catalog = catalog
        self._collector = collector
        self._read_definitions = definitions
        self._windows_names = windows_names
        self._policy = "windows" if windows_names else "posix"
        self._path = shelf_path(directory, self._policy)
        self._clock = clock
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._definitions: Sequence[Definition] = ()
        self._known: dict[int, _Standing] = {}
        self._has_failed = False
        self._lock = threading.Lock()  # of the two below
        self._touched: set[int] | None = set()  # None: everything
        self._redefined = True
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collections", daemon=True)

    def start(self) -> None:
        """Begin: everything is looked at once."""
        self._thread.start()

    def note_indexed(self, object_ids: Collection[int] | None) -> None:
        """The index says otherwise of these (None: of all) since now. Does not block."""
        with self._lock:
            if object_ids is None:
                self._touched = None
            elif self._touched is not None:
                self._touched.update(object_ids)
        self._wake.set()

    def note_redefined(self) -> None:
        """Definitions have changed. Does not block."""
        with self._lock:
            self._redefined = True
        self._wake.set()

    def close(self) -> bool:
        """End the thread; blocks some seconds at most. False if it goes on."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            wait_s = _RETRY_S
            try:
                wait_s = self.follow()
                self._has_failed = False
            except Stopped:
                return
            except DiskFullError as error:
                self._complain("collections wait for room: %s", error)
            except Exception as error:  # nothing of this may end the keeper, which scans and answers clients
                if is_damage(error):
                    self._on_failure(error)
                    return
                self._complain("collections stay as they are for now: %s", error)
            self._clock.wait(self._wake, wait_s)

    def _complain(self, message: str, error: Exception) -> None:
        """Once, until all is well again."""
        with self._lock:
            self._redefined = True  # whatever was not written is compared again
        if not self._has_failed:
            is_known = isinstance(error, StoreError)
            log.warning(message, error, exc_info=None if is_known else error)
        self._has_failed = True

    def follow(self) -> float:
        """Do what is due; returns after how many seconds there may be more without a word. For the thread, and tests."""
        self._follow_definitions()
        self._follow_index()
        now_ns = self._clock.time_ns()
        collected: dict[int, Collected] = {}
        is_ready = True
        for definition in self._definitions:
            known = self._known[definition.id]
            if known.again_at_ns is not None and known.again_at_ns <= now_ns:
                known.is_due = True
            if is_ready and known.is_due and self._clock.monotonic() >= known.not_before:
                try:
                    collected[definition.id] = self._collect(known, now_ns)
                except StoreError as error:
                    if is_damage(error) or isinstance(error, DiskFullError):
                        raise
                    is_ready = False  # there is no index yet, or it is damaged: then it is built anew, and we are told
        if any(self._known[one].digest != found.digest for one, found in collected.items()) or self._is_misnamed():
            self._settle(collected)
        return self._next_s() if is_ready else _RETRY_S

    def _follow_definitions(self) -> None:
        with self._lock:
            redefined, self._redefined = self._redefined, False
        if not redefined:
            return
        self._definitions = self._read_definitions()
        before, self._known = self._known, {}
        marks = {record.id: record.mark for record in self._catalog.collections()}
        for definition in self._definitions:
            known = before.get(definition.id)
            if known is None or known.plan != definition.plan:
                known = _Standing(definition.plan, digest=marks.get(definition.id, b""))
            self._known[definition.id] = known

    def _follow_index(self) -> None:
        """Find out which collections the changes concern."""
        with self._lock:
            touched, self._touched = self._touched, set()
        if touched is not None and not touched:
            return
        now_ns = self._clock.time_ns()
        for known in self._known.values():
            if not known.is_due:
                known.is_due = touched is None or self._collector.concerns(known.plan, known.members, touched, now_ns)

    def _collect(self, known: _Standing, now_ns: int) -> Collected:
        begun = self._clock.monotonic()
        found = self._collector.collect(known.plan, now_ns, self._ended.is_set)
        ended = self._clock.monotonic()
        known.members = frozenset(found.object_ids)
        known.not_before = ended + _SPARING * (ended - begun)
        known.is_due = False
        known.again_at_ns = _again_at_ns(known.plan, found, now_ns)
        return found

    def _is_misnamed(self) -> bool:
        """Whether the tree has other collections than it should, or one could have its plain name again."""
        records = self._catalog.collections()
        wanted = [(one.id, clean(one.name, self._policy)) for one in self._definitions]
        if [(record.id, record.name) for record in records] != wanted:
            return True
        for record in records:
            folder = self._catalog.node(folder_inode(self._catalog, record.id))
            if folder is None:
                continue
            parts = filter(None, (self._catalog.path_of(folder.parent) or b"").split(b"/"))
            if tuple(parts) != self._path:
                return True
            plain = names(record.name, 1)
            is_free = all(self._catalog.lookup(folder.parent, name) is None for name in plain)
            if folder.name != plain[0] and is_free:
                return True
        return False

    def _settle(self, collected: dict[int, Collected]) -> None:
        wanted = []
        for definition in self._definitions:
            found = collected.get(definition.id)
            object_ids = found.object_ids if found is not None else None
            mark = found.digest if found is not None else b""
            stands_empty = not definition.is_built_in
            wanted.append(Wanted(definition.id, definition.name, object_ids, stands_empty, mark))
        with self._catalog.writing, WriteTransaction(self._catalog) as tx:
            Shelf(tx, self._path, self._clock.time_ns(), ignore_case=self._windows_names).settle(wanted)
        for collection_id, found in collected.items():
            self._known[collection_id].digest = found.digest
        self._on_commit()

    def _next_s(self) -> float:
        now, now_ns = self._clock.monotonic(), self._clock.time_ns()
        waits = [known.not_before - now for known in self._known.values() if known.is_due]
        waits += [
            (known.again_at_ns - now_ns) / _SECOND_NS for known in self._known.values() if known.again_at_ns is not None
        ]
        return max(0.0, min(waits, default=_IDLE_S))


def _again_at_ns(plan: Plan, found: Collected, now_ns: int) -> int | None:
    """When to look again though nothing has changed: a minute later at the soonest."""
    if not plan.ages:
        return None
    soonest = now_ns + int(_SOONEST_AGE_S * _SECOND_NS)
    moments = [] if found.expires_ns is None else [found.expires_ns]
    if not plan.only_expires:
        moments.append(now_ns + min(age.span_ns for age in plan.ages) // _AGES_SHARE)
    return max(soonest, min(moments)) if moments else None
