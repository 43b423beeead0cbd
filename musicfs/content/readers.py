"""Readers: one version of one byte range, open."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from musicfs.content.buffers import Buffers
from musicfs.errors import ChangedError, OriginError


class Reader(Protocol):
    """Bytes of an open file."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """Exactly the bytes ``[start, stop)``, within ``size``; valid until this thread reads again. Raises OriginError."""
        ...

    def close(self) -> None:
        """Release what is held; idempotent."""
        ...


# Entered around everything that may wait for a disk or a network, so that the caller can let others run meanwhile.
Waiting = Callable[[], AbstractContextManager[object]]


class BlobReader:
    """Bytes that were made once and kept."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def close(self) -> None:
        pass


class LocalReader:
    """A range of a file on this machine.

    What the page cache holds is copied without waiting (RWF_NOWAIT); anything else waits for the disk inside ``waiting``.
    After every read the file's size and times are compared with those of its opening, so that an edit in place ends this
    reader instead of mixing two versions. An edit that put the mtime back shows in the ctime alone; but so does a rename, a
    deletion or a change of rights, after which a player may play on: a ctime that one of these explains is accepted.
    """

    def __init__(self, descriptor: int, start: int, size: int, waiting: Waiting, buffers: Buffers) -> None:
        """Takes over ``descriptor``. ``buffers`` is shared by all readers of this kind."""
        self._descriptor = descriptor
        self._start = start
        self.size = size
        self._waiting = waiting
        self._buffers = buffers
        self._opened = os.fstat(descriptor)
        self._circumstances = self._look_around(self._opened)

    def read(self, start: int, stop: int) -> memoryview:
        wanted = stop - start
        offset = self._start + start
        view = self._buffers.view(wanted, offset)
        try:
            count = os.preadv(self._descriptor, [view], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            count = 0
        except OSError as error:
            if error.errno != _NO_NOWAIT:
                raise OriginError(f"reading failed: {error.strerror}") from error
            count = 0
        found = self._look() if count == wanted else self._read_waiting(view, offset, count)
        if found.st_ctime_ns != self._opened.st_ctime_ns:
            self._accept(found)
        return view

    def _accept(self, found: os.stat_result) -> None:
        """Take a changed ctime for harmless, or raise ChangedError."""
        opened = self._opened
        if (found.st_size, found.st_mtime_ns) != (opened.st_size, opened.st_mtime_ns):
            raise ChangedError("the file changed while it was open")
        circumstances = self._look_around(found)
        if circumstances == self._circumstances:
            raise ChangedError("the file changed while it was open, and its time was put back")
        self._opened, self._circumstances = found, circumstances

    def _look_around(self, found: os.stat_result) -> tuple[str, int, int, int, int]:
        """What else than its bytes a file's ctime tells of: name, links, rights, owner."""
        name = os.readlink(f"/proc/self/fd/{self._descriptor}")
        return name, found.st_nlink, found.st_mode, found.st_uid, found.st_gid

    def _read_waiting(self, view: memoryview, offset: int, count: int) -> os.stat_result:
        """Fill the view from ``count`` on; what the file is after it, which may wait too on a network filesystem."""
        with self._waiting():
            while count < len(view):
                try:
                    more = os.preadv(self._descriptor, [view[count:]], offset + count)
                except OSError as error:
                    raise OriginError(f"reading failed: {error.strerror}") from error
                if not more:
                    raise ChangedError("the file became shorter while it was open")
                count += more
            return self._look()

    def _look(self) -> os.stat_result:
        try:
            return os.fstat(self._descriptor)
        except OSError as error:  # a network filesystem may have lost it
            raise OriginError(f"reading failed: {error.strerror}") from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_NO_NOWAIT = 95  # EOPNOTSUPP: this filesystem cannot say whether a read would wait
