"""Where an MP4 file refers to places in itself, and what these references become when a part of it moves.

ISO/IEC 14496-12 counts from the beginning of the file in: ``stco`` and ``co64`` (8.7.5), ``saio`` of a whole track (8.7.9; in
a fragment it is relative), ``tfhd`` with a base offset (8.8.7), ``tfra`` (8.8.10), ``iloc`` with construction method 0
(8.11.3). ``sidx`` (8.16.3) counts from its own end, which matters when it stands before what changes. All else in these
boxes is relative to what moves along.

Any box that is not known might count so too. Where one stands among the boxes that are walked, in a file of which something
has to move, the file is refused; ``udta``, and whatever is inside the boxes listed as harmless, is not walked.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from musicfs.errors import FormatError
from musicfs.formats.mp4_tree import Changes, Node, children, meta_skip
from musicfs.formats.source import View

_PIECE_BYTES = 256 * 1024
_TABLE_BYTES_MAX = 1024 * 1024  # of the tables that are handled whole
_DEPTH_MAX = 8  # moov.trak.mdia.minf.stbl.stco is 5
_SELF_CONTAINED = 1  # a flag of a data reference: the media data is in this file

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"moof", b"traf", b"mfra"})
_HARMLESS = frozenset({b"xml "}) | frozenset(
    # The top level.
    b"ftyp styp mdat free skip wide pdin ssix prft emsg mfro pnot PICT junk "
    # moov, trak and below, with QuickTime's.
    b"mvhd iods mvex pssh clip ctab prfl tkhd edts tref trgr udta load matt kmat txas tapt mdhd hdlr elng "
    b"vmhd smhd hmhd nmhd sthd gmhd "
    b"stsd stts ctts cslg stsc stsz stz2 stss stsh stdp padb sdtp sbgp sgpd subs saiz stps "
    # Fragments.
    b"mfhd trun tfdt senc tenc "
    # meta.
    b"bxml pitm ipro iinf iref iprp idat ilst keys grpl fiin ID32".split()
)
# UUIDs whose contents hold no place in the file: XMP, and Microsoft's for protected and live streams (PIFF 1.1).
_HARMLESS_UUIDS = frozenset(
    bytes.fromhex(one)
    for one in (
        "be7acfcb97a942e89c71999491e3afac", "8974dbce7be74c5184f97148f9882554", "a2394f525a9b4f14a2446c427c648df4",
        "d08a4f1810f34a82b6c832d8aba183d3", "6d1d9b0542d544e680e2141daff757b2", "d4807ef2ca3946958e5426cb9e46a79f",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shift:
    """What lies from ``stop`` on moves by ``delta``; what lies before ``start`` stays."""

    start: int
    stop: int
    delta: int

    def moved(self, offset: int) -> int:
        """Where ``offset`` is afterwards; FormatError if it is within what changes."""
        if self.start <= offset < self.stop:
            raise FormatError(f"something refers to byte {offset}, which is among the tags")
        return offset + self.delta if offset >= self.stop else offset


def move_offsets(view: View, top: Iterable[Node], changes: Changes, shift: Shift, is_cut: bool) -> None:
    """Change every reference that ``shift`` moves. FormatError where that cannot be done, or not be known.

    Reads the tables in pieces; ``is_cut`` says that something unknown follows the outermost boxes ``top``.
    """
    nodes = list(top)
    if is_cut and any(node.name == b"moof" for node in nodes):
        raise FormatError("the MP4 file is damaged behind its fragments")
    walk = _Walk(view, changes, shift)
    for node in nodes:
        walk.visit(node)


class _Walk:
    """Visits the boxes, and changes what they refer to."""

    def __init__(self, view: View, changes: Changes, shift: Shift) -> None:
        self._view = view
        self._changes = changes
        self._shift = shift
        self._visitors: Mapping[bytes, Callable[[Node], None]] = {
            b"stco": self._chunk_offsets, b"co64": self._chunk_offsets, b"saio": self._auxiliary_offsets,
            b"tfhd": self._fragment_base, b"tfra": self._fragment_places, b"iloc": self._item_places,
            b"sidx": self._segment_index, b"dref": self._data_references, b"meta": self._meta, b"uuid": self._extension,
        }  # fmt: skip

    def visit(self, node: Node, depth: int = 0) -> None:
        """This box and those in it."""
        if depth > _DEPTH_MAX:
            raise FormatError("the MP4 file's boxes are nested too deeply")
        visitor = self._visitors.get(node.name)
        if visitor is not None:
            visitor(node)
        elif node.name in _CONTAINERS:
            for inner in children(self._view, node):
                self.visit(inner, depth + 1)
        elif node.name == b"udta" and node.parent is not None and node.parent.name == b"moov":
            for inner in children(self._view, node):
                if inner.name == b"meta":
                    self.visit(inner)
        elif node.name not in _HARMLESS:
            raise FormatError(f"the MP4 box {node.title} may refer to something that would have to move")

    def _meta(self, node: Node) -> None:
        for inner in children(self._view, node, skip=meta_skip(self._view, node)):
            if inner.name == b"iloc" or inner.name in (b"dinf", b"uuid"):
                self.visit(inner)
            elif inner.name not in _HARMLESS:
                raise FormatError(f"the MP4 box {inner.title} may refer to something that would have to move")

    def _extension(self, node: Node) -> None:
        if self._view.read(node.body, min(node.stop, node.body + 16)) not in _HARMLESS_UUIDS:
            raise FormatError("an MP4 extension (uuid) may refer to something that would have to move")

    def _data_references(self, node: Node) -> None:
        for entry in children(self._view, node, skip=8):
            if not self._view.read(entry.body + 3, entry.body + 4)[0] & _SELF_CONTAINED:
                raise FormatError("a part of the MP4 file's media data is in another file")

    def _chunk_offsets(self, node: Node) -> None:
        count = int.from_bytes(self._view.read(node.body + 4, node.body + 8))
        self._table(node, node.body + 8, count, 4 if node.name == b"stco" else 8)

    def _auxiliary_offsets(self, node: Node) -> None:
        if node.parent is not None and node.parent.name == b"traf":
            return
        head = int.from_bytes(self._view.read(node.body, node.body + 4))
        at = node.body + (12 if head & 1 else 4)  # with a type and its parameter
        count = int.from_bytes(self._view.read(at, at + 4))
        self._table(node, at + 4, count, 8 if head >> 24 else 4)

    def _table(self, node: Node, start: int, count: int, width: int) -> None:
        """``count`` offsets of ``width`` bytes each from ``start`` on."""
        stop = start + count * width
        if stop > node.stop:
            raise FormatError(f"the MP4 box {node.title} is to hold {count} offsets, and has no room for them")
        shift = self._shift
        for at in range(start, stop, _PIECE_BYTES):
            offsets = array("I" if width == 4 else "Q", self._view.read(at, min(stop, at + _PIECE_BYTES)))
            if sys.byteorder == "little":
                offsets.byteswap()
            if max(offsets) < shift.start:
                continue
            if min(offsets) >= shift.stop:
                moved = [offset + shift.delta for offset in offsets]
            else:
                moved = [shift.moved(offset) for offset in offsets]
            try:
                made = array(offsets.typecode, moved)
            except OverflowError as error:
                raise FormatError(f"an offset in {node.title} would become too large") from error
            if sys.byteorder == "little":
                made.byteswap()
            self._changes.overwrite(at, made.tobytes())

    def _write(self, at: int, width: int, old: int, new: int) -> None:
        if new >> width * 8:
            raise FormatError(f"the offset at byte {at} would become too large")
        if new != old:
            self._changes.overwrite(at, new.to_bytes(width))

    def _fragment_base(self, node: Node) -> None:
        if int.from_bytes(self._view.read(node.body, node.body + 4)) & 1:
            base = int.from_bytes(self._view.read(node.body + 8, node.body + 16))
            self._write(node.body + 8, 8, base, self._shift.moved(base))

    def _fragment_places(self, node: Node) -> None:
        head = self._view.read(node.body, node.body + 16)
        width = 8 if head[0] else 4
        lengths = int.from_bytes(head[8:12])
        entry = width * 2 + sum((lengths >> bits & 3) + 1 for bits in (4, 2, 0))
        count = int.from_bytes(head[12:16])
        if node.body + 16 + count * entry > node.stop:
            raise FormatError(f"the MP4 box {node.title} is to have {count} entries, and has no room for them")
        if count * entry > _TABLE_BYTES_MAX:
            raise FormatError(f"the MP4 box {node.title} is too long")
        table = bytearray(self._view.read(node.body + 16, node.body + 16 + count * entry))
        for at in range(width, len(table), entry):
            moved = self._shift.moved(int.from_bytes(table[at : at + width]))
            if moved >> width * 8:
                raise FormatError(f"an offset in {node.title} would become too large")
            table[at : at + width] = moved.to_bytes(width)
        self._changes.overwrite(node.body + 16, bytes(table))

    def _segment_index(self, node: Node) -> None:
        """Version, flags, track, timescale, the earliest time, the distance of the first segment from the box's end."""
        if node.start >= self._shift.stop:
            return
        width = 8 if self._view.read(node.body, node.body + 1)[0] else 4
        at = node.body + 12 + width
        distance = int.from_bytes(self._view.read(at, at + width))
        if node.stop + distance < self._shift.stop:
            raise FormatError("the MP4 file's index of segments covers its tags")
        self._write(at, width, distance, distance + self._shift.delta)

    def _item_places(self, node: Node) -> None:
        if node.stop - node.body > _TABLE_BYTES_MAX:
            raise FormatError("the MP4 file's list of items is too long")
        for base_at, base_width, extents, width in _read_items(self._view.read(node.body, node.stop)):
            base = base_at[1]
            targets = [base + extent for _, extent in extents]
            moves = {self._shift.moved(target) - target for target in targets}
            if moves <= {0}:
                continue
            if len(moves) == 1 and base_width:
                self._write(node.body + base_at[0], base_width, base, base + moves.pop())
                continue
            if not width:
                raise FormatError("the MP4 file's list of items has no room for an offset")
            for (at, extent), target in zip(extents, targets, strict=True):
                self._write(node.body + at, width, extent, extent + self._shift.moved(target) - target)


