"""MP3 files: MPEG audio between tags at either end."""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.apev2 import FOOTER_BYTES, ape_header_stop, ape_start, read_ape
from musicfs.formats.id3 import HEADER_BYTES, Id3, read_id3, synchsafe
from musicfs.formats.id3v1 import ID3V1_BYTES, parse_id3v1
from musicfs.formats.identity import Edges, id_by_edges, read_head, read_tail
from musicfs.formats.mpeg import Stream, find_stream
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import TagSet
from musicfs.model import Facts, Layout, Picture, Technical

# Three frames of the largest kind, then as far as garbage before the first frame is followed.
_FIRST_LOOK_BYTES = 8 * 1024
_LAST_LOOK_BYTES = 128 * 1024
_TAIL_BYTES = 2048  # the end of the audio before a usual tag as well
MAX_TAGS = 16
_LYRICS1_MAX_BYTES = 5100 + 20


def read_id3_run(view: View, start: int = 0) -> Id3:
    """All ID3v2 tags in a row from ``start`` on as one: earlier tags win. Its ``stop`` is ``start`` when there is none."""
    whole = Id3(start)
    for _ in range(MAX_TAGS):
        try:
            tag = read_id3(view, whole.stop)
        except MALFORMED:
            break
        whole.tags.fill_from(tag.tags)
        whole.pictures += tag.pictures
        whole.stop = tag.stop
    return whole


def read_mp3(view: View, start: int) -> Facts:
    """The facts of an MP3 file; ``start`` is where its ID3v2 tags begin. FormatError when no MPEG frames are found."""
    tag = read_id3_run(view, start)
    audio_start = ape_header_stop(view.read_some(tag.stop, tag.stop + FOOTER_BYTES), tag.stop) or tag.stop
    if audio_start >= view.size:
        raise FormatError("the file ends before any MPEG audio")
    audio_stop = _read_trailers(view, audio_start, tag.tags, tag.pictures)
    tail = read_tail(view, audio_start, audio_stop)
    stream = _find_stream(view, audio_start, audio_stop)
    technical, layout = _technical(stream, audio_stop), Layout("mp3", audio_start, audio_stop)
    audio_id = id_by_edges(layout, technical.codec, Edges(read_head(view, audio_start, audio_stop), tail))
    return Facts("mp3", tag.tags.finish(), technical, layout, tuple(tag.pictures), audio_id)


def _find_stream(view: View, start: int, stop: int) -> Stream:
    for size in (_FIRST_LOOK_BYTES, _LAST_LOOK_BYTES):
        data = view.read_some(start, min(stop, start + size))
        stream = find_stream(data, start, ends_file=start + len(data) == stop)
        if stream is not None:
            return stream
    raise FormatError("no MPEG audio frames were found")


def _technical(stream: Stream, audio_stop: int) -> Technical:
    frame = stream.frame
    if stream.samples:
        duration_ms = round((stream.samples - stream.filling) * 1000 / frame.sample_rate)
        audio_bytes = stream.audio_bytes or audio_stop - stream.start - frame.size
        bitrate = round(max(0, audio_bytes) * 8 * frame.sample_rate / stream.samples)
    else:
        bitrate = frame.bitrate
        duration_ms = round((audio_stop - stream.start) * 8000 / bitrate)
    codec = "mp3" if frame.layer == 3 else f"mp{frame.layer}"
    return Technical(duration_ms, bitrate, frame.sample_rate, frame.channels, 0, codec)


def _read_trailers(view: View, audio_start: int, tags: TagSet, pictures: list[Picture]) -> int:
    """Read the tags at the end, filling what ``tags`` lacks; return where they begin."""
    view.read_some(view.size - _TAIL_BYTES, view.size)  # one request for all the looks below
    stop = view.size
    lesser: list[TagSet] = []
    for _ in range(MAX_TAGS):
        start = trailer_start(view, stop, lesser, pictures)
        if start is None or start < audio_start:
            break
        stop = start
    for found in reversed(lesser):
        tags.fill_from(found)
    return stop


def trailer_start(view: View, stop: int, found: list[TagSet], pictures: list[Picture]) -> int | None:
    """Where the trailing tag begins that ends at ``stop``; None when there is none.

    Its fields are added to ``found``, whose last counts before the others.
    """
    tail = view.read_some(stop - ID3V1_BYTES, stop)
    if len(tail) == ID3V1_BYTES and tail[:3] == b"TAG":
        found.insert(0, parse_id3v1(tail))  # its texts are cut short: all else counts before it, wherever it stands
        return stop - ID3V1_BYTES
    start = ape_start(tail[-FOOTER_BYTES:], stop)
    if start is not None:
        own_pictures: list[Picture] = []
        found.append(TagSet())
        read_ape(view, stop, found[-1], own_pictures)
        pictures += own_pictures
        return start
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return stop - 15 - int(tail[-15:-9])
    if tail[-9:] == b"LYRICSEND":
        text = view.read_some(stop - _LYRICS1_MAX_BYTES, stop)
        at = text.rfind(b"LYRICSBEGIN")
        return stop - len(text) + at if at >= 0 else None
    if tail[-HEADER_BYTES:-7] == b"3DI":
        return _appended_id3(view, stop, tail, found, pictures)
    return None


def _appended_id3(view: View, stop: int, tail: bytes, found: list[TagSet], pictures: list[Picture]) -> int | None:
    """An ID3v2.4 tag at the end, found by its footer."""
    try:
        start = stop - 2 * HEADER_BYTES - synchsafe(tail[-4:])
        tag = read_id3(view, start)
    except MALFORMED:
        return None
    found.append(tag.tags)
    pictures += tag.pictures
    return start
