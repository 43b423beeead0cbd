"""FLAC: RFC 9639."""

from __future__ import annotations

import struct
from typing import NamedTuple

from musicfs.errors import FormatError
from musicfs.formats.identity import MD5_BYTES, id_by_edges, id_by_md5, read_edges
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, TagSet
from musicfs.formats.vorbis import PictureHeader, base64_picture, read_comments
from musicfs.model import Facts, Layout, Picture, Technical

STREAMINFO_BYTES = 34
STREAMINFO, COMMENT, PICTURE = 0, 4, 6
_INVALID = 127
_PICTURE_HEADER_BYTES = (256, 4096)  # a long description is rare, and every byte of the first look may cost something
_MAGIC_BYTES = 12  # of the image, which say what it is
_ID3V1_BYTES = 128


class Block(NamedTuple):
    """A metadata block (RFC 9639, 8.1): its header's four bytes are at ``header``, its body is ``[start, stop)``."""

    kind: int
    header: int
    stop: int

    @property
    def start(self) -> int:
        """Where the body begins."""
        return self.header + 4


class StreamInfo:
    """RFC 9639, 8.2."""

    __slots__ = ("bits_per_sample", "channels", "md5", "sample_rate", "total_samples")

    def __init__(self, block: bytes) -> None:
        # After the block and frame sizes: 20 bits rate, 3 channels - 1, 5 bits - 1, 36 samples.
        (packed,) = struct.unpack_from(">Q", block, 10)
        self.sample_rate = packed >> 44
        self.channels = (packed >> 41 & 7) + 1
        self.bits_per_sample = (packed >> 36 & 31) + 1
        self.total_samples = packed & 0xFFFFFFFFF
        self.md5 = block[18 : 18 + MD5_BYTES]  # of the samples; zeros if the encoder did not say
        if not self.sample_rate:
            raise FormatError("the FLAC stream has a sample rate of zero")

    def technical(self, audio_bytes: int) -> Technical:
        """The technical data of a stream of ``audio_bytes``; a stream that does not say its length has none."""
        duration_ms = round(self.total_samples * 1000 / self.sample_rate)
        bitrate = round(audio_bytes * 8 * self.sample_rate / self.total_samples) if self.total_samples else 0
        return Technical(duration_ms, bitrate, self.sample_rate, self.channels, self.bits_per_sample, "flac")


def read_flac(view: View, start: int) -> Facts:
    """The facts of a file whose ``fLaC`` marker is at ``start``: not 0 when an ID3 tag was put before it."""
    head = view.read(start, min(view.size, start + 8 + STREAMINFO_BYTES))
    if head[:4] != b"fLaC" or head[4] & 0x7F != STREAMINFO:
        raise FormatError("a FLAC stream must begin with its STREAMINFO block")
    # What lies behind a STREAMINFO that is too short is no part of it, and changes with the tags.
    info = StreamInfo(head[8 : 8 + int.from_bytes(head[5:8])].ljust(STREAMINFO_BYTES, b"\0"))
    tags = TagSet()
    pictures: list[Picture] = []
    audio_start = walk_blocks(view, start + 4, tags, pictures)[-1].stop
    audio_stop = view.size
    if view.read_some(view.size - _ID3V1_BYTES, view.size - _ID3V1_BYTES + 3) == b"TAG":
        audio_stop = max(audio_start, view.size - _ID3V1_BYTES)
    layout = Layout("flac", audio_start, audio_stop)
    own_id = id_by_md5(layout, "flac", info.md5)
    return Facts(
        "flac",
        tags.finish(),
        info.technical(audio_stop - audio_start),
        layout,
        tuple(pictures),
        own_id or id_by_edges(layout, "flac", read_edges(view, audio_start, audio_stop)),
    )


def walk_blocks(view: View, position: int, tags: TagSet, pictures: list[Picture]) -> list[Block]:
    """Go through the metadata blocks from ``position`` on; return them, with their true ends: the last one's is the audio's
    start. FormatError where they lead nowhere."""
    blocks: list[Block] = []
    for _ in range(MAX_ITEMS):
        header = int.from_bytes(view.read(position, position + 4))
        kind = header >> 24 & 0x7F
        start, stop = position + 4, position + 4 + (header & 0xFFFFFF)
        if kind == _INVALID:
            raise FormatError(f"no metadata block can be of the kind found at byte {position}")
        end = 0
        if kind == COMMENT:
            end = read_block_comments(view, start, tags, pictures, stop - start)
        elif kind == PICTURE:
            end = _note_picture(view, start, pictures)
        # Some programs write a length too small for the comments (their reader does not look at it), and no length fits a
        # picture above 16 MiB: if nothing sensible follows, the contents say where the block ends.
        if end > stop and not _continues(view, stop, last=bool(header >> 31)):
            stop = end
        if stop > view.size:
            raise FormatError(f"the metadata block at byte {position} ends behind the file's end")
        blocks.append(Block(kind, position, stop))
        if header >> 31:
            return blocks
        position = stop
    raise FormatError(f"more than {MAX_ITEMS} metadata blocks")


def _continues(view: View, position: int, *, last: bool) -> bool:
    """Whether a block, or after the ``last`` one a frame (RFC 9639, 9.1), may begin at ``position``."""
    head = view.read_some(position, position + 4)
    if len(head) < 4:
        return False
    if last:
        return head[0] == 0xFF and head[1] & 0xFE == 0xF8
    return STREAMINFO < head[0] & 0x7F <= PICTURE and position + 4 + int.from_bytes(head[1:]) <= view.size


def read_block_comments(
    view: View, start: int, tags: TagSet, pictures: list[Picture], expected_bytes: int = 1 << 24
) -> int:
    """Read the comments at ``start`` as far as they can be read; return their end, 0 when they are damaged."""

    def on_picture(picture_start: int, picture_stop: int, prefix: bytes) -> None:
        picture = base64_picture(picture_start, picture_stop, prefix)
        if picture is not None and picture_stop <= view.size:
            pictures.append(picture)

    try:
        end = read_comments(view, start, tags, on_picture, expected_bytes)
    except MALFORMED:
        return 0
    return end if end <= view.size else 0


def _note_picture(view: View, start: int, pictures: list[Picture]) -> int:
    """Note where the picture of the block at ``start`` lies; return its end, 0 when it makes no sense."""
    header = None
    for size in _PICTURE_HEADER_BYTES:
        try:
            header = PictureHeader(view.read_some(start, start + size))
        except MALFORMED:
            continue
        if header.data_start + _MAGIC_BYTES <= size:
            break
    if header is None:
        return 0
    image_start = start + header.data_start
    image_stop = image_start + header.data_bytes
    if image_stop > view.size or not header.data_bytes or header.mime == "-->":
        return 0
    pictures.append(Picture(header.kind, header.mime, image_start, image_stop))
    return image_stop
