"""AIFF and AIFF-C (Apple: "Audio Interchange File Format 1.3", 1989, and "AIFF-C", 1991) with ID3 chunks."""

from __future__ import annotations

import math
import struct

from musicfs.errors import FormatError
from musicfs.formats.fields import AIFF_TEXT
from musicfs.formats.id3 import read_id3
from musicfs.formats.identity import Edges, id_by_edges, read_edges
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, TagSet
from musicfs.model import Facts, Layout, Picture, Technical

_PCM = frozenset({"NONE", "sowt", "twos", "in24", "in32", "42ni", "23ni", "fl32", "FL32", "fl64", "FL64", "raw "})
_CODECS = {"alaw": "alaw", "ALAW": "alaw", "ulaw": "mulaw", "ULAW": "mulaw", "ima4": "adpcm"}
ID3_NAMES = (b"ID3 ", b"id3 ")
_MAX_SAMPLE_RATE = 1 << 24


class _Aiff:
    """What the chunks of one file say."""

    def __init__(self) -> None:
        self.common = b""
        self.sound: tuple[int, int] | None = None
        self.edges = Edges(b"", b"")
        self.text = TagSet()
        self.tags = TagSet()
        self.pictures: list[Picture] = []

    def read(self, view: View, position: int) -> None:
        """Go through the chunks from ``position`` on; one that is cut short counts as far as it goes."""
        for _ in range(MAX_ITEMS):
            if position + 8 > view.size:
                return
            name, size = struct.unpack(">4sI", view.read(position, position + 8))
            body = position + 8
            self._chunk(view, name, body, min(body + size, view.size))
            position = body + size + (size & 1)

    def _chunk(self, view: View, name: bytes, start: int, stop: int) -> None:
        if name == b"COMM":
            self.common = view.read(start, min(stop, start + 22))
        elif name == b"SSND" and self.sound is None:
            # Offset and block size, both usually 0, then the offset's bytes of filling.
            offset = int.from_bytes(view.read_some(start, min(stop, start + 4)))
            self.sound = min(start + 8 + offset, stop), stop
            self.edges = read_edges(view, *self.sound)
        elif name in AIFF_TEXT and stop - start <= MAX_VALUE_BYTES:
            self.text.add(AIFF_TEXT[name], _text(view.read(start, stop)))
        elif name in ID3_NAMES:
            try:
                tag = read_id3(view, start)
            except MALFORMED:
                return
            self.tags.fill_from(tag.tags)
            self.pictures += tag.pictures


def read_aiff(view: View, start: int) -> Facts:
    """The facts of the AIFF or AIFC form at ``start``. An ID3 chunk counts before text chunks. FormatError without COMM."""
    aiff = _Aiff()
    aiff.read(view, start + 12)
    if len(aiff.common) < 18:
        raise FormatError("the AIFF file has no common chunk")
    aiff.tags.fill_from(aiff.text)
    sound = aiff.sound or (view.size, view.size)
    technical = _technical(aiff.common, sound[1] - sound[0])
    layout = Layout("aiff", *sound)
    audio_id = id_by_edges(layout, technical.codec, aiff.edges)
    return Facts("aiff", aiff.tags.finish(), technical, layout, tuple(aiff.pictures), audio_id)


def _technical(common: bytes, sound_bytes: int) -> Technical:
    channels, frames, bits = struct.unpack_from(">HIH", common)
    rate = _extended(common[8:18])
    compression = common[18:22].decode("latin-1") or "NONE"
    is_pcm = compression in _PCM
    codec = "pcm" if is_pcm else _CODECS.get(compression, compression.strip().lower())
    duration_ms = round(frames * 1000 / rate)
    bitrate = rate * channels * bits if is_pcm else round(sound_bytes * 8000 / duration_ms) if duration_ms else 0
    return Technical(duration_ms, bitrate, rate, channels, bits, codec)


def _extended(data: bytes) -> int:
    """An 80-bit IEEE 754 extended number as a whole sample rate; FormatError outside of any rate."""
    exponent, mantissa = struct.unpack(">HQ", data)
    # Bias 16383, and 63 bits behind the point.
    rate = math.ldexp(mantissa, exponent - 16383 - 63) if exponent < 16383 + 32 else 0.0
    if not 1 <= rate < _MAX_SAMPLE_RATE:
        raise FormatError("the AIFF file has no possible sample rate")
    return int(rate)


def _text(data: bytes) -> str:
    raw = data.rstrip(b"\0")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("mac-roman")
