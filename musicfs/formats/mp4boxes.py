"""The box structure of MP4 files: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from musicfs.errors import FormatError
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS

Box = tuple[bytes, int, int]


def boxes(view: View, start: int, stop: int) -> Iterator[Box]:
    """The boxes in ``[start, stop)`` as (name, start of contents, stop), no more than :data:`MAX_ITEMS` of them.

    A box of size 0 extends to ``stop``. FormatError for one that reaches beyond.
    """
    for name, _, body, end, _ in islice(walk_boxes(view, start, stop), MAX_ITEMS):
        yield name, body, end


def walk_boxes(view: View, start: int, stop: int) -> Iterator[tuple[bytes, int, int, int, int]]:
    """As :func:`boxes`, however many there are: (name, start, start of contents, stop, its size field)."""
    while start + 8 <= stop:
        head = view.read(start, start + 8)
        size = int.from_bytes(head[:4])
        body = start + 8
        if size == 1:
            size = int.from_bytes(view.read(body, body + 8))
            body += 8
        end = start + size if size else stop
        if end < body or end > stop:
            raise FormatError(f"the MP4 box at byte {start} has a size of {size}, and {stop - start} bytes are left")
        yield head[4:], start, body, end, size
        start = end
