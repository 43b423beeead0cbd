"""One TCP connection to an SMB server, logged on and inside one share; many threads may have requests on it at once.

The library's connection has a thread that receives. It numbers requests under a lock, but packs and sends them outside of
it, refuses a request for which there are no credits just then, waits for ever in parts of the handshake, and keeps every
answer until it is asked for. So sends are serialised here, they queue for credits, each wait has a deadline, and an answer
that nobody waits for any more is dropped when it comes. An answer that does not come in time ends the connection.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from smbprotocol.connection import Connection, Request
from smbprotocol.exceptions import SMBAuthenticationError, SMBConnectionClosed, SMBException, SMBResponseException
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from musicfs.config.settings import OriginSettings
from musicfs.errors import OriginError, UnreachableError
from musicfs.origins import smb_messages as messages
from musicfs.origins.secrets import find_secret
from musicfs.origins.smb_errors import PENDING, SESSION_LOST, logon_error, server_of, share_error

SMB_PORT = 445
_READ_BYTES_MAX = 1 << 20
_CREDITS_WANTED = 512  # what Windows grants by default: 32 MiB on the way
# Answers wake those who queue for credits when they are collected; one that nobody collects yet wakes nobody.
_CREDITS_RECHECK_S = 0.05


class Answer(msgspec.Struct, frozen=True):
    """What the server said to one request: an NTSTATUS, and the message's body."""

    status: int
    body: bytes


class Exchange:
    """Requests that were sent together; their answers are collected, or the whole abandoned, once."""

    __slots__ = ("connection", "data_bytes", "deadline", "requests")

    def __init__(
        self, connection: SmbConnection, requests: Sequence[Request], data_bytes: int, deadline: float
    ) -> None:
        self.connection = connection
        self.requests = requests
        self.data_bytes = data_bytes  # of files, that the answers will hold
        self.deadline = deadline

    def collect(self) -> list[Answer]:
        """Block until all answers are there. Raises UnreachableError, after which the connection is closed."""
        return self.connection.collect(self)

    def abandon(self) -> None:
        """Nobody wants the answers any more. Does not block."""
        self.connection.abandon(self)

    @property
    def arrived(self) -> bool:
        """Whether :meth:`collect` would not block, as far as one can say."""
        return all(request.response_event.is_set() for request in self.requests)


