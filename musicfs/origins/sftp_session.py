"""One SFTP session on a channel of an ssh connection: requests go out pipelined, answers come back to whoever asked.

Everything here belongs to the event loop's thread. Methods that ask return futures at once, in the order of the calls, so
that a caller puts several requests on the way before it waits. The draft (section 6.1) has servers handle what concerns
one file in the order it was sent. Imports asyncssh: import it late.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import asyncssh

from musicfs.errors import OriginError, UnreachableError
from musicfs.origins.failures import Server
from musicfs.origins.sftp_messages import (
    LIMITS_EXTENSION,
    MAX_MESSAGE_BYTES,
    U32,
    Answer,
    Attrs,
    Kind,
    Limits,
    MalformedError,
    StatusError,
    pack_init,
    pack_on_string,
    pack_open,
    pack_read,
    parse_answer,
    parse_limits,
    parse_version,
)

# What is asked for and not yet answered, over all reads: 1 Gbit/s times 50 ms is 6.25 MB, and some for the server's work.
WINDOW_BYTES = 8 << 20
# The channel's window must hold that and not be the limit; asyncssh refills it when half of it is used up.
CHANNEL_WINDOW_BYTES = 4 * WINDOW_BYTES
PACKET_BYTES = 128 << 10
# One answer may keep its caller waiting this many timeouts while others still come in.
_PATIENCE = 30

Outcome = Answer | OriginError | StatusError
_Callback = Callable[[Outcome], None]


class SftpSession(asyncssh.SSHClientSession[bytes]):
    """A client of one ``sftp`` subsystem. When the server stays silent for ``timeout_s`` it is lost, with all it owed."""

    def __init__(self, server: Server, timeout_s: float, on_lost: Callable[[], None]) -> None:
        """``on_lost`` is called once, when nothing more can be asked."""
        self._server = server
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._greeting: asyncio.Future[bytes] = self._loop.create_future()
        self._buffer = bytearray()
        self._outgoing = bytearray()
        self._pending: dict[int, tuple[_Callback, float]] = {}  # in the order they were sent
        self._next_number = 0
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._wanting: deque[_Transfer] = deque()
        self._asked_bytes = 0
        self.limits = Limits()
        self.lost = False

    # What asyncssh calls

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def connection_lost(self, exc: Exception | None) -> None:
        self.give_up(self._server.hung_up)

    def eof_received(self) -> bool:
        self.give_up(lambda: self._server.hung_up("of its own accord"))
        return False

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype is not None or self.lost:  # what a server prints to stderr is no answer
            return
        self._heard_at = self._loop.time()
        self._buffer += data
        try:
            self._take_messages()
        except MalformedError as error:
            self.give_up(functools.partial(self._server.stranger, f"does not answer in SFTP: {error}"))

    # What the origin calls

    async def start(self) -> None:
        """Greet the server. Raises UnreachableError; the caller bounds the time."""
        self._channel_write(pack_init())
        try:
            extensions = parse_version(await self._greeting)
        except MalformedError as error:
            raise self._server.stranger(f"does not answer in SFTP: {error}") from error
        if LIMITS_EXTENSION in extensions:
            self.send(lambda number: pack_on_string(Kind.EXTENDED, number, LIMITS_EXTENSION), self._learn_limits)

    def ask(self, kind: Kind, text: bytes) -> asyncio.Future[Answer]:
        """Any request about a path or a handle. The future raises StatusError or UnreachableError."""
        return self._future(lambda number: pack_on_string(kind, number, text))

    def attrs(self, kind: Kind, text: bytes) -> asyncio.Future[Attrs]:
        """STAT, LSTAT or FSTAT."""
        return cast("asyncio.Future[Attrs]", self.ask(kind, text))

    def open(self, path: bytes) -> asyncio.Future[bytes]:
        """Open a file for reading: its handle."""
        return cast("asyncio.Future[bytes]", self._future(lambda number: pack_open(number, path)))

    def close_handle(self, handle: bytes) -> None:
        """Close a handle, and do not wait for it."""
        if not self.lost:
            self.send(lambda number: pack_on_string(Kind.CLOSE, number, handle), lambda outcome: None)

    def read(self, handle: bytes, start: int, stop: int) -> asyncio.Future[tuple[bytes | None, Attrs]]:
        """The bytes ``[start, stop)``, or None if the file ends before, and what FSTAT says after them.

        Many reads share the line in turns, a request of each at a time.
        """
        transfer = _Transfer(self, handle, start, stop)
        self._wanting.append(transfer)
        self._pump()
        return transfer.done

    def send(self, pack: Callable[[int], bytes], callback: _Callback) -> None:
        """Put a request on its way; ``callback`` is called once, with the answer or an error."""
        if self.lost:
            callback(self._server.hung_up())
            return
        number = self._next_number
        self._next_number = (number + 1) & 0xFFFF_FFFF
        now = self._loop.time()
        self._pending[number] = (callback, now)
        if not self._outgoing:
            self._loop.call_soon(self._flush)  # what is asked in one go shares packets
        self._outgoing += pack(number)
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._timeout_s, self._check_time)

    def asked(self, change_bytes: int) -> None:
        """Note that so many more bytes are on their way, or fewer; then others may ask."""
        self._asked_bytes += change_bytes
        if change_bytes < 0:
            self._pump()

    def want(self, transfer: _Transfer) -> None:
        """A transfer has more to ask for after all."""
        self._wanting.append(transfer)

    def give_up(self, explain: Callable[[], UnreachableError]) -> None:
        """Fail everything that waits, each with an error of its own; nothing more can be asked. Idempotent."""
        if self.lost:
            return
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        pending, self._pending = self._pending, {}
        wanting, self._wanting = self._wanting, deque()
        if not self._greeting.done():
            _fail(self._greeting, explain())
        for callback, _ in pending.values():
            callback(explain())
        for transfer in wanting:
            transfer.fail(explain())
        self._buffer = bytearray()
        self._on_lost()

    # Within

    def _future(self, pack: Callable[[int], bytes]) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = self._loop.create_future()
        self.send(pack, functools.partial(_settle, future))
        return future

    def _learn_limits(self, outcome: Outcome) -> None:
        """Nobody waits for this: until it comes, requests are smaller."""
        if isinstance(outcome, bytes):
            self.limits = parse_limits(outcome)

    def _flush(self) -> None:
        if self._outgoing and not self.lost:
            self._channel_write(bytes(self._outgoing))
        self._outgoing.clear()

    def _channel_write(self, data: bytes) -> None:
        assert self._channel is not None
        try:
            self._channel.write(data)
        except OSError:  # the channel is closing: connection_lost has not come yet
            self.give_up(self._server.hung_up)

    def _take_messages(self) -> None:
        at, size = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while size - at >= 4:
                length = U32.unpack_from(view, at)[0]
                if not 5 <= length <= MAX_MESSAGE_BYTES:
                    raise MalformedError(f"a message of {length} bytes")
                if size - at - 4 < length:
                    break
                with view[at + 4 : at + 4 + length] as message:
                    self._take(message)
                if self.lost:
                    return
                at += 4 + length
        del self._buffer[:at]

    def _take(self, message: memoryview) -> None:
        if message[0] == Kind.VERSION:
            if not self._greeting.done():
                self._greeting.set_result(bytes(message))
            return
        callback, _ = self._pending.pop(U32.unpack_from(message, 1)[0], (None, 0.0))
        if callback is None:
            raise MalformedError("an answer that nobody asked for")
        outcome: Outcome
        try:
            with message[5:] as body:
                outcome = parse_answer(message[0], body)
        except StatusError as error:
            outcome = error
        except MalformedError:
            callback(self._server.stranger("does not answer in SFTP"))
            raise
        callback(outcome)

    def _check_time(self) -> None:
        """Lose the session if the server has been silent for too long; else look again when it would be."""
        self._timer = None
        if not self._pending:
            return
        oldest = next(iter(self._pending.values()))[1]
        due = min(max(self._heard_at, oldest) + self._timeout_s, oldest + _PATIENCE * self._timeout_s)
        if self._loop.time() >= due:
            self.give_up(lambda: self._server.silent(self._timeout_s))
        else:
            self._timer = self._loop.call_at(due, self._check_time)

    def _pump(self) -> None:
        while self._wanting and self._asked_bytes < WINDOW_BYTES:
            transfer = self._wanting.popleft()
            if transfer.ask_next():
                self._wanting.append(transfer)


class _Transfer:
    """One range of one open file, asked for piece by piece."""

    __slots__ = ("_attrs", "_ended", "_handle", "_outstanding", "_parts", "_ranges", "_session", "done")

    def __init__(self, session: SftpSession, handle: bytes, start: int, stop: int) -> None:
        self._session = session
        self._handle = handle
        self._ranges = deque([(start, stop)])
        self._parts: list[tuple[int, bytes]] = []
        self._outstanding = 0
        self._ended = False  # the file is shorter
        self._attrs = Attrs()
        self.done: asyncio.Future[tuple[bytes | None, Attrs]] = asyncio.get_running_loop().create_future()

    def ask_next(self) -> bool:
        """Ask for one more piece, and after the last one for the file's attributes; whether there is more to ask for."""
        if self.done.done():
            return False
        start, stop = self._ranges.popleft()
        middle = min(stop, start + self._session.limits.read_bytes)
        if middle < stop:
            self._ranges.appendleft((middle, stop))
        if start < middle:
            length = middle - start
            self._outstanding += 1
            self._session.asked(length)
            self._session.send(
                lambda number: pack_read(number, self._handle, start, length),
                functools.partial(self._take_data, start, middle),
            )
        if not self._ranges:
            self._outstanding += 1
            self._session.send(lambda number: pack_on_string(Kind.FSTAT, number, self._handle), self._take_attrs)
        return bool(self._ranges)

    def fail(self, error: OriginError | StatusError) -> None:
        """End it; answers still on their way are dropped."""
        self._ranges.clear()
        if not self.done.done():
            _fail(self.done, error)

    def _take_data(self, start: int, stop: int, outcome: Outcome) -> None:
        self._outstanding -= 1
        if isinstance(outcome, bytes) and 0 < len(outcome) <= stop - start:
            self._parts.append((start, outcome))
            got = start + len(outcome)
            if got < stop and not self.done.done():  # the server gives less at a time than it was asked for
                if not self._ranges:
                    self._session.want(self)
                self._ranges.append((got, stop))
        elif isinstance(outcome, StatusError) and outcome.is_end:
            self._ended = True
        else:
            self.fail(outcome if isinstance(outcome, (StatusError, OriginError)) else StatusError(4, "no data"))
        self._session.asked(start - stop)
        self._finish()

    def _take_attrs(self, outcome: Outcome) -> None:
        self._outstanding -= 1
        if isinstance(outcome, Attrs):
            self._attrs = outcome
        else:
            self.fail(outcome if isinstance(outcome, (StatusError, OriginError)) else StatusError(4, "no attributes"))
        self._finish()

    def _finish(self) -> None:
        if self._outstanding or self._ranges or self.done.done():
            return
        self._parts.sort()
        data = None if self._ended else b"".join([part for _, part in self._parts])
        self.done.set_result((data, self._attrs))


def _settle(future: asyncio.Future[Answer], outcome: Outcome) -> None:
    if future.done():
        return  # its caller was cancelled
    if isinstance(outcome, (StatusError, OriginError)):
        _fail(future, outcome)
    else:
        future.set_result(outcome)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # seen: of requests sent together, only the first failure is waited for
