"""A relay on 127.0.0.1 that counts round trips: how often a client spoke after it had been answered."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class RoundTrips:
    """Relays ``port`` to the one behind it while it is entered; ``count`` is over all connections."""

    def __init__(self, upstream_port: int) -> None:
        self.count = 0
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> RoundTrips:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for each in sockets:
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream_port))
                with self._lock:
                    self._sockets += [client, server]
                answered = threading.Event()
                answered.set()
                self._start(self._relay, client, server, answered, True)
                self._start(self._relay, server, client, answered, False)

    def _relay(self, source: socket.socket, target: socket.socket, answered: threading.Event, asks: bool) -> None:
        with contextlib.suppress(OSError):  # shut down
            while data := source.recv(1 << 16):
                if not asks:
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    with self._lock:
                        self.count += 1
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _start(self, action: object, *arguments: object) -> None:
        thread = threading.Thread(target=action, args=arguments, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()