class SmbConnection:
    """See the module. Made by :func:`connect`."""

    def __init__(self, settings: OriginSettings, connection: _BoundedConnection, tree: TreeConnect) -> None:
        self._settings = settings
        self._server = server_of(settings)
        self._connection = connection
        self._session_id: int = tree.session.session_id
        self._tree_id: int = tree.tree_connect_id
        self._turn = threading.Condition()
        self._abandoned: collections.deque[Request] = collections.deque()
        self._load_bytes = 0
        self._last_used = time.monotonic()
        # A server may grant credits for less than a whole read, beside the opening and the closing of its file.
        affordable = max(1, self._credits() - 4) * messages.CREDIT_BYTES
        largest = min(_READ_BYTES_MAX, connection.max_read_size, affordable)
        self.read_bytes: int = largest if self.multi_credit else messages.CREDIT_BYTES
        self._ask_for_credits()

    @property
    def alive(self) -> bool:
        """False once the connection is closed, by either side."""
        return bool(self._connection.transport.connected)

    @property
    def multi_credit(self) -> bool:
        """Whether answers may be longer than 64 KiB."""
        return bool(self._connection.supports_multi_credit)

    @property
    def load_bytes(self) -> int:
        """Bytes of files that were asked for and not collected yet: other answers may have to wait behind them."""
        return self._load_bytes

    @property
    def idle_s(self) -> float:
        """Seconds since anything was sent."""
        return time.monotonic() - self._last_used

    def send(self, *requests: messages.Message) -> Exchange:
        """Send ``requests`` as one compound: each may use the file that the one before opened.

        Blocks while credits are missing, for the timeout at most. Raises UnreachableError.
        """
        deadline = time.monotonic() + self._settings.timeout_s
        with self._turn:
            self._sweep()
            while self.alive and not self._affords(requests):
                if time.monotonic() >= deadline:
                    raise self._server.silent(self._settings.timeout_s)  # which would make room
                self._turn.wait(_CREDITS_RECHECK_S)
                self._sweep()
            return self._send(requests, deadline)

    def send_now(self, *requests: messages.Message) -> Exchange | None:
        """As :meth:`send`, or None where credits are missing: for callers who have answers to collect meanwhile."""
        with self._turn:
            self._sweep()
            if self.alive and not self._affords(requests):
                return None
            return self._send(requests, time.monotonic() + self._settings.timeout_s)

    def ask(self, *requests: messages.Message) -> list[Answer]:
        """Send ``requests`` and collect their answers: one round trip. Raises UnreachableError."""
        return self.send(*requests).collect()

    def post(self, *requests: messages.Message) -> None:
        """Send ``requests`` whose answers do not matter. Does not raise: what is lost with the connection is closed too."""
        with contextlib.suppress(UnreachableError):
            self.send(*requests).abandon()

    def collect(self, exchange: Exchange) -> list[Answer]:
        """See :meth:`Exchange.collect`."""
        try:
            answers = [self._await(request, exchange.deadline) for request in exchange.requests]
        except OriginError:
            self.close()
            raise
        finally:
            self._finish(exchange)
        if any(answer.status in SESSION_LOST for answer in answers):
            self.close()
            raise self._server.hung_up("and the session")
        return answers

    def abandon(self, exchange: Exchange) -> None:
        """See :meth:`Exchange.abandon`."""
        self._abandoned.extend(exchange.requests)
        with self._turn:
            self._load_bytes -= exchange.data_bytes

    def close(self) -> None:
        """Close the connection, which closes every file and the session on the server too; idempotent.

        No log-off is sent: a server that does not answer would have to be waited for.
        """
        with contextlib.suppress(OSError):
            self._connection.disconnect(close=False)

    def _await(self, request: Request, deadline: float) -> Answer:
        while True:
            if not request.response_event.wait(max(0.0, deadline - time.monotonic())):
                raise self._server.silent(self._settings.timeout_s)
            with request.response_event_lock:
                header = request.response
                status = PENDING if header is None else header["status"].get_value()
                if status != PENDING:
                    return Answer(status, header["data"].get_value())
                request.response_event.clear()
                # Looked at after the clearing: the receiving thread sets all events once the connection is closed.
                if not self.alive:
                    raise self._server.hung_up()

    def _finish(self, exchange: Exchange) -> None:
        for request in exchange.requests:
            self._connection.outstanding_requests.pop(request.message["message_id"].get_value(), None)
        with self._turn:
            self._load_bytes -= exchange.data_bytes
            self._turn.notify_all()

    def _sweep(self) -> None:
        """Drop the answers that came to abandoned requests."""
        for _ in range(len(self._abandoned)):
            request = self._abandoned.popleft()
            header = request.response
            if header is not None and header["status"].get_value() != PENDING:
                self._connection.outstanding_requests.pop(request.message["message_id"].get_value(), None)
            else:
                self._abandoned.append(request)

    def _send(self, requests: Sequence[messages.Message], deadline: float) -> Exchange:
        """Send, by a caller who has the turn."""
        try:
            sent = self._connection.send_compound(
                list(requests), sid=self._session_id, tid=self._tree_id, related=len(requests) > 1
            )
        except (SMBException, OSError) as error:
            self.close()  # what was sent in part cannot be followed by anything
            raise self._server.hung_up() from error
        data_bytes = sum(map(messages.data_bytes_of, requests))
        self._load_bytes += data_bytes
        self._last_used = time.monotonic()
        return Exchange(self, sent, data_bytes, deadline)

    def _affords(self, requests: Sequence[messages.Message]) -> bool:
        multi = self.multi_credit
        return self._credits() >= sum(messages.credits_of(request) if multi else 1 for request in requests)

    def _credits(self) -> int:
        window = self._connection.sequence_window
        return int(window["high"] - window["low"])

    def _ask_for_credits(self) -> None:
        """A compound asks for no more credits than it costs, so they are asked for once, with the first request."""
        with contextlib.suppress(SMBException, OSError):
            request = self._connection.send(messages.echo(), sid=self._session_id, credit_request=_CREDITS_WANTED)
            self._abandoned.append(request)


class _Outstanding(dict[int, Request]):
    """The library's table of requests: its receiving thread walks through it at the end, while others may still add."""

    def values(self) -> Any:
        return list(super().values())


class _BoundedConnection(Connection):  # type: ignore[misc]  # the library has no types
    """A connection of the library whose handshake ends by a deadline."""

    def __init__(self, settings: OriginSettings) -> None:
        # An account's requests are signed: SMB 3.1.1 wants it for entering a share. A guest has no key to sign with.
        port = settings.port or SMB_PORT
        super().__init__(uuid.uuid4(), settings.host, port, require_signing=bool(settings.login))
        self.outstanding_requests = _Outstanding()
        self._deadline = time.monotonic() + settings.timeout_s

    def receive(self, request: Request, wait: bool = True, timeout: Any = None, resolve_symlinks: bool = True) -> Any:
        remaining_s = max(0.0, self._deadline - time.monotonic())
        if not request.response_event.wait(remaining_s):  # the library rounds its timeouts up to seconds
            raise TimeoutError
        try:
            return super().receive(request, wait=wait, timeout=max(1.0, remaining_s), resolve_symlinks=resolve_symlinks)
        except SMBException:
            raise
        except Exception as error:
            # Whatever the receiving thread stumbled over is raised here, and a stranger may send it anything.
            raise SMBConnectionClosed("the answer cannot be understood") from error


