"""A web server that takes webhooks, and behaves as a test says."""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = 0  # no answer at all, until the server stops
DROP = -1  # the connection is closed in place of an answer
_END_S = 10.0


class Delivery:
    """One request that came."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def content(self) -> dict[str, Any]:
        """The body, which is JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        events: list[dict[str, Any]] = self.content["events"]
        return events


class Receiver:
    """Listens on a free port of 127.0.0.1. ``script`` says how to answer the next requests, 200 when it is used up."""

    def __init__(self, *script: int, tls: ssl.SSLContext | None = None) -> None:
        self.script = deque(script)
        self.deliveries: list[Delivery] = []
        self.location = ""  # where a redirect leads
        self._came = threading.Condition()
        self._ending = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._tls = tls
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook?token=hidden"

    def start(self) -> None:
        """Listen; on the same port as before, if it did before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the name that the base class gives it
                pass

        self._ending.clear()
        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), name="receiver", daemon=True).start()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        with self._came:
            self.deliveries.append(Delivery(request.path, dict(request.headers), body))
            status = self.script.popleft() if self.script else 200
            self._came.notify_all()
        if status == HANG:
            self._ending.wait(_END_S)
        if status in (HANG, DROP):
            request.close_connection = True
            return
        request.send_response(status)
        if self.location:
            request.send_header("Location", self.location)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"ok")

    def wait_for(self, count: int, timeout_s: float = 20.0) -> list[Delivery]:
        """So many requests, once they have come; fails when they do not."""
        with self._came:
            came = self._came.wait_for(lambda: len(self.deliveries) >= count, timeout_s)
            assert came, f"{len(self.deliveries)} of {count} requests came"
            return list(self.deliveries)

    def stop(self) -> None:
        """Listen no more; idempotent."""
        self._ending.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
