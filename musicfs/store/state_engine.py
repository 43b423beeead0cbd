"""The state's machinery: who may write when, what is on disk before a change is acknowledged, and healing while it is open.

A change is planned and put into a write transaction of the environment, then written to the journal and synced, then
committed. Whatever fails before the commit leaves nothing: the transaction is dropped and the journal cut back. Changes that
wait for the one at work are written together, with one sync of each file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from musicfs.errors import NotFoundError, StoreError
from musicfs.store import environment
from musicfs.store.overlays import encode_records
from musicfs.store.state_build import Paths, put_aside, rewrite_journal
from musicfs.store.state_changes import Plan
from musicfs.store.state_lock import hold_state, note_writer
from musicfs.store.state_recovery import open_tables, rebuild
from musicfs.store.state_tables import SCHEMA, DamagedError, Reading, StateTables, StateWrite

log = logging.getLogger(__name__)

_MAX_REBUILDS = 3  # a disk or memory that damages what was just made cannot be helped by making it again
_COMPACT_BYTES = 64 << 20
_T = TypeVar("_T")


class _Request:
    """A change that waits for being written."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sequence = 0
        self.error: BaseException | None = None
        self.done = False


class StateEngine:
    """Both files, opened. Safe from any thread."""

    def __init__(self, state_dir: str) -> None:
        """Raises MusicFSError when a newer version wrote it, StoreError (also when it is in use), DiskFullError."""
        self._paths = Paths(state_dir)
        self._lock_file = hold_state(state_dir)
        try:
            self._tables, self._journal = open_tables(self._paths)
        except BaseException:
            os.close(self._lock_file)
            raise
        note_writer(self._lock_file, SCHEMA)
        self._retired: list[StateTables] = []
        self._rebuilds = 0
        self._next = self._journal.last + 1
        self._compact_at = _COMPACT_BYTES
        self._write_lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Request] = []

    def read(self, look: Callable[[Reading], _T]) -> _T:
        """Look at a snapshot; if something damaged is met, it is made anew, and looked at again."""
        while True:
            tables = self._tables
            try:
                with tables.reading() as read:
                    return look(read)
            except DamagedError as error:
                with self._write_lock:
                    if self._tables is tables:
                        self._rebuild(error)

    def write(self, plan: Plan) -> int:
        """Make one change, with all that others wait with; returns its number, the last one's if it changes nothing."""
        request = _Request(plan)
        with self._queue_lock:
            self._queue.append(request)
        with self._write_lock:
            if not request.done:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._write_group(group)
                self._compact()
        if request.error is not None:
            raise request.error
        return request.sequence

    def _write_group(self, group: list[_Request]) -> None:
        """Write changes in one go, for the threads that wait for them. Does not raise."""
        try:
            while True:
                try:
                    self._commit(group)
                    break
                except DamagedError as error:
                    self._rebuild(error)
        except BaseException as error:  # not swallowed: each of the threads raises it
            for request in group:
                request.error = request.error or error
        for request in group:
            request.done = True

    def _commit(self, group: list[_Request]) -> None:
        with StateWrite(self._tables) as write:
            payloads: list[tuple[int, bytes]] = []
            for request in group:
                sequence = self._next + len(payloads)
                try:
                    records = request.plan(write, sequence)
                    payload = encode_records(records)
                except (NotFoundError, ValueError, TypeError, OverflowError) as error:
                    if environment.is_damage(error):
                        raise
                    request.error = error  # this caller's values are not to be written; the others' are
                    continue
                request.sequence = sequence if records else (payloads[-1][0] if payloads else write.sequence)
                if records:
                    for record in records:
                        write.apply(record)
                    payloads.append((sequence, payload))
            if payloads:
                self._next += len(payloads)  # a number that was tried is not given out again
                mark = self._journal.append(payloads)
                try:
                    write.commit(payloads[-1][0])
                except BaseException:
                    self._journal.take_back(mark)
                    raise

    def _compact(self) -> None:
        """Write the journal anew when most of it is of the past. A failure costs nothing but room: it is logged."""
        if self._journal.size_bytes < self._compact_at:
            return
        try:
            with self._tables.reading() as read:
                live_bytes = read.mark.live_bytes
            if self._journal.size_bytes > 2 * live_bytes:
                rewrite_journal(self._tables, self._journal)
        except StoreError as error:
            log.warning("%s is not made smaller: %s", self._paths.journal, error)
        self._compact_at = max(_COMPACT_BYTES, self._journal.size_bytes + self._journal.size_bytes // 4)

    def _rebuild(self, error: DamagedError) -> None:
        """Make the environment anew; the damaged one stays mapped, for others may be reading it. Needs the lock."""
        if self._rebuilds == _MAX_REBUILDS:
            raise StoreError(str(error), remedy="check the disk and the memory of this machine") from error
        fresh = rebuild(self._paths, self._journal, str(error), self._journal.last)
        self._rebuilds += 1
        self._retired.append(self._tables)
        self._tables = fresh
        self._next = max(self._next, self._journal.last + 1)

    def verify(self) -> list[str]:
        """Check everything, and put right what is wrong; says what that was. Blocks writers, some seconds at most."""
        found = []
        if environment.probe_status(self._paths.tables, "musicfs.store.state_probe"):
            error = DamagedError(f"{self._paths.tables}: damage was found when it was checked")
            found.append(str(error))
            with self._write_lock:
                self._rebuild(error)
        with self._write_lock:
            last = self._journal.last
            survey = self._journal.survey()
            if not survey.whole or survey.tail_bytes or survey.last != last:
                found.append(f"{self._paths.journal}: damage was found when it was checked")
                aside = put_aside(self._paths.journal)
                rewrite_journal(self._tables, self._journal)
                log.warning("%s; written anew, nothing is lost; put aside as %s", found[-1], aside)
        return found

    def hold_journal(self) -> tuple[int, int]:
        """A descriptor of the journal, to be closed by the caller, and how many of its bytes are all that was acknowledged.

        These bytes do not change any more, whatever is written or compacted meanwhile.
        """
        with self._write_lock:
            return os.dup(self._journal.descriptor), self._journal.size_bytes

    def close(self) -> None:
        """Unmap the files. What is damaged by now is not marked as clean."""
        with self._write_lock:
            try:
                with self._tables.reading() as read:
                    sound = read.is_sound()
            except StoreError:
                sound = False
            for tables in (self._tables, *self._retired):
                tables.close()
            self._journal.close()
            if sound:
                with contextlib.suppress(OSError):  # a full disk: the next start looks more closely, that is all
                    environment.mark_clean(self._paths.tables)
            os.close(self._lock_file)
