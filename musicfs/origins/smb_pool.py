"""The connections of an SMB origin and the files open on them; a thread of its own keeps both fresh.

Connections are made one at a time, when they are needed, and a dead one is replaced by whoever needs one next. An open file
saves the round trip to open it; it is closed soon after its last use, because on Windows a name whose file was deleted
stays taken until the last handle is closed.
"""

from __future__ import annotations

import collections
import threading
import time

from musicfs.config.settings import OriginSettings
from musicfs.errors import MusicFSError, OriginError, UnreachableError
from musicfs.origins import smb_messages as messages
from musicfs.origins.smb_connection import SmbConnection, connect
from musicfs.origins.smb_errors import unreachable

CONNECTIONS_MAX = 2
HANDLES_MAX = 64
HANDLE_IDLE_S = 10.0
PING_AFTER_S = 30.0  # well before a router forgets the connection, and before Windows ends an idle session (15 minutes)
TIDY_INTERVAL_S = 5.0
# What must be on its way on every connection until one more is made. More connections read no faster; but on one alone a
# stat waits behind all that was asked for before, which takes 0.2 s on a line of 100 Mbit/s.
_BUSY_BYTES = 2 << 20
_EXTRA_RETRY_S = 60.0


class Pool:
    """Up to ``size`` connections. Safe from any thread; nothing happens before the first call."""

    def __init__(self, settings: OriginSettings, *, size: int = CONNECTIONS_MAX) -> None:
        self._settings = settings
        self._size = size
        self._changed = threading.Condition()
        self._connections: list[SmbConnection] = []
        self._connecting = False
        self._attempts = 0
        self._failure: MusicFSError | None = None
        self._no_extra_before = 0.0
        self._closed = threading.Event()
        self._tidier: threading.Thread | None = None
        self.handles = Handles()

    def pick(self) -> SmbConnection:
        """A live connection, the least busy. Raises what connecting raises; of many callers at once one connects."""
        with self._changed:
            while True:
                if self._closed.is_set():
                    raise unreachable(self._settings.id, self._settings.host, "is asked after the origin was closed")
                self._connections = [each for each in self._connections if each.alive]
                best = min(self._connections, key=lambda each: each.load_bytes, default=None)
                if best is not None and (self._connecting or not self._wants_more(best)):
                    return best
                if not self._connecting:
                    self._connecting = True
                    break
                self._await_attempt()
        return self._connect(best)

    def tidy(self) -> None:
        """Close files that nobody uses, and ask connections that were quiet whether they are still there."""
        self.handles.close_idle(HANDLE_IDLE_S)
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            if connection.alive and connection.idle_s > PING_AFTER_S:
                try:
                    connection.ask(messages.echo())
                except UnreachableError:
                    connection.close()  # the next call makes another

    def close(self) -> None:
        """Close all connections and end the thread; idempotent. Waits for a connection that is just being made."""
        self._closed.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._connecting, 2 * self._settings.timeout_s)
            connections, self._connections = self._connections, []
            tidier, self._tidier = self._tidier, None
        self.handles.clear()
        for connection in connections:
            connection.close()
        if tidier is not None:
            tidier.join(self._settings.timeout_s)

    def _wants_more(self, best: SmbConnection) -> bool:
        room = len(self._connections) < self._size and time.monotonic() >= self._no_extra_before
        return room and best.load_bytes >= _BUSY_BYTES

    def _await_attempt(self) -> None:
        """Wait for the outcome of the attempt that another caller makes, and share its failure."""
        attempt = self._attempts
        if not self._changed.wait_for(lambda: self._attempts > attempt, 2 * self._settings.timeout_s):
            raise unreachable(self._settings.id, self._settings.host, "is still being connected to")
        failure = self._failure
        if failure is not None:
            raise type(failure)(str(failure), remedy=failure.remedy)

    def _connect(self, best: SmbConnection | None) -> SmbConnection:
        """Make a connection while nobody else does; where there is one already, a failure is no harm."""
        made: SmbConnection | None = None
        failure: MusicFSError | None = None
        try:
            made = connect(self._settings)
            return made
        except MusicFSError as error:
            if best is not None:
                self._no_extra_before = time.monotonic() + _EXTRA_RETRY_S
                return best
            failure = error
            raise
        finally:
            with self._changed:
                self._connecting = False
                self._attempts += 1
                self._failure = failure
                if made is not None:
                    self._connections.append(made)
                    self._start_tidying()
                self._changed.notify_all()

    def _start_tidying(self) -> None:
        if self._tidier is None and not self._closed.is_set():
            self._tidier = threading.Thread(target=self._tidy_often, name=f"smb-{self._settings.id}", daemon=True)
            self._tidier.start()

    def _tidy_often(self) -> None:
        while not self._closed.wait(TIDY_INTERVAL_S):
            try:
                self.tidy()
            except OriginError:
                continue  # a connection that broke: whoever asks next hears of it


class Handle:
    """A file that is open on one connection."""

    __slots__ = ("connection", "file_id", "idle_since", "path", "retired", "users")

    def __init__(self, connection: SmbConnection, path: str, file_id: bytes) -> None:
        self.connection = connection
        self.path = path
        self.file_id = file_id
        self.users = 1
        self.idle_since = 0.0
        self.retired = False


class Handles:
    """The open files, the least recently used first. A handle in use is never closed; each borrowed one is given back."""

    def __init__(self, *, limit: int = HANDLES_MAX) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[str, Handle] = collections.OrderedDict()

    def borrow(self, path: str) -> Handle | None:
        """The open file at ``path``, on a connection that is alive."""
        with self._lock:
            handle = self._kept.get(path)
            if handle is None:
                return None
            if not handle.connection.alive:
                del self._kept[path]
                return None
            handle.users += 1
            self._kept.move_to_end(path)
            return handle

    def keep(self, handle: Handle) -> None:
        """Let others borrow ``handle``, which its opener still has to give back."""
        doomed: list[Handle] = []
        with self._lock:
            previous = self._kept.pop(handle.path, None)
            self._kept[handle.path] = handle
            if previous is not None:
                self._retire(previous, doomed)
            while len(self._kept) > self._limit:
                self._retire(self._kept.popitem(last=False)[1], doomed)
        _close(doomed)

    def give_back(self, handle: Handle, *, stale: bool = False) -> None:
        """End a use; a ``stale`` handle is not lent again."""
        doomed: list[Handle] = []
        with self._lock:
            handle.users -= 1
            handle.idle_since = time.monotonic()
            if stale and self._kept.get(handle.path) is handle:
                del self._kept[handle.path]
            if (stale or handle.retired) and not handle.users:
                doomed.append(handle)
            handle.retired = handle.retired or stale
        _close(doomed)

    def close_idle(self, idle_s: float) -> None:
        """Close what nobody has used for ``idle_s``."""
        before = time.monotonic() - idle_s
        with self._lock:
            idle = [each for each in self._kept.values() if not each.users and each.idle_since <= before]
            for handle in idle:
                del self._kept[handle.path]
        _close(idle)

    def clear(self) -> None:
        """Forget all, when their connections are closed."""
        with self._lock:
            self._kept.clear()

    @staticmethod
    def _retire(handle: Handle, doomed: list[Handle]) -> None:
        handle.retired = True
        if not handle.users:
            doomed.append(handle)


def _close(handles: list[Handle]) -> None:
    for handle in handles:
        if handle.connection.alive:
            handle.connection.post(messages.close_file(handle.file_id))
