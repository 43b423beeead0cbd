"""MP3 and ADTS files with changed tags: every tag in them, and what other programs read there."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from mutagen import id3
from mutagen.apev2 import APEv2

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.formats.id3v1 import parse_id3v1
from musicfs.formats.plans import Edit, Extra, Image, Range
from musicfs.testing.audio import encoded, make_audio
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.building import apic, id3_frame, id3_tag, mp3_frames, synchsafe, text_frame
from tests.formats.reading import CountingSource, read_bytes
from tests.formats.splices import audio_hash, check, decoded_md5, edited, ffprobe_tags, spliced, taglib_tags
from tests.formats.test_mp3 import ape_tag, id3v1

OWN = {
    "title": "Own Title",
    "artist": ("One", "Two"),
    "album": "Own Album",
    "track": "3",
    "track_total": "12",
    "date": "1999",
    "comment": "own comment",
    "lyrics": "la la",
    "mood": "calm",
    "mb_recording_id": "4b3b1d4e-0f5a-4f3e-8f9e-000000000001",
}
FIELDS = {
    "title": ("Új cím 新",),
    "artist": ("Three", "Four"),
    "album": (),
    "track": ("7",),
    "date": ("2001-08-27",),
    "genre": ("Rock",),
    "comment": ("new comment",),
    "composer": ("Bach",),
    "label": ("Label",),
    "mb_album_id": ("4b3b1d4e-0f5a-4f3e-8f9e-000000000002",),
    "my tag": ("a", "b"),
}
COVER = Image(make_jpeg("blue", size_bytes=100_000), "image/jpeg", 64, 64, 24)


def own_file(path: Path, kind: str, version: int, v1: int) -> bytes:
    """A real file that mutagen tagged: with ID3v2.3 or 2.4, and ID3v1 perhaps."""
    make_audio(path, kind, tags=OWN, picture=make_png(1), seconds=0.5)
    tags = id3.ID3(path)
    tags.add(id3.COMM(encoding=0, lang="deu", desc="source", text="tape"))
    tags.add(id3.PRIV(owner="someone", data=bytes(range(256))))
    if version == 3:
        tags.update_to_v23()
    tags.save(path, v1=v1, v2_version=version, v23_sep=None)
    return path.read_bytes()


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_what_other_programs_read(kind: str, version: int, tmp_path: Path) -> None:
    before, after = tmp_path / f"before.{kind}", tmp_path / f"after.{kind}"
    data = own_file(before, kind, version, v1=2 if kind == "mp3" else 0)  # ffmpeg reads one kind of tag in ADTS
    after.write_bytes(check(data, Edit(FIELDS), after.name))
    assert audio_hash(after) == audio_hash(before)
    assert decoded_md5(after) == decoded_md5(before)
    tags, old = id3.ID3(after), id3.ID3(before)
    assert {key: tags[key].text for key in ("TIT2", "TPE1", "TRCK", "TCON", "TCOM", "TPUB", "TXXX:MY TAG")} == {
        "TIT2": ["Új cím 新"], "TPE1": ["Three", "Four"], "TRCK": ["7/12"], "TCON": ["Rock"], "TCOM": ["Bach"],
        "TPUB": ["Label"], "TXXX:MY TAG": ["a", "b"],
    }  # fmt: skip
    assert [stamp.text for stamp in tags["TDRC"].text] == ["2001-08-27"]
    assert "TALB" not in tags
    assert {key: tags[key] for key in ("COMM:source:deu", "PRIV:someone:" + bytes(range(256)).decode("latin-1"))} == {
        key: old[key] for key in ("COMM:source:deu", "PRIV:someone:" + bytes(range(256)).decode("latin-1"))
    }
    assert tags.getall("APIC") == old.getall("APIC")
    assert tags.version == (2, version, 0)
    shown = ffprobe_tags(after)
    assert (shown["title"], shown["track"], shown["composer"]) == ("Új cím 新", "7/12", "Bach")
    assert "album" not in shown
    if kind == "mp3":  # TagLib knows no ADTS
        properties = taglib_tags(after)
        assert {name: properties[name] for name in ("TITLE", "ARTIST", "DATE", "TRACKNUMBER", "MY TAG", "MOOD")} == {
            "TITLE": ["Új cím 新"], "ARTIST": ["Three", "Four"], "DATE": ["2001-08-27"], "TRACKNUMBER": ["7/12"],
            "MY TAG": ["a", "b"], "MOOD": ["calm"],
        }  # fmt: skip
        assert "ALBUM" not in properties


@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_a_file_without_tags_gets_one(kind: str, tmp_path: Path) -> None:
    data = encoded(kind, seconds=0.5)
    made = check(data, Edit(FIELDS, COVER), f"x.{kind}")
    assert made.endswith(data)
    assert made[:4] == b"ID3\x04"
    path = tmp_path / f"x.{kind}"
    path.write_bytes(made)
    tags = id3.ID3(path)
    assert tags["TPE1"].text == ["Three", "Four"]
    assert tags.getall("APIC")[0].data == COVER.data


def test_removing_from_a_file_without_tags_changes_nothing() -> None:
    data = encoded("mp3", seconds=0.5)
    made, plan = spliced(data, Edit({"title": ()}, remove_cover=True))
    assert made == data
    assert plan.pieces == (Range(0, len(data)),)


def test_mp3val_finds_no_new_fault(tmp_path: Path) -> None:
    program = shutil.which("mp3val")
    assert program is not None

    def faults(data: bytes) -> list[str]:
        path = tmp_path / "x.mp3"
        path.write_bytes(data)
        said = subprocess.run([program, str(path)], capture_output=True, text=True, check=True, timeout=60).stdout
        return sorted(line.partition(": ")[2] for line in said.splitlines() if line.startswith(("WARNING", "ERROR")))

    for data in (
        encoded("mp3", seconds=0.5),
        own_file(tmp_path / "own.mp3", "mp3", 3, v1=2),
        encoded("mp3", seconds=0.5) + ape_tag((b"Title", b"t", 0)) + id3v1(),
    ):
        assert set(faults(check(data, Edit(FIELDS, COVER)))) <= set(faults(data))


def test_lame_tags(tmp_path: Path) -> None:
    wave, path = tmp_path / "x.wav", tmp_path / "x.mp3"
    wave.write_bytes(encoded("wav", seconds=0.5))
    options = [
        "--add-id3v2",
        "--tt",
        "Own",
        "--ta",
        "Ärtist",
        "--tn",
        "3/9",
        "--ty",
        "1999",
        "--tg",
        "Rock",
        "--tc",
        "c",
    ]
    image = tmp_path / "x.jpg"
    image.write_bytes(make_jpeg())
    command = ["lame", "--quiet", *options, "--ti", str(image), str(wave), str(path)]
    subprocess.run(command, check=True, timeout=60)
    data = path.read_bytes()
    after = tmp_path / "after.mp3"
    after.write_bytes(check(data, Edit(FIELDS)))
    assert taglib_tags(after)["TITLE"] == ["Új cím 新"]
    assert id3.ID3(after).getall("APIC")[0].data == make_jpeg()
    assert audio_hash(after) == audio_hash(path)


def test_the_cover_is_shared_and_other_pictures_stay(tmp_path: Path) -> None:
    back, front = make_png(2), make_png(3)
    tag = id3_tag(
        id3_frame("APIC", apic(back, kind=4)),
        id3_frame("APIC", apic(front)),
        id3_frame("APIC", apic(front)),
        text_frame("TIT2", "t"),
    )
    data = tag + mp3_frames()
    made, plan = spliced(data, Edit({}, COVER))
    assert plan.extra == COVER.data
    assert sum(isinstance(piece, Extra) for piece in plan.pieces) == 1
    assert sum(piece.size for piece in plan.pieces if not isinstance(piece, (Range, Extra))) < 100
    facts = read_bytes(made)
    assert [extract_picture(CountingSource(made), picture) for picture in facts.pictures] == [back, COVER.data]
    removed, _ = spliced(data, Edit({}, remove_cover=True))
    assert [extract_picture(CountingSource(removed), one) for one in read_bytes(removed).pictures] == [back]
    other = id3_tag(id3_frame("APIC", apic(front, kind=0)), id3_frame("APIC", apic(back, kind=0))) + mp3_frames()
    replaced, _ = spliced(other, Edit({}, COVER))
    assert [picture.kind for picture in read_bytes(replaced).pictures] == [3, 0]


def test_several_tags_in_a_row() -> None:
    one, two = (
        id3_tag(text_frame("TIT2", "first"), padding=20),
        id3_tag(text_frame("TIT2", "second"), text_frame("TPE1", "a")),
    )
    made = check(one + two + mp3_frames(), Edit({"title": ("new",), "album": ("b",)}))
    kept = id3_tag(text_frame("TIT2", "new"), text_frame("TALB", "b"), padding=20) + id3_tag(text_frame("TPE1", "a"))
    assert made == kept + mp3_frames()
    assert (
        check(one + two + mp3_frames(), Edit({"title": ()}))
        == id3_tag(padding=20) + id3_tag(text_frame("TPE1", "a")) + mp3_frames()
    )


def test_an_appended_tag_with_a_footer() -> None:
    frames = (text_frame("TIT2", "t"), text_frame("TPE1", "a"))
    appended = id3_tag(*frames, flags=0x10)
    footer = b"3DI\x04\x00\x10" + synchsafe(sum(map(len, frames)))
    made = check(mp3_frames(30) + appended + footer + id3v1(), Edit({"title": ("new",)}))
    left = id3_tag(frames[1], flags=0x10) + b"3DI\x04\x00\x10" + synchsafe(len(frames[1]))
    assert left in made
    assert made[:4] == b"ID3\x04"
    assert b"a" in id3.ID3(fileobj(made))["TPE1"].text[0].encode()


def fileobj(data: bytes) -> object:
    import io

    return io.BytesIO(data)


def test_a_footer_in_front() -> None:
    frame = text_frame("TIT2", "t")
    tag = id3_tag(frame, flags=0x10) + b"3DI\x04\x00\x10" + synchsafe(len(frame))
    new = text_frame("TIT2", "longer")
    assert check(tag + mp3_frames(), Edit({"title": ("longer",)})) == (
        id3_tag(new, flags=0x10) + b"3DI\x04\x00\x10" + synchsafe(len(new)) + mp3_frames()
    )


def test_apev2_follows(tmp_path: Path) -> None:
    image = make_png(1)
    ape = ape_tag(
        (b"TITLE", b"ape title", 1), (b"Artist", b"one\0two", 0), (b"Track", b"3/9", 0), (b"Odd", b"x", 0),
        (b"Cover Art (Front)", b"front.png\0" + image, 2), (b"MP3GAIN_MINMAX", b"1,2", 0),
    )  # fmt: skip
    data = id3_tag(text_frame("TALB", "v2 album")) + encoded("mp3", seconds=0.3) + ape + id3v1()
    made = check(data, Edit({"title": ("new",), "track": ("4",), "artist": (), "genre": ("Jazz",)}, COVER))
    path = tmp_path / "x.mp3"
    path.write_bytes(made)
    tags = APEv2(path)
    assert {key: str(value) for key, value in tags.items() if key != "Cover Art (Front)"} == {
        "TITLE": "new", "Track": "4/9", "Odd": "x", "MP3GAIN_MINMAX": "1,2", "Genre": "Jazz",
    }  # fmt: skip
    assert tags["Cover Art (Front)"].value == b"Cover Art (Front).jpg\0" + COVER.data
    assert struct.pack("<II", 3, 1) + b"TITLE\0new" in made  # read-only as it was
    assert {picture.kind for picture in read_bytes(made).pictures} == {3}
    assert parse_id3v1(made[-128:]).finish()["title"] == ("new",)
    assert taglib_tags(path)["TITLE"] == ["new"]


def test_an_ape_tag_for_loudness_gets_no_fields() -> None:
    ape = ape_tag((b"REPLAYGAIN_TRACK_GAIN", b"-3 dB", 0), header=False)
    made = check(mp3_frames() + ape, Edit({"title": ("new",)}))
    assert made.endswith(mp3_frames() + ape)


@pytest.mark.parametrize(
    ("fields", "v1"),
    [
        ({"title": ("x" * 40,)}, {"title": ("x" * 30,)}),
        ({"title": ("Björk",), "artist": ("新しい" * 9,)}, {"title": ("Björk",), "artist": ("新しい" * 3 + "新",)}),
        ({"comment": ("y" * 40,)}, {"comment": ("y" * 28,)}),
        ({"date": ("2001-05",), "genre": ("jazz",)}, {"date": ("2001",), "genre": ("Jazz",)}),
        ({"date": ("circa 2001",), "genre": ("Unheard of",)}, {"date": None, "genre": None}),
        ({"track": ("300",)}, {"track": None}),
        ({"track": ("12",), "artist": ("a", "b")}, {"track": ("12",), "artist": ("a, b",)}),
        ({"title": (), "track": ()}, {"title": None, "track": None}),
    ],
)
def test_id3v1_follows(fields: dict[str, tuple[str, ...]], v1: dict[str, tuple[str, ...] | None]) -> None:
    made = check(mp3_frames() + id3v1(), Edit(fields))
    expected = parse_id3v1(id3v1()).finish()
    for field, values in v1.items():
        expected.pop(field, None)
        if values is not None:
            expected[field] = values
    assert parse_id3v1(made[-128:]).finish() == expected
    assert made[-128:-125] == b"TAG"


def test_a_long_comment_of_id3v1_keeps_its_place() -> None:
    old = b"TAG" + bytes(94) + b"c" * 30 + b"\xff"
    made = check(mp3_frames() + old, Edit({"track": ("3",)}))
    assert made[-128:] == old
    assert read_bytes(made).tags == {"track": ("3",), "comment": ("c" * 30,)}


@pytest.mark.parametrize(
    "trailer",
    [
        b"LYRICSBEGIN" + b"la" * 100 + b"LYRICSEND" + id3v1(),
        b"LYRICSBEGIN" + b"IND00002 " + b"000020LYRICS200" + id3v1(),
    ],
)
def test_what_is_no_tag_of_ours_stays(trailer: bytes) -> None:
    garbage = bytes(700) + b"garbage" * 10
    data = id3_tag(text_frame("TIT2", "t")) + garbage + mp3_frames(30) + trailer
    made = check(data, Edit({"title": ("new title",)}))
    assert garbage + mp3_frames(30) + trailer[:-128] in made


def test_an_ape_tag_before_the_audio_stays() -> None:
    ape = ape_tag((b"Title", b"t", 0))
    data = id3_tag(text_frame("TIT2", "t")) + ape + mp3_frames(30)
    assert check(data, Edit({"title": ("new",)})) == id3_tag(text_frame("TIT2", "new")) + ape + mp3_frames(30)


def test_a_damaged_ape_tag_is_left_alone() -> None:
    ape = bytearray(ape_tag((b"Title", b"t", 0)))
    ape[32:36] = struct.pack("<I", 5000)
    with pytest.raises(FormatError, match="APE item"):
        spliced(mp3_frames(30) + bytes(ape), Edit({"title": ("new",)}))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ("a", "a")}, "title"), ({"title": ("",)}, "title"), ({"title": ("a\0b",)}, "title"),
        ({"title": ("\ud800",)}, "title"), ({"mb_recording_id": ("a", "b")}, "mb_recording_id"),
        ({"track_total": ("many",)}, "track_total"), ({"track": ("3/4",)}, "track"), ({"genre": ("17",)}, "genre"),
        ({"compilation": ("0",)}, "compilation"), ({"date": ("0000",)}, "date"),
        ({"title": ("x" * 300_000,)}, "title"), ({"albumartist": ("a",)}, "albumartist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(fields: dict[str, tuple[str, ...]], field: str) -> None:
    data = id3_tag(text_frame("TIT2", "t"), text_frame("TRCK", "1")) + mp3_frames()
    made, plan = spliced(data, Edit({**fields, "album": ("b",)}))
    assert list(plan.unfit) == [field]
    assert plan.unfit[field]
    assert read_bytes(made).tags == {"title": ("t",), "track": ("1",), "album": ("b",)}


def test_only_the_edges_are_read() -> None:
    data = id3_tag(text_frame("TIT2", "t"), id3_frame("APIC", apic(bytes(2_000_000)))) + mp3_frames(10_000) + id3v1()
    source = CountingSource(data)
    from musicfs.formats.splicing import splice

    splice(source, "x.mp3", Edit({"title": ("new",)}, COVER))
    assert source.bytes_read < 2_000_000
    assert edited(data, {"title": ("new",)})
