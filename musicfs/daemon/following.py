"""Following the change log: our lists are dropped, the kernel is told what to forget, the keeper how far we are.

Threads: ``replay``, as the kernel may block who tells it something.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from musicfs.daemon.link import IndexDamaged, Message, Replayed, Stale
from musicfs.errors import StoreError
from musicfs.mount.session import LogEntry, handlers_paused, invalidate, invalidate_folders
from musicfs.store.catalog import Catalog
from musicfs.store.environment import is_damage
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.vfs.nodes import Nodes

_PULSE_S = 1.0
_STALE_KEPT = 1000


class Following:
    """The thread, and what is to be reported from it."""

    def __init__(
        self,
        catalog: Catalog,
        nodes: Nodes,
        send: Callable[[Message], object],
        on_damage: Callable[[Exception], None],
        on_pulse: Callable[[bool], None],
        ended: threading.Event,
    ) -> None:
        """``on_pulse`` is called at least once a second until the end, with whether the log has grown."""
        self._catalog = catalog
        self._nodes = nodes
        self._send = send
        self._on_damage = on_damage
        self._on_pulse = on_pulse
        self._ended = ended
        self._sequence = catalog.last_change()
        self._grown = threading.Event()
        self._stale: deque[int] = deque(maxlen=_STALE_KEPT)
        self._index_damaged = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def wake(self) -> None:
        """The log has grown, or the end has come."""
        self._grown.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end, once ``ended`` is set."""
        self._grown.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def note_stale(self, object_id: int) -> None:
        """Called from a handler: note it, and let our thread send it, which may have to wait for the keeper."""
        self._stale.append(object_id)
        self._grown.set()

    def note_index_damage(self, _error: StoreError) -> None:
        """Called by who searches: our thread says it on."""
        self._index_damaged.set()
        self._grown.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            has_grown = self._grown.wait(_PULSE_S)
            self._on_pulse(has_grown)
            if not has_grown:
                continue
            self._grown.clear()
            for sequence, entries in self._changes():
                if any(op == ChangeOp.SWAP for op, _, _, _ in entries):
                    self._follow_swap()
                with handlers_paused():
                    self._nodes.forget_listings({inode for _, _, _, inode in entries} | {p for _, p, _, _ in entries})
                invalidate(entries)
                self._sequence = sequence
            self._send(Replayed(self._sequence))
            self._report_found()

    def _changes(self) -> list[tuple[int, list[LogEntry]]]:
        try:
            return self._catalog.changes_after(self._sequence)
        except Exception as error:  # what cannot be understood must not end the thread that the next changes need
            if not is_damage(error):
                raise
            self._on_damage(error)
            return []

    def _follow_swap(self) -> None:
        with handlers_paused():
            names = [name for name, _, _ in self._nodes.listing(ROOT_INODE)]
            self._nodes.reopen()
            names += [name for name, _, _ in self._nodes.listing(ROOT_INODE)]
        invalidate_folders((ROOT_INODE, name) for name in dict.fromkeys(names))

    def _report_found(self) -> None:
        """Tell the keeper what must be read or built anew."""
        if self._index_damaged.is_set():
            self._index_damaged.clear()
            self._send(IndexDamaged())
        for object_id in {self._stale.popleft() for _ in range(len(self._stale))}:
            self._send(Stale(object_id))
