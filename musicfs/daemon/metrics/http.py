"""``GET /metrics``, and nothing else, for one scraper or a few."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from musicfs.config.addresses import Address

log = logging.getLogger(__name__)

PATH = "/metrics"
_REQUEST_TIMEOUT_S = 10.0  # for the next bytes of a request, and for the scraper to take the next of the answer
_SCRAPES_MAX = 4  # at once

Answer = Callable[[str], tuple[bytes, str]]
"""The text and its content type, by the request's Accept header."""


class MetricsServer:
    """Answers from :meth:`start` to :meth:`close`."""

    def __init__(self, address: Address, answer: Answer) -> None:
        """``answer`` is called on a thread of its own for each scrape."""
        self._address = address
        self._answer = answer
        self._server: _Server | None = None

    @property
    def address(self) -> Address:
        """Where it listens; the port is known once it does."""
        if self._server is None:
            return self._address
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def start(self) -> None:
        """Listen. OSError if that cannot be had."""
        family, _, _, _, where = socket.getaddrinfo(
            self._address.host, self._address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._server = _Server(family, where, self._answer)
        threading.Thread(target=self._server.serve_forever, args=(0.5,), name="metrics", daemon=True).start()

    def close(self) -> None:
        """Listen no more; scrapes under way end by themselves. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True  # the connections of the last keeper are still in TIME_WAIT
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * _SCRAPES_MAX

    def __init__(self, family: int, where: Any, answer: Answer) -> None:
        self.address_family = family
        self.answer = answer
        self._places = threading.BoundedSemaphore(_SCRAPES_MAX)
        super().__init__(where, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a scrape by %s failed: %s", client_address, sys.exception())  # it went away


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def _respond(self, *, with_body: bool) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"The metrics are at {PATH}.")
            return
        try:
            body, content_type = self.server.answer(self.headers.get("Accept", ""))
        except Exception:  # whatever it is, the scraper must see that it has no numbers
            log.exception("the metrics cannot be collected")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain="The daemon's log says more.")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def version_string(self) -> str:
        return "MusicFS"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the name that the base class gives it
        log.debug(format, *args)
