"""The parts of a file that a change of its tags leaves as they are, though perhaps elsewhere."""

from __future__ import annotations

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.source import RangeReader
from musicfs.model import Layout, Picture

AUDIO, PADDING = "audio", "padding"

# RFC 9639, 8.1: the marker, then blocks of one byte for the kind (the highest bit: the last one) and three for the length.
_FLAC_MARKER = b"fLaC"
_FLAC_PADDING = 1
_FLAC_BLOCKS_MAX = 128
_STREAMINFO = slice(8, 42)
_MD5_BYTES = 16  # the end of STREAMINFO; zero if the encoder did not know it (RFC 9639, 8.2)


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A part of a file: ``kind`` is :data:`AUDIO`, :data:`PADDING`, or says what picture it is."""

    kind: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.stop - self.start


def find_segments(source: RangeReader, layout: Layout, pictures: tuple[Picture, ...]) -> tuple[Segment, ...]:
    """The audio, the pictures outside of it, and a FLAC's padding, ordered by start and apart from each other.

    ``layout`` and ``pictures`` are the file's own. Of ``source`` only the headers of a FLAC's blocks are read; raises what
    it raises. Pictures that an Ogg has cut into pages are left out.
    """
    found = [Segment(AUDIO, layout.audio_start, layout.audio_stop)] if layout.audio_stop > layout.audio_start else []
    found += (
        Segment(f"picture {one.kind} {one.coding} {one.mime}", one.start, one.stop)
        for one in pictures
        if layout.container != "ogg" and one.stop > one.start
    )
    if layout.container == "flac":
        found += _flac_padding(source, layout.audio_start)
    found.sort(key=lambda segment: segment.start)
    apart: list[Segment] = []
    for segment in found:
        if not apart or segment.start >= apart[-1].stop:
            apart.append(segment)
        elif segment.kind == AUDIO:  # whatever lies across it is no part to rely on
            apart[-1] = segment
    return tuple(apart)


def stream_identity(source: RangeReader, layout: Layout) -> bytes:
    """What two files share only if they hold the same audio, by their encoder's word: a FLAC's whole STREAMINFO.

    Empty without that, and without the MD5 of the audio in it. Raises what ``source`` raises.
    """
    if layout.container != "flac" or source.size < _STREAMINFO.stop:
        return b""
    head = source.read(0, _STREAMINFO.stop)
    info = head[_STREAMINFO]
    return info if head[:4] == _FLAC_MARKER and not head[4] & 0x7F and any(info[-_MD5_BYTES:]) else b""


def _flac_padding(source: RangeReader, audio_start: int) -> list[Segment]:
    """The padding of a FLAC that begins with its marker; none where the blocks' lengths do not lead to the audio."""
    if source.read(0, len(_FLAC_MARKER)) != _FLAC_MARKER:
        return []
    position = len(_FLAC_MARKER)
    found = []
    for _ in range(_FLAC_BLOCKS_MAX):
        if position + 4 > audio_start:
            return []
        header = int.from_bytes(source.read(position, position + 4))
        start, stop = position + 4, position + 4 + (header & 0xFFFFFF)
        if header >> 24 & 0x7F == _FLAC_PADDING and stop > start:
            found.append(Segment(PADDING, start, stop))
        if header >> 31:
            return found if stop == audio_start else []
        position = stop
    raise FormatError(f"more than {_FLAC_BLOCKS_MAX} metadata blocks")
