"""Checksummed frames: found again in any bytes they are in, whatever happened to the bytes around them.

::

    magic 3 | version u8 | length u32 | sequence u64 | previous u64 | checksum u64 | payload

Little-endian. ``length`` is the payload's, the checksum xxh3_64 of everything before and after it. ``sequence`` numbers what
the frame says; ``previous`` is the number of the frame that was written before it, so that one that is missing is noticed.
What the payload is, others know.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import msgspec
import xxhash

VERSION = 2  # 1 knew no collections and no plays: its readers would pass over what they do not know
_MAGIC = b"\xffMJ"  # the first byte occurs in no UTF-8 text, so no tag can look like a frame
_HEADER = struct.Struct("<3sBIQQ")
_CHECKSUM = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
MAX_PAYLOAD_BYTES = 64 << 20
_WINDOW_BYTES = 1 << 20
_SECTOR_BYTES = 4096


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One intact frame at ``[start, stop)`` of where it was found."""

    start: int
    stop: int
    version: int
    sequence: int
    previous: int
    payload: bytes


def encode_frame(sequence: int, previous: int, payload: bytes) -> bytes:
    """The bytes of a frame. ValueError for a payload beyond 64 MiB."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(payload)} bytes in one frame, {MAX_PAYLOAD_BYTES} at most")
    head = _HEADER.pack(_MAGIC, VERSION, len(payload), sequence, previous)
    return b"".join((head, _CHECKSUM.pack(_checksum(head, payload)), payload))


def decode_frame(raw: bytes, start: int = 0) -> Frame | None:
    """The frame that begins at ``start`` of ``raw``, or None if no intact one does."""
    stop = _stop_of(raw, start)
    if stop is None or stop > len(raw):
        return None
    _, version, _, sequence, previous = _HEADER.unpack_from(raw, start)
    body = start + HEADER_BYTES
    (checksum,) = _CHECKSUM.unpack_from(raw, body - _CHECKSUM.size)
    payload = raw[body:stop]
    if checksum != _checksum(raw[start : start + _HEADER.size], payload):
        return None
    return Frame(start, stop, version, sequence, previous, payload)


def _stop_of(raw: bytes, start: int) -> int | None:
    """Where the frame whose header is at ``start`` says it ends; None if there is no header."""
    if len(raw) - start < HEADER_BYTES or not raw.startswith(_MAGIC, start):
        return None
    length = int(_HEADER.unpack_from(raw, start)[2])
    return None if length > MAX_PAYLOAD_BYTES else start + HEADER_BYTES + length


def _checksum(head: bytes, payload: bytes) -> int:
    return xxhash.xxh3_64_intdigest(payload, xxhash.xxh3_64_intdigest(head))


def scan_frames(descriptor: int, start: int = 0) -> Iterator[Frame]:
    """Every intact frame of a file from the byte ``start`` on, in order; what lies between them is passed over.

    Sectors that cannot be read count as zeros. Holds a megabyte, or one frame. Raises OSError for anything but EIO.
    """
    size = os.fstat(descriptor).st_size
    window, base = b"", start  # the file's bytes from ``base`` on
    at = start
    while at + HEADER_BYTES <= size:
        if at + HEADER_BYTES > base + len(window):
            window, base = _read(descriptor, at, min(size, at + _WINDOW_BYTES)), at
        stop = _stop_of(window, at - base)
        if stop is not None and base + stop <= size:
            if stop > len(window):
                window, base, stop = _read(descriptor, at, max(base + stop, min(size, at + _WINDOW_BYTES))), at, None
            frame = decode_frame(window, at - base)
            if frame is not None:
                yield Frame(at, base + frame.stop, frame.version, frame.sequence, frame.previous, frame.payload)
                at = base + frame.stop
                continue
        found = window.find(_MAGIC, at - base + 1)
        at = base + (found if found >= 0 else max(len(window) - len(_MAGIC) + 1, at - base + 1))


def _read(descriptor: int, start: int, stop: int) -> bytes:
    """The bytes ``[start, stop)``, zeros where the disk gives none; shorter if the file has become shorter."""
    parts = []
    while start < stop:
        try:
            part = os.pread(descriptor, stop - start, start)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            part = _read_sectors(descriptor, start, min(stop, start + _WINDOW_BYTES))
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _read_sectors(descriptor: int, start: int, stop: int) -> bytes:
    parts = []
    while start < stop:
        edge = min(stop, (start // _SECTOR_BYTES + 1) * _SECTOR_BYTES)
        try:
            parts.append(os.pread(descriptor, edge - start, start))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            parts.append(bytes(edge - start))
        start = edge
    return b"".join(parts)
