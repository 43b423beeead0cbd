"""What :mod:`musicfs.testing.proxy` carries: connections, their two pipes, the parcels on their way, and the counts."""

from __future__ import annotations

import contextlib
import fcntl
import selectors
import socket
import struct
import sys
import termios
from collections import deque
from enum import Enum, auto

import msgspec

IN_FLIGHT_BYTES = 64 << 20  # of one connection and direction; more is not taken from the sender
LINE_QUEUE_S = 0.05  # what may wait before a line with a rate: beyond it senders are held back
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST (socket(7))


class Counts(msgspec.Struct, frozen=True):
    """What a ``CountingProxy`` has carried since it was made or last reset.

    Bytes are counted when they are handed on. ``turns`` estimates the round trips that clients waited for, summed over
    connections: a turn begins with the first bytes from the client, and again with the first bytes from the client after
    it was handed an answer to what began the turn before, that is, bytes the server sent after it had been handed those.
    So requests sent together, or while the answer to an earlier one is on its way, belong to one turn, and a stream counts
    at most one turn for each round trip it lasts. Opening a connection costs a round trip that is not among them.
    """

    connections: int = 0  # accepted and carried
    refused: int = (
        0  # closed at once, by :meth:`~musicfs.testing.proxy.CountingProxy.refuse` or because the target took none
    )
    to_server_bytes: int = 0
    to_client_bytes: int = 0
    turns: int = 0


class Phase(Enum):
    """Where a connection is in its turn."""

    LISTENED = auto()  # what the client sends next begins a turn
    ASKING = auto()  # what began the turn is on its way
    ASKED = auto()  # it has arrived: what the server sends next is the answer
    ANSWERING = auto()  # the answer is on its way


class Line:
    """One direction, shared by all connections: when its last byte will have been put on it, and who waits to."""

    __slots__ = ("_bytes_per_s", "free_at", "scheduled", "waiting")

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self.free_at = 0.0
        self.scheduled = False
        self.waiting: deque[Pipe] = deque()

    def is_full(self, now: float) -> bool:
        """True if more waits before it than a router would hold."""
        return self.free_at - now > LINE_QUEUE_S

    def put(self, size: int, now: float) -> float:
        """Put bytes on it; returns when the last of them has left."""
        if not self._bytes_per_s:
            return now
        self.free_at = max(self.free_at, now) + size / self._bytes_per_s
        return self.free_at


class Parcel:
    """Bytes on their way; none of them is the end of the stream."""

    __slots__ = ("data", "due", "marked", "reset")

    def __init__(self, due: float, data: memoryview, *, marked: bool = False, reset: bool = False) -> None:
        self.due = due
        self.data = data
        self.marked = marked  # begins a turn, or its answer
        self.reset = reset


class Pipe:
    """One direction of a connection."""

    __slots__ = (
        "connection",
        "ended",
        "in_flight",
        "line",
        "parcels",
        "parked",
        "scheduled",
        "sink",
        "source",
        "stuck",
    )

    def __init__(self, connection: Connection, source: socket.socket, sink: socket.socket, line: Line) -> None:
        self.connection = connection
        self.source = source
        self.sink = sink
        self.line = line
        self.parcels: deque[Parcel] = deque()
        self.in_flight = 0
        self.ended = False  # the source sends no more
        self.stuck = False  # the sink takes no more for now
        self.parked = False  # waits for its turn on the line
        self.scheduled = False

    @property
    def takes(self) -> bool:
        return not self.ended and not self.parked and self.in_flight < IN_FLIGHT_BYTES


class Connection:
    """A client, and the server on its behalf."""

    def __init__(self, client: socket.socket, server: socket.socket, up: Line, down: Line, opened_at: float) -> None:
        self.client = client
        self.server = server
        self.up = Pipe(self, client, server, up)
        self.down = Pipe(self, server, client, down)
        self.opened_at = opened_at  # the client's handshake is over: nothing it sends leaves before
        self.connecting = False
        self.connected = False
        self.closed = False
        self.phase = Phase.LISTENED

    def wants(self) -> tuple[int, int]:
        """What the client's socket and the server's socket wait for: masks of :mod:`selectors`."""
        client = _READ * self.up.takes | _WRITE * self.down.stuck
        if self.connecting:
            return client, _WRITE
        return client, (_READ * self.down.takes | _WRITE * self.up.stuck) if self.connected else 0

    def note_sent(self, pipe: Pipe, parcel: Parcel) -> bool:
        """A parcel has left; True if it begins a turn."""
        if not parcel.data:
            return False
        if pipe is self.up and self.phase is Phase.LISTENED:
            self.phase = Phase.ASKING
            parcel.marked = True
            return True
        if pipe is self.down and self.phase is Phase.ASKED:
            self.phase = Phase.ANSWERING
            parcel.marked = True
        return False

    def note_arrived(self, pipe: Pipe, parcel: Parcel) -> None:
        """Bytes of a parcel have been handed on."""
        if parcel.marked:
            parcel.marked = False
            self.phase = Phase.LISTENED if pipe is self.down else Phase.ASKED


def reset_socket(end: socket.socket) -> None:
    """Close with RST instead of FIN."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()


def unsent_bytes(end: socket.socket) -> int:
    """What the other side's kernel has not taken yet (SIOCOUTQ, tcp(7))."""
    return int.from_bytes(fcntl.ioctl(end, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
