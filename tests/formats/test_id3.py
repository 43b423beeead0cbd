"""ID3 tags of every version, and what programs make of them."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen._constants import GENRES as MUTAGEN_GENRES

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.formats.genres import GENRES
from musicfs.formats.id3 import raw_offset, read_id3, undo_unsync
from musicfs.formats.id3frames import expand_genre
from musicfs.formats.source import View
from musicfs.testing.images import make_jpeg
from tests.formats.building import apic, id3_frame, id3_tag, mp3_frames, text_frame, unsync
from tests.formats.reading import CountingSource, read_bytes

Tags = dict[str, tuple[str, ...]]


def tags_of(*frames: bytes, version: int = 4, flags: int = 0) -> Tags:
    return read_bytes(id3_tag(*frames, version=version, flags=flags) + mp3_frames()).tags


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"\x00Bj\xf6rk", ("Björk",)),
        (b"\x01\xff\xfeB\0\xf6\0", ("Bö",)),
        (b"\x01\xfe\xff\0B\0\xf6", ("Bö",)),
        (b"\x02\0B\0\xf6", ("Bö",)),
        (b"\x03B\xc3\xb6", ("Bö",)),
        (b"\x03one\0two\0", ("one", "two")),
        (b"\x01\xff\xfea\0\0\0\xff\xfeb\0\0\0", ("a", "b")),
        (b"\x02\0a\0\0\0b\0", ("a", "b")),
        (b"\x03\xff\xfe broken", ("\ufffd\ufffd broken",)),
        (b"\x09latin", ("latin",)),
    ],
)
def test_text_encodings(body: bytes, values: tuple[str, ...]) -> None:
    assert tags_of(id3_frame("TPE1", body))["artist"] == values


def test_v22_frames_have_their_later_meaning() -> None:
    frames = [
        id3_frame(name, b"\0" + text, version=2)
        for name, text in (
            ("TT2", b"t"),
            ("TP1", b"a"),
            ("TRK", b"3/12"),
            ("TPA", b"1/2"),
            ("TYE", b"2004"),
            ("TCP", b"1"),
        )
    ]
    image = make_jpeg()
    frames.append(id3_frame("PIC", b"\0JPG\x03\0" + image, version=2))
    data = id3_tag(*frames, version=2) + mp3_frames()
    facts = read_bytes(data)
    assert facts.tags == {
        "title": ("t",), "artist": ("a",), "track": ("3",), "track_total": ("12",), "disc": ("1",), "disc_total": ("2",),
        "date": ("2004",), "compilation": ("1",),
    }  # fmt: skip
    assert facts.pictures[0].mime == "image/jpeg"
    assert extract_picture(CountingSource(data), facts.pictures[0]) == image


@pytest.mark.parametrize(
    ("frames", "date"),
    [
        ([("TYER", "2001"), ("TDAT", "2708")], ("2001-08-27",)),
        ([("TDAT", "2708"), ("TYER", "2001")], ("2001-08-27",)),
        ([("TYER", "2001"), ("TDAT", "9999")], ("2001",)),
        ([("TYER", "2001"), ("TDRC", "2001-08-27")], ("2001-08-27",)),
        ([("TYER", "0000")], None),
        ([("TDAT", "2708")], None),
    ],
)
def test_dates_of_v23_become_one(frames: list[tuple[str, str]], date: tuple[str, ...] | None) -> None:
    built = [id3_frame(name, b"\0" + text.encode(), version=3) for name, text in frames]
    assert tags_of(*built, version=3).get("date") == date


@pytest.mark.parametrize(
    ("text", "genres"),
    [
        ("(17)", ["Rock"]), ("17", ["Rock"]), ("(17)Rock", ["Rock"]), ("(4)(8)Eurodisco", ["Disco", "Jazz", "Eurodisco"]),
        ("(RX)", ["Remix"]), ("CR", ["Cover"]), ("((weird)", ["(weird)"]), ("Rock", ["Rock"]), ("(255)", ["(255)"]),
        ("1984", ["1984"]), ("250", ["250"]), ("", []),
    ],
)  # fmt: skip
def test_numbered_genres(text: str, genres: list[str]) -> None:
    assert expand_genre(text) == genres


def test_the_genre_list_is_everyones() -> None:
    assert list(GENRES) == MUTAGEN_GENRES


def test_comments_of_programs_are_no_comments() -> None:
    tags = tags_of(
        id3_frame("COMM", b"\x00engiTunNORM\x00 000002F5"),
        id3_frame("COMM", b"\x00engID3v1 Comment\x00cut"),
        id3_frame("COMM", b"\x01eng\xff\xfe\0\0\xff\xfeh\0i\0"),
        id3_frame("COMM", b"\x03engsource\x00tape"),
    )
    assert tags == {"comment": ("hi",), "comment:source": ("tape",)}


def test_described_text_and_identifiers() -> None:
    tags = tags_of(
        id3_frame("TXXX", b"\x03MusicBrainz Album Id\x00al"),
        id3_frame("TXXX", b"\x03REPLAYGAIN_TRACK_GAIN\x00-3 dB"),
        id3_frame("TXXX", b"\x03My Tag\x00one\x00two"),
        id3_frame("TXXX", b"\x03ALBUMARTIST\x00yields"),
        id3_frame("UFID", b"http://musicbrainz.org\x00rec"),
        id3_frame("UFID", b"http://elsewhere.example\x00no"),
        id3_frame("USLT", b"\x03eng\x00la la"),
        id3_frame("TIPL", b"\x03producer\x00P\x00DJ-mix\x00D\x00cook\x00C"),
        id3_frame("TMCL", b"\x03violin\x00V"),
        id3_frame("WOAR", b"http://a.example\x00"),
        text_frame("TPE2", "wins"),
        text_frame("TKEY", "Am"),
        text_frame("TXYZ", "odd"),
        id3_frame("PRIV", b"owner\x00\x01\x02"),
    )
    assert tags == {
        "mb_album_id": ("al",), "replaygain_track_gain": ("-3 dB",), "my tag": ("one", "two"), "album_artist": ("wins",),
        "albumartist": ("yields",), "mb_recording_id": ("rec",), "lyrics": ("la la",), "producer": ("P",),
        "djmixer": ("D",), "performer": ("C (cook)", "V (violin)"), "website": ("http://a.example",), "key": ("Am",),
        "txyz": ("odd",),
    }  # fmt: skip


def test_a_frame_without_contents_ends_nothing() -> None:
    assert tags_of(id3_frame("TIT2", b"\x07", flags=0x40), text_frame("TPE1", "a")) == {"artist": ("a",)}


def test_involved_people_of_v23() -> None:
    frame = id3_frame("IPLS", b"\0producer\0P\0cook\0C", version=3)
    assert tags_of(frame, version=3) == {"producer": ("P",), "performer": ("C (cook)",)}


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_compilation_is_one_or_absent(value: str) -> None:
    assert tags_of(text_frame("TCMP", value)) == {"compilation": ("1",)}
    assert tags_of(text_frame("TCMP", "0")) == {}


def test_v24_sizes_as_itunes_wrote_them() -> None:
    long = b"\x03" + b"x" * 300
    frames = [id3_frame("TIT2", long, plain_size=True), id3_frame("TPE1", long, plain_size=True)]
    assert tags_of(*frames) == {"title": ("x" * 300,), "artist": ("x" * 300,)}
    assert tags_of(id3_frame("TIT2", long), id3_frame("TPE1", long)) == {"title": ("x" * 300,), "artist": ("x" * 300,)}


@pytest.mark.parametrize("version", [2, 3])
def test_a_tag_unsynchronised_as_a_whole(version: int) -> None:
    names = {2: ("TT2", "PIC", "TP1"), 3: ("TIT2", "APIC", "TPE1")}[version]
    image = b"\xff\xd8\xff\xe0\xff\x00\xff\x00\x00\xff\xff" + make_jpeg() + b"\xff"
    picture = b"\0JPG\x03\0" + image if version == 2 else apic(image)
    first = id3_frame(names[0], b"\x01\xff\xfea\0", version=version)
    plain = first + id3_frame(names[1], picture, version=version) + id3_frame(names[2], b"\0z", version=version)
    data = id3_tag(unsync(plain), version=version, flags=0x80) + mp3_frames()
    facts = read_bytes(data)
    assert facts.tags == {"title": ("a",), "artist": ("z",)}
    assert facts.pictures[0].coding == "unsync"
    assert extract_picture(CountingSource(data), facts.pictures[0]) == image


def test_unsynchronised_frames_of_v24() -> None:
    image = make_jpeg() + b"\xff\x00\xff\xe0"
    body = unsync(apic(image))
    frame = id3_frame("APIC", len(apic(image)).to_bytes(4) + body, flags=0x03)
    data = id3_tag(frame, text_frame("TIT2", "t")) + mp3_frames()
    facts = read_bytes(data)
    assert facts.tags == {"title": ("t",)}
    assert extract_picture(CountingSource(data), facts.pictures[0]) == image


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x01", b"\xff").replace(b"\x02", b"\0")), st.data())
def test_positions_survive_unsynchronisation(plain: bytes, data: st.DataObject) -> None:
    raw = unsync(plain)
    assert undo_unsync(raw) == plain
    cut = data.draw(st.integers(0, len(plain)))
    known = data.draw(st.integers(0, cut))
    offset = raw_offset(raw, cut, (raw_offset(raw, known), known))
    assert offset == raw_offset(raw, cut)
    assert undo_unsync(raw[:offset]) == plain[:cut]
    assert undo_unsync(raw[offset:]) == plain[cut:]


def test_compressed_and_grouped_frames() -> None:
    packed = zlib.compress(b"\x03packed")
    assert tags_of(
        id3_frame("TIT2", len(b"\x03packed").to_bytes(4) + packed, version=3, flags=0x80),
        id3_frame("TPE1", b"\x07\x00grouped", version=3, flags=0x20),
        id3_frame("TALB", b"\x00secret", version=3, flags=0x40),
        version=3,
    ) == {"title": ("packed",), "artist": ("grouped",)}
    bomb = zlib.compress(b"\x03" + bytes(100_000_000))
    assert tags_of(id3_frame("TIT2", bytes(4) + bomb, flags=0x09), text_frame("TPE1", "a")) == {"artist": ("a",)}


def test_extended_headers() -> None:
    frame = text_frame("TIT2", "t")
    assert tags_of(b"\x00\x00\x00\x06\x01\x00" + frame, flags=0x40) == {"title": ("t",)}
    v23 = id3_frame("TIT2", b"\0t", version=3)
    assert tags_of(b"\x00\x00\x00\x06" + bytes(6) + v23, version=3, flags=0x40) == {"title": ("t",)}
    assert tags_of(v23, version=3, flags=0x40) == {"title": ("t",)}


def test_damage_keeps_what_came_before() -> None:
    good, bad = text_frame("TIT2", "t"), id3_frame("TPE1", b"\x03a")[:4] + synchsafe_beyond()
    assert tags_of(good, bad) == {"title": ("t",)}
    assert tags_of(good, b"\xff" * 30) == {"title": ("t",)}


def synchsafe_beyond() -> bytes:
    return b"\x7f\x7f\x7f\x7f\x00\x00\x03a"


@pytest.mark.parametrize("head", [b"", b"ID3", b"ID3\x04\x00\x00\x80\x00\x00\x00", b"ID3\xff\x00\x00\x00\x00\x00\x00"])
def test_what_is_no_tag(head: bytes) -> None:
    with pytest.raises(FormatError):
        read_id3(View(CountingSource(head)), 0)


def test_an_unknown_version_is_stepped_over() -> None:
    assert tags_of(text_frame("TIT2", "t"), version=9) == {}
