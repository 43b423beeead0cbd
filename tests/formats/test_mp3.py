"""MP3: stream headers, and tags around the audio."""

from __future__ import annotations

import struct

import pytest

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.testing.audio import encoded
from musicfs.testing.images import make_png
from tests.formats.building import id3_tag, mp3_frames, synchsafe, text_frame
from tests.formats.reading import CountingSource, read_bytes

FRAME_BYTES = 417


def ape_tag(*items: tuple[bytes, bytes, int], header: bool = True) -> bytes:
    body = b"".join(struct.pack("<II", len(value), flags) + key + b"\0" + value for key, value, flags in items)
    flags = 1 << 31 if header else 0
    ends = [
        b"APETAGEX" + struct.pack("<IIII", 2000, len(body) + 32, len(items), flags | is_header) + bytes(8)
        for is_header in (1 << 29, 0)
    ]
    return (ends[0] if header else b"") + body + ends[1]


def id3v1(title: bytes = b"v1 title", track: int = 7) -> bytes:
    fields = title.ljust(30, b"\0") + b"v1 artist".ljust(30) + b"v1 album".ljust(30, b"\0") + b"1999"
    return b"TAG" + fields + b"v1 comment".ljust(28, b"\0") + bytes((0, track)) + b"\x11"


V1 = {
    "title": ("v1 title",), "artist": ("v1 artist",), "album": ("v1 album",), "date": ("1999",),
    "comment": ("v1 comment",), "track": ("7",), "genre": ("Rock",),
}  # fmt: skip


def test_constant_bitrate_is_measured_between_the_tags() -> None:
    tag = id3_tag(text_frame("TIT2", "t"), padding=100)
    facts = read_bytes(tag + mp3_frames(100) + id3v1())
    assert (facts.layout.audio_start, facts.layout.audio_stop) == (len(tag), len(tag) + 100 * FRAME_BYTES)
    assert facts.technical.duration_ms == round(100 * FRAME_BYTES * 8 / 128)
    assert facts.technical.bitrate == 128000
    assert facts.tags == V1 | {"title": ("t",)}


def test_xing_and_lame_headers() -> None:
    lame = b"LAME3.100" + bytes(12) + struct.pack(">I", 576 << 12 | 1000)[1:]
    xing = b"Xing" + struct.pack(">III", 15, 100, 101 * FRAME_BYTES) + bytes(104) + lame
    first = (b"\xff\xfb\x90\x00" + bytes(32) + xing).ljust(FRAME_BYTES, b"\0")
    technical = read_bytes(first + mp3_frames(100)).technical
    assert technical.duration_ms == round((100 * 1152 - 1576) * 1000 / 44100)
    assert technical.bitrate == round(100 * FRAME_BYTES * 8 * 44100 / (100 * 1152))


def test_vbri_header() -> None:
    vbri = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 0, 50_000, 100, 0, 0, 0, 0)
    first = (b"\xff\xfb\x90\x00" + bytes(32) + vbri).ljust(FRAME_BYTES, b"\0")
    technical = read_bytes(first + mp3_frames(100)).technical
    assert technical.duration_ms == round(100 * 1152 * 1000 / 44100)
    assert technical.bitrate == round(50_000 * 8 * 44100 / (100 * 1152))


def test_several_tags_in_a_row_and_padding_before_the_audio() -> None:
    one, two = id3_tag(text_frame("TIT2", "first")), id3_tag(text_frame("TIT2", "second"), text_frame("TPE1", "a"))
    facts = read_bytes(one + two + bytes(3000) + mp3_frames(30))
    assert facts.tags == {"title": ("first",), "artist": ("a",)}
    assert facts.layout.audio_start == len(one + two)
    assert facts.technical.duration_ms == round(30 * FRAME_BYTES * 8 / 128)


def test_apev2_fills_what_id3v2_lacks_and_goes_before_id3v1() -> None:
    image = make_png(1)
    ape = ape_tag(
        (b"Title", b"ape title", 0), (b"Artist", b"one\0two", 0), (b"Track", b"3/9", 0), (b"Odd", b"x", 0),
        (b"Cover Art (Front)", b"front.png\0" + image, 2),
    )  # fmt: skip
    audio = mp3_frames(30)
    data = id3_tag(text_frame("TALB", "v2 album")) + audio + ape + id3v1()
    facts = read_bytes(data)
    assert facts.tags == V1 | {
        "album": ("v2 album",), "title": ("ape title",), "artist": ("one", "two"), "track": ("3",),
        "track_total": ("9",), "odd": ("x",),
    }  # fmt: skip
    assert facts.layout.audio_stop - facts.layout.audio_start == len(audio)
    assert extract_picture(CountingSource(data), facts.pictures[0]) == image


def test_apev2_goes_before_id3v1_wherever_that_stands() -> None:
    """Some programs write the APE tag behind it."""
    own = read_bytes(mp3_frames() + id3v1() + ape_tag((b"Title", b"ape title", 0)))
    assert (own.tags["title"], own.tags["album"]) == (("ape title",), ("v1 album",))


@pytest.mark.parametrize(
    "trailer",
    [
        b"",
        ape_tag((b"Title", b"t", 0), header=False),
        ape_tag((b"Title", b"t", 0)) + id3v1(),
        b"LYRICSBEGIN" + b"la" * 100 + b"LYRICSEND" + id3v1(),
        b"LYRICSBEGIN" + b"IND00002 " + b"000020LYRICS200" + id3v1(),
        id3_tag(text_frame("TIT2", "t"), flags=0x10) + b"3DI\x04\x00\x10" + synchsafe(12) + id3v1(),
    ],
    ids=["none", "ape", "ape+v1", "lyrics1", "lyrics2", "id3 footer"],
)
def test_trailers_are_not_audio(trailer: bytes) -> None:
    audio = mp3_frames(30)
    layout = read_bytes(audio + trailer).layout
    assert (layout.audio_start, layout.audio_stop) == (0, len(audio))


def test_a_trailer_cannot_reach_into_the_tag_in_front() -> None:
    tag = id3_tag(text_frame("TIT2", "t"))
    lying = b"APETAGEX" + struct.pack("<IIII", 2000, 5000, 1, 0) + bytes(8)
    facts = read_bytes(tag + mp3_frames(10) + lying)
    assert facts.layout.audio_stop == facts.layout.audio_start + 10 * FRAME_BYTES + len(lying)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"ID3", bytes(5000), id3_tag(text_frame("TIT2", "t")), b"\xff\xfb" * 400]
)
def test_no_audio_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bytes(data)


def test_real_encoder_output_has_its_layout() -> None:
    data = encoded("mp3", seconds=0.5)
    layout = read_bytes(data).layout
    assert (layout.audio_start, layout.audio_stop) == (0, len(data))
