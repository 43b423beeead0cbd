"""An append-only file of frames: what is in it has been on disk before anybody was told so.

A journal begins with everything known when it was written: frames of sequence 0, ended by one with the number reached. One
frame a change follows. Each names the one before it, so a journal is *whole* when its frames follow each other from the
first byte on; bytes after the last intact frame are a tail, which a crash leaves (and damage may).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

import msgspec

from musicfs.errors import DiskFullError, StoreError
from musicfs.store.frames import HEADER_BYTES, VERSION, Frame, encode_frame, scan_frames

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a journal. ``base`` is where its beginning ends, ``last`` the highest sequence, 0 for none."""

    size_bytes: int
    base: int
    last: int
    whole: bool  # up to ``stop``
    stop: int  # of the last intact frame
    newer: bool  # a newer version of MusicFS wrote in it
    is_older: bool  # and here none but older ones that wrote otherwise

    @property
    def tail_bytes(self) -> int:
        """Bytes after the last intact frame."""
        return self.size_bytes - self.stop


class Journal:
    """The opened file. Not safe from several threads: its owner has a lock."""

    def __init__(self, path: str) -> None:
        """Open, or create empty. Raises StoreError, DiskFullError."""
        self.path = path
        self._broken = False
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            sync_folder(os.path.dirname(path))
            self.size_bytes = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise file_error(path, error) from error
        self.last = 0  # the last frame's sequence: surveyed, or appended

    @property
    def descriptor(self) -> int:
        """Of the file as it is now; another one after :meth:`rewrite`."""
        return self._descriptor

    def survey(self) -> Survey:
        """Read it all through and check it. Blocks: some 0.3 s for 100 MB."""
        position, previous, base, last, whole, version = 0, 0, 0, 0, True, 0
        for frame in self.frames():
            whole = whole and frame.start == position and frame.previous == previous
            position, previous = frame.stop, frame.sequence
            base, last = base or frame.sequence, max(last, frame.sequence)
            version = max(version, frame.version)
        self.last = max(self.last, last)
        self.size_bytes = os.fstat(self._descriptor).st_size
        whole = whole and (last > 0 or position == 0)
        return Survey(
            size_bytes=self.size_bytes,
            base=base,
            last=last,
            whole=whole,
            stop=position,
            newer=version > VERSION,
            is_older=0 < version < VERSION,
        )

    def frames(self) -> Iterator[Frame]:
        """Every intact frame. Raises StoreError."""
        try:
            yield from scan_frames(self._descriptor)
        except OSError as error:
            raise file_error(self.path, error) from error

    def append(self, payloads: Iterable[tuple[int, bytes]]) -> tuple[int, int]:
        """Write frames of (sequence, payload); they are on disk when this returns, in one step for all.

        Returns what :meth:`take_back` needs. Raises DiskFullError or StoreError, and the journal is as it was.
        """
        if self._broken:
            raise StoreError(f"{self.path} cannot be written since an error", remedy="check the disk, restart MusicFS")
        parts, previous = [], self.last
        for sequence, payload in payloads:
            parts.append(encode_frame(sequence, previous, payload))
            previous = sequence
        data = memoryview(b"".join(parts))
        try:
            write_all(self._descriptor, data, self.size_bytes)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self.cut(self.size_bytes)
            raise file_error(self.path, error) from error
        before = self.size_bytes, self.last
        self.last = previous
        self.size_bytes += len(data)
        return before

    def take_back(self, before: tuple[int, int]) -> None:
        """Undo the last :meth:`append`, whose result this is."""
        self.cut(before[0])
        if not self._broken:
            self.last = before[1]

    def cut(self, size_bytes: int) -> None:
        """Drop everything from this byte on. If that fails the journal takes nothing more."""
        try:
            os.ftruncate(self._descriptor, size_bytes)
            os.fdatasync(self._descriptor)
            self.size_bytes = size_bytes
        except OSError:
            self._broken = True

    def rewrite(self, beginning: Iterable[bytes], sequence: int, last_payload: bytes) -> None:
        """Have it begin anew with these payloads, the last one with a sequence; all or nothing.

        Raises DiskFullError, StoreError. Blocks until it is on disk.
        """
        fresh = f"{self.path}.new"
        descriptor = -1
        try:
            descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            position = 0
            for payload in beginning:
                position += write_all(descriptor, memoryview(encode_frame(0, 0, payload)), position)
            position += write_all(descriptor, memoryview(encode_frame(sequence, 0, last_payload)), position)
            os.fsync(descriptor)
            os.rename(fresh, self.path)
            sync_folder(os.path.dirname(self.path))
        except BaseException as error:
            if descriptor >= 0:
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            if isinstance(error, OSError):
                raise file_error(self.path, error) from error
            raise
        os.close(self._descriptor)
        self._descriptor, self._broken = descriptor, False
        self.size_bytes, self.last = position, sequence

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def most_frames_in(size_bytes: int) -> int:
    """How many frames may have been in that many bytes."""
    return -(-size_bytes // HEADER_BYTES)


def write_all(descriptor: int, data: memoryview, position: int) -> int:
    """Write all of it at ``position``; returns how many bytes that was. Raises OSError."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], position + written)
    return written


def sync_folder(path: str) -> None:
    """Have the names in a folder on disk. Raises OSError."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have nothing to sync of a folder (fsync(2))
            raise
    finally:
        os.close(descriptor)


def file_error(path: str, error: OSError) -> StoreError:
    """What a failed write or read of a file of ours means to the user."""
    if error.errno in _NO_ROOM:
        return DiskFullError(f"{path}: the disk is full", remedy="free some space on this disk")
    return StoreError(f"{path}: {error.strerror}", remedy="check the folder, its permissions and the disk")
