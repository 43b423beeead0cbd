"""The next track into the kernel's own cache, before anybody asks for it: its first reads then never reach us.

Threads: ``push``, started by the first track. It reads like a handler does, with llfuse's lock held that every wait lets go,
and gives what it has read to the kernel without the lock, for the kernel may make it wait.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

import llfuse

from musicfs.errors import MusicFSError
from musicfs.store.records import Node
from musicfs.vfs.nodes import Nodes

log = logging.getLogger(__name__)

_PIECE_BYTES = 128 * 1024
_LARGEST_BYTES = 128 << 20  # a piece of music, and not a film that lies beside it
_WAITING_MAX = 2  # tracks; who skips through an album wants none of those before


class Pusher:
    """Pushes one track after the other."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._wake = threading.Condition()
        self._waiting: deque[Node] = deque(maxlen=_WAITING_MAX)
        self._thread: threading.Thread | None = None
        self._closed = False

    def push(self, node: Node) -> None:
        """Have a file pushed as it is fetched. Does not block; called by handlers."""
        if node.size > _LARGEST_BYTES:
            return
        with self._wake:
            self._waiting.append(node)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="push", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """Push no more; a read under way ends with the fetching."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait(60.0)
                if self._closed:
                    return
                node = self._waiting.popleft()
            try:
                self._push(node)
            except MusicFSError as error:  # an origin that is away: the track is fetched when it is asked for
                log.debug("%r was not pushed: %s", node.name, error)
            except OSError as error:  # ENOENT: the kernel has not looked this inode up, or has forgotten it
                log.debug("%r was not taken by the kernel: %s", node.name, error)

    def _push(self, node: Node) -> None:
        with llfuse.lock:
            reader = self._nodes.open(node)
        try:
            for start in range(0, node.size, _PIECE_BYTES):
                if self._closed:
                    return
                with llfuse.lock:
                    data = bytes(reader.read(start, min(start + _PIECE_BYTES, node.size)))
                llfuse.notify_store(node.inode, start, data)
        finally:
            reader.close()
