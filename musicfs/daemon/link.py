"""The link between the two processes: small msgpack frames over a socket pair. LMDB carries the data.

Either side may die at any moment; the other then reads the end of the stream. Sending never raises on a dead peer.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import msgspec

from musicfs.config.settings import Settings
from musicfs.daemon.logs import LogSetup
from musicfs.model import Health
from musicfs.mount.counting import FuseOperation
from musicfs.origins.wrappers.trace import OperationCount
from musicfs.origins.wrappers.wrapper import Operation

_LENGTH = struct.Struct("<I")
_MAX_FRAME_BYTES = 4 << 20
_SEND_TIMEOUT_S = 10


class Start(msgspec.Struct, frozen=True, tag="start"):
    """mount -> keeper, first: what to work on."""

    settings: Settings
    mount_pid: int
    started_ns: int
    restarts: int
    logs: LogSetup | None = None  # None: whatever the settings come to in the foreground
    hangs: int = 0  # of the restarts, those of keepers that did not answer any more
    wants_status: bool = False  # somebody reads what :class:`StatusText` says


class Counters(msgspec.Struct, frozen=True, tag="counters"):
    """mount -> keeper: what the mount counts, when it has changed."""

    open_files: int
    served: int
    hits: int = 0  # reads of content that needed no origin
    misses: int = 0
    fetched_bytes: int = 0
    read_bytes: int = 0  # by whoever uses the mount
    dropped_bytes: int = 0  # fetched, and not kept for want of time or room
    fuse: tuple[FuseOperation, ...] = ()  # one for each of FUSE_OPERATIONS
    origins: dict[str, dict[Operation, OperationCount]] = {}  # what they were asked by the mount, by id


class Replayed(msgspec.Struct, frozen=True, tag="replayed"):
    """mount -> keeper: the change log up to here has reached the kernel."""

    sequence: int


class Stale(msgspec.Struct, frozen=True, tag="stale"):
    """mount -> keeper: this object was not what the catalog says when it was opened."""

    object_id: int


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """mount -> keeper: every byte of this content is in the store now."""

    key: bytes
    size: int


class Accessed(msgspec.Struct, frozen=True, tag="accessed"):
    """mount -> keeper: a track was played, from this file of an origin. Times in ns since 1970 UTC."""

    object_id: int
    opened_ns: int
    played_ns: int  # when so much of it was heard that it is a play


class IndexDamaged(msgspec.Struct, frozen=True, tag="index_damaged"):
    """mount -> keeper: the search index cannot be read and must be built anew."""


class Rescan(msgspec.Struct, frozen=True, tag="rescan"):
    """mount -> keeper: list every origin again."""


class Relog(msgspec.Struct, frozen=True, tag="relog"):
    """mount -> keeper: log like this from now on."""

    logs: LogSetup


class Dump(msgspec.Struct, frozen=True, tag="dump"):
    """mount -> keeper: write state and stacks to the log, and to this file."""

    path: str = ""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """mount -> keeper: are you there? keeper -> mount: yes, with the same number."""

    number: int


class Unmounting(msgspec.Struct, frozen=True, tag="unmounting"):
    """mount -> keeper: the mount has begun to end."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """keeper -> mount: a client asks for the configuration to be read again."""

    number: int


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded"):
    """mount -> keeper: what came of it, before the keeper is ended for another one. With problems nothing has changed."""

    number: int
    applied: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    problems: tuple[tuple[str, str, str], ...] = ()  # place, message, suggestion
    warnings: tuple[tuple[str, str, str], ...] = ()  # the same; they keep nothing from applying
    file: str = ""


class Look(msgspec.Struct, frozen=True, tag="look"):
    """keeper -> mount: the change log has grown."""


class Up(msgspec.Struct, frozen=True, tag="up"):
    """keeper -> mount: all of it has started, and clients are answered."""


class StatusText(msgspec.Struct, frozen=True, tag="status"):
    """keeper -> mount: how things are, in a line for people, when that has changed."""

    text: str


class HealthReport(msgspec.Struct, frozen=True, tag="health"):
    """keeper -> mount: how every origin is, by id, when that has changed."""

    health: dict[str, Health]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """keeper -> mount: a client asked for the end. Not graceful: do not wait for reads."""

    graceful: bool
    timeout_s: float


Message = (
    Start | Counters | Replayed | Stale | Completed | Accessed | IndexDamaged | Rescan | Look | HealthReport | Stop
    | Relog | Dump | Ping | Reload | Reloaded | Unmounting | Up | StatusText
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class Link:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over ``end``."""
        self._socket = end
        # A peer that was stopped reads nothing: whoever tells it something must not stop too (socket(7)).
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT_S, 0))
        self._sending = threading.Lock()

    def send(self, message: Message) -> bool:
        """Send one message; False if the other side is gone, or has read nothing for ten seconds: it then is, too."""
        body = _encoder.encode(message)
        try:
            with self._sending:
                self._socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError:
            self._hang_up()  # half a frame may be on its way
            return False
        return True

    def receive(self) -> Message | None:
        """The next message; None when the other side is gone. Blocks."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > _MAX_FRAME_BYTES:
            return None
        body = self._exactly(length)
        if body is None:
            return None
        try:
            message: Message = _decoder.decode(body)
        except msgspec.DecodeError:
            return None  # a peer that talks nonsense is as good as gone
        return message

    def _exactly(self, size: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < size:
            try:
                more = self._socket.recv(size - len(parts))
            except OSError:
                return None
            if not more:
                return None
            parts += more
        return bytes(parts)

    def close(self) -> None:
        """Close this end; a blocked :meth:`receive` returns None."""
        self._hang_up()
        self._socket.close()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the other side is gone already
            self._socket.shutdown(socket.SHUT_RDWR)
