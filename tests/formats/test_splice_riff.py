"""WAV and AIFF files with changed tags: chunks in order, sizes right, INFO and text chunks beside ID3."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from mutagen.aiff import AIFF
from mutagen.wave import WAVE

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.formats.plans import Edit, Image, Range
from musicfs.testing.audio import encoded, make_audio
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.building import aiff_file, apic, chunk, id3_frame, id3_tag, text_frame, wav_file
from tests.formats.reading import CountingSource, read_bytes
from tests.formats.splices import audio_hash, check, decoded_md5, ffprobe_tags, spliced, taglib_tags
from tests.formats.test_riff_and_aiff import info
from tests.formats.test_splice_mp3 import FIELDS, OWN

COVER = Image(make_jpeg("blue"), "image/jpeg", 64, 64, 24)
ID3_AT_24 = b"ID3\x04\0\0"


def big(name: bytes, body: bytes) -> bytes:
    return chunk(name, body, big_endian=True)


def chunks_of(data: bytes, *, big_endian: bool = False) -> dict[bytes, bytes]:
    """The chunks of a form, whose sizes must be right."""
    order = ">" if big_endian else "<"
    assert struct.unpack(order + "I", data[4:8])[0] == len(data) - 8
    found, position = {}, 12
    while position < len(data):
        name, size = struct.unpack(order + "4sI", data[position : position + 8])
        assert name not in found
        found[name] = data[position + 8 : position + 8 + size]
        assert len(found[name]) == size
        position += 8 + size + size % 2
    assert position == len(data)
    return found


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_what_other_programs_read(kind: str, tagged: bool, tmp_path: Path) -> None:
    before, after = tmp_path / f"before.{kind}", tmp_path / f"after.{kind}"
    make_audio(before, kind, tags=OWN if tagged else None, picture=make_png(1) if tagged else None, seconds=0.3)
    after.write_bytes(check(before.read_bytes(), Edit(FIELDS), after.name))
    assert audio_hash(after) == audio_hash(before)
    assert decoded_md5(after) == decoded_md5(before)
    tags = (WAVE if kind == "wav" else AIFF)(after).tags
    number = "7/12" if tagged else "7"
    assert {key: tags[key].text for key in ("TIT2", "TPE1", "TRCK", "TCON", "TXXX:MY TAG")} == {
        "TIT2": ["Új cím 新"], "TPE1": ["Three", "Four"], "TRCK": [number], "TCON": ["Rock"], "TXXX:MY TAG": ["a", "b"],
    }  # fmt: skip
    assert [one.data for one in tags.getall("APIC")] == ([make_png(1)] if tagged else [])
    shown = ffprobe_tags(after)
    assert (shown["title"], shown["track"], shown["composer"]) == ("Új cím 新", number, "Bach")
    properties = taglib_tags(after)
    assert {name: properties[name] for name in ("TITLE", "ARTIST", "DATE", "MY TAG")} == {
        "TITLE": ["Új cím 新"], "ARTIST": ["Three", "Four"], "DATE": ["2001-08-27"], "MY TAG": ["a", "b"],
    }  # fmt: skip
    assert "ALBUM" not in properties


def test_other_chunks_stay_in_their_place() -> None:
    bext, cue = chunk(b"bext", b"b" * 603), chunk(b"cue ", bytes(28))
    tag = id3_tag(text_frame("TIT2", "t"), id3_frame("APIC", apic(make_png(1))))
    data = wav_file(
        bext,
        info((b"INAM", b"old\0"), (b"XXXX", b"odd"), (b"IART", b"a\0")),
        chunk(b"ID3 ", tag),
        cue,
        chunk(b"iXML", b"<x/>"),
    )
    made = check(data, Edit({"title": ("new",), "album": ("é",), "artist": ()}), "x.wav")
    found = chunks_of(made)
    assert list(found) == [b"fmt ", b"data", b"bext", b"LIST", b"ID3 ", b"cue ", b"iXML"]
    assert found[b"LIST"] == info((b"INAM", b"new\0"), (b"XXXX", b"odd"), (b"IPRD", "é\0".encode()))[8:]
    assert bext in made
    new = id3_tag(text_frame("TIT2", "new"), id3_frame("APIC", apic(make_png(1))), text_frame("TALB", "é"))
    assert found[b"ID3 "] == new


def test_info_alone_is_repeated_in_a_new_id3_chunk(tmp_path: Path) -> None:
    data = wav_file(info((b"INAM", b"old"), (b"IART", b"a"), (b"ICMT", b"c"), (b"ITRK", b"3/9")))
    made = check(data, Edit({"title": ("new", "er"), "track": ("4",)}, COVER), "x.wav")
    found = chunks_of(made)
    assert found[b"LIST"] == info((b"INAM", b"new; er"), (b"IART", b"a"), (b"ICMT", b"c"), (b"ITRK", b"4/9"))[8:]
    path = tmp_path / "x.wav"
    path.write_bytes(made)
    tags = WAVE(path).tags
    assert {key: tags[key].text for key in ("TIT2", "TPE1", "COMM::eng", "TRCK")} == {
        "TIT2": ["new", "er"], "TPE1": ["a"], "COMM::eng": ["c"], "TRCK": ["4/9"],
    }  # fmt: skip
    assert tags.getall("APIC")[0].data == COVER.data


def test_removing_from_info_needs_no_id3_chunk() -> None:
    data = wav_file(info((b"INAM", b"old"), (b"IART", b"a")))
    assert list(chunks_of(check(data, Edit({"title": ()}), "x.wav"))) == [b"fmt ", b"data", b"LIST"]


def test_several_id3_chunks_and_lists() -> None:
    one, two = id3_tag(text_frame("TIT2", "one")), id3_tag(text_frame("TIT2", "two"), text_frame("TPE1", "a"))
    data = wav_file(
        chunk(b"id3 ", one), info((b"INAM", b"x")), info((b"INAM", b"y"), (b"ICMT", b"c")), chunk(b"ID3 ", two)
    )
    made = check(data, Edit({"title": ("new",)}), "x.wav")
    audio = wav_file()[12:]
    assert made[12:] == audio + b"".join(
        (
            chunk(b"id3 ", id3_tag(text_frame("TIT2", "new"))),
            info((b"INAM", b"new")),
            info((b"ICMT", b"c")),
            chunk(b"ID3 ", id3_tag(text_frame("TPE1", "a"))),
        )
    )


def test_a_chunk_longer_than_its_tag() -> None:
    data = wav_file(chunk(b"id3 ", id3_tag(text_frame("TIT2", "t")) + b"rest"))
    made = check(data, Edit({"title": ("new",)}), "x.wav")
    assert chunks_of(made)[b"id3 "] == id3_tag(text_frame("TIT2", "new")) + b"rest"


def rf64(*chunks: bytes, name: bytes = b"RF64", size: int | None = None) -> bytes:
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16))
    body = fmt + b"data\xff\xff\xff\xff" + bytes(4 * 44100) + b"".join(chunks)
    whole = 4 + 8 + 28 + len(body) if size is None else size
    ds64 = chunk(b"ds64", struct.pack("<QQQI", whole, 4 * 44100, 44100, 0))
    return name + b"\xff\xff\xff\xffWAVE" + ds64 + body


@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
def test_long_forms(name: bytes) -> None:
    made = check(rf64(info((b"INAM", b"t")), name=name), Edit({"title": ("new",), "artist": ("a",)}), "x.wav")
    tag = id3_tag(text_frame("TIT2", "new"), text_frame("TPE1", "a"))
    expected = rf64(info((b"INAM", b"new"), (b"IART", b"a")), chunk(b"id3 ", tag), name=name)
    assert made == expected


def test_a_form_that_would_grow_too_large() -> None:
    class Sparse:
        """A WAV file of nearly 4 GiB whose data are zeros."""

        size = (1 << 32) + 6

        def read(self, start: int, stop: int) -> bytes:
            head = wav_file(data=b"")[:-8] + b"data"
            head = head[:4] + struct.pack("<I", self.size - 8) + head[8:] + struct.pack("<I", self.size - len(head) - 4)
            return head[start:stop].ljust(stop - start, b"\0")

    from musicfs.formats.splicing import splice

    with pytest.raises(FormatError, match="larger than a RIFF file"):
        splice(Sparse(), "x.wav", Edit({"title": ("new",)}))


@pytest.mark.parametrize(
    "data",
    [
        wav_file()[:4] + b"\xff\xff\xff\xff" + wav_file()[8:],
        wav_file()[:4] + bytes(4) + wav_file()[8:],
        wav_file().replace(b"data" + struct.pack("<I", 4 * 44100), b"data\xff\xff\xff\xff"),
        wav_file().replace(b"data" + struct.pack("<I", 4 * 44100), b"data\0\0\0\0"),
        wav_file()[:-1000],
        wav_file() + b"more than the form says",
        rf64(size=100),
        wav_file(info((b"INAM", b"t"))[:-4] + b"\0\0\0\xff" + b"t\0\0\0"),
        wav_file(chunk(b"id3 ", id3_tag(text_frame("TIT2", "t"))[:-3])),
        aiff_file()[:-10],
        aiff_file() + b"more than the form says",
    ],
    ids=[
        "endless",
        "no size",
        "endless data",
        "no data size",
        "cut",
        "more",
        "rf64",
        "info",
        "tag",
        "aiff cut",
        "aiff more",
    ],
)
def test_what_is_not_sound_is_left_alone(data: bytes) -> None:
    name = "x.wav" if data[8:12] == b"WAVE" else "x.aiff"
    with pytest.raises(FormatError):
        spliced(data, Edit({"title": ("new",)}), name)


def test_a_missing_padding_byte_is_put_where_it_belongs() -> None:
    data = wav_file(chunk(b"note", b"odd"))
    for without in (data[:-1], data[:4] + struct.pack("<I", len(data) - 9) + data[8:-1]):
        made = check(without, Edit({"title": ("new",)}), "x.wav")
        assert list(chunks_of(made)) == [b"fmt ", b"data", b"note", b"id3 "]


def test_aiff_text_chunks_follow() -> None:
    texts = [(b"NAME", b"old"), (b"AUTH", b"a"), (b"ANNO", b"one"), (b"ANNO", b"two"), (b"(c) ", b"c")]
    data = aiff_file(*(big(*text) for text in texts))
    made = check(data, Edit({"title": ("new",), "comment": ("é", "f", "g"), "copyright": ()}), "x.aiff")
    common, sound = aiff_file()[12:38], aiff_file()[38:]
    tag = id3_tag(*(text_frame("TPE1", "a"), text_frame("TIT2", "new")))
    assert tag[:6] == ID3_AT_24
    start = 12 + len(common) + len(sound)
    new = b"".join(
        big(*text)
        for text in ((b"NAME", b"new"), (b"AUTH", b"a"), (b"ANNO", "é".encode()), (b"ANNO", b"f"), (b"ANNO", b"g"))
    )
    assert made[12 : start + len(new)] == common + sound + new
    assert made[start + len(new) :][:4] == b"ID3 "
    assert struct.unpack(">I", made[4:8])[0] == len(made) - 8
    kept = check(aiff_file(big(b"NAME", b"old"), big(b"MARK", b"odd")), Edit({"artist": ("a",)}), "x.aiff")
    assert list(chunks_of(kept, big_endian=True)) == [b"COMM", b"SSND", b"NAME", b"MARK", b"ID3 "]


@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_covers(kind: str) -> None:
    tag = id3_tag(text_frame("TIT2", "t"), id3_frame("APIC", apic(make_png(1))))
    data = wav_file(chunk(b"id3 ", tag)) if kind == "wav" else aiff_file(big(b"ID3 ", tag))
    made, plan = spliced(data, Edit({}, COVER), f"x.{kind}")
    assert [extract_picture(CountingSource(made), one) for one in read_bytes(made, f"x.{kind}").pictures] == [
        COVER.data
    ]
    assert plan.extra == COVER.data
    removed, _ = spliced(data, Edit({}, remove_cover=True), f"x.{kind}")
    assert read_bytes(removed, f"x.{kind}").pictures == ()


def test_the_audio_is_one_range() -> None:
    data = encoded("wav", seconds=0.5)
    _, plan = spliced(data, Edit({"title": ("new",)}), "x.wav")
    layout = read_bytes(data, "x.wav").layout
    ranges = [piece for piece in plan.pieces if isinstance(piece, Range)]
    assert any(one.start <= layout.audio_start and layout.audio_stop <= one.stop for one in ranges)
