"""ID3v2 tags with changed frames: what is kept is kept byte for byte, what is new is as the tag has it."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen import id3

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.formats.id3 import undo_unsync
from musicfs.formats.id3_edit import Frame, NewFrame, redo_unsync, render, synchsafe_bytes, take_apart
from musicfs.formats.plans import Edit, Image, Plan, Range
from musicfs.formats.source import View
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.testing.images import make_jpeg
from tests.formats.building import apic, id3_frame, id3_tag, mp3_frames, synchsafe, text_frame, unsync
from tests.formats.reading import CountingSource, read_bytes
from tests.formats.splices import Fields, check, spliced

AUDIO = mp3_frames()
V22 = {
    "TIT2": "TT2",
    "TPE1": "TP1",
    "TALB": "TAL",
    "TXXX": "TXX",
    "COMM": "COM",
    "APIC": "PIC",
    "TYER": "TYE",
    "TDAT": "TDA",
}


def frame(name: str, body: bytes, version: int, flags: int = 0) -> bytes:
    return id3_frame(V22[name] if version == 2 else name, body, version=version, flags=flags)


def after(*frames: bytes, fields: Fields, version: int = 4, flags: int = 0) -> bytes:
    """The tag's bytes once ``fields`` are changed."""
    made = check(id3_tag(*frames, version=version, flags=flags) + AUDIO, Edit(fields))
    return made.removesuffix(AUDIO)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_frame_is_replaced_where_the_first_stood(version: int) -> None:
    a, b, c = (frame(name, b"\0x", version) for name in ("TIT2", "TPE1", "TALB"))
    odd = id3_frame("XXX" if version == 2 else "XXXX", bytes(range(256)), version=version)
    again = frame("TPE1", b"\0y", version)
    made = after(a, odd, b, odd, again, c, fields={"artist": ("new", "er")}, version=version)
    new = frame("TPE1", b"\0new\0er", version)
    assert made == id3_tag(a, odd, new, odd, c, version=version)
    assert after(a, odd, b, c, fields={"artist": ()}, version=version) == id3_tag(a, odd, c, version=version)


@pytest.mark.parametrize(
    ("version", "body", "value", "new"),
    [
        (4, b"\x00x", "é", b"\x00\xe9"),
        (4, b"\x00x", "新", b"\x03" + "新".encode()),
        (4, b"\x01\xff\xfex\0", "é", b"\x01\xff\xfe\xe9\0"),
        (4, b"\x02\0x", "é", b"\x02\0\xe9"),
        (4, b"\x03x", "é", b"\x03" + "é".encode()),
        (3, b"\x00x", "é", b"\x00\xe9"),
        (3, b"\x00x", "新", b"\x01\xff\xfe" + "新".encode("utf-16-le")),
        (3, b"\x03x", "新", b"\x03" + "新".encode()),
        (3, b"\x09x", "é", b"\x01\xff\xfe\xe9\0"),
        (2, b"\x00x", "新", b"\x01\xff\xfe" + "新".encode("utf-16-le")),
    ],
)
def test_text_keeps_its_encoding_if_it_can(version: int, body: bytes, value: str, new: bytes) -> None:
    made = after(frame("TIT2", body, version), fields={"title": (value,)}, version=version)
    assert made == id3_tag(frame("TIT2", new, version), version=version)


@pytest.mark.parametrize(
    ("version", "names", "value", "frames"),
    [
        (3, ("TYER",), "2001-08-27", (("TYER", "2001"), ("TDAT", "2708"))),
        (3, ("TYER", "TDAT", "TIME"), "1999", (("TYER", "1999"),)),
        (3, ("TYER", "TDAT"), "1999-05", (("TDRC", "1999-05"),)),
        (3, ("TDRC",), "1999-05-01", (("TYER", "1999"), ("TDAT", "0105"))),
        (3, (), "1999-05-01T10:30", (("TDRC", "1999-05-01T10:30"),)),
        (4, ("TYER", "TDAT"), "1999-05-01", (("TDRC", "1999-05-01"),)),
        (4, ("TDRC",), "1999-05", (("TDRC", "1999-05"),)),
    ],
)
def test_dates(version: int, names: tuple[str, ...], value: str, frames: tuple[tuple[str, str], ...]) -> None:
    old = {"TYER": b"\0002011", "TDAT": b"\0000102", "TIME": b"\x001200", "TDRC": b"\0002012"}
    made = after(
        *(id3_frame(name, old[name], version=version) for name in names), fields={"date": (value,)}, version=version
    )
    encoding = b"\3" if version == 4 and not names else b"\0"
    assert made == id3_tag(
        *(id3_frame(name, encoding + text.encode(), version=version) for name, text in frames), version=version
    )
    assert str(id3.ID3(io.BytesIO(made + AUDIO))["TDRC"].text[0]).replace(" ", "T") == value


