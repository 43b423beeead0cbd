"""``python -m musicfs.origins.mounted_child FD``: serves a folder that may hang, until its parent closes the socket.

The first thread only receives, and touches nothing that could hang: it ends the process as soon as the parent is gone,
whatever the others wait for (a thread that waits in the kernel for good keeps the process, but no more than that). The
others, as many as :class:`~musicfs.origins.mounted_link.Start` says, run the calls on a
:class:`~musicfs.origins.local.LocalOrigin`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import msgspec

from musicfs.errors import OriginError
from musicfs.origins.contract import Folder
from musicfs.origins.local import LocalOrigin
from musicfs.origins.mounted_link import (
    PART_BYTES,
    Anchored,
    Busy,
    Call,
    Check,
    Data,
    Done,
    FileFound,
    Forget,
    Link,
    LinkError,
    Next,
    Read,
    Ready,
    Start,
    Stat,
    pack_error,
    pack_file,
    pack_folder,
    request_decoder,
    unpack_text,
)

_SEND_TIMEOUT_S = 60.0  # a parent that reads nothing for so long was stopped; its calls are over


# A thread that lists a folder of a slow share waits for the server now and again; one that hangs waits once, or now and
# then while its filesystem tries to reconnect (cifs does every ten seconds).
_WAITS_A_PULSE = 8


class _Child:
    """The calls of one parent."""

    def __init__(self, link: Link, start: Start) -> None:
        self._link = link
        self._origin = LocalOrigin(
            unpack_text(start.origin_id),
            start.root,
            include=[unpack_text(glob) for glob in start.include],
            exclude=[unpack_text(glob) for glob in start.exclude],
            anchor=start.anchor,
            watch_limit=0,
        )
        self._anchor = start.anchor
        self._listings: dict[int, Iterator[Folder]] = {}
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._folders_under_way: dict[int, int] = {}  # call -> the thread that works on it
        for number in range(start.threads):
            threading.Thread(target=self._serve, name=f"call-{number}", daemon=True).start()
        threading.Thread(target=self._pulse, args=(start.pulse_s,), name="pulse", daemon=True).start()

    def take(self, request: Call | Forget) -> None:
        """Queue a call; does not block."""
        if isinstance(request, Forget):
            self._listings.pop(request.listing, None)
        else:
            self._calls.put(request)

    def _serve(self) -> None:
        """A thread: one call after the other."""
        while True:
            call = self._calls.get()
            try:
                try:
                    self._answer(call)
                except OriginError as error:
                    self._tell_anchor()  # what is absent was proven to be so
                    self._link.send(pack_error(call.number, error))
                except LinkError:
                    raise
                except Exception as error:  # a mistake in here must not look like a share that hangs
                    what = f"origin {self._origin.id!r}: {type(error).__name__} in its child process: {error}"
                    self._link.send(pack_error(call.number, OriginError(what)))
            except LinkError:
                os._exit(1)

    def _answer(self, call: Call) -> None:
        match call:
            case Check():
                self._origin.check()
                self._tell_anchor()
                self._link.send(Done(call.number))
            case Next():
                self._folders_under_way[call.number] = threading.get_native_id()
                try:
                    self._list(call)
                finally:
                    del self._folders_under_way[call.number]
            case Stat():
                entry = self._origin.stat(unpack_text(call.path))
                self._tell_anchor()
                self._link.send(Done(call.number) if entry is None else FileFound(call.number, pack_file(entry)))
            case Read():
                self._read(call)

    def _list(self, call: Next) -> None:
        folders = self._listings.pop(call.listing, None) or self._origin.list(unpack_text(call.prefix))
        folder = next(folders, None)
        self._tell_anchor()
        if folder is None:
            self._link.send(Done(call.number))
        else:
            self._listings[call.listing] = folders  # before the parent can ask for the next one
            self._link.send(pack_folder(call.number, folder))

    def _read(self, call: Read) -> None:
        path, version = unpack_text(call.path), unpack_text(call.version)
        if not version and call.stop - call.start > PART_BYTES:  # all parts are of the same version
            entry = self._origin.stat(path)
            version = entry.version if entry else ""
        start = call.start
        while call.stop - start > PART_BYTES:
            data = self._origin.read(path, start, start + PART_BYTES, version)
            self._link.send(Data(call.number, last=False), data)
            start += PART_BYTES
        self._link.send(Data(call.number, last=True), self._origin.read(path, start, call.stop, version))

    def _pulse(self, interval_s: float) -> None:
        """A thread: says which folders make headway, for one of a hundred thousand files may take minutes."""
        seen: dict[int, int] = {}
        while True:
            time.sleep(interval_s)
            now = {number: _waits_of(thread) for number, thread in list(self._folders_under_way.items())}
            for number, waits in now.items():
                if number in seen and waits - seen[number] >= _WAITS_A_PULSE:
                    try:
                        self._link.send(Busy(number))
                    except LinkError:
                        os._exit(1)
            seen = now

    def _tell_anchor(self) -> None:
        """Let the parent know what it needs for the next child, and for the next life."""
        anchor = self._origin.anchor()
        if anchor != self._anchor:
            self._anchor = anchor
            self._link.send(Anchored(anchor))


def _waits_of(thread: int) -> int:
    """How often a thread of this process has waited in the kernel (proc_pid_status(5))."""
    with open(f"/proc/self/task/{thread}/status", "rb") as status:
        for line in status:
            if line.startswith(b"voluntary_ctxt_switches:"):
                return int(line.split()[1])
    return 0


def main(arguments: list[str]) -> None:
    """Serve the parent at the other end of the socket whose descriptor is the only argument; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who says when it is over
    link = Link(socket.socket(fileno=int(arguments[0])), send_timeout_s=_SEND_TIMEOUT_S)
    link.send(Ready())
    # What is said until here is about a broken installation. From now on, a child that cannot be ended must not hold
    # open what others wait for the end of.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    child: _Child | None = None
    with contextlib.suppress(LinkError, msgspec.MsgspecError):  # a parent that talks nonsense is as good as gone
        while (frame := link.receive()) is not None:
            request = request_decoder.decode(frame[0])
            if isinstance(request, Start):
                child = _Child(link, request)
            elif child is not None:
                child.take(request)
    os._exit(0)  # whatever the other threads are doing


if __name__ == "__main__":
    main(sys.argv[1:])
