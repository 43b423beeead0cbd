"""Ogg pages and the packets in them (RFC 3533), without reading the payload of what is stepped over."""

from __future__ import annotations

import struct
from bisect import bisect_right
from operator import itemgetter
from typing import NamedTuple

from musicfs.errors import FormatError
from musicfs.formats.source import View

CAPTURE = b"OggS"
PAGE_HEADER_BYTES = 27
MAX_PAGE_BYTES = PAGE_HEADER_BYTES + 255 + 255 * 255
_FULL_HEADER_BYTES = PAGE_HEADER_BYTES + 255
_MAX_PAGES = 4096
CONTINUED, FIRST, LAST = 1, 2, 4

# Capture pattern, version, flags, granule position, serial, sequence number, checksum, segments.
HEADER = struct.Struct("<4sBBqIIIB")


class Page:
    """One page's header. ``stop`` is where the next page begins; ``lacing`` are the segments' sizes."""

    __slots__ = ("flags", "granule", "lacing", "payload", "sequence", "serial", "start", "stop")

    flags: int
    granule: int
    sequence: int
    serial: int
    stop: int

    def __init__(self, view: View, start: int) -> None:
        """Read the header at ``start``; FormatError when none is there, or when the page reaches beyond the file."""
        head = view.read_some(start, start + _FULL_HEADER_BYTES)
        if len(head) < PAGE_HEADER_BYTES:
            raise FormatError(f"no room for an Ogg page at byte {start}")
        capture, version, self.flags, self.granule, self.serial, self.sequence, _, segments = HEADER.unpack_from(head)
        if capture != CAPTURE or version:
            raise FormatError(f"no Ogg page at byte {start}")
        self.start = start
        self.payload = start + PAGE_HEADER_BYTES + segments
        self.lacing = head[PAGE_HEADER_BYTES : PAGE_HEADER_BYTES + segments]
        self.stop = self.payload + sum(self.lacing)
        if self.stop > view.size:
            raise FormatError(f"the Ogg page at byte {start} ends behind the file's end")


