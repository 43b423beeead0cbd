"""MP4: boxes, item lists, and sample descriptions."""

from __future__ import annotations

import struct

import pytest

from musicfs.errors import FormatError
from musicfs.formats import extract_picture, read
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.building import box, mp4_data, mp4_file, mp4_movie
from tests.formats.reading import CountingSource, read_bytes, read_remotely

UTF8, IMPLICIT, INTEGER, JPEG = 1, 0, 21, 13
FTYP = box(b"ftyp", b"M4A \0\0\0\0")


def text(name: bytes, value: str) -> bytes:
    return box(name, mp4_data(UTF8, value.encode()))


def free_form(name: bytes, *values: bytes, mean: bytes = b"com.apple.iTunes", kind: int = UTF8) -> bytes:
    head = box(b"mean", bytes(4) + mean) + box(b"name", bytes(4) + name)
    return box(b"----", head + b"".join(mp4_data(kind, value) for value in values))


def test_items() -> None:
    facts = read_bytes(
        mp4_file(
            text(b"\xa9nam", "t"),
            box(b"\xa9ART", mp4_data(UTF8, b"a") + mp4_data(UTF8, "ö".encode())),
            box(b"trkn", mp4_data(IMPLICIT, struct.pack(">4H", 0, 3, 12, 0))),
            box(b"disk", mp4_data(IMPLICIT, struct.pack(">3H", 0, 1, 0))),
            box(b"tmpo", mp4_data(INTEGER, struct.pack(">H", 128))),
            box(b"cpil", mp4_data(INTEGER, b"\x01")),
            box(b"pgap", mp4_data(INTEGER, b"\x00")),
            box(b"gnre", mp4_data(IMPLICIT, struct.pack(">H", 18))),
            text(b"\xa9grp", "g"),
            text(b"xyzw", "odd"),
            free_form(b"MusicBrainz Album Id", b"al"),
            free_form(b"LABEL", b"one", b"two"),
            free_form(b"replaygain_track_gain", b"-3 dB"),
            free_form(b"My Tag", b"m"),
            free_form(b"iTunNORM", b" 000002F5"),
            free_form(b"Encoding Params", b"vers\0\0\0\1"),
            free_form(b"binary", b"\x01\x02", kind=13),
        ),
        "x.m4a",
    )
    assert facts.tags == {
        "title": ("t",), "artist": ("a", "ö"), "track": ("3",), "track_total": ("12",), "disc": ("1",), "bpm": ("128",),
        "compilation": ("1",), "genre": ("Rock",), "grouping": ("g",), "xyzw": ("odd",), "mb_album_id": ("al",),
        "label": ("one", "two"), "replaygain_track_gain": ("-3 dB",), "my tag": ("m",),
    }  # fmt: skip
    assert facts.technical.duration_ms == 2000


def test_covers_are_noted_by_their_bytes() -> None:
    covers = mp4_data(JPEG, make_png(1)) + box(b"name", b"file name") + mp4_data(IMPLICIT, make_jpeg())
    data = mp4_file(box(b"covr", covers), text(b"\xa9nam", "t"))
    facts = read_bytes(data, "x.m4a")
    assert [picture.mime for picture in facts.pictures] == ["image/png", "image/jpeg"]
    images = [extract_picture(CountingSource(data), picture) for picture in facts.pictures]
    assert images == [make_png(1), make_jpeg()]
    assert facts.tags == {"title": ("t",)}


@pytest.mark.parametrize("movie_first", [True, False])
def test_large_pictures_and_media_are_stepped_over(movie_first: bool) -> None:
    image = make_jpeg(size_bytes=5_000_000)
    movie = mp4_movie(box(b"covr", mp4_data(JPEG, image)), text(b"\xa9nam", "t"))
    media = box(b"mdat", bytes(3_000_000))
    data = FTYP + (movie + media if movie_first else media + movie)
    source = CountingSource(data)
    facts = read(source, "x.m4a")
    assert facts.tags == {"title": ("t",)}
    assert facts.layout.audio_stop - facts.layout.audio_start == 3_000_000
    assert source.bytes_read < 65536 + 4096
    assert extract_picture(source, facts.pictures[0]) == image
    remote, fetched = read_remotely(data, "x.m4a", head_bytes=256 * 1024, tail_bytes=64 * 1024)
    assert remote == facts
    assert len(fetched) <= 2


@pytest.mark.parametrize(
    ("brand", "items", "name", "suffix"),
    [
        (b"M4A ", [], "x.m4a", "m4a"),
        (b"M4B ", [], "x.m4a", "m4b"),
        (b"M4A ", [], "x.M4B", "m4b"),
        (b"M4A ", [box(b"stik", mp4_data(INTEGER, b"\x02"))], "x.m4a", "m4b"),
    ],
)
def test_audiobooks(brand: bytes, items: list[bytes], name: str, suffix: str) -> None:
    assert read_bytes(mp4_file(*items, brand=brand), name).format == suffix


