"""The box structure of MP4 files: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.errors import FormatError
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS

Box = tuple[bytes, int, int]


def boxes(view: View, start: int, stop: int) -> Iterator[Box]:
    """The boxes in ``[start, stop)`` as (name, start of contents, stop); FormatError for one that reaches beyond.

    A box of size 0 extends to ``stop``.
    """
    for _ in range(MAX_ITEMS):
        if start + 8 > stop:
            return
        head = view.read(start, start + 8)
        size = int.from_bytes(head[:4])
        body = start + 8
        if size == 1:
            size = int.from_bytes(view.read(body, body + 8))
            body += 8
        end = start + size if size else stop
        if end < body or end > stop:
            raise FormatError(f"the MP4 box at byte {start} has a size of {size}, and {stop - start} bytes are left")
        yield head[4:], body, end
        start = end
