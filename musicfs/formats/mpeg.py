"""MPEG audio frames and the headers that say how long a stream is.

Sources: ISO/IEC 11172-3, 2.4.2.3 and 13818-3 (frame header); wiki.hydrogenaud.io "MP3" and gabriel.mp3-tech.org "Mp3 info
tag revision 1" (Xing, Info, LAME); codeproject.com/Articles/8295 (VBRI).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# By (MPEG 1 or not, layer), in kbit/s; index 0 is "free" and 15 is invalid.
_BITRATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# By the version bits: 2.5, (reserved), 2, 1.
_SAMPLE_RATES = ((11025, 12000, 8000), (0, 0, 0), (22050, 24000, 16000), (44100, 48000, 32000))
_MONO = 3
# A stream keeps these bits from frame to frame: sync, version, layer, sample rate.
_SAME_BITS = 0xFFFE0C00
_ENOUGH_FRAMES = 3
_MAX_SYNCS = 1500

_FRAMES, _BYTES, _TOC, _QUALITY = 1, 2, 4, 8
_LAME_VERSIONS = (b"LAME", b"L3.99")
_VBRI_OFFSET = 36


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header."""

    bits: int
    bitrate: int
    sample_rate: int
    channels: int
    layer: int
    samples: int
    size: int
    side_info_bytes: int


@dataclass(frozen=True, slots=True)
class Stream:
    """The first frame of a stream, and what its Xing or VBRI header counts; 0 is unknown.

    ``filling`` of the ``samples`` were put before and after the music by the encoder.
    """

    start: int
    frame: Frame
    samples: int = 0
    audio_bytes: int = 0
    filling: int = 0


def parse_frame(bits: int) -> Frame | None:
    """The frame whose 32 header bits these are; None if they are none."""
    version, layer_bits = bits >> 19 & 3, bits >> 17 & 3
    bitrate_index, rate_index = bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or not layer_bits or rate_index == 3 or bitrate_index in (0, 15):
        return None
    is_v1, layer, padding = version == 3, 4 - layer_bits, bits >> 9 & 1
    bitrate = _BITRATES[is_v1, layer][bitrate_index] * 1000
    sample_rate = _SAMPLE_RATES[version][rate_index]
    mono = bits >> 6 & 3 == _MONO
    if layer == 1:
        samples, size = 384, (12 * bitrate // sample_rate + padding) * 4
    else:
        samples = 1152 if is_v1 or layer == 2 else 576
        size = samples // 8 * bitrate // sample_rate + padding
    side_info = (17 if mono else 32) if is_v1 else (9 if mono else 17)
    return Frame(bits, bitrate, sample_rate, 1 if mono else 2, layer, samples, size, side_info)


def find_stream(data: bytes, base: int, *, ends_file: bool) -> Stream | None:
    """The first frame in ``data`` that is followed by more of its kind, or that has a Xing or VBRI header.

    ``base`` is the position of ``data`` in the file. If ``ends_file``, fewer frames suffice where the data ends.
    """
    at = -1
    for _ in range(_MAX_SYNCS):
        at = data.find(b"\xff", at + 1)
        if at < 0 or at + 4 > len(data):
            return None
        frame = parse_frame(int.from_bytes(data[at : at + 4]))
        if frame is None:
            continue
        stream = _counted(data, at, base, frame) if frame.layer == 3 else None
        if stream is not None:
            return stream
        if _is_followed(data, at, frame, ends_file):
            return Stream(base + at, frame)
    return None


def _is_followed(data: bytes, at: int, frame: Frame, ends_file: bool) -> bool:
    """Whether the next frames begin where the ones before them end."""
    current = frame
    for found in range(_ENOUGH_FRAMES):
        at += current.size
        if at + 4 > len(data):
            return ends_file and found >= 1
        bits = int.from_bytes(data[at : at + 4])
        following = parse_frame(bits)
        if following is None or (bits ^ frame.bits) & _SAME_BITS:
            return False
        current = following
    return True


def _counted(data: bytes, at: int, base: int, frame: Frame) -> Stream | None:
    """The stream if its first frame is a header that counts the rest."""
    xing = at + 4 + frame.side_info_bytes
    if data[xing : xing + 4] in (b"Xing", b"Info"):
        return _xing(data, xing, base + at, frame)
    vbri = at + _VBRI_OFFSET
    if data[vbri : vbri + 4] == b"VBRI" and len(data) >= vbri + 18:
        size, frames = struct.unpack_from(">II", data, vbri + 10)
        return Stream(base + at, frame, frames * frame.samples, size)
    return None


def _xing(data: bytes, xing: int, start: int, frame: Frame) -> Stream | None:
    if len(data) < xing + 8:
        return None
    (flags,) = struct.unpack_from(">I", data, xing + 4)
    samples = size = filling = 0
    position = xing + 8
    if flags & _FRAMES:
        samples = int.from_bytes(data[position : position + 4]) * frame.samples
        position += 4
    if flags & _BYTES:
        # This frame is in the bytes, but not in the frames.
        size = max(0, int.from_bytes(data[position : position + 4]) - frame.size)
        position += 4
    position += 100 if flags & _TOC else 0
    position += 4 if flags & _QUALITY else 0
    lame = data[position : position + 24]
    if samples and len(lame) == 24 and lame.startswith(_LAME_VERSIONS):
        # Bytes 21-23: what the encoder put before and after the music, 12 bits each, in samples.
        (edges,) = struct.unpack(">I", b"\0" + lame[21:24])
        filling = (edges >> 12) + (edges & 0xFFF)
    # Old versions of LAME wrote more filling than there is sound into short files.
    return Stream(start, frame, samples, size, filling if filling < samples else 0)
