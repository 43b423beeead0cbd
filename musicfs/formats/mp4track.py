"""The audio track of an MP4 file: how long it is and what is in it.

Sources: ISO/IEC 14496-12 (boxes), 14496-14 and 14496-1 (esds), 14496-3, 1.6 (AudioSpecificConfig); "ALAC magic cookie
description" (Apple).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from musicfs.formats.identity import EDGE_BYTES
from musicfs.formats.mp4boxes import boxes
from musicfs.formats.source import MALFORMED, View

# ISO/IEC 14496-3, table 1.18; ADTS uses the same indices.
SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)  # table 1.19

_MAX_DESCRIPTION_BYTES = 4096
_CODECS = {"mp4a": "aac", "fLaC": "flac", "Opus": "opus", "ac-3": "ac3", "ec-3": "eac3", ".mp3": "mp3"}
_PCM = frozenset({"sowt", "twos", "lpcm", "in24", "in32", "fl32", "fl64", "raw ", "ipcm", "fpcm"})
# Object types of ISO/IEC 14496-1, table 5: MPEG-1 and MPEG-2 audio.
_MP3_OBJECT_TYPES = (0x69, 0x6B)
_AAC_OBJECT_TYPE = 0x40
_SBR, _PS = 5, 29
_PLAIN_AAC = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})


@dataclass(slots=True)
class Track:
    """``duration`` is in units of ``timescale`` per second. Zero means unknown."""

    duration: int = 0
    timescale: int = 0
    bitrate: int = 0
    sample_rate: int = 0
    channels: int = 0
    bits_per_sample: int = 0
    codec: str = ""
    frame_sizes: bytes = b""  # how many frames there are, and the sizes of the last ones; empty if all have one size

    @classmethod
    def find(cls, view: View, start: int, stop: int) -> Track | None:
        """The track in the ``trak`` box ``[start, stop)`` if it is audio; None if it is something else."""
        track = cls()
        for name, media_start, media_stop in boxes(view, start, stop):
            if name != b"mdia":
                continue
            for inner, body, end in boxes(view, media_start, media_stop):
                if inner == b"hdlr" and view.read(body + 8, body + 12) != b"soun":
                    return None
                if inner == b"mdhd":
                    track._read_header(view.read(body, min(end, body + 36)))
                elif inner == b"minf":
                    track._read_table(view, body, end)
            return track
        return None

    def _read_header(self, body: bytes) -> None:
        """``mdhd``: version 1 has 64-bit times."""
        layout, at = (">IQ", 20) if body[0] == 1 else (">II", 12)
        self.timescale, self.duration = struct.unpack_from(layout, body, at)
        if self.duration in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
            self.duration = 0  # all ones: unknown

    def _read_table(self, view: View, start: int, stop: int) -> None:
        """``minf.stbl``: the first sample description, and of the sample sizes as much as tells recordings apart."""
        for name, table_start, table_stop in boxes(view, start, stop):
            if name != b"stbl":
                continue
            for inner, body, end in boxes(view, table_start, table_stop):
                if inner == b"stsd":
                    entry = view.read(body + 8, min(end, body + 8 + _MAX_DESCRIPTION_BYTES))
                    self._read_description(entry[: int.from_bytes(entry[:4])])
                elif inner == b"stsz":
                    self._read_sizes(view, body, end)
                    return

    def _read_sizes(self, view: View, start: int, stop: int) -> None:
        """``stsz`` (ISO/IEC 14496-12, 8.7.3.2): a size that all samples have or 0, their number, and then their sizes."""
        head = view.read_some(start + 4, min(stop, start + 12))
        if len(head) == 8 and not any(head[:4]) and any(head[4:]):
            self.frame_sizes = head[4:] + view.read_some(max(start + 12, stop - EDGE_BYTES), stop)

    def _read_description(self, entry: bytes) -> None:
        """An AudioSampleEntry: name at 4, channels at 24, sample size at 26, 16.16 fixed point rate at 32."""
        name = entry[4:8].decode("latin-1")
        self.channels, self.bits_per_sample, self.sample_rate = struct.unpack_from(">HH4xH", entry, 24)
        self.codec = "pcm" if name in _PCM else _CODECS.get(name, name.strip().lower())
        # The codec's own box says more exactly. QuickTime may put other boxes around it, hence the search by name.
        try:
            if name == "mp4a" and (at := entry.find(b"esds", 36)) > 0:
                self._read_esds(entry[at + 8 :])
            elif name == "alac" and (at := entry.find(b"alac", 36)) > 0:
                self._read_alac(entry[at + 8 :])
        except MALFORMED:
            pass
        if self.codec in ("aac", "mp3", "opus", "ac3", "eac3"):
            self.bits_per_sample = 0  # the size of decoded samples, which says nothing about these

    def _read_alac(self, cookie: bytes) -> None:
        """Frame length, version, sample size, three tuning bytes, channels, run, frame bytes, bitrate, rate.

        The bitrate is only guessed by some encoders, and not used.
        """
        version, bits, channels, rate = struct.unpack_from(">4xBB3xB2x4x4xI", cookie)
        if version == 0:
            self.bits_per_sample, self.channels, self.sample_rate = bits, channels, rate

    def _read_esds(self, data: bytes) -> None:
        """ES descriptor (3) > decoder configuration (4) > decoder specific information (5)."""
        tag, at = _descriptor(data, 0)
        if tag != 3:
            return
        flags = data[at + 2]
        at += 3
        at += 2 if flags & 0x80 else 0  # the stream this one depends on
        at += 1 + data[at] if flags & 0x40 else 0  # URL
        at += 2 if flags & 0x20 else 0  # OCR stream
        tag, at = _descriptor(data, at)
        if tag != 4:
            return
        object_type, self.bitrate = struct.unpack_from(">B8xI", data, at)
        if object_type in _MP3_OBJECT_TYPES:
            self.codec = "mp3"
        if object_type != _AAC_OBJECT_TYPE:
            return
        tag, at = _descriptor(data, at + 13)
        if tag == 5:
            self._read_audio_config(data[at:])

    def _read_audio_config(self, data: bytes) -> None:
        """AudioSpecificConfig; a rate or channel count of zero leaves the description's own."""
        bits = _Bits(data)
        kind = bits.object_type()
        rate = bits.sample_rate()
        channels = bits.take(4)
        is_extended = kind in (_SBR, _PS)
        if kind == _PS and channels == 1:
            channels = 2  # parametric stereo: one channel is coded, two are played
        if is_extended:
            rate = bits.sample_rate()
            kind = bits.object_type()
        self.sample_rate = rate or self.sample_rate
        self.channels = (CHANNELS[channels] if channels < len(CHANNELS) else 0) or self.channels
        if not is_extended and kind in _PLAIN_AAC and channels:
            self._read_late_extension(bits, kind)

    def _read_late_extension(self, bits: _Bits, kind: int) -> None:
        """SBR signalled behind a plain AAC configuration, so that old decoders play half of it (1.6.5)."""
        bits.take(1)
        if bits.take(1):
            bits.take(14)
        extended = bits.take(1)
        if kind in (6, 20):
            bits.take(3)
        if extended and kind in (17, 19, 20, 23):
            bits.take(3)
        if extended:
            bits.take(1)
        if bits.take(11) == 0x2B7 and bits.object_type() == _SBR and bits.take(1):
            self.sample_rate = bits.sample_rate() or self.sample_rate


def _descriptor(data: bytes, at: int) -> tuple[int, int]:
    """The tag at ``at``, and where its contents begin: behind a length of up to four bytes."""
    tag = data[at]
    for position in range(at + 1, at + 5):
        if not data[position] & 0x80:
            return tag, position + 1
    return tag, at + 5


class _Bits:
    """Bits from the highest on; IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:64])
        self._left = len(data[:64]) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the configuration ends early")
        return self._value >> self._left & (1 << count) - 1

    def object_type(self) -> int:
        kind = self.take(5)
        return 32 + self.take(6) if kind == 31 else kind

    def sample_rate(self) -> int:
        index = self.take(4)
        if index == 15:
            return self.take(24)
        return SAMPLE_RATES[index] if index < len(SAMPLE_RATES) else 0