@pytest.mark.parametrize(
    ("fields", "new"),
    [
        ({"track": ("4",)}, b"\0004/12"),
        ({"track_total": ("13",)}, b"\0003/13"),
        ({"track_total": ()}, b"\0003"),
        ({"track": ()}, b"\0/12"),
        ({"track": ("4", "5")}, b"\0004/12\0005"),
        ({"track": (), "track_total": ()}, None),
    ],
)
def test_numbers_and_totals(fields: Fields, new: bytes | None) -> None:
    made = after(id3_frame("TRCK", b"\0003/12"), fields=fields)
    assert made == id3_tag(*([id3_frame("TRCK", new)] if new is not None else []))


def test_a_total_of_its_own_goes_into_the_number() -> None:
    own = id3_frame("TXXX", b"\0TRACKTOTAL\x0012"), id3_frame("TRCK", b"\0003")
    assert after(*own, fields={"track_total": ("9",)}) == id3_tag(
        id3_frame("TRCK", b"\x03" + b"3/9").replace(b"\x033", b"\x003")
    )


def test_genres() -> None:
    made = after(id3_frame("TCON", b"\0(17)", version=3), fields={"genre": ("(4)", "(odd)", "Jazz")}, version=3)
    assert made == id3_tag(id3_frame("TCON", b"\0((4)\0(odd)\0Jazz", version=3), version=3)


def test_comments_of_programs_stay() -> None:
    itunes = id3_frame("COMM", b"\x00engiTunNORM\x00 000002F5")
    copy = id3_frame("COMM", b"\x00engID3v1 Comment\x00cut")
    source = id3_frame("COMM", b"\x03engsource\x00tape")
    comment = id3_frame("COMM", b"\x00deu\x00old")
    made = after(itunes, copy, comment, source, fields={"comment": ("new",)})
    assert made == id3_tag(itunes, copy, id3_frame("COMM", b"\x00deu\x00new"), source)
    made = after(itunes, source, fields={"comment:source": ("disc",), "comment": ("c",)})
    assert made == id3_tag(itunes, id3_frame("COMM", b"\x03engsource\0disc"), id3_frame("COMM", b"\x03eng\0c"))


def test_described_frames() -> None:
    frames = [
        id3_frame("USLT", b"\x00deuwords\x00la"),
        id3_frame("UFID", b"http://elsewhere.example\x00no"),
        id3_frame("UFID", b"http://musicbrainz.org\x00rec"),
        id3_frame("TXXX", b"\x03musicBrainz ALBUM id\x00al"),
        id3_frame("TXXX", b"\x03My Tag\x00one"),
        id3_frame("WOAR", b"http://a.example"),
        id3_frame("WXXX", b"\x00Shop\x00http://s.example"),
        id3_frame("WPAY", b"http://p.example"),
        id3_frame("GRP1", b"\x00g"),
        id3_frame("TXYZ", b"\x00odd"),
    ]
    made = after(
        *frames,
        fields={
            "lyrics": ("lo",), "mb_recording_id": ("cer",), "mb_album_id": ("la",), "my tag": ("two", "three"),
            "website": ("http://b.example", "http://c.example"), "shop": ("http://t.example",), "wpay": ("新",),
            "grouping": ("h",), "txyz": ("odder",), "mb_track_id": ("t",), "catalognumber": ("c",),
        },
    )  # fmt: skip
    assert made == id3_tag(
        id3_frame("USLT", b"\x00deuwords\x00lo"),
        frames[1],
        id3_frame("UFID", b"http://musicbrainz.org\x00cer"),
        id3_frame("TXXX", b"\x03musicBrainz ALBUM id\x00la"),
        id3_frame("TXXX", b"\x03My Tag\x00two\0three"),
        id3_frame("WOAR", b"http://b.example"),
        id3_frame("WOAR", b"http://c.example"),
        id3_frame("WXXX", b"\x00Shop\x00http://t.example"),
        id3_frame("TXXX", b"\x03WPAY\x00" + "新".encode()),
        id3_frame("GRP1", b"\x00h"),
        id3_frame("TXYZ", b"\x00odder"),
        id3_frame("TXXX", b"\x03MusicBrainz Release Track Id\x00t"),
        id3_frame("TXXX", b"\x03CATALOGNUMBER\x00c"),
    )


