"""Ogg Vorbis, Opus and Ogg FLAC: the headers, and the duration from the last page.

Sources: "Vorbis I specification", 4.2 and A; RFC 7845 (Opus); "Ogg FLAC mapping", RFC 9639, 10.1; RFC 3533.
"""

from __future__ import annotations

import struct

from musicfs.errors import FormatError
from musicfs.formats.flac import StreamInfo
from musicfs.formats.identity import EDGE_BYTES, Edges, id_by_edges, id_by_md5
from musicfs.formats.oggpages import FIRST, Packets, Page, last_page
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, TagSet
from musicfs.formats.vorbis import PictureHeader, base64_picture, read_comments
from musicfs.model import Facts, Layout, Picture, Technical

_MAX_STREAMS = 16
_HEADER_READ_BYTES = 4096
OPUS_RATE = 48000  # RFC 7845, 4: granule positions count 48 kHz samples whatever the input was


class _Stream:
    """What is learned while the headers are read."""

    def __init__(self, view: View, packets: Packets) -> None:
        self.view = view
        self.packets = packets
        self.tags = TagSet()
        self.pictures: list[Picture] = []

    def read_comments(self, start: int) -> None:
        """Read the comments of the packet at hand, which begin at ``start`` in it, as far as they can be read."""

        def on_picture(picture_start: int, picture_stop: int, prefix: bytes) -> None:
            file_start = self.packets.locate(picture_start)
            file_stop = self.packets.locate(picture_stop - 1) + 1
            picture = base64_picture(file_start, file_stop, prefix)
            if picture is not None:
                self.pictures.append(picture)

        try:
            read_comments(self.packets, start, self.tags, on_picture)
        except MALFORMED:
            return

    def note_flac_picture(self, start: int, size: int) -> None:
        """Note the picture block of ``size`` bytes that begins at ``start`` of the packet at hand."""
        try:
            header = PictureHeader(self.packets.read_some(start, start + min(size, _HEADER_READ_BYTES)))
            if header.data_bytes and header.mime != "-->":
                image = start + header.data_start
                file_start = self.packets.locate(image)
                file_stop = self.packets.locate(image + header.data_bytes - 1) + 1
                self.pictures.append(Picture(header.kind, header.mime, file_start, file_stop, "ogg"))
        except MALFORMED:
            return

    def layout(self) -> Layout:
        """The audio begins with the page after the headers; if a header ends in the middle of a page, with that page."""
        start = self.packets.end if self.packets.at_page_end else self.packets.page_start
        return Layout("ogg", start, self.view.size)

    def finish(self, serial: int) -> tuple[int, Edges]:
        """Walk to the end of the headers; returns the last granule position, and the audio's edges.

        Numbers and checksums of all pages change when the headers grow by a page. What identifies the audio is therefore
        the payload of its first page, and the granule position and payload of its last.
        """
        self.packets.finish()
        start = self.layout().audio_start
        try:
            first = Page(self.view, start)
            head = self.view.read(first.payload, min(first.stop, first.payload + EDGE_BYTES))
        except FormatError:  # cut short
            head = b""
        last = last_page(self.view, serial, start)
        return last.granule, Edges(head, b"%d\0%s" % (last.granule, last.payload[-EDGE_BYTES:]))


def first_stream(view: View, start: int) -> tuple[Page, bytes]:
    """The first page of the first stream of a codec known here, which is at ``start`` or follows it, and its payload."""
    position = start
    for _ in range(_MAX_STREAMS):
        page = Page(view, position)
        if not page.flags & FIRST:
            break
        head = view.read(page.payload, page.stop)
        if head.startswith(tuple(_CODECS)):
            return page, head
        position = page.stop
    raise FormatError("no Vorbis, Opus or FLAC stream begins in this Ogg file")


def read_ogg(view: View, start: int) -> Facts:
    """The facts of the first Vorbis, Opus or FLAC stream whose first page is at ``start`` or follows it directly."""
    page, head = first_stream(view, start)
    parse = next(parse for magic, parse in _CODECS.items() if head.startswith(magic))
    return parse(view, page, head)


