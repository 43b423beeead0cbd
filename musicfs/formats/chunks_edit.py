"""The chunks of a RIFF or IFF form, taken apart and put together again with some of them others.

Only forms whose chunks follow each other without a gap up to the size in the form's header, which is the file's end, are
taken apart: in any other it is not certain what the bytes behind the last chunk mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal as OneOf

from musicfs.errors import FormatError
from musicfs.formats.plans import Literal, Piece, Range
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS

Order = OneOf["little", "big"]

HEADER_BYTES = 8
FORM_HEADER_BYTES = 12
MAX_SIZE = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: contents ``[body, body + size)``; ``stop`` is behind its padding, or the file's end if that is missing."""

    name: bytes
    start: int
    size: int
    stop: int

    @property
    def body(self) -> int:
        """Where its contents begin."""
        return self.start + HEADER_BYTES

    @property
    def padded(self) -> bool:
        """Whether the byte that makes its size even is there, or is not needed."""
        return self.stop - self.body == self.size + self.size % 2


def walk(view: View, position: int, stop: int, order: Order, long_sizes: dict[bytes, int] | None = None) -> list[Chunk]:
    """All chunks of ``[position, stop)``; FormatError unless they fill it.

    ``long_sizes`` has the sizes of chunks whose own is 0xFFFFFFFF. The last may lack its padding.
    """
    found: list[Chunk] = []
    while position < stop:
        if position + HEADER_BYTES > stop or len(found) >= MAX_ITEMS:
            raise FormatError(f"the bytes from {position} on are no chunk")
        head = view.read(position, position + HEADER_BYTES)
        size = int.from_bytes(head[4:], order)
        if size == MAX_SIZE:
            if long_sizes is None or head[:4] not in long_sizes:
                raise FormatError(f"the size of the chunk at byte {position} is not known")
            size = long_sizes[head[:4]]
        end = position + HEADER_BYTES + size
        if end > stop or head[:4] == bytes(4):
            raise FormatError(f"the chunk at byte {position} is longer than the file, or none")
        found.append(Chunk(head[:4], position, size, min(end + size % 2, stop)))
        position = found[-1].stop
    return found


def kept(chunk: Chunk) -> list[Piece]:
    """A chunk as it is, with its padding."""
    pieces: list[Piece] = [Range(chunk.start, chunk.stop)]
    return pieces if chunk.padded else [*pieces, Literal(b"\0")]


def made(name: bytes, body: Sequence[Piece], order: Order) -> list[Piece]:
    """A chunk with these contents, padded; FormatError if it is too large for one."""
    size = sum(piece.size for piece in body)
    if size >= MAX_SIZE:
        raise FormatError("a chunk would be larger than one can be")
    head = name + size.to_bytes(4, order)
    return [Literal(head), *body, Literal(bytes(size % 2))]
