"""The boxes of an MP4 file as a tree, and changes to them: sizes above a change follow by themselves."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from musicfs.errors import FormatError
from musicfs.formats.mp4boxes import walk_boxes
from musicfs.formats.plans import Literal, Piece, Range, joined
from musicfs.formats.source import View
from musicfs.formats.tagset import MAX_ITEMS

_SHORT_MAX = (1 << 32) - 1
_TOP_LEVEL_MAX = 50_000  # two a fragment


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One box: it begins at ``start``, its contents are ``[body, stop)``. ``to_end``: its size is 0, "up to the end"."""

    name: bytes
    start: int
    body: int
    stop: int
    parent: Node | None = None
    to_end: bool = False

    @property
    def title(self) -> str:
        """Its name for people."""
        return ascii(self.name.decode("latin-1"))


def children(view: View, node: Node, *, skip: int = 0) -> list[Node]:
    """The boxes in ``node`` behind its first ``skip`` bytes of contents.

    FormatError for one that reaches beyond it, and for more than a reader looks at: what is not seen cannot be kept right.
    """
    found: list[Node] = []
    for name, start, body, stop, size in walk_boxes(view, node.body + skip, node.stop):
        if len(found) == MAX_ITEMS:
            raise FormatError(f"the MP4 box {node.title} holds more than {MAX_ITEMS} boxes")
        found.append(Node(name, start, body, stop, node, not size))
    return found


def top_level(view: View) -> tuple[list[Node], bool]:
    """The outermost boxes, and whether something follows them that is none.

    A last ``mdat`` that is cut short counts as far as it goes.
    """
    found: list[Node] = []
    try:
        for name, start, body, stop, size in walk_boxes(view, 0, view.size):
            if len(found) == _TOP_LEVEL_MAX:
                raise FormatError(f"the MP4 file has more than {_TOP_LEVEL_MAX} boxes")
            found.append(Node(name, start, body, stop, None, not size))
    except FormatError:
        if len(found) == _TOP_LEVEL_MAX:
            raise
        start = found[-1].stop if found else 0
        if view.read_some(start, start + 8)[4:] != b"mdat":
            return found, True
        found.append(Node(b"mdat", start, start + 8, view.size, None, True))
    return found, False


def meta_skip(view: View, node: Node) -> int:
    """How many bytes of a ``meta`` box stand before its boxes: version and flags, but QuickTime's has none."""
    return 0 if view.read_some(node.body + 4, node.body + 8) == b"hdlr" else 4


def make_box(name: bytes, *contents: bytes) -> bytes:
    """A box of these contents; FormatError if it is too large for a short size."""
    size = 8 + sum(map(len, contents))
    if size > _SHORT_MAX:
        raise FormatError(f"an MP4 box of {size} bytes cannot be made")
    return b"".join((struct.pack(">I4s", size, name), *contents))


class Changes:
    """What changes in a file: parts that are replaced, and the sizes of the boxes around them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[tuple[int, int, tuple[Piece, ...]]] = []
        self._grown: dict[Node, int] = {}
        self.delta = 0
        self.start = size
        self.stop = 0

    def replace(self, parent: Node | None, start: int, stop: int, pieces: Sequence[Piece]) -> None:
        """Put ``pieces`` in the place of ``[start, stop)``, which lies in ``parent``. Parts must not overlap.

        Of several at one place those that replace nothing come first, in the order of the calls.
        """
        delta = sum(piece.size for piece in pieces) - (stop - start)
        self._parts.append((start, stop, tuple(pieces)))
        if delta:
            self.delta += delta
            self.start, self.stop = min(self.start, start), max(self.stop, stop)
        while parent is not None and delta:
            self._grown[parent] = self._grown.get(parent, 0) + delta
            parent = parent.parent

    def overwrite(self, start: int, data: bytes) -> None:
        """Put ``data`` over as many bytes from ``start`` on."""
        self._parts.append((start, start + len(data), (Literal(data),)))

    def pieces(self) -> tuple[Piece, ...]:
        """The whole file with the changes. FormatError if a box becomes larger than its size field can say."""
        parts = [*self._parts, *self._sizes()]
        made: list[Piece] = []
        position = 0
        for start, stop, pieces in sorted(parts, key=lambda part: part[:2]):
            if start < position:
                raise FormatError(f"two changes would meet at byte {start}")
            made.append(Range(position, start))
            made.extend(pieces)
            position = stop
        made.append(Range(position, self._size))
        return joined(made)

    def _sizes(self) -> list[tuple[int, int, tuple[Piece, ...]]]:
        parts: list[tuple[int, int, tuple[Piece, ...]]] = []
        for node, grown in self._grown.items():
            size = node.stop - node.start + grown
            if node.to_end or not grown:
                continue
            if node.body - node.start == 16:
                at, data = node.start + 8, struct.pack(">Q", size)
            elif size <= _SHORT_MAX:
                at, data = node.start, struct.pack(">I", size)
            else:
                raise FormatError(f"the MP4 box {node.title} would become too large")
            parts.append((at, at + len(data), (Literal(data),)))
        return parts