@pytest.mark.parametrize(
    ("version", "fields", "new"),
    [
        (
            4,
            {"producer": ("Q", "R")},
            [("TIPL", b"\x03Producer\0Q\0Producer\0R\0mix\0M\0cook\0C"), ("TMCL", b"\x03violin\0V")],
        ),
        (4, {"producer": ()}, [("TIPL", b"\x03mix\0M\0cook\0C"), ("TMCL", b"\x03violin\0V")]),
        (4, {"mixer": ("N",)}, [("TIPL", b"\x03Producer\0P\0mix\0N\0cook\0C"), ("TMCL", b"\x03violin\0V")]),
        (4, {"performer": ("A (oboe)", "B")}, [("TIPL", b"\x03Producer\0P\0mix\0M\0oboe\0A\0\0B"), None]),
        (3, {"engineer": ("E",)}, [("IPLS", b"\x03Producer\0P\0mix\0M\0cook\0C\0engineer\0E")]),
    ],
)
def test_involved_people(version: int, fields: Fields, new: list[tuple[str, bytes] | None]) -> None:
    old = [("TIPL", b"\x03Producer\0P\0mix\0M\0cook\0C"), ("TMCL", b"\x03violin\0V")]
    if version == 3:
        old = [("IPLS", old[0][1])]
    made = after(*(id3_frame(name, body, version=version) for name, body in old), fields=fields, version=version)
    assert made == id3_tag(*(id3_frame(*one, version=version) for one in new if one), version=version)


def test_second_names_of_a_field() -> None:
    alias = id3_frame("TXXX", b"\0ALBUMARTIST\0x")
    assert after(alias, fields={"album_artist": ("y",)}) == id3_tag(id3_frame("TPE2", b"\0y"))
    assert after(id3_frame("TPE2", b"\0x"), alias, fields={"album_artist": ("y",)}) == id3_tag(
        id3_frame("TPE2", b"\0y")
    )
    other = id3_frame("TXXX", b"\0ALBUMARTIST\0z")
    assert after(id3_frame("TPE2", b"\0x"), other, fields={"album_artist": ("y",)}) == id3_tag(
        id3_frame("TPE2", b"\0y"), other
    )
    made, plan = spliced(id3_tag(id3_frame("TPE2", b"\0x"), other) + AUDIO, Edit({"album_artist": ()}))
    assert list(plan.unfit) == ["album_artist"]
    assert made == id3_tag(id3_frame("TPE2", b"\0x"), other) + AUDIO


def test_flags_groups_and_what_cannot_be_read() -> None:
    packed = zlib.compress(b"\x03packed")
    secret = id3_frame("TALB", b"\x01\x00secret", version=3, flags=0x40)
    squeezed = id3_frame("TCOM", (7).to_bytes(4) + packed, version=3, flags=0x80)
    grouped = id3_frame("TPE1", b"\x07\x00grouped", version=3, flags=0x20)
    title = id3_frame("TIT2", (7).to_bytes(4) + packed, version=3, flags=0x80)
    made = after(secret, squeezed, grouped, title, version=3, fields={"title": ("new",), "artist": ("a",)})
    new = id3_frame("TPE1", b"\x07\x00a", version=3, flags=0x20), id3_frame("TIT2", b"\x03new", version=3)
    assert made == id3_tag(secret, squeezed, *new, version=3)
    v24 = [
        id3_frame("TPE1", b"\x07\x00grouped", flags=0x40),
        id3_frame("TALB", b"\x00\x00\x00\x07" + packed, flags=0x09),
        id3_frame("TCOM", b"\x01secret", flags=0x04),
        id3_frame("TIT2", (2).to_bytes(4) + b"\x00t", flags=0x01),
    ]
    made = after(*v24, fields={"title": ("new",), "artist": ("a",)})
    assert made == id3_tag(id3_frame("TPE1", b"\x07\x00a", flags=0x40), *v24[1:3], id3_frame("TIT2", b"\x00new"))


@pytest.mark.parametrize("version", [2, 3])
def test_a_tag_unsynchronised_as_a_whole(version: int) -> None:
    image = b"\xff\xd8\xff\xe0\xff\x00\xff\x00\x00\xff\xff" + make_jpeg() + b"\xff"
    picture = frame("APIC", b"\0JPG\x03\0" + image if version == 2 else apic(image), version)
    title, artist = frame("TIT2", b"\x01\xff\xfea\0", version), frame("TPE1", b"\0z", version)

    def whole(*frames: bytes) -> bytes:
        return id3_tag(unsync(b"".join(frames) + bytes(9)), version=version, flags=0x80) + AUDIO

    data = whole(title, artist, picture)
    new = frame("TIT2", b"\x01\xff\xfe\xff\0", version)
    made, plan = spliced(data, Edit({"title": ("ÿ",), "album": ("é",)}))
    # A zero byte that followed the picture may stay: it says nothing.
    expected = whole(new, artist, picture, frame("TALB", b"\x01\xff\xfe\xe9\0", version))
    assert undo_unsync(made[10:]) == undo_unsync(expected[10:])
    assert sum(piece.size for piece in plan.pieces if not isinstance(piece, Range)) < 200
    covered, plan = spliced(data, Edit({}, Image(image + b"\xff", "image/jpeg")))
    assert extract_picture(CountingSource(covered), read_bytes(covered).pictures[0]) == image + b"\xff"


