"""Reading Ogg pages with other sequence numbers: the payload passes, eight bytes of each header change.

Where pages lie is known from the pages before them, and a reader may begin anywhere. So a page is looked for in the bytes
before: one whose checksum is right, and which another page follows. If such pages lie across each other (a whole Ogg file
within a packet) this proves nothing; then, and where there is none at all, all headers are walked through from the nearest
place that is known. A sequential reader is recognised by where it stopped.

The result depends on the position only, whatever was read before. What is no page passes as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

from musicfs.formats.oggcrc import SEQUENCE_AT, checksum, checksum_change
from musicfs.formats.oggpages import CAPTURE, HEADER, MAX_PAGE_BYTES, PAGE_HEADER_BYTES
from musicfs.formats.plans import Pages, ReadOriginal

_FULL_HEADER_BYTES = PAGE_HEADER_BYTES + 255
_LOOK_BACKS = (16 * 1024, MAX_PAGE_BYTES, 4 * MAX_PAGE_BYTES)  # pages are usually of 4 to 8 KiB
_SCAN_BYTES = 64 * 1024
_PLACES_MAX = 512  # two a read: at 128 KiB a read the last 32 MiB
_NUMBERS = struct.Struct("<II")
_WRAP = 0xFFFFFFFF


class _Place(NamedTuple):
    """``at`` is where a page begins, or should; ``lost``: no page reaches to here, the next one must be looked for."""

    at: int
    lost: bool


class _Header(NamedTuple):
    start: int
    stop: int
    serial: int
    sequence: int
    checksum: int


class Renumbering:
    """Fills buffers with renumbered pages. Remembers a bounded number of places. Safe from any thread."""

    __slots__ = ("_lock", "_places")

    def __init__(self) -> None:
        self._lock = Lock()
        self._places: dict[int, _Place] = {}  # position -> where the page begins that it lies in

    def fill(self, view: memoryview, pages: Pages, start: int, read: ReadOriginal) -> None:
        """Fill ``view`` with what becomes of the file's bytes at ``start``, all within ``pages``.

        Raises what ``read`` raises; ``read`` is that of :meth:`musicfs.formats.spliced.Spliced.fill`.
        """
        stop = start + len(view)
        view[:] = read(start, stop)
        walk = _Walk(pages, read)
        place = self._places.get(start) or self._find(walk, start)
        self._remember(start, place)
        walk.view, walk.view_start = view, start
        while place.at < stop:
            if not place.lost and place.at >= start:
                place = _Place(walk.pass_whole(place.at), False)
            if place.lost:
                place = walk.recover(place.at, stop)
                continue
            header = walk.header(place.at)
            if header is None:
                place = _Place(place.at + 1, True)
            elif header.stop > stop:
                walk.patch(header)
                break
            else:
                walk.patch(header)
                place = _Place(header.stop, False)
        self._remember(stop, place)

    def _remember(self, position: int, place: _Place) -> None:
        with self._lock:
            self._places[position] = place
            if len(self._places) > _PLACES_MAX:
                del self._places[next(iter(self._places))]

    def _find(self, walk: _Walk, position: int) -> _Place:
        """The place of the page in which ``position`` lies."""
        at = walk.anchor(position)
        if at is None:
            with self._lock:
                known = [place.at for place in self._places.values() if not place.lost and place.at <= position]
            at = max(known, default=walk.pages.start)
        place = _Place(max(at, walk.pages.start), False)
        while True:
            if place.lost:
                place = walk.recover(place.at, position + 1)
                if place.at > position:
                    return _Place(position, True)
            header = walk.header(place.at)
            if header is not None and header.stop > position:
                return place
            place = _Place(header.stop, False) if header is not None else _Place(place.at + 1, True)
            if place.at >= position:
                return place if place.at == position else _Place(position, True)


class _Walk:
    """One read's steps from page to page. ``view`` has the bytes from ``view_start`` on, once they are there."""

    def __init__(self, pages: Pages, read: ReadOriginal) -> None:
        self.pages = pages
        self.view = memoryview(b"")
        self.view_start = 0
        self._read = read

    def header(self, at: int) -> _Header | None:
        """The header of the page at ``at``, where a page should begin; None if there is none.

        If no page follows it, its checksum must be right. Only a page that the file's end cuts off needs neither.
        """
        offset = at - self.view_start
        if 0 <= offset <= len(self.view) - _FULL_HEADER_BYTES:
            header = _parse(self.view, offset, at)
        else:
            header = _parse(self._read(at, min(at + _FULL_HEADER_BYTES, self.pages.stop)), 0, at)
        return header if header is not None and (self._followed(header) or self._whole(header)) else None

    def pass_whole(self, at: int) -> int:
        """Renumber pages from ``at`` on for as long as each lies in the view, with what follows it; where that ends.

        The same as :meth:`header` and :meth:`patch` for one page after the other. Most time is spent here, hence the shape.
        """
        view, size = self.view, len(self.view)
        wanted, shift = self.pages.serial, self.pages.shift
        offset = at - self.view_start
        unpack, pack = HEADER.unpack_from, _NUMBERS.pack_into
        while offset + PAGE_HEADER_BYTES <= size:
            capture, version, _, _, serial, sequence, old_checksum, segments = unpack(view, offset)
            payload = offset + PAGE_HEADER_BYTES + segments
            if capture != CAPTURE or version or payload > size:
                break
            stop = payload + sum(view[offset + PAGE_HEADER_BYTES : payload])
            if stop > size - 4 or view[stop : stop + 4] != CAPTURE:
                break
            if serial == wanted:
                number = sequence + shift & _WRAP
                change = checksum_change(number ^ sequence, stop - offset)
                pack(view, offset + SEQUENCE_AT, number, old_checksum ^ change)
            offset = stop
        return offset + self.view_start

    def patch(self, header: _Header) -> None:
        """Write the page's new number and checksum into the view, as far as they lie there."""
        if header.serial != self.pages.serial:
            return
        sequence = header.sequence + self.pages.shift & _WRAP
        change = checksum_change(sequence ^ header.sequence, header.stop - header.start)
        at, size = header.start + SEQUENCE_AT - self.view_start, len(self.view)
        if 0 <= at <= size - _NUMBERS.size:
            _NUMBERS.pack_into(self.view, at, sequence, header.checksum ^ change)
            return
        numbers = _NUMBERS.pack(sequence, header.checksum ^ change)
        low, high = max(at, 0), min(at + _NUMBERS.size, size)
        if low < high:
            self.view[low:high] = numbers[low - at : high - at]

    def recover(self, start: int, stop: int) -> _Place:
        """The first page with a right checksum that begins in ``[start, stop)``; ``stop`` and still lost if there is none."""
        while start < stop:
            end = min(stop, start + _SCAN_BYTES)
            for header in self._candidates(start, end):
                if self._whole(header):
                    return _Place(header.start, False)
            start = end
        return _Place(stop, True)

    def anchor(self, position: int) -> int | None:
        """Where a page begins at ``position`` or not far before it; None if no page is beyond doubt."""
        if position - self.pages.start < _FULL_HEADER_BYTES:
            return self.pages.start
        high = position + 1
        for size in _LOOK_BACKS:
            low = max(self.pages.start, position + 1 - size)
            for header in reversed(list(self._candidates(low, high))):
                if self._whole(header) and self._followed(header):
                    return None if self._covered(header.start) else header.start
            high = low
            if low == self.pages.start:
                return low
        return None

    def _covered(self, position: int) -> bool:
        """Whether ``position`` is in the midst of what could be a page as well."""
        low = max(self.pages.start, position - MAX_PAGE_BYTES)
        return any(one.stop > position and self._whole(one) for one in self._candidates(low, position))

    def _candidates(self, start: int, stop: int) -> Iterator[_Header]:
        """What looks like a page that begins in ``[start, stop)``, in order."""
        data = bytes(self._read(start, min(stop + _FULL_HEADER_BYTES, self.pages.stop)))
        at = data.find(CAPTURE, 0, stop - start + len(CAPTURE) - 1)
        while at >= 0:
            header = _parse(data, at, start + at)
            if header is not None and header.stop <= self.pages.stop:
                yield header
            at = data.find(CAPTURE, at + 1, stop - start + len(CAPTURE) - 1)

    def _followed(self, header: _Header) -> bool:
        """Whether another page begins behind this one, or nothing does."""
        stop = header.stop
        if stop >= self.pages.stop:
            return True
        offset = stop - self.view_start
        if 0 <= offset <= len(self.view) - len(CAPTURE):
            return self.view[offset : offset + len(CAPTURE)] == CAPTURE
        return CAPTURE.startswith(bytes(self._read(stop, min(stop + len(CAPTURE), self.pages.stop))))

    def _whole(self, header: _Header) -> bool:
        """Whether the page is whole and its checksum right."""
        if header.stop > self.pages.stop:
            return False
        return checksum(bytes(self._read(header.start, header.stop))) == header.checksum


def _parse(data: bytes | memoryview, offset: int, at: int) -> _Header | None:
    """The page header at ``offset`` of ``data``, which is at ``at`` of the file; None if it is none, or cut off."""
    if len(data) - offset < PAGE_HEADER_BYTES:
        return None
    capture, version, _, _, serial, sequence, old_checksum, segments = HEADER.unpack_from(data, offset)
    lacing = offset + PAGE_HEADER_BYTES
    if capture != CAPTURE or version or len(data) - lacing < segments:
        return None
    size = PAGE_HEADER_BYTES + segments + sum(bytes(data[lacing : lacing + segments]))
    return _Header(at, at + size, serial, sequence, old_checksum)
