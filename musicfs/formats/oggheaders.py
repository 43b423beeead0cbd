"""The header packets of an Ogg stream, and where every byte of them lies: RFC 3533."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from musicfs.errors import FormatError
from musicfs.formats.oggpages import CONTINUED, Page
from musicfs.formats.source import View

_MAX_PAGES = 4096
_FULL_SEGMENT = 255


class HeaderPacket:
    """One packet: it begins in the page with the index ``first_page`` of its stream and ends in ``last_page``."""

    __slots__ = ("_data", "_view", "extents", "first_page", "last_page", "size")

    def __init__(self, view: View, page: int) -> None:
        self._view = view
        self._data: bytes | None = None
        self.first_page = self.last_page = page
        self.extents: list[tuple[int, int]] = []  # [start, stop) in the file, in the packet's order
        self.size = 0

    def add(self, start: int, size: int, page: int) -> None:
        """The packet goes on with ``size`` bytes at ``start``."""
        self.last_page = page
        self.size += size
        if size:
            self.extents.append((start, start + size))

    @property
    def data(self) -> bytes:
        """All of it; read once."""
        if self._data is None:
            self._data = b"".join(self._view.read(start, stop) for start, stop in self.extents)
        return self._data

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)``, as far as it goes."""
        if self._data is not None:
            return self._data[start:stop]
        return b"".join(self._view.read(low, high) for low, high in self.locate(start, stop))

    def first_byte(self) -> int:
        """The byte that says what kind of block it is, in Ogg FLAC; FormatError if the packet is empty."""
        if not self.size:
            raise FormatError("a header packet of the Ogg stream is empty")
        return self.read(0, 1)[0]

    def locate(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The ranges of the file that the bytes ``[start, stop)`` of the packet are."""
        found, at = [], 0
        for extent_start, extent_stop in self.extents:
            shift = extent_start - at
            low, high = max(start + shift, extent_start), min(stop + shift, extent_stop)
            if low < high:
                found.append((low, high))
            at += extent_stop - extent_start
        return found


class Headers:
    """The pages and packets of one stream's headers. What else lies among them belongs to other streams."""

    __slots__ = ("packets", "pages")

    def __init__(self, view: View, first: Page, is_last: Callable[[int, HeaderPacket], bool]) -> None:
        """Walk from the page ``first`` on until ``is_last(index, packet)``.

        FormatError unless these pages are complete, numbered one by one, and end with the last header.
        """
        self.pages: list[Page] = [first]
        self.packets: list[HeaderPacket] = []
        open_packet: HeaderPacket | None = None
        while True:
            index, page = len(self.pages) - 1, self.pages[-1]
            if bool(page.flags & CONTINUED) != (open_packet is not None):
                raise FormatError(f"the Ogg page at byte {page.start} does not continue the one before it")
            done = False
            for start, size, ends in _parts(page):
                if done:
                    raise FormatError(f"the audio begins in the Ogg page of the headers at byte {page.start}")
                packet = open_packet or HeaderPacket(view, index)
                packet.add(start, size, index)
                open_packet = None if ends else packet
                if ends:
                    self.packets.append(packet)
                    done = is_last(len(self.packets) - 1, packet)
            if done:
                return
            self.pages.append(_following(view, page))
            if len(self.pages) > _MAX_PAGES:
                raise FormatError(f"the headers of the Ogg stream take more than {_MAX_PAGES} pages")


def _parts(page: Page) -> Iterator[tuple[int, int, bool]]:
    """The packets, or parts of them, in a page: where each begins, its bytes, and whether it ends there."""
    start = stop = page.payload
    for segment in page.lacing:
        stop += segment
        if segment < _FULL_SEGMENT:
            yield start, stop - start, True
            start = stop
    if page.lacing and page.lacing[-1] == _FULL_SEGMENT:
        yield start, stop - start, False


def _following(view: View, page: Page) -> Page:
    """The next page of the same stream, which must have the next number."""
    position = page.stop
    for _ in range(_MAX_PAGES):
        found = Page(view, position)
        if found.serial == page.serial:
            if found.sequence != (page.sequence + 1) & 0xFFFFFFFF:
                raise FormatError(f"the Ogg page at byte {found.start} is not the one after that at byte {page.start}")
            return found
        position = found.stop
    raise FormatError(f"the headers of the Ogg stream take more than {_MAX_PAGES} pages")