def test_unsynchronised_frames_of_v24() -> None:
    image = make_jpeg() + b"\xff\x00\xff\xe0"
    packed = id3_frame("APIC", synchsafe(len(apic(image))) + unsync(apic(image)), flags=0x03)
    title = text_frame("TIT2", "t")
    assert after(packed, title, fields={"title": ("new",)}) == id3_tag(packed, text_frame("TIT2", "new"))
    old = id3_frame("TIT2", b"\0\xff\0", flags=0x02)
    new = id3_frame("TIT2", synchsafe(3) + b"\0\xff\0\xff\0", flags=0x03)
    assert after(packed, old, fields={"title": ("ÿÿ",)}, flags=0x80) == id3_tag(packed, new, flags=0x80)
    made, _ = spliced(id3_tag(packed, old, flags=0x80) + AUDIO, Edit({}, Image(image + b"\xff", "image/jpeg")))
    assert extract_picture(CountingSource(made), read_bytes(made).pictures[0]) == image + b"\xff"
    assert id3.ID3(io.BytesIO(made)).getall("APIC")[0].data == image + b"\xff"


def test_sizes_as_itunes_wrote_them_stay_so() -> None:
    long = b"\x03" + b"x" * 300
    frames = [id3_frame(name, long, plain_size=True) for name in ("TIT2", "TPE1", "TALB")]
    made = after(*frames, fields={"artist": ("y" * 200,), "composer": ("z",)})
    new = id3_frame("TPE1", b"\x03" + b"y" * 200, plain_size=True)
    assert made == id3_tag(frames[0], new, frames[2], text_frame("TCOM", "z"))
    assert id3.ID3(io.BytesIO(made))["TPE1"].text == ["y" * 200]


def test_extended_headers() -> None:
    old, new = id3_frame("TIT2", b"\0t", version=3), id3_frame("TIT2", b"\0new", version=3)
    plain = b"\x00\x00\x00\x06\0\0\0\0\0\x05"
    assert after(plain, old, bytes(5), version=3, flags=0x40, fields={"title": ("new",)}) == id3_tag(
        plain, new, bytes(5), version=3, flags=0x40
    )

    def checked(one: bytes) -> bytes:
        return b"\x00\x00\x00\x0a\x80\0\0\0\0\x05" + zlib.crc32(one).to_bytes(4) + one + bytes(5)

    made = after(checked(old), version=3, flags=0x40, fields={"title": ("new",)})
    assert made == id3_tag(checked(new), version=3, flags=0x40)

    def checked24(one: bytes) -> bytes:
        crc = synchsafe_bytes(zlib.crc32(one + bytes(5)), 5)
        return synchsafe(13) + b"\x01\x60\x00\x05" + crc + one + bytes(5)

    made = after(checked24(text_frame("TIT2", "t")), flags=0x40, fields={"title": ("new",)})
    assert made == id3_tag(checked24(text_frame("TIT2", "new")), flags=0x40)
    large = id3_frame("PRIV", bytes(1 << 20))
    made = after(checked24(large), flags=0x40, fields={"title": ("new",)})
    assert made == id3_tag(synchsafe(7) + b"\x01\x40\x00", large, text_frame("TIT2", "new"), bytes(5), flags=0x40)
    # Some programs set the flag and write frames at once.
    assert after(old, version=3, flags=0x40, fields={"title": ("new",)}) == id3_tag(new, version=3, flags=0x40)


def test_a_compressed_tag_is_left_alone() -> None:
    with pytest.raises(FormatError, match="compressed"):
        spliced(id3_tag(frame("TIT2", b"\0t", 2), version=2, flags=0x40) + AUDIO, Edit({"title": ("x",)}))