_Place = tuple[int, int]  # where a number stands, and the number


def _read_items(body: bytes) -> list[tuple[_Place, int, list[_Place], int]]:
    """Of each item of an ``iloc`` that lies in the file: its base and how wide that is, its extents and how wide they are."""
    version = body[0]
    if version > 2:
        raise FormatError(f"the MP4 file's list of items is of the unknown version {version}")
    offset_width, length_width, base_width, index_width = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15
    index_width = index_width if version else 0
    numbers = _Numbers(body, 6)
    found = []
    for _ in range(numbers.take(4 if version == 2 else 2)[1]):
        numbers.take(4 if version == 2 else 2)
        method = numbers.take(2)[1] & 15 if version else 0
        reference = numbers.take(2)[1]
        base = numbers.take(base_width)
        extents = []
        count = numbers.take(2)[1]
        if count > 1 and not offset_width:
            raise FormatError("an item of the MP4 file has more than one extent, and no offsets for them")
        for _ in range(count):
            numbers.take(index_width)
            extents.append(numbers.take(offset_width))
            numbers.take(length_width)
        if method == 0:
            if reference:
                raise FormatError("an item of the MP4 file may be in another file")
            found.append((base, base_width, extents, offset_width))
    return found


class _Numbers:
    """Big-endian numbers, one after the other."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def take(self, width: int) -> _Place:
        """Where the next number stands, and it; struct.error behind the end."""
        at = self._position
        self._position += width
        if self._position > len(self._data):
            raise struct.error("the list of items ends early")
        return at, int.from_bytes(self._data[at : self._position])
