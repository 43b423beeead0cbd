"""ONC RPC version 2 over one TCP connection (RFC 5531): calls are sent together, and their answers awaited together.

Every answer has a deadline, kept by the socket's own timeout: no call outlives it, and no thread waits in the background.
A connection belongs to one thread at a time. After any exception it is of no further use and must be closed.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable, Container, Sequence
from typing import Generic, TypeVar

import msgspec

from musicfs.origins.nfs_xdr import Reader, opaque, uint

T = TypeVar("T")

# RFC 5531, sections 8.2 and 9.
_CALL, _REPLY = 0, 1
_RPC_VERSION = 2
_AUTH_NONE, _AUTH_SYS = 0, 1
_MSG_ACCEPTED = 0
_MSG_DENIED_AUTH = 1
_REFUSALS = {1: "has no such program", 2: "has another version of the program", 3: "has no such procedure",
             4: "could not read the arguments", 5: "had an error of its own"}  # fmt: skip
_LAST_FRAGMENT = 0x8000_0000
_MAX_GROUPS = 16  # RFC 5531, appendix A
# No answer is larger than what was asked for: at most MAX_READ_BYTES of a file, or a page of a folder, and their frame.
_MAX_ANSWER_BYTES = 4 << 20
# Calls on their way at once on one connection. They are small, so that sending them never waits for reading answers.
WINDOW = 8


class RpcError(Exception):
    """The server answered, but not what was asked. ``no_program``: the port is that of something else."""

    def __init__(self, message: str, *, denied: bool = False, no_program: bool = False) -> None:
        super().__init__(message)
        self.denied = denied
        self.no_program = no_program


class StatusError(Exception):
    """The procedure ran and says no; the status is that of its own program."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One procedure to call; ``decode`` makes its result from the answer, or raises StatusError or XdrError."""

    program: int
    version: int
    procedure: int
    arguments: bytes
    decode: Callable[[Reader], T]


def unix_credential(uid: int, gid: int, groups: Sequence[int]) -> bytes:
    """AUTH_SYS (RFC 5531, appendix A): who is asking. Only 16 further groups fit."""
    further = [group for group in groups if group != gid][:_MAX_GROUPS]
    body = uint(0) + opaque(b"musicfs") + uint(uid) + uint(gid) + uint(len(further)) + b"".join(map(uint, further))
    return uint(_AUTH_SYS) + opaque(body)


def own_credential() -> bytes:
    """The credential of this process."""
    return unix_credential(os.geteuid(), os.getegid(), os.getgroups())


class RpcConnection:
    """A TCP connection to one server."""

    def __init__(self, host: str, port: int, *, timeout_s: float, credential: bytes) -> None:
        """Connect. Blocks for ``timeout_s`` at each address of the host, and as long as the resolver. Raises OSError."""
        self._timeout_s = timeout_s
        self._frame = credential + uint(_AUTH_NONE) + opaque(b"")
        self._xids = itertools.count(secrets.randbits(31))  # a server may keep answers by xid and address
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def call(self, call: Call[T]) -> T:
        """One call. Raises StatusError, RpcError, XdrError, and OSError (TimeoutError among them)."""
        (outcome,) = self.call_all((call,))
        if isinstance(outcome, StatusError):
            raise outcome
        return outcome

    def call_all(self, calls: Sequence[Call[T]]) -> list[T | StatusError]:
        """The result of each call, in their order; at most :data:`WINDOW` are on their way at once.

        The server runs them in whatever order it likes. Each answer may take ``timeout_s``. Raises as :meth:`call`.
        """
        outcomes: dict[int, T | StatusError] = {}
        waiting: dict[int, tuple[int, Call[T]]] = {}
        upcoming = enumerate(calls)
        while len(outcomes) < len(calls):
            batch = list(itertools.islice(upcoming, WINDOW - len(waiting)))
            if batch:
                waiting.update(self._send(batch))
            reader = self._receive()
            position, call = waiting.pop(_checked_xid(reader, waiting))
            _check_accepted(reader)
            try:
                outcomes[position] = call.decode(reader)
            except StatusError as error:
                outcomes[position] = error
        return [outcomes[position] for position in range(len(calls))]

    def abort(self) -> None:
        """End whatever call is under way in another thread, with an OSError."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected any more: then nothing waits on it either

    def close(self) -> None:
        self._socket.close()

    def _send(self, batch: Sequence[tuple[int, Call[T]]]) -> dict[int, tuple[int, Call[T]]]:
        sent = {}
        parts = []
        for position, call in batch:
            xid = next(self._xids) & 0xFFFF_FFFF
            numbers = (xid, _CALL, _RPC_VERSION, call.program, call.version, call.procedure)
            message = b"".join(map(uint, numbers)) + self._frame + call.arguments
            parts.append(uint(_LAST_FRAGMENT | len(message)) + message)
            sent[xid] = (position, call)
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(b"".join(parts))
        return sent

    def _receive(self) -> Reader:
        """One message, put together from its fragments (RFC 5531, section 11)."""
        deadline = time.monotonic() + self._timeout_s
        fragments: list[memoryview] = []
        total = 0
        while True:
            header = Reader(self._receive_exactly(4, deadline)).uint()
            size = header & ~_LAST_FRAGMENT
            total += size
            if total > _MAX_ANSWER_BYTES:
                raise RpcError(f"announces an answer of {total} bytes")
            fragments.append(self._receive_exactly(size, deadline))
            if header & _LAST_FRAGMENT:
                return Reader(fragments[0] if len(fragments) == 1 else memoryview(b"".join(fragments)))

    def _receive_exactly(self, size: int, deadline: float) -> memoryview:
        buffer = memoryview(bytearray(size))
        filled = 0
        while filled < size:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(remaining_s)
            count = self._socket.recv_into(buffer[filled:])
            if not count:
                raise ConnectionResetError("the server closed the connection")
            filled += count
        return buffer


def _checked_xid(reader: Reader, waiting: Container[int]) -> int:
    xid, kind = reader.uint(), reader.uint()
    if kind != _REPLY or xid not in waiting:
        raise RpcError("answers a question that was not asked")
    return xid


def _check_accepted(reader: Reader) -> None:
    """Read the rest of the header. Raises RpcError unless the procedure ran."""
    if reader.uint() != _MSG_ACCEPTED:
        if reader.uint() == _MSG_DENIED_AUTH:
            # auth_stat (RFC 5531, section 9): AUTH_TOOWEAK is what clients from high ports hear, too.
            raise RpcError(f"wants more than the numbers of user and group (auth status {reader.uint()})", denied=True)
        raise RpcError("speaks another version of RPC")
    reader.uint()
    reader.view()  # the verifier
    state = reader.uint()
    if state:
        raise RpcError(_REFUSALS.get(state, f"answers with the unknown state {state}"), no_program=state in {1, 2})
