"""The kernel's inotify(7) through watchdog's bindings: watches in, events out, nothing hidden.

watchdog's observers are passed by: they cost a thread and a table per tree, keep going silently when the limit of watches
is reached, and hold every move back for half a second. What they are built on fits a whole library.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from typing import Protocol, cast

import msgspec
from watchdog.observers import inotify_c

_HEADER = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, length of the name
_BUFFER_BYTES = 256 * 1024

CREATE = 0x100
DELETE = 0x200
MOVED_FROM = 0x40
MOVED_TO = 0x80
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
ISDIR = 0x40000000
ATTRIB = 0x4
MOUNTS = 0x10000000  # not the kernel's: something was mounted or unmounted somewhere
_MODIFY, _CLOSE_WRITE = 0x2, 0x8
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x01000000, 0x02000000, 0x04000000

# CREATE beside CLOSE_WRITE: a hard link or a symbolic link is never closed. MODIFY: a file that stays open for writing.
FOLDER_MASK = (
    CREATE | DELETE | MOVED_FROM | MOVED_TO | DELETE_SELF | MOVE_SELF | _MODIFY | ATTRIB | _CLOSE_WRITE
    | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK
)  # fmt: skip


class InotifyEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. ``watch`` is -1 for OVERFLOW and MOUNTS; ``name`` is empty for the watched folder itself."""

    watch: int
    mask: int
    name: bytes = b""


class EventSource(Protocol):
    """What a watch reads from: the kernel, or a test."""

    def add(self, path: bytes) -> int:
        """Watch the folder ``path``; its number, the same as before if that inode is watched already. Raises OSError."""
        ...

    def remove(self, watch: int) -> None:
        """Stop watching; a number that is gone already is fine."""
        ...

    def read(self, timeout_s: float | None) -> list[InotifyEvent]:
        """The events waiting, or those of the first batch within ``timeout_s``; empty on timeout or :meth:`wake`."""
        ...

    def wake(self) -> None:
        """Make a blocked :meth:`read` return; from any thread."""
        ...

    def close(self) -> None:
        """Release the descriptors; after the last :meth:`read`."""
        ...


class Inotify:
    """An inotify instance. One thread uses it; :meth:`wake` is for the others. Raises OSError when the limit is reached."""

    def __init__(self) -> None:
        self._queue = inotify_c.inotify_init()
        if self._queue == -1:
            raise _last_error()
        os.set_inheritable(self._queue, False)
        os.set_blocking(self._queue, False)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        self._poll.register(self._queue, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)
        # The kernel marks this file with POLLPRI at every change of the mount table (proc(5)): inotify sees no mount.
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll.register(self._mounts, select.POLLPRI)

    def add(self, path: bytes) -> int:
        watch = int(inotify_c.inotify_add_watch(self._queue, path, FOLDER_MASK))
        if watch == -1:
            raise _last_error()
        return watch

    def remove(self, watch: int) -> None:
        # EINVAL: gone with its folder. The type's name is new in watchdog 7; 6 is fine otherwise.
        inotify_c.inotify_rm_watch(self._queue, cast("inotify_c.WatchDescriptor", watch))

    def read(self, timeout_s: float | None) -> list[InotifyEvent]:
        ready = {descriptor for descriptor, _ in self._poll.poll(None if timeout_s is None else timeout_s * 1000)}
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        events = parse_events(os.read(self._queue, _BUFFER_BYTES)) if self._queue in ready else []
        if self._mounts in ready:
            events.append(InotifyEvent(-1, MOUNTS))
        return events

    def wake(self) -> None:
        try:
            os.write(self._wake_write, b"w")
        except BlockingIOError:
            return  # the pipe is full of wakes

    def close(self) -> None:
        for descriptor in (self._queue, self._wake_read, self._wake_write, self._mounts):
            os.close(descriptor)


def parse_events(data: bytes) -> list[InotifyEvent]:
    """The events in one read of an inotify descriptor; equal neighbours become one."""
    events: list[InotifyEvent] = []
    at = 0
    while at < len(data):
        watch, mask, _cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        event = InotifyEvent(watch, mask, data[at : at + length].rstrip(b"\0"))
        at += length
        if not events or events[-1] != event:
            events.append(event)
    return events


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