class Packets:
    """The packets of one logical stream in order, from the page ``first`` on.

    The packet at hand can be read by its own positions, which need not be walked to one by one: a run of full pages is
    stepped over at once, and the page arrived at must have the sequence number that this implies.
    """

    def __init__(self, view: View, first: Page) -> None:
        self._view = view
        self._page = first
        self._segment = 0
        self._at = first.payload
        self._pages = 1
        # Of the packet at hand: (position in it, position in the file, bytes), gap-free.
        self._extents: list[tuple[int, int, int]] = []
        self._known = 0
        self._complete = True

    @property
    def end(self) -> int:
        """Where the page ends that was reached last: all of it belongs to packets begun so far if :attr:`at_page_end`."""
        return self._page.stop

    @property
    def page_start(self) -> int:
        """Where the page begins that was reached last."""
        return self._page.start

    @property
    def at_page_end(self) -> bool:
        """Whether no further packet begins in the page that was reached last."""
        return self._segment >= len(self._page.lacing)

    def next(self) -> None:
        """Finish the packet at hand and turn to the next one."""
        while not self._complete:
            self._extend()
        self._extents = []
        self._known = 0
        self._complete = False

    def finish(self) -> None:
        """Walk to the end of the packet at hand."""
        while not self._complete:
            self._extend()

    def read_some(self, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)`` of the packet at hand, as far as it goes."""
        while self._known < stop and not self._complete:
            self._extend(start)
        parts = []
        for index in range(self._extent_at(start), len(self._extents)):
            position, file_position, size = self._extents[index]
            low, high = max(start, position), min(stop, position + size)
            if low >= high:
                break
            shift = file_position - position
            parts.append(self._view.read(low + shift, high + shift))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def locate(self, position: int) -> int:
        """Where the byte at ``position`` of the packet at hand lies in the file; FormatError beyond its end."""
        while self._known <= position and not self._complete:
            self._extend(position)
        if position >= self._known:
            raise FormatError(f"an Ogg packet ends before its byte {position}")
        start, file_position, _ = self._extents[self._extent_at(position)]
        return file_position + position - start

    def _extent_at(self, position: int) -> int:
        """The index of the extent that holds ``position``, or of the last one before it."""
        return max(0, bisect_right(self._extents, position, key=itemgetter(0)) - 1)

    def _extend(self, towards: int = 0) -> None:
        """Add what the current page has of the packet at hand, or turn the page; a step ``towards`` a position far ahead."""
        lacing = self._page.lacing
        if self._segment >= len(lacing):
            self._turn_page(towards)
            return
        size = 0
        while self._segment < len(lacing):
            segment = lacing[self._segment]
            self._segment += 1
            size += segment
            if segment < 255:
                self._complete = True
                break
        self._add(self._at, size)
        self._at += size

    def _add(self, file_position: int, size: int) -> None:
        if size:
            self._extents.append((self._known, file_position, size))
            self._known += size

    def _turn_page(self, towards: int) -> None:
        page = self._leap(towards) or self._following(self._page.stop)
        continues = bool(self._extents)
        if continues != bool(page.flags & CONTINUED):
            raise FormatError(f"the Ogg page at byte {page.start} does not continue the one before it")
        self._page = page
        self._segment = 0
        self._at = page.payload

    def _following(self, position: int) -> Page:
        """The next page of this stream at or after ``position``."""
        while True:
            self._pages += 1
            if self._pages > _MAX_PAGES:
                raise FormatError(f"the headers of the Ogg stream take more than {_MAX_PAGES} pages")
            page = Page(self._view, position)
            if page.serial == self._page.serial:
                return page
            position = page.stop

    def _leap(self, towards: int) -> Page | None:
        """The page that holds the position ``towards`` if pages like the current one lie between; None if that is not so.

        Pages in the middle of a packet have nothing but full segments: n of them are 27 + 256 n bytes, of which 255 n are
        payload. So if the space up to a page with the sequence number expected there is filled by as many pages of the
        packet, their payloads add up to what is implied, however they share it.
        """
        current = self._page
        segments = len(current.lacing)
        payload, size = 255 * segments, PAGE_HEADER_BYTES + 256 * segments
        if not segments or current.lacing != b"\xff" * segments:
            return None
        # The last page of a packet may hold more than the others, but no more than a page can: land before it, then walk.
        count = (towards - self._known) // payload - (segments < 255)
        if count < 1:
            return None
        try:
            page = Page(self._view, current.stop + count * size)
        except FormatError:
            return None
        sequence = (current.sequence + count + 1) & 0xFFFFFFFF
        if page.serial != current.serial or page.sequence != sequence or not page.flags & CONTINUED:
            return None
        for skipped in range(count):
            self._add(current.stop + skipped * size + PAGE_HEADER_BYTES + segments, payload)
        return page


class LastPage(NamedTuple):
    """The last whole page of a stream on which a packet ends: its granule position, and all of its packets' bytes."""

    granule: int
    payload: bytes


def last_page(view: View, serial: int, audio_start: int) -> LastPage:
    """The last such page of ``serial``; granule position 0 and no bytes when the tail has none.

    Looks at the last 64 KiB, which hold the last page of a stream that is not multiplexed or chained.
    """
    for size in (16 * 1024, MAX_PAGE_BYTES):
        start = max(audio_start, view.size - size)
        tail = view.read_some(start, view.size)
        at = tail.rfind(CAPTURE)
        while at >= 0:
            if len(tail) >= at + PAGE_HEADER_BYTES:
                _, version, _, granule, own_serial, _, _, _ = HEADER.unpack_from(tail, at)
                if not version and own_serial == serial and granule >= 0 and _is_whole(tail, at):
                    return LastPage(granule, _payload(tail, at))
            at = tail.rfind(CAPTURE, 0, at)
    return LastPage(0, b"")


def _payload(tail: bytes, at: int) -> bytes:
    lacing_start = at + PAGE_HEADER_BYTES
    start = lacing_start + tail[lacing_start - 1]
    return tail[start : start + sum(tail[lacing_start:start])]


def _is_whole(tail: bytes, at: int) -> bool:
    lacing_start = at + PAGE_HEADER_BYTES
    lacing = tail[lacing_start : lacing_start + tail[lacing_start - 1]]
    return lacing_start + tail[lacing_start - 1] + sum(lacing) <= len(tail)
