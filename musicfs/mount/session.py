"""Mounting, serving, and telling the kernel what to forget.

One session a process: llfuse keeps its own in globals.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

import llfuse

from musicfs.errors import MountError
from musicfs.mount.operations import Operations
from musicfs.store.schema import ChangeOp

LogEntry = tuple[int, int, bytes, int]  # (op, parent inode, name, inode)
_INTERRUPT_S = 0.1
_LAST_WORDS = ("handler raised", "FUSE worker thread")  # llfuse 1.5 misc.pxi handle_exc, fuse_api.pxi worker_start


class _Breaking(logging.Handler):
    """Hears llfuse say that its loop is about to end because something went wrong in it."""

    def __init__(self, on_broken: Callable[[], object]) -> None:
        super().__init__(logging.INFO)
        self._on_broken = on_broken

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(_LAST_WORDS):
            self._on_broken()


class Session:
    """A live mount. :meth:`serve` blocks until it ends."""

    def __init__(
        self,
        operations: Operations,
        mount_point: str,
        *,
        allow_other: bool,
        workers: int,
        on_broken: Callable[[], object] = lambda: None,
    ) -> None:
        """Mount at ``mount_point``; MountError with the helper's own words if that is refused. Call on the main thread.

        ``on_broken`` is called, from any thread and maybe several times, when llfuse gives up by itself: it then needs
        :func:`interrupt` to end where SIGUSR1, its own signal to its workers, is blocked.
        """
        options = {
            "ro",
            "fsname=musicfs",
            "subtype=musicfs",
            "default_permissions",
            "no_splice_read",
            f"max_background={max(workers, 64)}",
        }
        if allow_other:
            options.add("allow_other")
        signal.signal(signal.SIGUSR2, lambda *_: None)  # ends a wait: see interrupt(), which may be called at once
        self._operations = operations
        self._workers = workers
        self.mount_point = mount_point
        logger = logging.getLogger("llfuse")
        logger.setLevel(logging.INFO)
        logger.addHandler(_Breaking(on_broken))
        try:
            llfuse.init(operations, mount_point, options)
        except RuntimeError as error:
            raise MountError(
                f"FUSE could not mount at {mount_point}",
                remedy="run 'musicfs doctor'; it checks /dev/fuse and fusermount",
            ) from error

    def serve(self) -> int | None:
        """Answer requests until unmounted (None) or ended by :func:`interrupt` (a number). Call on the main thread."""
        result: int | None = llfuse.main(workers=self._workers)
        return result

    def close(self) -> None:
        """Unmount, if that has not happened, and close what is open."""
        llfuse.close(unmount=True)
        self._operations.close_files()


def interrupt(main: threading.Thread, ended: threading.Event) -> None:
    """Make :meth:`Session.serve` on the thread ``main`` return, and go on until ``ended`` is set. Blocks: call on a thread.

    llfuse's handler of SIGINT sets its exit flag on whatever thread it runs: on this one, which lets the signal in for that
    moment and no longer; everywhere else it stays blocked, for who counts how often the user asks. SIGUSR2 wakes the others.
    Once is not enough, as llfuse 1.5 looks at the flag and then waits on a semaphore: a signal between the two wakes nobody.
    And its own signal to each worker, SIGUSR1, would end that one's wait for a request; but a worker that has looked at the
    flag, and waits only afterwards, waits for ever, and the main thread for it (seen once in 1,200 ends beside a reader). A
    request of our own would wake it, but could keep the process from dying: the kernel lets nobody out of a request that was
    begun, not even by SIGKILL.
    """
    import ctypes  # late: the mount process starts without it

    assert main.ident is not None
    # By the kernel's number, with which a worker that is gone is an error and nothing else (tgkill(2)).
    tgkill = ctypes.CDLL(None).tgkill
    while not ended.is_set():
        _raise_here(signal.SIGINT)
        signal.pthread_kill(main.ident, signal.SIGUSR2)
        ended.wait(_INTERRUPT_S)
        for thread in threading.enumerate():
            if thread.name.startswith("fuse-worker-") and not ended.is_set():
                tgkill(os.getpid(), thread.native_id, signal.SIGUSR2)


def _raise_here(number: signal.Signals) -> None:
    """Have this thread, which blocks the signal, receive it now."""
    signal.pthread_kill(threading.get_ident(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def invalidate(entries: Iterable[LogEntry]) -> None:
    """Make the kernel forget what changed. Blocks on the kernel: only from a thread of its own, never from a handler."""
    attributes: set[int] = set()
    for op, parent, name, inode in entries:
        if op == ChangeOp.ENTRY:
            llfuse.invalidate_entry(parent, name)
        elif op == ChangeOp.CONTENT:
            llfuse.invalidate_inode(inode)
        elif op == ChangeOp.INODE:
            attributes.add(inode)
    for inode in attributes:
        llfuse.invalidate_inode(inode, attr_only=True)


def invalidate_folders(folders: Iterable[tuple[int, bytes]]) -> None:
    """Make the kernel forget everything below these entries of the root."""
    for parent, name in folders:
        llfuse.invalidate_entry(parent, name)
    llfuse.invalidate_inode(llfuse.ROOT_INODE, attr_only=True)


def handlers_paused() -> Any:
    """A context in which no handler runs."""
    return llfuse.lock