def _after_first(view: View, page: Page) -> _Stream:
    packets = Packets(view, page)
    packets.next()
    packets.next()
    return _Stream(view, packets)


def _read_vorbis(view: View, page: Page, head: bytes) -> Facts:
    channels, rate = struct.unpack_from("<BI", head, 11)
    if not rate:
        raise FormatError("the Vorbis stream has a sample rate of zero")
    stream = _after_first(view, page)
    if stream.packets.read_some(0, 7) != b"\x03vorbis":
        raise FormatError("the second packet of a Vorbis stream must be its comments")
    stream.read_comments(7)
    stream.packets.next()
    if stream.packets.read_some(0, 7) != b"\x05vorbis":
        raise FormatError("the third packet of a Vorbis stream must be its setup")
    granule, edges = stream.finish(page.serial)
    layout, known = stream.layout(), Technical(sample_rate=rate, channels=channels, codec="vorbis")
    return _facts("ogg", stream, granule, known, id_by_edges(layout, "vorbis", edges))


def _read_opus(view: View, page: Page, head: bytes) -> Facts:
    version, channels, pre_skip = struct.unpack_from("<BBH", head, 8)
    if version >> 4:
        raise FormatError(f"Opus headers of version {version >> 4} are not known")
    stream = _after_first(view, page)
    if stream.packets.read_some(0, 8) != b"OpusTags":
        raise FormatError("the second packet of an Opus stream must be its comments")
    stream.read_comments(8)
    granule, edges = stream.finish(page.serial)
    layout, known = stream.layout(), Technical(sample_rate=OPUS_RATE, channels=channels, codec="opus")
    return _facts("opus", stream, max(0, granule - pre_skip), known, id_by_edges(layout, "opus", edges))


def _read_flac(view: View, page: Page, head: bytes) -> Facts:
    # 0x7F "FLAC", version, number of header packets, then a native stream's marker and STREAMINFO block.
    if head[5] != 1 or head[9:13] != b"fLaC":
        raise FormatError("this version of the FLAC to Ogg mapping is not known")
    info = StreamInfo(head[17:])
    stream = _after_first(view, page)
    for _ in range(MAX_ITEMS):
        block = stream.packets.read_some(0, 4)
        if len(block) < 4:
            raise FormatError("an Ogg FLAC header packet is too short for a metadata block")
        if block[0] & 0x7F == 4:
            stream.read_comments(4)
        elif block[0] & 0x7F == 6:
            stream.note_flac_picture(4, int.from_bytes(block[1:]))
        if block[0] >> 7:
            break
        stream.packets.next()
    stream.packets.finish()
    samples, audio_id = info.total_samples, id_by_md5(stream.layout(), "flac", info.md5)
    if not samples or not audio_id:
        granule, edges = stream.finish(page.serial)
        samples, audio_id = samples or granule, audio_id or id_by_edges(stream.layout(), "flac", edges)
    known = Technical(
        sample_rate=info.sample_rate, channels=info.channels, bits_per_sample=info.bits_per_sample, codec="flac"
    )
    return _facts("oga", stream, samples, known, audio_id)


_CODECS = {b"\x01vorbis": _read_vorbis, b"OpusHead": _read_opus, b"\x7fFLAC": _read_flac}


def _facts(suffix: str, stream: _Stream, samples: int, known: Technical, audio_id: int) -> Facts:
    layout = stream.layout()
    audio_bytes = layout.audio_stop - layout.audio_start
    technical = Technical(
        round(samples * 1000 / known.sample_rate),
        round(audio_bytes * 8 * known.sample_rate / samples) if samples else 0,
        known.sample_rate,
        known.channels,
        known.bits_per_sample,
        known.codec,
    )
    return Facts(suffix, stream.tags.finish(), technical, layout, tuple(stream.pictures), audio_id)
