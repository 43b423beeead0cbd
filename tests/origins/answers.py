"""A server that answers HTTP as a test tells it to, for what no well-behaved server does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[str, dict[str, str], socket.socket], bool]
"""Is given the request line, the headers by their names in lower case, and the socket; True keeps the connection."""

TIMEOUT_S = 10.0


def say(
    connection: socket.socket, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
) -> bool:
    """Send an answer. ``length`` is what Content-Length says, if not the truth; ``_`` in names of headers is a dash."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return True


class AnsweringServer:
    """One thread a connection, until it is closed."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.requests: list[str] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(TIMEOUT_S)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):  # the other end was faster
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(TIMEOUT_S)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # how it ends
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client did not like what it saw
                connection.close()
                return
        with connection, connection.makefile("rb") as reader, contextlib.suppress(OSError):
            while line := reader.readline():
                headers: dict[str, str] = {}
                while (header := reader.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                reader.read(int(headers.get("content-length", "0")))
                self.requests.append(line.decode().strip())
                if not self._answer(line.decode().strip(), headers, connection):
                    return


@contextlib.contextmanager
def answering(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[AnsweringServer]:
    """A running server that answers so."""
    server = AnsweringServer(answer, tls)
    server.start()
    try:
        yield server
    finally:
        server.close()
