"""What a mounted origin and its child process say to each other: frames over a socket pair.

A frame is the length of a message, the length of the data behind it (two little-endian u32), the message in msgpack, the
data as it is: file contents are copied once by each kernel call and never packed. Text travels as bytes, for names may
hold what is not Unicode. Every request has a number, and its answers carry it; answers may come in any order.

The parent begins with :class:`Start`, the child with :class:`Ready`. Requests are answered with one message, but
:class:`Read` with as much :class:`Data` as it takes. Either side ends when the other's end of the socket closes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import msgspec

from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.model import Entry
from musicfs.origins.contract import Folder

LENGTHS = struct.Struct("<II")
MAX_MESSAGE_BYTES = 256 << 20  # a folder of some million files
PART_BYTES = 1 << 20  # of data in one frame: a deadline is for one, and other answers wait for one

_ERRORS = {kind.__name__: kind for kind in (OriginError, UnreachableError, DeniedError, GoneError, ChangedError)}


class LinkError(Exception):
    """The other side is gone, does not read, or says what makes no sense."""


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line of the conversation; its first element is its tag."""


class Start(_Message, frozen=True, tag="start"):
    """parent -> child, first: what to serve, with how many threads, and how often to say that a listing is under way."""

    origin_id: bytes
    root: bytes
    include: tuple[bytes, ...]
    exclude: tuple[bytes, ...]
    anchor: bytes
    threads: int
    pulse_s: float


class Check(_Message, frozen=True, tag="check"):
    """Answered by Done."""

    number: int


class Next(_Message, frozen=True, tag="next"):
    """The next folder of the listing, which the first of these begins. Answered by FolderFound, or Done at its end."""

    number: int
    listing: int
    prefix: bytes


class Forget(_Message, frozen=True, tag="forget"):
    """This listing is not continued. Not answered."""

    listing: int


class Stat(_Message, frozen=True, tag="stat"):
    """Answered by FileFound, or Done if there is none."""

    number: int
    path: bytes


class Read(_Message, frozen=True, tag="read"):
    """Answered by Data, one or many."""

    number: int
    path: bytes
    start: int
    stop: int
    version: bytes


class Ready(_Message, frozen=True, tag="ready"):
    """child -> parent, first: everything is imported, and nothing yet touched."""


class Anchored(_Message, frozen=True, tag="anchor"):
    """child -> parent: what is to be kept of the anchor from now on; before the answer to the call that changed it."""

    anchor: bytes


class Done(_Message, frozen=True, tag="done"):
    """Went well, and there is nothing (more) to say."""

    number: int


class Busy(_Message, frozen=True, tag="busy"):
    """This listing's next folder is not complete yet, but the filesystem answers, call after call."""

    number: int


class File(_Message, frozen=True):
    """An :class:`~musicfs.model.Entry`; in a folder with its name alone."""

    path: bytes
    size: int
    mtime_ns: int
    version: bytes
    inode: int
    ctime_ns: int


class FileFound(_Message, frozen=True, tag="file"):
    """The one file that was asked for."""

    number: int
    file: File


class FolderFound(_Message, frozen=True, tag="folder"):
    """A :class:`~musicfs.origins.contract.Folder`."""

    number: int
    path: bytes
    files: tuple[File, ...]
    skipped: tuple[tuple[bytes, bytes], ...]
    complete: bool
    device: int


class Data(_Message, frozen=True, tag="data"):
    """The data behind this message is the next part of what was read."""

    number: int
    last: bool


class Failed(_Message, frozen=True, tag="failed"):
    """The call raised this."""

    number: int
    kind: str
    text: bytes
    remedy: bytes


Call = Check | Next | Stat | Read
Request = Start | Call | Forget
Answer = Done | FileFound | FolderFound | Data | Failed
Reply = Ready | Anchored | Busy | Answer

request_decoder = msgspec.msgpack.Decoder(Request)
reply_decoder = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


def pack_text(text: str) -> bytes:
    """Any text as bytes: unlike UTF-8, also lone surrogates of either kind."""
    return text.encode("utf-8", "surrogatepass")


def unpack_text(data: bytes) -> str:
    """The text that :func:`pack_text` made bytes of. Raises UnicodeDecodeError, which is a ValueError."""
    return data.decode("utf-8", "surrogatepass")


def pack_file(entry: Entry, start: int = 0) -> File:
    """``entry`` for the wire, without the first ``start`` characters of its path."""
    return File(
        pack_text(entry.path[start:]),
        entry.size,
        entry.mtime_ns,
        pack_text(entry.version),
        entry.inode,
        entry.ctime_ns,
    )


