"""Ogg Vorbis, Opus and Ogg FLAC with changed tags: the packets that change are put into pages anew.

The number of header pages is kept where it can be, and then everything behind them stays as it is; else the pages of the
stream behind them are renumbered. Pages of other streams stay where they are.

Sources: RFC 3533, 6; "Vorbis I specification", 4.2 and A.2; RFC 7845, 3 and 5; RFC 9639, 10.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.comments_edit import CommentList, EditedComments, edit_comments, front_covers, picture_kind
from musicfs.formats.metablocks import SourceBlock, edit_blocks, edited_body, picture_text
from musicfs.formats.ogg import first_stream
from musicfs.formats.oggcrc import CHECKSUM_AT, CHECKSUM_STOP, checksum
from musicfs.formats.oggheaders import HeaderPacket, Headers
from musicfs.formats.oggpages import CAPTURE, CONTINUED, FIRST, HEADER, LAST, Page
from musicfs.formats.plans import Edit, Extra, Literal, Pages, Piece, Plan, Range, joined
from musicfs.formats.source import View
from musicfs.model import Facts, Tags

_SEGMENTS_MAX = 255
_LAST_BLOCK = 0x80
_FLAC_COUNT_AT = 7  # of the first packet: how many header packets follow; 0 if that is not known
_SKELETON = b"fishead\0"
_SKELETON_WITH_INDEX = 4  # "Ogg Skeleton 4" (wiki.xiph.org): its index has positions in the file


class _Packet(NamedTuple):
    """A packet as it becomes. Ranges in ``pieces`` are positions in the packet ``source``; -1: a new packet."""

    source: int
    pieces: tuple[Piece, ...]


class _Made(msgspec.Struct, frozen=True):
    """All header packets in order; ``extra`` and ``unfit`` are those of the plan."""

    packets: tuple[_Packet, ...]
    extra: bytes
    unfit: dict[str, str]
    is_flac: bool = False


def splice_ogg(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for the file whose first page is at ``start``; FormatError if it cannot be changed without loss."""
    _refuse_index(view, start)
    first, head = first_stream(view, start)
    if head.startswith(b"\x01vorbis"):
        headers = Headers(view, first, lambda index, _: index == 2)
        made = _edit_packet(headers, 7, own.tags, edit)
    elif head.startswith(b"OpusHead"):
        headers = Headers(view, first, lambda index, _: index == 1)
        made = _edit_packet(headers, 8, own.tags, edit)
    else:
        headers = Headers(view, first, lambda index, packet: bool(index and packet.first_byte() & _LAST_BLOCK))
        made = _edit_flac(headers, own.tags, edit)
    return Plan(_Repaging(view, headers, made).pieces(), made.extra, made.unfit)


def _refuse_index(view: View, start: int) -> None:
    page = Page(view, start)
    head = view.read(page.payload, page.stop)
    if head.startswith(_SKELETON) and struct.unpack_from("<H", head, len(_SKELETON))[0] >= _SKELETON_WITH_INDEX:
        raise FormatError("the Ogg file has an index of its pages, which would not be true any more")


def _edit_packet(headers: Headers, start: int, own: Tags, edit: Edit) -> _Made:
    """Vorbis and Opus: the second packet has the comments, from ``start`` on."""
    source = CommentList(headers.packets[1].data, start)
    edited = edit_comments(source.comments, own, edit)
    covers: list[int] = []
    if edit.cover is not None or edit.remove_cover:
        kinds = [(picture_kind(source.data, one), index) for index, one in enumerate(source.comments)]
        covers = front_covers([(kind, index) for kind, index in kinds if kind is not None])
    edited = EditedComments(dict(edited.replaced) | dict.fromkeys(covers, ()), edited.added, edited.unfit)
    extra = picture_text(edit.cover) if edit.cover is not None else b""
    body = edited_body(source, edited, cover_at=min(covers, default=-1), cover_bytes=len(extra))
    packets = [_kept(index, packet) for index, packet in enumerate(headers.packets)]
    packets[1] = _Packet(1, body)
    return _Made(tuple(packets), extra, dict(edited.unfit))


def _kept(index: int, packet: HeaderPacket) -> _Packet:
    return _Packet(index, (Range(0, packet.size),))


