"""WAV: RIFF and RF64 with INFO and ID3 chunks.

Sources: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, INFO) and "New Multimedia Data
Types and Data Techniques" (WAVE formats); EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from musicfs.errors import FormatError
from musicfs.formats.fields import RIFF_INFO
from musicfs.formats.id3 import read_id3
from musicfs.formats.identity import Edges, id_by_edges, read_edges
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, TagSet
from musicfs.model import Facts, Layout, Picture, Technical

_UNKNOWN_SIZE = 0xFFFFFFFF
_EXTENSIBLE = 0xFFFE
_CODECS = {1: "pcm", 3: "pcm", 2: "adpcm", 6: "alaw", 7: "mulaw", 0x11: "adpcm", 0x50: "mp2", 0x55: "mp3"}
ID3_NAMES = (b"id3 ", b"ID3 ", b"id3\0", b"ID32")


class _Wave:
    """What the chunks of one file say."""

    def __init__(self) -> None:
        self.format = b""
        self.data: tuple[int, int] | None = None
        self.edges = Edges(b"", b"")
        self.long_data_bytes = 0
        self.info = TagSet()
        self.tags = TagSet()
        self.pictures: list[Picture] = []

    def read(self, view: View, start: int) -> None:
        """Go through the chunks of the file whose first is at ``start``."""
        for name, body, stop in self._chunks(view, start):
            if name == b"fmt ":
                self.format = view.read(body, min(stop, body + 40))
            elif name == b"data" and self.data is None:
                self.data = body, stop
                self.edges = read_edges(view, body, stop)
            elif name == b"ds64":
                self.long_data_bytes = int.from_bytes(view.read(body + 8, body + 16), "little")
            elif name == b"LIST" and view.read_some(body, min(stop, body + 4)) == b"INFO":
                _read_info(view, body + 4, stop, self.info)
            elif name in ID3_NAMES:
                self._read_id3(view, body)

    def _chunks(self, view: View, position: int) -> Iterator[tuple[bytes, int, int]]:
        """The chunks as (name, start of contents, stop). The data of a stream or of a file cut short ends with the file."""
        for _ in range(MAX_ITEMS):
            if position + 8 > view.size:
                return
            name, size = struct.unpack("<4sI", view.read(position, position + 8))
            body = position + 8
            if name == b"data" and size == _UNKNOWN_SIZE:
                size = self.long_data_bytes or view.size - body
            if name == b"\0\0\0\0" and not size:
                return
            stop = min(body + size, view.size)
            yield name, body, stop
            position = stop + (size & 1)

    def _read_id3(self, view: View, body: int) -> None:
        try:
            tag = read_id3(view, body)
        except MALFORMED:
            return
        self.tags.fill_from(tag.tags)
        self.pictures += tag.pictures


def read_wav(view: View, start: int) -> Facts:
    """The facts of the WAVE form at ``start``. An ID3 chunk counts before INFO. FormatError without format and data."""
    wave = _Wave()
    wave.read(view, start + 12)
    if wave.data is None or len(wave.format) < 16:
        raise FormatError("the WAV file has no format or no data chunk")
    wave.tags.fill_from(wave.info)
    technical, layout = _technical(wave.format, wave.data[1] - wave.data[0]), Layout("wav", *wave.data)
    audio_id = id_by_edges(layout, technical.codec, wave.edges)
    return Facts("wav", wave.tags.finish(), technical, layout, tuple(wave.pictures), audio_id)


def _technical(fmt: bytes, data_bytes: int) -> Technical:
    kind, channels, rate, byte_rate, block, bits = struct.unpack_from("<HHIIHH", fmt)
    if kind == _EXTENSIBLE and len(fmt) >= 26:
        (kind,) = struct.unpack_from("<H", fmt, 24)
    codec = _CODECS.get(kind, f"wave-{kind:#06x}")
    if codec == "pcm" and block and rate:
        return Technical(round(data_bytes // block * 1000 / rate), rate * channels * bits, rate, channels, bits, codec)
    duration_ms = round(data_bytes * 1000 / byte_rate) if byte_rate else 0
    return Technical(duration_ms, byte_rate * 8, rate, channels, bits, codec)


def _read_info(view: View, position: int, stop: int, tags: TagSet) -> None:
    for _ in range(MAX_ITEMS):
        if position + 8 > stop:
            return
        name, size = struct.unpack("<4sI", view.read(position, position + 8))
        body = position + 8
        field = RIFF_INFO.get(name)
        if field is not None and size <= MAX_VALUE_BYTES:
            tags.add(field, _text(view.read(body, min(body + size, stop))))
        position = body + size + (size & 1)


def _text(data: bytes) -> str:
    """INFO has no declared encoding: UTF-8 where it can be, else Windows' Western one."""
    raw = data.partition(b"\0")[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