def unpack_file(file: File, prefix: str = "") -> Entry:
    """The entry of which ``prefix`` was left out."""
    path = prefix + unpack_text(file.path)
    return Entry(path, file.size, file.mtime_ns, unpack_text(file.version), file.inode, file.ctime_ns)


def pack_folder(number: int, folder: Folder) -> FolderFound:
    """``folder`` as an answer."""
    start = len(folder.path) + 1 if folder.path else 0
    return FolderFound(
        number,
        pack_text(folder.path),
        tuple([pack_file(entry, start) for entry in folder.files]),
        tuple((pack_text(name), pack_text(reason)) for name, reason in folder.skipped),
        folder.complete,
        folder.device,
    )


def unpack_folder(answer: FolderFound) -> Folder:
    """The folder in ``answer``."""
    path = unpack_text(answer.path)
    prefix = path + "/" if path else ""
    return Folder(
        path,
        tuple([unpack_file(file, prefix) for file in answer.files]),
        tuple((unpack_text(name), unpack_text(reason)) for name, reason in answer.skipped),
        complete=answer.complete,
        device=answer.device,
    )


def pack_error(number: int, error: OriginError) -> Failed:
    """``error`` as an answer; a class that the other side does not know travels as the nearest one that it does."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
    return Failed(number, kind, pack_text(str(error)), pack_text(error.remedy))


def unpack_error(answer: Failed) -> OriginError:
    """The error in ``answer``. Raises ValueError if there is no such class."""
    kind = _ERRORS.get(answer.kind)
    if kind is None:
        raise ValueError(f"no kind of error: {answer.kind!r}")
    return kind(unpack_text(answer.text), remedy=unpack_text(answer.remedy))


class Link:
    """One end of the socket. One thread receives, any thread sends."""

    def __init__(self, end: socket.socket, *, send_timeout_s: float) -> None:
        """Takes over ``end``. A send takes at most ``send_timeout_s`` for itself and for each one before it."""
        self._socket = end
        self._send_timeout_s = send_timeout_s
        seconds, rest = divmod(send_timeout_s, 1)
        # SO_SNDTIMEO (socket(7)) bounds sends alone: a timeout of the socket object would bound the receiver too.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(rest * 1e6)))
        self._sending = threading.Lock()
        self._open = True

    def send(self, message: _Message, data: bytes = b"") -> None:
        """Send one frame. Raises LinkError when the other side is gone, or reads nothing for ``send_timeout_s``."""
        head = _encoder.encode(message)
        if not self._sending.acquire(timeout=self._send_timeout_s):
            raise LinkError("reads nothing")
        try:
            if not self._open:
                raise LinkError("is closed")
            _send_all(self._socket, [LENGTHS.pack(len(head), len(data)), head, data])
        except OSError as error:
            self.hang_up()  # a part of the frame may be on its way
            raise LinkError("reads nothing" if isinstance(error, BlockingIOError) else "is gone") from error
        finally:
            self._sending.release()

    def receive(self) -> tuple[bytes, bytes] | None:
        """The next message, still packed, and its data; None once the other side is gone. Blocks. Raises LinkError."""
        lengths = self._exactly(LENGTHS.size)
        if lengths is None:
            return None
        head_bytes, data_bytes = LENGTHS.unpack(lengths)
        if head_bytes > MAX_MESSAGE_BYTES or data_bytes > PART_BYTES:
            raise LinkError(f"announces a frame of {head_bytes} and {data_bytes} bytes")
        head = self._exactly(head_bytes)
        data = self._exactly(data_bytes)
        return None if head is None or data is None else (head, data)

    def hang_up(self) -> None:
        """End the conversation: both sides' :meth:`receive` return None. From any thread; idempotent."""
        with contextlib.suppress(OSError):  # the other side is gone already, or this one is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this end. Only for the thread that receives; a sender is let go first."""
        self.hang_up()
        with self._sending:
            self._open = False
            self._socket.close()

    def _exactly(self, size_bytes: int) -> bytes | None:
        """The next bytes in one piece: with MSG_WAITALL (recv(2)) they are received into the object that is returned."""
        data = b""
        while len(data) < size_bytes:
            try:
                more = self._socket.recv(size_bytes - len(data), socket.MSG_WAITALL)
            except OSError:
                return None
            if not more:
                return None
            data = data + more if data else more  # a signal may have cut it short
        return data


def _send_all(end: socket.socket, parts: list[bytes]) -> None:
    """Send ``parts``, without joining them."""
    views = [memoryview(part) for part in parts if part]
    while views:
        sent = end.sendmsg(views)
        while views and sent >= len(views[0]):
            sent -= len(views.pop(0))
        if sent:
            views[0] = views[0][sent:]
