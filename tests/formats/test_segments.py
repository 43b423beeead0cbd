"""Which parts of a file a change of its tags leaves as they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from musicfs.formats import (
    AUDIO,
    PADDING,
    HeadTail,
    LocalSource,
    NeedRange,
    Segment,
    find_segments,
    read,
    stream_identity,
)
from musicfs.model import Facts, Layout
from musicfs.testing.audio import make_audio
from tests.formats.building import flac_block, flac_file, picture_block, vorbis_comments

INFO = flac_block(0, bytes(10) + (44100 << 44 | 1 << 41 | 15 << 36 | 441_000).to_bytes(8) + b"m" * 16)
PICTURE = flac_block(6, picture_block(b"\xff\xd8\xff" + b"p" * 9000))
COMMENTS = flac_block(4, vorbis_comments(b"TITLE=x"))


def marked(*blocks: bytes) -> bytes:
    return b"fLaC" + b"".join(blocks) + b"\xff\xf8" + bytes(500)


def held(data: bytes) -> HeadTail:
    return HeadTail(len(data), data)


def parts(data: bytes) -> tuple[tuple[Segment, ...], Facts]:
    facts = read(held(data), "a.flac")
    return find_segments(held(data), facts.layout, facts.pictures), facts


def test_a_flac_has_audio_pictures_and_padding() -> None:
    data = marked(INFO, COMMENTS, PICTURE, flac_block(1, bytes(3000), last=True))
    found, facts = parts(data)
    picture, padding, audio = found
    assert (padding.kind, padding.size, audio.kind, audio.size) == (PADDING, 3000, AUDIO, 502)
    assert picture.kind == "picture 3 raw image/jpeg"
    assert (picture.start, picture.stop) == (facts.pictures[0].start, facts.pictures[0].stop)
    assert padding.stop == audio.start
    assert stream_identity(held(data), facts.layout) == INFO[4:]


def test_identity_needs_the_whole_streaminfo_with_its_md5() -> None:
    bare = flac_block(0, INFO[4:-16] + bytes(16))
    last = flac_block(4, vorbis_comments(), last=True)
    for data in (marked(bare, last), b"ID3\4\0\0\0\0\0\0" + marked(INFO, last)):
        _, facts = parts(data)
        assert stream_identity(held(data), facts.layout) == b""


def test_lengths_that_lead_elsewhere_give_no_padding() -> None:
    data = marked(INFO, flac_block(1, bytes(3000), last=True))
    elsewhere = Layout("flac", len(data) - 400, len(data))
    assert [one.kind for one in find_segments(held(data), elsewhere, ())] == [AUDIO]


def test_what_is_not_here_is_asked_for() -> None:
    data = flac_file(INFO, COMMENTS)
    with pytest.raises(NeedRange):
        find_segments(HeadTail(len(data)), Layout("flac", 400, len(data)), ())


def test_parts_do_not_overlap_in_any_format(tmp_path: Path) -> None:
    for suffix in ("flac", "mp3", "ogg", "opus", "m4a", "wav", "aiff", "aac"):
        path = make_audio(tmp_path / f"a.{suffix}", seconds=0.5, tags={"title": "x"}, seed=1)
        with LocalSource.open(path) as source:
            facts = read(source, path.name)
            found = find_segments(source, facts.layout, facts.pictures)
        assert [one for one in found if one.kind == AUDIO], suffix
        assert all(one.stop <= other.start for one, other in pairwise(found)), suffix


def test_reading_frugally_gives_the_same_facts(tmp_path: Path) -> None:
    """A small head and exactly what is asked for after it: the parsers don't care how the bytes come."""
    for suffix in ("flac", "mp3", "ogg", "opus", "m4a", "wav", "aiff", "aac"):
        path = make_audio(tmp_path / f"a.{suffix}", seconds=2, tags={"title": "x" * 300, "artist": "y"}, seed=1)
        data = path.read_bytes()
        with LocalSource.open(path) as whole:
            expected = read(whole, path.name)
        source = HeadTail(len(data), data[:512], head_bytes=512)
        for _ in range(100):
            try:
                facts = read(source, path.name)
                break
            except NeedRange as need:
                source.add(need.start, data[need.start : need.stop])
        assert facts == expected, suffix