def connect(settings: OriginSettings) -> SmbConnection:
    """Log on and enter the share. Blocks for ``timeout_s``, and as long again while TCP connects.

    Raises UnreachableError, or DeniedError, also when the password is not where the settings say.
    """
    password = find_secret(settings, "password").reveal()
    connection = _BoundedConnection(settings)
    try:
        _negotiate(connection, settings)
        session = _log_on(connection, settings, password)
        return SmbConnection(settings, connection, _enter(session, settings))
    except BaseException:
        if connection.transport is not None:
            with contextlib.suppress(OSError):
                connection.disconnect(close=False)
        raise


def _negotiate(connection: Connection, settings: OriginSettings) -> None:
    try:
        with _explained(settings):
            connection.connect(timeout=settings.timeout_s)
            _tune(connection, settings.timeout_s)
    except SMBException as error:
        raise server_of(settings).stranger("speaks no version of SMB that this client knows") from error


def _tune(connection: Connection, timeout_s: float) -> None:
    """Settings of the socket, which the library keeps to itself."""
    found: socket.socket = connection.transport._sock
    # Small requests that follow each other must not wait for the acknowledgement of the first.
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A send to a server that takes nothing more must end too; the receiving thread has its own way to wait.
    whole_s, rest_s = divmod(timeout_s, 1.0)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(whole_s), int(rest_s * 1e6)))


def _log_on(connection: Connection, settings: OriginSettings, password: str) -> Session:
    user = _logon_name(settings.login)
    session = Session(connection, user or "guest", password, require_encryption=False)
    try:
        with _explained(settings):
            session.connect()
    except SMBResponseException as error:
        raise logon_error(error.status, server_of(settings), settings.login) from None
    except SMBAuthenticationError:
        raise server_of(settings).login_refused(
            f"the user {settings.login!r}" if settings.login else "a guest",
            "it and this machine share no way to log on, such as NTLM",
        ) from None
    except SMBException:  # a guest's session where signing or encryption was asked for
        raise server_of(settings).login_refused(
            f"the user {settings.login!r}" if settings.login else "a guest",
            "it knows them as a guest only" if settings.login else "it wants signed requests, which guests cannot send",
        ) from None
    return session


def _enter(session: Session, settings: OriginSettings) -> TreeConnect:
    tree = TreeConnect(session, rf"\\{settings.host}\{settings.share}")
    try:
        with _explained(settings):
            tree.connect(require_secure_negotiate=bool(settings.login))
    except SMBResponseException as error:
        raise share_error(error.status, server_of(settings), settings.share) from None
    except SMBException as error:
        raise server_of(settings).stranger("negotiated something else than it says") from error
    # Paths are given as on any share; DFS links to other servers are not followed.
    tree.is_dfs_share = False
    return tree


@contextlib.contextmanager
def _explained(settings: OriginSettings) -> Iterator[None]:
    """What fails below SMB: no server, no answer, something that is no SMB server."""
    try:
        yield
    except TimeoutError:
        raise server_of(settings).silent(settings.timeout_s) from None
    except SMBConnectionClosed as error:
        raise server_of(settings).hung_up("while it was set up, or does not speak SMB 2 or 3") from error
    except SMBException:
        raise
    except Exception as error:
        # No connection is a ValueError of the library; what it stumbles over in a stranger's answer can be anything.
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if isinstance(reason, TimeoutError):
            raise server_of(settings).silent(settings.timeout_s) from error
        if isinstance(reason, socket.gaierror):
            raise server_of(settings).unknown() from error
        if isinstance(reason, OSError):
            raise server_of(settings).not_reached(reason.strerror or str(reason)) from error
        raise server_of(settings).stranger("does not speak SMB 2 or 3") from error


def _logon_name(login: str) -> str:
    r"""``login`` as NTLM wants it: ``DOMAIN\user``; ``user@domain`` where the domain is one of DNS, which AD resolves."""
    user, at, domain = login.rpartition("@")
    return rf"{domain}\{user}" if at and "." not in domain else login
