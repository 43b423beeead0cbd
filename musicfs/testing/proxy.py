"""A TCP proxy that makes a server on this machine far away, counts what passes, and breaks the line on request.

There is no network emulation in every kernel a test may meet, so the distance is made here: what comes in at one end goes
out at the other ``delay_s`` later, however much is on its way, which is a delay and not a brake. One thread carries all
connections. Times are kept to about a millisecond, the resolution of ``epoll_wait``.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from musicfs.testing.proxied import LINE_QUEUE_S, Connection, Counts, Line, Parcel, Pipe, reset_socket, unsent_bytes

__all__ = ["CountingProxy", "Counts"]

T = TypeVar("T")

_RECEIVE_BYTES = 1 << 20
_SLICE_S = 0.005  # what one connection puts on such a line at a time, so that others get their turn
_SLICE_BYTES_MIN = 4096
_BACKLOG = 256
_UNSENT_CHECK_S = 0.001
_COMMAND_TIMEOUT_S = 10.0
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class CountingProxy:
    """Carries TCP connections from a port of its own on 127.0.0.1 to ``target_port``, from :meth:`start` to :meth:`close`.

    ``delay_s`` is added in each direction; opening a connection takes its three, though ``connect`` itself returns at once.
    ``bytes_per_s`` is the rate of the line, for each direction, shared by all connections in turn; 0 is no limit. Faults
    are called from any thread and have happened on return. Use it as a context manager.
    """

    def __init__(
        self,
        target_port: int,
        *,
        target_host: str = "127.0.0.1",
        delay_s: float = 0.0,
        bytes_per_s: int = 0,
        port: int = 0,
    ) -> None:
        self._target = (target_host, target_port)
        self._delay_s = delay_s
        self._receive_bytes = _RECEIVE_BYTES
        if bytes_per_s:
            self._receive_bytes = min(_RECEIVE_BYTES, max(_SLICE_BYTES_MIN, int(bytes_per_s * _SLICE_S)))
        self._asked_port = port
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._commands: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []  # (when, serial number, what)
        self._serial = itertools.count()
        self._masks: dict[socket.socket, int] = {}
        self._connections: set[Connection] = set()
        self._up, self._down = Line(bytes_per_s), Line(bytes_per_s)
        self._closing = self._refusing = self._stalled = False
        self._cut_after: int | None = None
        self._reset_counts()

    @property
    def port(self) -> int:
        """The port clients connect to; known after :meth:`start`."""
        assert self._listener is not None, "the proxy has not been started"
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Listen, and carry from now on; returns at once. Raises OSError when the port is taken."""
        self._listener = socket.create_server(("127.0.0.1", self._asked_port), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._wake_receiver.setblocking(False)
        self._selector.register(self._listener, _READ, self._accept)
        self._selector.register(self._wake_receiver, _READ, self._woken)
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Reset all connections and give the port back; idempotent."""
        if self._thread is not None:
            self._closing = True
            self._wake_sender.send(b"x")
            self._thread.join(_COMMAND_TIMEOUT_S)
            self._thread = None
        for one in (self._listener, self._wake_receiver, self._wake_sender):
            if one is not None:
                one.close()
        self._selector.close()

    def __enter__(self) -> CountingProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshot(self) -> Counts:
        """The counts now."""
        return self._do(lambda: Counts(self._accepted, self._refused, self._to_server, self._to_client, self._turns))

    def reset(self) -> None:
        """Count from zero."""
        self._do(self._reset_counts)

    @property
    def live(self) -> int:
        """Connections that are open now."""
        return self._do(lambda: len(self._connections))

    def refuse(self) -> None:
        """Close new connections as soon as they come (they are reset), until :meth:`resume`; others go on."""
        self._do(partial(setattr, self, "_refusing", True))

    def cut(self) -> None:
        """Reset every connection at both ends, once; what was on its way is lost."""
        self._do(self._drop_all)

    def cut_after(self, n_bytes: int) -> None:
        """Reset, once, the connection whose client is handed the ``n_bytes``-th byte from now on, right behind it."""
        self._do(partial(setattr, self, "_cut_after", n_bytes))

    def stall(self) -> None:
        """Forward nothing, on old connections and new ones, which stay open, until :meth:`resume`; time goes on."""
        self._do(partial(self._set_stalled, True))

    def resume(self) -> None:
        """Carry again, take new connections again, and forget :meth:`cut_after`."""

        self._do(self._resume)

    def _do(self, action: Callable[[], T]) -> T:
        """Run ``action`` on the proxy's thread and wait for it; here if there is none."""
        if self._thread is None:
            return action()
        results: list[T] = []
        done = threading.Event()

        def command() -> None:
            results.append(action())
            done.set()

        self._commands.append(command)
        self._wake_sender.send(b"x")
        if not done.wait(_COMMAND_TIMEOUT_S):
            raise TimeoutError("the proxy's thread does not answer")
        return results[0]

    def _reset_counts(self) -> None:
        self._accepted = self._refused = self._to_server = self._to_client = self._turns = 0

    def _resume(self) -> None:
        self._refusing = False
        self._cut_after = None
        self._set_stalled(False)

    def _set_stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        for connection in list(self._connections):
            self._watch(connection)

    # From here on, everything runs on the proxy's thread.

    def _run(self) -> None:
        while not self._closing:
            timeout_s = None
            if self._timers and not self._stalled:
                timeout_s = max(0.0, self._timers[0][0] - time.monotonic())
            for key, mask in self._selector.select(timeout_s):
                if callable(key.data):
                    key.data()
                else:
                    self._on_ready(key.data, key.fileobj is key.data.client, mask)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now and not self._stalled:
                heapq.heappop(self._timers)[2]()
        self._drop_all()

    def _at(self, due: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (due, next(self._serial), action))

    def _woken(self) -> None:
        self._wake_receiver.recv(4096)
        while self._commands:
            self._commands.popleft()()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # the client went away before it was taken
        if self._refusing:
            self._refused += 1
            reset_socket(client)
            return
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        now = time.monotonic()
        connection = Connection(client, server, self._up, self._down, now + 2 * self._delay_s)
        self._connections.add(connection)
        self._watch(connection)
        # SYN, SYN and ACK, ACK: a server takes the connection one delay after the client has it.
        self._at(now + 3 * self._delay_s, partial(self._connect, connection))

    def _connect(self, connection: Connection) -> None:
        if connection.closed:
            return
        code = connection.server.connect_ex(self._target)
        if code not in (0, errno.EINPROGRESS):
            self._drop_unanswered(connection)
        connection.connecting = True
        self._watch(connection)

    def _on_ready(self, connection: Connection, is_client: bool, mask: int) -> None:
        if connection.closed:
            return
        if not is_client and connection.connecting:
            connection.connecting = False
            if connection.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._drop_unanswered(connection)
                return
            connection.connected = True
            self._deliver(connection.up)
        else:
            incoming, outgoing = connection.down, connection.up
            if is_client:
                incoming, outgoing = outgoing, incoming
            if mask & _WRITE:
                outgoing.stuck = False
                self._deliver(outgoing)
            if mask & _READ and incoming.takes and not connection.closed:
                self._take(incoming)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """Ask the kernel for what this connection waits for."""
        if connection.closed:
            return
        client, server = (0, 0) if self._stalled else connection.wants()
        for end, mask in ((connection.client, client), (connection.server, server)):
            before = self._masks.get(end, 0)
            if mask == before:
                continue
            if not mask:
                self._selector.unregister(end)
            elif before:
                self._selector.modify(end, mask, connection)
            else:
                self._selector.register(end, mask, connection)
            self._masks[end] = mask

    def _take(self, pipe: Pipe) -> None:
        """Receive what is there and send it on its way."""
        connection, line = pipe.connection, pipe.line
        now = time.monotonic()
        if line.is_full(now):
            pipe.parked = True
            line.waiting.append(pipe)
            self._schedule_line(line)
            return
        reset = False
        try:
            data = pipe.source.recv(self._receive_bytes)
        except BlockingIOError:
            return
        except OSError:
            data, reset = b"", True
        sent_at = line.put(len(data), now)
        if pipe is connection.up:
            sent_at = max(sent_at, connection.opened_at)
        parcel = Parcel(sent_at + self._delay_s, memoryview(data), reset=reset)
        pipe.ended = not data
        pipe.in_flight += len(data)
        self._turns += connection.note_sent(pipe, parcel)
        pipe.parcels.append(parcel)
        self._deliver(pipe)

    def _schedule_line(self, line: Line) -> None:
        if not line.scheduled:
            line.scheduled = True
            self._at(line.free_at - LINE_QUEUE_S / 2, partial(self._fill, line))

    def _fill(self, line: Line) -> None:
        """The line has room again: those who wait put a slice on it each, in turn."""
        line.scheduled = False
        for _ in range(len(line.waiting)):
            if line.is_full(time.monotonic()):
                self._schedule_line(line)
                return
            pipe = line.waiting.popleft()
            pipe.parked = False
            if not pipe.connection.closed and pipe.takes:
                self._take(pipe)
                self._watch(pipe.connection)

    def _on_due(self, pipe: Pipe) -> None:
        pipe.scheduled = False
        self._deliver(pipe)
        self._watch(pipe.connection)

    def _deliver(self, pipe: Pipe) -> None:
        """Hand on everything that has arrived."""
        connection = pipe.connection
        while pipe.parcels and not (pipe.stuck or connection.closed or not connection.connected):
            parcel = pipe.parcels[0]
            if parcel.due > time.monotonic():
                if not pipe.scheduled:
                    pipe.scheduled = True
                    self._at(parcel.due, partial(self._on_due, pipe))
                return
            if not parcel.data:
                pipe.parcels.popleft()
                self._end(pipe, parcel)
                return
            self._send(pipe, parcel)

    def _send(self, pipe: Pipe, parcel: Parcel) -> None:
        connection = pipe.connection
        towards_client = pipe is connection.down
        data = parcel.data
        if towards_client and self._cut_after is not None:
            data = data[: self._cut_after]
        try:
            sent = pipe.sink.send(data) if data else 0
        except BlockingIOError:
            pipe.stuck = True
            return
        except OSError:
            self._drop(connection)
            return
        connection.note_arrived(pipe, parcel)
        pipe.in_flight -= sent
        parcel.data = parcel.data[sent:]
        if not parcel.data:
            pipe.parcels.popleft()
        if not towards_client:
            self._to_server += sent
            return
        self._to_client += sent
        if self._cut_after is not None:
            self._cut_after -= sent
            if self._cut_after <= 0:
                self._cut_after = None
                self._drop_when_sent(connection)

    def _end(self, pipe: Pipe, parcel: Parcel) -> None:
        connection = pipe.connection
        other = connection.up if pipe is connection.down else connection.down
        if parcel.reset or (other.ended and not other.parcels):
            self._drop(connection, reset=parcel.reset)
            return
        with contextlib.suppress(OSError):
            pipe.sink.shutdown(socket.SHUT_WR)

    def _drop_when_sent(self, connection: Connection) -> None:
        """Send nothing more; reset once the client's side of the kernel has it all, as a reset discards what has not left."""
        connection.connected = False
        if connection.closed or not unsent_bytes(connection.client):
            self._drop(connection)
        else:
            self._at(time.monotonic() + _UNSENT_CHECK_S, partial(self._drop_when_sent, connection))

    def _drop_unanswered(self, connection: Connection) -> None:
        self._accepted -= 1
        self._refused += 1
        self._drop(connection)

    def _drop_all(self) -> None:
        for connection in list(self._connections):
            self._drop(connection)

    def _drop(self, connection: Connection, *, reset: bool = True) -> None:
        if connection.closed:
            return
        connection.closed = True
        self._connections.discard(connection)
        for end in (connection.client, connection.server):
            if self._masks.pop(end, 0):
                self._selector.unregister(end)
            if reset:
                reset_socket(end)
            else:
                end.close()