@given(st.binary(max_size=300).map(lambda data: data.replace(b"\x01", b"\xff").replace(b"\x02", b"\0")))
def test_unsynchronisation_is_that_of_the_specification(data: bytes) -> None:
    assert redo_unsync(data) == unsync(data)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=12).filter(
    lambda text: not text.isspace()
)
VALUES = st.lists(TEXT, max_size=3, unique=True).map(tuple)
FIELD = st.sampled_from(
    ["title", "artist", "album_artist", "composer", "comment", "comment:x", "lyrics", "mood", "producer", "performer",
     "grouping", "label", "mb_album_id", "custom", "website", "copyright", "originaldate", "conductor"]
)  # fmt: skip
NAMES = {
    2: ["TT2", "TP1", "TP2", "TCM", "COM", "ULT", "TXX", "IPL", "PIC", "XYZ", "UFI", "TT1", "TBP", "WAR", "GEO"],
    3: ["TIT2", "TPE1", "TPE2", "TCOM", "COMM", "USLT", "TXXX", "IPLS", "APIC", "XYZA", "PRIV", "TIT1", "WOAR", "TORY"],
    4: ["TIT2", "TPE1", "TPE2", "TCOM", "COMM", "USLT", "TXXX", "TIPL", "TMCL", "APIC", "PRIV", "GRP1", "WXXX", "TDOR"],
}  # fmt: skip


@st.composite
def tags(draw: st.DrawFn) -> bytes:
    """Tags of all versions, their frames with any contents and flags."""
    version = draw(st.sampled_from([2, 3, 4]))
    frames = []
    for _ in range(draw(st.integers(0, 8))):
        name = draw(st.sampled_from(NAMES[version]))
        encoding = draw(st.sampled_from([0, 1, 2, 3]))
        codec = ("latin-1", "utf-16", "utf-16-be", "utf-8")[encoding]
        texts = [draw(TEXT).encode(codec, "replace") for _ in range(draw(st.integers(1, 3)))]
        body = bytes((encoding,)) + (b"eng" if name[:3] in ("COM", "ULT", "USL") else b"")
        body += (b"\0\0" if encoding in (1, 2) else b"\0").join(texts)
        if draw(st.integers(0, 5)) == 0:
            body = draw(st.binary(min_size=1, max_size=400))
        if name in ("APIC", "PIC"):
            body = (
                (b"\0JPG\x03\0" if version == 2 else b"\0image/jpeg\0\3\0")
                + b"\xff\xd8\xff"
                + draw(st.binary(max_size=300))
            )
        flags = 0
        if version > 2 and draw(st.integers(0, 4)) == 0:
            flags = draw(st.sampled_from([0x20, 0x40] if version == 3 else [0x40, 0x04, 0x02, 0x01]))
        frames.append(id3_frame(name, body, version=version, flags=flags))
    padding = bytes(draw(st.sampled_from([0, 1, 9, 10, 100])))
    flags = draw(st.sampled_from([0, 0x80]))
    whole = b"".join(frames) + padding
    return id3_tag(unsync(whole) if flags and version < 4 else whole, version=version, flags=flags)


def frames_of(data: bytes) -> list[bytes]:
    tag = take_apart(View(CountingSource(data)), 0)
    return [tag.view.read(one.start, one.stop) for one in tag.frames]


@settings(deadline=None, max_examples=300)
@given(tags(), st.dictionaries(FIELD, VALUES, min_size=1, max_size=4), st.data())
def test_any_tag_and_any_edit(tag: bytes, fields: Fields, data: st.DataObject) -> None:
    original = tag + AUDIO
    edit = Edit(fields)
    source = CountingSource(original)
    try:
        plan = splice(source, "x.mp3", edit)
    except FormatError:
        # Only where a frame's own words would be taken for another field's once its neighbour is gone.
        return
    whole = SplicedSource(plan, source)
    made = whole.read(0, whole.size)
    assert made == check(original, edit)
    start = data.draw(st.integers(0, len(made)))
    stop = data.draw(st.integers(start, len(made)))
    assert whole.read(start, stop) == made[start:stop]
    # Every frame that is left of the old ones is as it was, and in its order.
    old, new = frames_of(original), frames_of(made)
    kept = [one for one in old if one in new]
    places = iter(new)
    assert all(one in places for one in kept)
    assert len(old) - len(kept) <= len(old)


def test_a_tag_that_is_not_changed_is_one_range() -> None:
    data = id3_tag(text_frame("TIT2", "t"), padding=5) + AUDIO
    tag = take_apart(View(CountingSource(data)), 0)
    assert render(tag, tag.frames) == [Range(0, len(data) - len(AUDIO))]
    assert isinstance(tag.frames[0], Frame)
    with pytest.raises(FormatError, match="larger"):
        render(tag, [NewFrame("TIT2", b"", bytes(1 << 28))])
    assert Plan((Range(0, 1),)).size == 1
