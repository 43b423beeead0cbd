"""What follows from tracks being played: the next one is fetched, and pushed to the kernel; who heard what is told.

All of it may be switched on and off while the mount serves. A file that is open goes on as it was opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.daemon.link import Accessed
from musicfs.daemon.listeners import Listeners
from musicfs.mount.operations import Operations
from musicfs.mount.pushing import Pusher
from musicfs.store.catalog import Catalog
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.successions import Successions


class Playing:
    """The parts that take part in it. :meth:`follow` is called where no handler runs, :meth:`look` and :meth:`rest` on one
    thread.
    """

    def __init__(
        self,
        cache_dir: str,
        nodes: Nodes,
        operations: Operations,
        catalog: Catalog,
        clock: Clock,
        send: Callable[[Accessed], bool],
    ) -> None:
        """``send`` tells the keeper what was played; it may block."""
        self._successions_path = os.path.join(cache_dir, "successions")
        self._nodes = nodes
        self._operations = operations
        self._catalog = catalog
        self._clock = clock
        self._send = send
        self._pusher = Pusher(nodes)
        self._successions: Successions | None = None
        self._listeners: Listeners | None = None

    def follow(self, settings: Settings) -> None:
        """Do what these settings say from now on."""
        prefetch = settings.prefetch
        if not prefetch.learn:
            self._successions = None
        elif self._successions is None:
            self._successions = Successions(self._successions_path, self._clock)
        if not settings.collections.plays:
            self._listeners = None
        elif self._listeners is None:
            self._listeners = Listeners(self._catalog, self._clock, self._send)
        self._nodes.learn(self._successions)
        self._operations.follow_playing(
            prefetch.next_track_at if prefetch.next_track else 0.0,
            self._pusher.push if prefetch.push else None,
            self._listeners.listening if self._listeners is not None else None,
        )

    def look(self) -> None:
        """Tell the keeper what was played. Call it often. Raises what a damaged catalog does."""
        if self._listeners is not None:
            self._listeners.look()

    def rest(self) -> None:
        """Keep what was learned; blocks."""
        if self._successions is not None:
            self._successions.save()

    def close(self) -> None:
        """End what is being pushed."""
        self._pusher.close()
