"""FLAC and Ogg: Vorbis comments, picture blocks, and large things that are stepped over."""

from __future__ import annotations

import base64
import struct

import pytest

from musicfs.errors import FormatError
from musicfs.formats import extract_picture, read
from musicfs.testing.audio import encoded
from musicfs.testing.images import make_jpeg
from tests.formats.building import (
    flac_block,
    flac_file,
    id3_tag,
    ogg_pages,
    picture_block,
    text_frame,
    vorbis_comments,
    vorbis_file,
)  # fmt: skip
from tests.formats.reading import CountingSource, read_bytes, read_remotely

COMMENT, PICTURE, PADDING = 4, 6, 1
BIG_JPEG = make_jpeg(size_bytes=5_000_000)


def tags_of(*comments: bytes) -> dict[str, tuple[str, ...]]:
    return read_bytes(flac_file(flac_block(COMMENT, vorbis_comments(*comments), last=True))).tags


def test_names_and_aliases() -> None:
    assert tags_of(
        b"TITLE=t", b"artist=a", b"ARTIST=b", b"Artist=a", b"TRACKNUMBER=3/12", b"TOTALDISCS=2", b"DISCNUMBER=1",
        b"DATE=2019-05-17", b"YEAR=2019", b"ALBUM ARTIST=aa", b"ORGANIZATION=org", b"LABEL=lab", b"My Tag=x=y",
        b"COMPILATION=0", b"R128_TRACK_GAIN=-512", b"EMPTY=", b"nothing", b"BLANK=  ",
    ) == {
        "title": ("t",), "artist": ("a", "b"), "track": ("3",), "track_total": ("12",), "disc_total": ("2",),
        "disc": ("1",), "date": ("2019-05-17",), "album_artist": ("aa",), "label": ("lab",), "organization": ("org",),
        "my tag": ("x=y",), "r128_track_gain": ("-512",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("track", "total", "expected"),
    [
        ("3/12", None, {"track": ("3",), "track_total": ("12",)}),
        ("3/12", "10", {"track": ("3",), "track_total": ("10",)}),
        ("03", None, {"track": ("03",)}),
        ("3/", None, {"track": ("3",)}),
        ("/12", None, {"track_total": ("12",)}),
        ("A1/b", None, {"track": ("A1/b",)}),
        (" 3 / 12 ", None, {"track": ("3",), "track_total": ("12",)}),
    ],
)
def test_numbers_with_totals(track: str, total: str | None, expected: dict[str, tuple[str, ...]]) -> None:
    comments = [f"TRACKNUMBER={track}".encode()] + ([f"TRACKTOTAL={total}".encode()] if total else [])
    assert tags_of(*comments) == expected


def test_damaged_comments_leave_the_audio() -> None:
    damaged = struct.pack("<I", 4) + b"test" + struct.pack("<I", 3) + struct.pack("<I", 7) + b"TITLE=t" + b"\xff" * 20
    data = flac_file(flac_block(COMMENT, damaged), flac_block(PADDING, bytes(10), last=True))
    facts = read_bytes(data)
    assert facts.tags == {"title": ("t",)}
    assert facts.technical.duration_ms == 1000
    assert facts.layout.audio_stop - facts.layout.audio_start == 502


def test_blocks_whose_length_is_too_small() -> None:
    comments = vorbis_comments(b"TITLE=t", b"ARTIST=a")
    data = flac_file(flac_block(COMMENT, comments, size=11), flac_block(PADDING, bytes(10), last=True))
    facts = read_bytes(data)
    assert facts.tags == {"title": ("t",), "artist": ("a",)}
    assert facts.layout.audio_start == len(data) - 502
    block = picture_block(make_jpeg())
    data = flac_file(flac_block(PICTURE, block, size=0), flac_block(PADDING, bytes(10), last=True))
    facts = read_bytes(data)
    assert extract_picture(CountingSource(data), facts.pictures[0]) == make_jpeg()
    assert facts.layout.audio_start == len(data) - 502


def test_tags_around_flac() -> None:
    plain = flac_file(flac_block(COMMENT, vorbis_comments(b"TITLE=t"), last=True))
    tag = id3_tag(text_frame("TIT2", "ignored"))
    facts = read_bytes(tag + plain + b"TAG" + bytes(125), "x.flac")
    inside = read_bytes(plain).layout
    assert facts.tags == {"title": ("t",)}
    assert facts.layout.audio_start == inside.audio_start + len(tag)
    assert facts.layout.audio_stop == inside.audio_stop + len(tag)


@pytest.mark.parametrize(
    "data",
    [
        b"fLaC", b"fLaC" + flac_block(PADDING, bytes(40), last=True), flac_file()[:30],
        flac_file(flac_block(127, b"", last=True)), flac_file(flac_block(PADDING, b"")),
        flac_file(flac_block(PADDING, b"x", size=100_000, last=True)),
    ],
)  # fmt: skip
def test_no_flac_stream(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bytes(data, "x.flac")


def test_a_large_picture_in_flac_costs_nothing() -> None:
    comments = flac_block(COMMENT, vorbis_comments(b"TITLE=t"))
    data = flac_file(flac_block(PICTURE, picture_block(BIG_JPEG)), comments, flac_block(PADDING, b"", last=True))
    source = CountingSource(data)
    facts = read(source, "x.flac")
    assert facts.tags == {"title": ("t",)}
    assert extract_picture(source, facts.pictures[0]) == BIG_JPEG
    plain = CountingSource(data)
    read(plain, "x.flac")
    assert plain.bytes_read < 65536 + 20_000


def vorbis_with_picture(*, before: bytes = b"ARTIST=a", image: bytes = BIG_JPEG) -> bytes:
    value = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block(image, kind=4))
    return vorbis_file(vorbis_comments(before, value, b"TITLE=t"))


@pytest.mark.parametrize("before", [b"ARTIST=a", b"ARTIST=" + b"a" * 15_980, b"ARTIST=" + b"a" * 16_340])
def test_a_large_picture_in_ogg_is_leapt_over(before: bytes) -> None:
    data = vorbis_with_picture(before=before)
    source = CountingSource(data)
    facts = read(source, "x.ogg")
    assert facts.tags["title"] == ("t",)
    assert facts.tags["artist"] == (before[7:].decode(),)
    assert facts.technical.duration_ms == 1000
    assert facts.layout.audio_start == data.rindex(b"OggS")
    assert source.bytes_read < 200_000
    assert len(source.ranges) < 20
    assert facts.pictures[0].kind == 4
    assert extract_picture(source, facts.pictures[0]) == BIG_JPEG
    remote, fetched = read_remotely(data, "x.ogg", head_bytes=256 * 1024, tail_bytes=64 * 1024)
    assert remote == facts
    assert len(fetched) <= 2


def test_pages_that_are_not_full_are_walked() -> None:
    data = vorbis_with_picture(image=make_jpeg(size_bytes=1_000_000))
    # A foreign page between two of the headers makes the leap land elsewhere.
    second = data.index(b"OggS", data.index(b"OggS", 10) + 10)
    foreign = ogg_pages([bytes(100)], serial=99)
    facts = read_bytes(data[:second] + foreign + data[second:], "x.ogg")
    assert facts.tags["title"] == ("t",)
    source = CountingSource(data[:second] + foreign + data[second:])
    assert extract_picture(source, facts.pictures[0]) == make_jpeg(size_bytes=1_000_000)


def test_a_large_text_is_read_and_a_huge_one_is_not() -> None:
    facts = read_bytes(
        vorbis_file(vorbis_comments(b"LYRICS=" + b"la " * 60_000, b"NOISE=" + b"x" * 600_000, b"TITLE=t"))
    )
    assert facts.tags["lyrics"] == ("la " * 60_000,)
    assert facts.tags.keys() == {"lyrics", "title"}


def test_native_picture_blocks_in_ogg_flac() -> None:
    data = encoded("oga", seconds=0.2)
    first_stop = data.index(b"OggS", 4)
    head = data[:first_stop]
    comment = flac_block(COMMENT, vorbis_comments(b"TITLE=t"))
    picture = flac_block(PICTURE, picture_block(make_jpeg(size_bytes=200_000)), last=True)
    serial = int.from_bytes(head[14:18], "little")
    last = ogg_pages([bytes(100)], serial=serial, granule=8820, sequence=99, flags=4)
    built = head + ogg_pages([comment, picture], serial=serial, sequence=1) + last
    facts = read_bytes(built, "x.oga")
    assert facts.tags == {"title": ("t",)}
    assert facts.pictures[0].coding == "ogg"
    assert extract_picture(CountingSource(built), facts.pictures[0]) == make_jpeg(size_bytes=200_000)
    assert facts.layout.audio_start == len(built) - len(last)


def test_the_duration_is_of_the_last_whole_page() -> None:
    data = vorbis_file(vorbis_comments(b"TITLE=t"))
    cut = ogg_pages([bytes(3000)], granule=999_999, sequence=901)[:500]
    assert read_bytes(data + cut, "x.ogg").technical.duration_ms == 1000
    other = ogg_pages([bytes(300)], serial=77, granule=999_999)
    assert read_bytes(data + other, "x.ogg").technical.duration_ms == 1000


@pytest.mark.parametrize("data", [b"OggS", ogg_pages([b"\x01video"], flags=2), vorbis_file(b"")[:60]])
def test_no_ogg_audio(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bytes(data, "x.ogg")