def _edit_flac(headers: Headers, own: Tags, edit: Edit) -> _Made:
    """Ogg FLAC: every packet but the first is a metadata block."""
    info, *blocks = headers.packets
    if any(packet.size < 4 for packet in blocks):
        raise FormatError("an Ogg FLAC header packet is too short for a metadata block")
    sources = [SourceBlock(0, 0, partial(_read_body, info))]
    sources += [
        SourceBlock(packet.first_byte() & ~_LAST_BLOCK, packet.size - 4, partial(_read_body, packet))
        for packet in blocks
    ]
    made = edit_blocks(sources, own, edit)
    packets = [_flac_first(info, len(blocks), len(made.blocks) - 1)]
    for index, block in enumerate(made.blocks[1:], 1):
        last = _LAST_BLOCK if index == len(made.blocks) - 1 else 0
        old = headers.packets[block.source] if block.source >= 0 else None
        header = bytes((block.kind | last,)) + block.size.to_bytes(3)
        if old is not None and block.body == (Range(0, old.size - 4),):
            header = bytes((header[0],)) + old.read(0, 4)[1:]  # a length that is wrong stays so
        kept: list[Piece] = [Range(0, 4) if old is not None and header == old.read(0, 4) else Literal(header)]
        body = [Range(one.start + 4, one.stop + 4) if isinstance(one, Range) else one for one in block.body]
        packets.append(_Packet(block.source, joined(kept + body)))
    return _Made(tuple(packets), made.extra, made.unfit, True)


def _read_body(packet: HeaderPacket, start: int, stop: int) -> bytes:
    return packet.read(start + 4, stop + 4)


def _flac_first(info: HeaderPacket, old_count: int, count: int) -> _Packet:
    told = int.from_bytes(info.data[_FLAC_COUNT_AT : _FLAC_COUNT_AT + 2])
    if not told or count == old_count:
        return _kept(0, info)
    if told != old_count or count > 0xFFFF:
        raise FormatError(f"the Ogg FLAC stream has {old_count} metadata blocks, but says {told}")
    at = _FLAC_COUNT_AT
    return _Packet(0, (Range(0, at), Literal(count.to_bytes(2)), Range(at + 2, info.size)))


class _Repaging:
    """From packets to the pieces of the file."""

    def __init__(self, view: View, headers: Headers, made: _Made) -> None:
        self._view = view
        self._headers = headers
        self._packets = made.packets
        self._extra = made.extra
        # Encoders give each block of Ogg FLAC pages of its own, and oggz-validate expects that: it stays so.
        apart = all(one.last_page < other.first_page for one, other in pairwise(headers.packets))
        self._alone = made.is_flac and apart

    def pieces(self) -> tuple[Piece, ...]:
        """The whole file."""
        pages, packets = self._headers.pages, self._packets
        unchanged = [
            packet == _kept(packet.source, self._old(packet.source)) for packet in packets if packet.source >= 0
        ]
        if all(unchanged) and len(packets) == len(unchanged) == len(self._headers.packets):
            return (Range(0, self._view.size),)
        pieces: list[Piece] = [Range(0, pages[0].start)]
        if packets[0] == _kept(0, self._old(0)):
            pieces.append(Range(pages[0].start, pages[0].stop))
        else:
            pieces += self._put(packets[:1], pages[:1], self._sizes(packets[:1], 1))
        changed, old = self._changed()
        sizes = self._sizes(changed, len(old))
        if len(sizes) != len(old):
            # Perhaps the headers can all together be spread over as many pages as there were.
            spread = self._sizes(packets[1:], len(pages) - 1)
            if len(spread) == len(pages) - 1:
                changed, old, sizes = packets[1:], pages[1:], spread
        pieces.append(Range(pages[0].stop, old[0].start))
        pieces += self._put(changed, old, sizes)
        shift = len(sizes) - len(old)
        rest, size = old[-1].stop, self._view.size
        pieces.append(Pages(rest, size, pages[0].serial, shift) if shift else Range(rest, size))
        return joined(pieces)

    def _old(self, index: int) -> HeaderPacket:
        return self._headers.packets[index]

    def _sizes(self, packets: Sequence[_Packet], wanted: int) -> list[int]:
        """How many segments the pages of these packets get; ``wanted`` pages if that can be."""
        segments = [_segments(packet) for packet in packets]
        return _page_sizes(segments if self._alone else [sum(segments)], wanted)

    def _changed(self) -> tuple[Sequence[_Packet], Sequence[Page]]:
        """What all packets become that change, and others that share pages with them; and these pages as they are."""
        pages, packets, old = self._headers.pages, self._packets, self._headers.packets
        low, tail, most = 1, 0, min(len(packets), len(old))
        while low < most and packets[low] == _kept(low, old[low]):
            low += 1
        while tail < most - low and packets[-1 - tail] == _kept(len(old) - 1 - tail, old[-1 - tail]):
            tail += 1
        if low + tail == len(old):  # nothing but a new packet: with the one before it
            low -= 1
        first, last = old[low].first_page, old[len(old) - 1 - tail].last_page
        while pages[first].flags & CONTINUED:
            first -= 1
        while last + 1 < len(pages) and pages[last + 1].flags & CONTINUED:
            last += 1
        low = next(index for index, packet in enumerate(old) if packet.first_page >= first)
        tail = sum(packet.first_page > last for packet in old)
        if not low:
            raise FormatError("the Ogg stream has its tags in its first page")
        return packets[low : len(packets) - tail], pages[first : last + 1]

    def _put(self, packets: Sequence[_Packet], old: Sequence[Page], sizes: Sequence[int]) -> list[Piece]:
        """These packets in pages of so many segments, in the place of the ``old`` ones; what lies among those stays."""
        made = self._paged(packets, old, sizes)
        pieces: list[Piece] = []
        missing = max(0, len(old) - len(made))
        for index, page in enumerate(old):
            # The last new page is where the last old one was; what there is of more goes there too.
            low = index - missing
            pages = made[low:] if index == len(old) - 1 else made[low : low + 1] if low >= 0 else []
            pieces += (piece for one in pages for piece in one)
            if index + 1 < len(old):
                pieces.append(Range(page.stop, old[index + 1].start))
        return pieces

    def _paged(self, packets: Sequence[_Packet], old: Sequence[Page], sizes: Sequence[int]) -> list[list[Piece]]:
        """The pieces of each new page."""
        lacing = b"".join(_lacing(packet) for packet in packets)
        content = _Content(self._content(packets))
        made: list[list[Piece]] = []
        at = 0
        for index, size in enumerate(sizes):
            flags = CONTINUED if at and lacing[at - 1] == _SEGMENTS_MAX else 0
            flags |= old[0].flags & FIRST
            if index == len(sizes) - 1:
                flags |= old[-1].flags & LAST
            part = lacing[at : at + size]
            sequence = (old[0].sequence + index) & 0xFFFFFFFF
            # A page on which no packet ends has no position (RFC 3533, 6); headers are at 0.
            granule = 0 if min(part) < _SEGMENTS_MAX else -1
            header = HEADER.pack(CAPTURE, 0, flags, granule, old[0].serial, sequence, 0, len(part)) + part
            payload, data = content.take(sum(part))
            crc = checksum(header + data).to_bytes(4, "little")
            made.append([Literal(header[:CHECKSUM_AT] + crc + header[CHECKSUM_STOP:]), *payload])
            at += size
        return made

    def _content(self, packets: Iterable[_Packet]) -> list[tuple[Piece, memoryview]]:
        """What these packets are made of, with their bytes; ranges are of the file."""
        extra = memoryview(self._extra)
        content: list[tuple[Piece, memoryview]] = []
        for packet in packets:
            for piece in packet.pieces:
                if isinstance(piece, Range):
                    old = self._old(packet.source)
                    at = piece.start
                    data = memoryview(old.data)
                    for start, stop in old.locate(piece.start, piece.stop):
                        content.append((Range(start, stop), data[at : at + stop - start]))
                        at += stop - start
                elif isinstance(piece, Literal):
                    content.append((piece, memoryview(piece.data)))
                elif isinstance(piece, Extra):
                    content.append((piece, extra[piece.start : piece.stop]))
        return content


