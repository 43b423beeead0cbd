"""AAC in ADTS frames, with ID3 tags before and behind: ISO/IEC 14496-3, 1.A.3."""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.id3v1 import ID3V1_BYTES, parse_id3v1
from musicfs.formats.identity import EDGE_BYTES, Edges, id_by_edges, read_head, read_tail
from musicfs.formats.mp3 import read_id3_run
from musicfs.formats.mp4track import CHANNELS, SAMPLE_RATES
from musicfs.formats.source import View
from musicfs.model import Facts, Layout, Technical

_SAMPLES_PER_BLOCK = 1024
_WINDOW_BYTES = 64 * 1024
_ENOUGH_FRAMES = 3
_MAX_FRAMES = 100
_MAX_SYNCS = 100
_HEADER_BYTES = 7
# Sync, version, layer, protection, profile, rate, private bit, channels, original and home: the same in all frames.
_FIXED_BITS = 0xFFFFFFF0_000000


class _Frames:
    """The frames that follow each other from ``start`` of ``data`` on."""

    __slots__ = ("count", "first", "payload_bytes", "samples", "stop")

    def __init__(self, data: bytes, start: int) -> None:
        self.first = int.from_bytes(data[start : start + _HEADER_BYTES])
        self.count = self.samples = self.payload_bytes = 0
        self.stop = start
        while self.count < _MAX_FRAMES and self.stop + _HEADER_BYTES <= len(data):
            bits = int.from_bytes(data[self.stop : self.stop + _HEADER_BYTES])
            size = bits >> 13 & 0x1FFF
            if not is_header(bits) or (bits ^ self.first) & _FIXED_BITS or self.stop + size > len(data):
                return
            blocks = (bits & 3) + 1
            self.count += 1
            self.samples += blocks * _SAMPLES_PER_BLOCK
            self.payload_bytes += size - _overhead(bits, blocks)
            self.stop += size


def _overhead(bits: int, blocks: int) -> int:
    """Bytes of a frame that are not AAC: the header and, where it is protected, checksums and positions of blocks."""
    if bits >> 40 & 1:
        return _HEADER_BYTES
    return _HEADER_BYTES + 2 * blocks * (2 if blocks > 1 else 1)


def is_header(bits: int) -> bool:
    """Whether 56 bits are a frame's header: sync, layer 0, a known rate, and a length that holds the header."""
    return bits >> 44 == 0xFFF and not bits >> 41 & 3 and bits >> 34 & 15 < 13 and bits >> 13 & 0x1FFF >= _HEADER_BYTES


def read_adts(view: View, start: int) -> Facts:
    """The facts of an ADTS stream; ``start`` is where its ID3v2 tags begin. The first frames give an estimated duration."""
    tag = read_id3_run(view, start)
    audio_start, audio_stop = tag.stop, view.size
    view.read_some(view.size - ID3V1_BYTES - EDGE_BYTES, view.size)  # one request for this and the end of the audio
    tail = view.read_some(view.size - ID3V1_BYTES, view.size)
    if len(tail) == ID3V1_BYTES and tail[:3] == b"TAG" and view.size - ID3V1_BYTES >= audio_start:
        audio_stop -= ID3V1_BYTES
        tag.tags.fill_from(parse_id3v1(tail))
    audio_tail = read_tail(view, audio_start, audio_stop)
    frames, first = _find_frames(view, audio_start, audio_stop)
    edges = Edges(read_head(view, audio_start, audio_stop), audio_tail)
    rate = SAMPLE_RATES[frames.first >> 34 & 15]
    frame_bytes = frames.stop - first
    duration_ms = round(frames.samples * (audio_stop - audio_start - first) * 1000 / (frame_bytes * rate))
    bitrate = frames.payload_bytes * 8 * rate // frames.samples
    technical = Technical(duration_ms, bitrate, rate, CHANNELS[frames.first >> 30 & 7], 0, "aac")
    layout = Layout("adts", audio_start, audio_stop)
    return Facts("aac", tag.tags.finish(), technical, layout, tuple(tag.pictures), id_by_edges(layout, "aac", edges))


def _find_frames(view: View, start: int, stop: int) -> tuple[_Frames, int]:
    """The first frames and their offset from ``start``."""
    data = view.read_some(start, min(stop, start + _WINDOW_BYTES))
    at = -1
    for _ in range(_MAX_SYNCS):
        at = data.find(b"\xff", at + 1)
        if at < 0:
            break
        frames = _Frames(data, at)
        if frames.count >= _ENOUGH_FRAMES or (frames.count and frames.stop == len(data)):
            return frames, at
    raise FormatError("no ADTS frames were found")