def test_long_boxes_and_one_to_the_end() -> None:
    data = FTYP + mp4_movie() + box(b"free", bytes(8)) + box(b"mdat", bytes(100), long=True)
    assert read_bytes(data, "x.m4a").layout.audio_start == len(data) - 100
    data = FTYP + mp4_movie() + struct.pack(">I4s", 0, b"mdat") + bytes(77)
    assert read_bytes(data, "x.m4a").layout.audio_start == len(data) - 77


def test_the_largest_media_box_is_the_audio_and_a_cut_one_counts_as_far_as_it_goes() -> None:
    data = FTYP + box(b"mdat", bytes(50)) + mp4_movie() + box(b"mdat", bytes(5000))
    assert read_bytes(data, "x.m4a").layout.audio_start == len(data) - 5000
    cut = read_bytes(data[:-1000], "x.m4a")
    assert (cut.layout.audio_start, cut.layout.audio_stop) == (len(data) - 5000, len(data) - 1000)
    assert cut.technical.duration_ms == 2000


def test_fragmented_files() -> None:
    fragments = b"".join(box(b"moof", bytes(50)) + box(b"mdat", bytes(100)) for _ in range(20))
    data = FTYP + mp4_movie(seconds=0) + fragments
    layout = read_bytes(data, "x.m4a").layout
    assert (layout.audio_start, layout.audio_stop) == (len(data) - len(fragments), len(data))


def esds(config: bytes, *, object_type: int = 0x40, bitrate: int = 96000) -> bytes:
    info = b"\x05" + bytes((len(config),)) + config
    decoder = struct.pack(">BBHBII", object_type, 0x15, 0, 0, 0, bitrate) + info
    # Lengths may be written in four bytes with continuation bits.
    stream = bytes(3) + b"\x04\x80\x80\x80" + bytes((len(decoder),)) + decoder
    return box(b"esds", bytes(4) + b"\x03" + bytes((len(stream),)) + stream)


@pytest.mark.parametrize(
    ("config", "rate", "channels"),
    [
        ("00010_0100_0010_000", 44100, 2),
        ("00010_0111_0001_000", 22050, 1),
        ("00010_1111_000000001011101110000000_0010_000", 48000, 2),
        ("00101_0111_0010_0100_00010_000", 44100, 2),
        ("11101_0111_0001_0100_00010_000", 44100, 2),
        ("00010_0111_0010_000_01010110111_00101_1_0100", 44100, 2),
        ("00010_0100_0111_000", 44100, 8),
    ],
    ids=["lc", "mono", "explicit rate", "sbr", "ps", "late sbr", "7.1"],
)
def test_aac_configurations(config: str, rate: int, channels: int) -> None:
    bits = config.replace("_", "")
    bits += "0" * (-len(bits) % 8)
    data = FTYP + box(b"mdat", bytes(9)) + mp4_movie(entry=esds(int(bits, 2).to_bytes(len(bits) // 8)))
    technical = read_bytes(data, "x.m4a").technical
    assert (technical.sample_rate, technical.channels, technical.bitrate, technical.codec) == (
        rate,
        channels,
        96000,
        "aac",
    )


def test_other_codecs_in_mp4() -> None:
    data = FTYP + box(b"mdat", bytes(9)) + mp4_movie(entry=esds(b"", object_type=0x6B))
    assert read_bytes(data, "x.m4a").technical.codec == "mp3"


@pytest.mark.parametrize(
    "data",
    [
        FTYP, FTYP + box(b"mdat", bytes(100)), FTYP + mp4_movie(handler=b"vide"), FTYP + box(b"moov", b""),
        FTYP + struct.pack(">I4s", 3, b"moov"), FTYP + struct.pack(">I4sQ", 1, b"moov", 1 << 63),
        FTYP + mp4_movie()[:200],
    ],
)  # fmt: skip
def test_no_mp4_audio(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bytes(data, "x.m4a")


def test_damaged_items_leave_the_rest() -> None:
    broken = box(b"\xa9ART", b"\0\0\xff\xff" + b"data" + bytes(8))
    facts = read_bytes(mp4_file(text(b"\xa9nam", "t"), broken, text(b"\xa9alb", "b")), "x.m4a")
    assert facts.tags == {"title": ("t",), "album": ("b",)}
    facts = read_bytes(mp4_file(text(b"\xa9nam", "t"), b"\xff\xff\xff\xffxxxx"), "x.m4a")
    assert facts.tags == {"title": ("t",)}
    assert facts.technical.duration_ms == 2000