class _Content:
    """Pieces with their bytes, to be cut into pages."""

    def __init__(self, content: list[tuple[Piece, memoryview]]) -> None:
        self._content = content[::-1]

    def take(self, size: int) -> tuple[list[Piece], bytes]:
        """The next ``size`` bytes: as pieces, and themselves."""
        pieces: list[Piece] = []
        parts: list[memoryview] = []
        while size:
            piece, data = self._content.pop()
            if piece.size > size:
                self._content.append((_cut(piece, size, piece.size), data[size:]))
                piece, data = _cut(piece, 0, size), data[:size]
            size -= piece.size
            pieces.append(piece)
            parts.append(data)
        return pieces, b"".join(parts)


def _cut(piece: Piece, start: int, stop: int) -> Piece:
    if isinstance(piece, Literal):
        return Literal(piece.data[start:stop])
    return (
        Range(piece.start + start, piece.start + stop)
        if isinstance(piece, Range)
        else Extra(piece.start + start, piece.start + stop)
    )


def _lacing(packet: _Packet) -> bytes:
    """RFC 3533, 5: how the packet is cut into segments."""
    full, rest = divmod(sum(piece.size for piece in packet.pieces), _SEGMENTS_MAX)
    return b"\xff" * full + bytes((rest,))


def _segments(packet: _Packet) -> int:
    return sum(piece.size for piece in packet.pieces) // _SEGMENTS_MAX + 1


def _page_sizes(segments: Sequence[int], wanted: int) -> list[int]:
    """How many segments each page gets: ``wanted`` pages if that can be, else the nearest number.

    ``segments`` are those of packets, or runs of packets, that share no page.
    """
    pages = [-(-one // _SEGMENTS_MAX) for one in segments]
    spare = wanted - sum(pages)
    sizes: list[int] = []
    for count, fewest in zip(segments, pages, strict=True):
        more = max(0, min(spare, count - fewest))
        spare -= more
        left = count
        for behind in reversed(range(fewest + more)):
            sizes.append(min(_SEGMENTS_MAX, left - behind))  # each page behind gets one at least
            left -= sizes[-1]
    return sizes
