"""HTTP/1.1 requests over connections that are kept, for the origins that speak HTTP.

One request at a time a connection, from any number of threads. No answer is trusted to end: a server must begin to answer
within ``timeout_s``, never pause for longer, and deliver at least :data:`RATE_MIN_BYTES_PER_S` on average after that.
Errors are in our own words: nothing that was sent is part of them.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from musicfs.errors import ConfigError, UnreachableError
from musicfs.origins.failures import Server, closed

RATE_MIN_BYTES_PER_S: Final = 16 * 1024
_PART_BYTES = 256 * 1024
# Common servers close an idle connection after 5 s (Apache), 20 s (Amazon S3) or 75 s (nginx); one that was closed is seen
# by a look at the socket before it is used again.
_IDLE_MAX_S = 30.0
_IDLE_MAX = 64
_LOST = (http.client.RemoteDisconnected, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class Endpoint(msgspec.Struct, frozen=True):
    """The server's end of a URL; ``path`` has no slash at its end."""

    secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """``host[:port]`` as the Host header has it (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}{self.path}"


def parse_endpoint(url: str, key: str) -> Endpoint:
    """The endpoint that ``url`` names; ConfigError, which names the setting ``key``, when it names none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{key} is not a URL", remedy="write it like https://nas.local:9000") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{key} has a user's name or password in it", remedy="use the keys for them")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{key} = {url!r} is not the URL of a server", remedy="write it like https://nas.local:9000")
    secure = parts.scheme == "https"
    return Endpoint(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))


class Response(msgspec.Struct, frozen=True):
    """An answer. Names of ``headers`` are in lower case; ``whole`` is False when the body was longer than allowed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class HttpPool:
    """Connections to one endpoint. Building it does no I/O."""

    def __init__(
        self, endpoint: Endpoint, *, origin_id: str, address_key: str, timeout_s: float, ca_file: str = ""
    ) -> None:
        """``address_key`` is the setting that names the endpoint.

        ``ca_file`` holds the certificates to trust, empty for the system's.
        """
        self._endpoint = endpoint
        self._server = Server(origin_id, endpoint.authority, address_key)
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []  # in the order in which they were put back
        self._busy: set[http.client.HTTPConnection] = set()
        self._context: ssl.SSLContext | None = None
        self._closed = False

    def request(
        self, method: str, target: str, headers: Mapping[str, str], *, body: bytes = b"", body_max: int
    ) -> Response:
        """One request and its answer, with ``body_max`` bytes of it at most. ``target`` is percent-encoded.

        Raises UnreachableError when there is no answer. Only for methods that may be sent twice (RFC 9110, 9.2.2): when the
        server had closed a kept connection, the request goes out again on a new one.
        """
        connection, kept = self._take()
        try:
            if kept:
                try:
                    answer = self._send(connection, method, target, headers, body)
                except _LOST:
                    self._drop(connection)
                    connection = self._connect()
                    answer = self._send(connection, method, target, headers, body)
            else:
                answer = self._send(connection, method, target, headers, body)
            response = self._receive(connection, answer, body_max)
        except (OSError, http.client.HTTPException) as error:
            self._drop(connection)
            if isinstance(error, TimeoutError):
                self._forget_idle()  # after a sleep of this machine, all of them lead nowhere
            raise self._unreachable(error) from error
        except BaseException:
            self._drop(connection)
            raise
        self._put_back(connection, reusable=response.whole and not answer.will_close)
        return response

    def close(self) -> None:
        """Close every connection; requests under way fail. Idempotent."""
        with self._lock:
            self._closed = True
            busy = list(self._busy)
        self._forget_idle()
        for connection in busy:
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):  # already gone
                    sock.shutdown(socket.SHUT_RDWR)  # its thread sees the end and closes it

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        while True:
            with self._lock:
                if not self._idle:
                    break
                since, connection = self._idle.pop()  # the one used last: the others grow old and go
                self._busy.add(connection)
            if time.monotonic() - since < _IDLE_MAX_S and _is_quiet(connection):
                return connection, True
            self._drop(connection)
        return self._connect(), False

    def _connect(self) -> http.client.HTTPConnection:
        """A connection that is not made yet: the first request does that."""
        end = self._endpoint
        if end.secure:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                end.host, end.port, timeout=self._timeout_s, context=self._tls()
            )
        else:
            connection = http.client.HTTPConnection(end.host, end.port, timeout=self._timeout_s)
        with self._lock:
            if self._closed:
                raise closed(self._server.origin_id)
            self._busy.add(connection)
        return connection

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            context = self._context
        if context is None:
            try:
                context = ssl.create_default_context(cafile=self._ca_file or None)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else "it holds no certificates"
                raise UnreachableError(
                    f"origin {self._server.origin_id!r}: {self._ca_file} cannot be used: {reason}",
                    remedy="check AWS_CA_BUNDLE",
                ) from error
            with self._lock:
                self._context = context
        return context

    def _send(
        self, connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> http.client.HTTPResponse:
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout_s)
        connection.request(method, target, body=body or None, headers={"Host": self._endpoint.authority, **headers})
        return connection.getresponse()

    def _receive(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, body_max: int
    ) -> Response:
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if answer.length is not None and answer.length > body_max:
            return Response(answer.status, headers, b"", whole=False)
        sock, parts, received = connection.sock, list[bytes](), 0
        begun = time.monotonic()
        while True:
            left_s = begun + self._timeout_s + received / RATE_MIN_BYTES_PER_S - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if sock is not None:  # None once the server said that it will close: the answer has the socket
                sock.settimeout(min(left_s, self._timeout_s))
            part = answer.read1(_PART_BYTES)
            if not part:
                break
            received += len(part)
            parts.append(part)
            if received > body_max:
                return Response(answer.status, headers, b"", whole=False)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        answer.close()  # read1() does not, and without it the connection takes no other request
        return Response(answer.status, headers, parts[0] if len(parts) == 1 else b"".join(parts))

    def _put_back(self, connection: http.client.HTTPConnection, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            keep = reusable and not self._closed and connection.sock is not None
            if keep:
                self._idle.append((time.monotonic(), connection))
            surplus = self._idle.pop(0)[1] if len(self._idle) > _IDLE_MAX else None
        if not keep:
            connection.close()
        if surplus is not None:
            surplus.close()

    def _forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _unreachable(self, error: OSError | http.client.HTTPException) -> UnreachableError:
        server = self._server
        if self._closed:
            return closed(server.origin_id)
        if isinstance(error, TimeoutError):
            return server.silent(self._timeout_s)
        if isinstance(error, ssl.SSLCertVerificationError):
            return UnreachableError(
                f"{server.name} shows a certificate that cannot be trusted: {error.verify_message}",
                remedy=f"check {server.address_keys}, or add the authority that signed it to this system's certificates",
            )
        if isinstance(error, ssl.SSLError):
            return server.stranger("does not speak TLS as it should; is it http:// there?")
        if isinstance(error, socket.gaierror):
            return server.unknown()
        if isinstance(error, (*_LOST, http.client.IncompleteRead)):
            return server.hung_up("before its answer was complete")
        if isinstance(error, http.client.HTTPException):
            return server.stranger("does not answer in HTTP; is it https:// there?")
        return server.not_reached(os.strerror(error.errno) if error.errno else type(error).__name__)


def _is_quiet(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing came on an idle connection: what comes there is its end, or what no request asked for."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
