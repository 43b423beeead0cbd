"""MP4 audio (M4A, M4B): ISO/IEC 14496-12 boxes, Apple's metadata in ``moov.udta.meta.ilst``."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.errors import FormatError
from musicfs.formats.identity import Edges, id_by_edges, read_head, read_tail
from musicfs.formats.mp4boxes import Box, boxes
from musicfs.formats.mp4tags import ItemList
from musicfs.formats.mp4track import Track
from musicfs.formats.source import MALFORMED, View
from musicfs.model import Facts, Layout, Technical

_AUDIOBOOK = 2  # iTunes' media kind, atom stik


class _File:
    """What the top level of a file says."""

    def __init__(self, view: View) -> None:
        self.brand = b""
        self.movie: tuple[int, int] | None = None
        self.media: tuple[int, int] | None = None
        self.audio_head = b""
        self.is_fragmented = False
        try:
            self._walk(view)
        except FormatError:
            # Damage behind the parts that matter, as in a file cut short, does not matter.
            if self.movie is None:
                raise

    def _walk(self, view: View) -> None:
        for name, start, stop in _top_level(view):
            if name == b"ftyp":
                self.brand = view.read(start, min(stop, start + 4))
            elif name == b"moov" and self.movie is None:
                self.movie = start, stop
            elif name == b"mdat" and self.is_fragmented:
                self.audio_head = read_head(view, start, stop)
                return
            elif name == b"mdat" and (self.media is None or stop - start > self.media[1] - self.media[0]):
                self.media = start, stop
                self.audio_head = read_head(view, start, stop)
            elif name == b"moof" and self.movie is not None and not self.is_fragmented:
                # A fragmented file: from here on it is audio with small headers in between.
                self.media = start - 8, view.size
                self.is_fragmented = True
                self.audio_head = b""


def _top_level(view: View) -> Iterator[Box]:
    """The outermost boxes; a last ``mdat`` that is cut short counts as far as it goes."""
    position = 0
    try:
        for name, start, stop in boxes(view, 0, view.size):
            position = stop
            yield name, start, stop
    except FormatError:
        head = view.read_some(position, position + 8)
        if head[4:] != b"mdat":
            raise
        yield b"mdat", position + 8, view.size


def read_mp4(view: View, name: str) -> Facts:
    """The facts of an MP4 file; ``name`` tells ``.m4b`` from ``.m4a`` if the file does not. FormatError without audio."""
    file = _File(view)
    if file.movie is None:
        raise FormatError("the MP4 file has no movie box")
    track: Track | None = None
    items = ItemList()
    for box, start, stop in boxes(view, *file.movie):
        if box == b"trak" and track is None:
            track = Track.find(view, start, stop)
        elif box == b"udta":
            _read_user_data(view, start, stop, items)
    if track is None:
        raise FormatError("the MP4 file has no audio track")
    audio_start, audio_stop = file.media or (view.size, view.size)
    is_book = file.brand == b"M4B " or items.media_kind == _AUDIOBOOK or name.lower().endswith(".m4b")
    technical, layout = _technical(track, audio_stop - audio_start), Layout("mp4", audio_start, audio_stop)
    # The sizes of the frames lie where the tags do; the end of the audio would often be a request of its own.
    tail = track.frame_sizes or _read_tail(view, file, audio_start, audio_stop)
    audio_id = id_by_edges(layout, technical.codec, Edges(file.audio_head, tail))
    return Facts("m4b" if is_book else "m4a", items.tags.finish(), technical, layout, tuple(items.pictures), audio_id)


def _read_tail(view: View, file: _File, start: int, stop: int) -> bytes:
    """The last bytes of the audio. Of fragments without their headers and index, which say where they lie in the file."""
    if not file.is_fragmented:
        return read_tail(view, start, stop)
    end = view.read_some(stop - 16, stop)
    if end[4:8] == b"mfro":  # ISO/IEC 14496-12, 8.8.11: how long the index is, at its end
        stop = max(start, stop - int.from_bytes(end[12:16]))
    return read_tail(view, start, stop).rpartition(b"mdat")[2]


def _read_user_data(view: View, start: int, stop: int, items: ItemList) -> None:
    """Read the item list below ``udta``, as far as it can be read."""
    try:
        for name, meta_start, meta_stop in boxes(view, start, stop):
            if name != b"meta":
                continue
            # A full box with four bytes of version and flags, but for QuickTime's.
            plain = view.read_some(meta_start + 4, meta_start + 8) == b"hdlr"
            for inner, list_start, list_stop in boxes(view, meta_start if plain else meta_start + 4, meta_stop):
                if inner == b"ilst":
                    for item, item_start, item_stop in boxes(view, list_start, list_stop):
                        items.add(view, item, item_start, item_stop)
    except MALFORMED:
        return


def _technical(track: Track, audio_bytes: int) -> Technical:
    duration_ms = round(track.duration * 1000 / track.timescale) if track.timescale else 0
    bitrate = track.bitrate or (round(audio_bytes * 8000 / duration_ms) if duration_ms else 0)
    return Technical(duration_ms, bitrate, track.sample_rate, track.channels, track.bits_per_sample, track.codec)
