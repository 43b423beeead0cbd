"""The connections of an SMB origin; a thread of its own keeps them alive.

They are made one at a time, when they are needed, and a dead one is replaced by whoever needs one next.
"""

from __future__ import annotations

import threading
import time

from musicfs.config.settings import OriginSettings
from musicfs.errors import OriginError, UnreachableError
from musicfs.origins import smb_messages as messages
from musicfs.origins.failures import closed
from musicfs.origins.smb_connection import SmbConnection, connect
from musicfs.origins.smb_errors import server_of

CONNECTIONS_MAX = 2
PING_AFTER_S = 30.0  # well before a router forgets the connection, and before Windows ends an idle session (15 minutes)
PING_INTERVAL_S = 5.0
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
        self._failure: OriginError | None = None
        self._no_extra_before = 0.0
        self._closed = threading.Event()
        self._pinger: threading.Thread | None = None

    def pick(self) -> SmbConnection:
        """A live connection, the least busy. Raises what connecting raises; of many callers at once one connects."""
        with self._changed:
            while True:
                if self._closed.is_set():
                    raise closed(self._settings.id)
                self._connections = [each for each in self._connections if each.alive]
                best = min(self._connections, key=lambda each: each.load_bytes, default=None)
                if best is not None and (self._connecting or not self._wants_more(best)):
                    return best
                if not self._connecting:
                    self._connecting = True
                    break
                self._await_attempt()
        return self._connect(best)

    def ping(self) -> None:
        """Ask connections that were quiet whether they are still there."""
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
            pinger, self._pinger = self._pinger, None
        for connection in connections:
            connection.close()
        if pinger is not None:
            pinger.join(self._settings.timeout_s)

    def _wants_more(self, best: SmbConnection) -> bool:
        room = len(self._connections) < self._size and time.monotonic() >= self._no_extra_before
        return room and best.load_bytes >= _BUSY_BYTES

    def _await_attempt(self) -> None:
        """Wait for the outcome of the attempt that another caller makes, and share its failure."""
        attempt = self._attempts
        if not self._changed.wait_for(lambda: self._attempts > attempt, 2 * self._settings.timeout_s):
            raise server_of(self._settings).silent(self._settings.timeout_s)
        failure = self._failure
        if failure is not None:
            raise type(failure)(str(failure), remedy=failure.remedy)

    def _connect(self, best: SmbConnection | None) -> SmbConnection:
        """Make a connection while nobody else does; where there is one already, a failure is no harm."""
        made: SmbConnection | None = None
        failure: OriginError | None = None
        try:
            made = connect(self._settings)
            return made
        except OriginError as error:
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
                if made is not None and self._closed.is_set():
                    made.close()
                elif made is not None:
                    self._connections.append(made)
                    self._start_pinging()
                self._changed.notify_all()

    def _start_pinging(self) -> None:
        if self._pinger is None and not self._closed.is_set():
            self._pinger = threading.Thread(target=self._ping_often, name=f"smb-{self._settings.id}", daemon=True)
            self._pinger.start()

    def _ping_often(self) -> None:
        while not self._closed.wait(PING_INTERVAL_S):
            self.ping()
