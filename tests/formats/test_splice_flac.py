"""FLAC with changed tags: what other programs find in it, and that nothing else changed."""

from __future__ import annotations

import base64
import random
import re
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC

from musicfs.errors import FormatError
from musicfs.formats.images import describe_image
from musicfs.formats.plans import Edit, Extra, Literal
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.model import FIELDS
from musicfs.testing.audio import encoded, make_audio
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.building import flac_block, flac_file, id3_tag, picture_block, text_frame, vorbis_comments
from tests.formats.reading import CountingSource, read_bytes
from tests.formats.spliced_files import (
    assert_read_in_parts,
    audio_hashes,
    edited,
    overlaid,
    run,
    spliced,
    try_splice,
)  # fmt: skip
from tests.formats.test_damage import mutated

COMMENT, PICTURE, PADDING, APPLICATION = 4, 6, 1, 2
MUTATIONS = 3000
COVER = describe_image(make_png(3))


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the reference encoder with every kind of block."""
    folder = tmp_path_factory.mktemp("rich")
    wav, path = make_audio(folder / "a.wav", seconds=3), folder / "a.flac"
    (folder / "cue").write_text('FILE "a.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n')
    (folder / "front.jpg").write_bytes(make_jpeg())
    (folder / "back.png").write_bytes(make_png(1))
    tags = ("TITLE=Old", "artist=One", "ARTIST=Two", "TRACKNUMBER=3/12", "DATE=1999-05-01", "YEAR=1999", "Mood=calm")
    run(
        "flac", "-s", "--cuesheet", folder / "cue", "-P", "3000", "--picture", folder / "front.jpg",
        "--picture", f"4||||{folder / 'back.png'}", *(f"--tag={tag}" for tag in tags), wav, "-o", path,
    )  # fmt: skip
    run("metaflac", "--set-tag=COMMENT=two\nlines", path)
    data = path.read_bytes()
    application = flac_block(APPLICATION, b"MuFS" + bytes(range(200)))
    path.write_bytes(data[:42] + application + data[42:])
    return path


def blocks_listed(path: Path) -> list[str]:
    """What metaflac says of each block, without its number and the flag of the last one."""
    listed = re.split(r"METADATA block #\d+\n", run("metaflac", "--list", path))[1:]
    return [re.sub(r"^  is last: .*\n", "", block, flags=re.MULTILINE) for block in listed]


def kind_of(block: str) -> str:
    found = re.search(r"type: \d+ \((\w+)\)", block)
    assert found
    return found[1]


def test_other_programs_find_the_change_and_nothing_else(rich: Path, tmp_path: Path) -> None:
    data = rich.read_bytes()
    edit = Edit({"title": ("New\nname",), "artist": (), "track": ("4",), "date": ("2001-02-03",), "my own": ("1", "2")})
    made = tmp_path / "made.flac"
    made.write_bytes(edited(data, "a.flac", edit))
    before, after = blocks_listed(rich), blocks_listed(made)
    assert [kind_of(block) for block in before] == [kind_of(block) for block in after]
    assert {kind_of(block) for block in before} == {
        "STREAMINFO", "APPLICATION", "SEEKTABLE", "CUESHEET", "VORBIS_COMMENT", "PICTURE", "PADDING",
    }  # fmt: skip
    for old, new in zip(before, after, strict=True):
        assert (old == new) == (kind_of(old) != "VORBIS_COMMENT")
    assert dict(FLAC(made).tags) == {
        "title": ["New\nname"], "tracknumber": ["4/12"], "date": ["2001-02-03"], "year": ["2001"], "mood": ["calm"],
        "comment": ["two\nlines"], "my own": ["1", "2"],
    }  # fmt: skip
    assert audio_hashes(made) == audio_hashes(rich)
    run("flac", "-ts", made)
    told = run("ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "default=nw=1", made)
    assert "TAG:track=4/12" in told
    assert "Old" not in told


def test_covers(rich: Path, tmp_path: Path) -> None:
    data, made = rich.read_bytes(), tmp_path / "made.flac"
    plan, whole = spliced(data, "a.flac", Edit({}, cover=COVER))
    assert plan.extra == COVER.data
    assert sum(piece.size for piece in plan.pieces if isinstance(piece, Extra)) == len(COVER.data)
    made.write_bytes(whole)
    front, back = FLAC(made).pictures
    assert (front.type, front.data, front.width, front.height, front.depth) == (3, COVER.data, 64, 64, 24)
    assert (front.mime, back.type, back.data) == ("image/png", 4, make_png(1))
    made.write_bytes(spliced(data, "a.flac", Edit({}, remove_cover=True))[1])
    assert [picture.type for picture in FLAC(made).pictures] == [4]
    run("flac", "-ts", made)
    again = spliced(made.read_bytes(), "a.flac", Edit({"title": ("x",)}, cover=COVER))[1]
    made.write_bytes(again)
    assert sorted(picture.type for picture in FLAC(made).pictures) == [3, 4]
    run("flac", "-ts", made)


def test_a_picture_of_no_kind_that_was_the_cover_is_replaced() -> None:
    other = flac_block(PICTURE, picture_block(make_jpeg(), kind=0))
    artist = flac_block(PICTURE, picture_block(make_jpeg("blue"), kind=8), last=True)
    _, made = spliced(flac_file(other, artist), "a.flac", Edit({}, cover=COVER))
    assert [picture.kind for picture in read_bytes(made, "a.flac").pictures] == [3, 8]
    artist = flac_block(PICTURE, picture_block(make_jpeg("blue"), kind=8))
    only_artist = flac_file(artist, flac_block(PADDING, b"", last=True))
    _, made = spliced(only_artist, "a.flac", Edit({}, cover=COVER))
    assert [picture.kind for picture in read_bytes(made, "a.flac").pictures] == [3, 8]
    _, made = spliced(only_artist, "a.flac", Edit({}, remove_cover=True))
    assert made == only_artist


def test_a_cover_that_was_in_a_comment_becomes_a_block() -> None:
    text = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block(make_jpeg()))
    data = flac_file(flac_block(COMMENT, vorbis_comments(text, b"COVERART=abcd", b"TITLE=x"), last=True))
    _, made = spliced(data, "a.flac", Edit({}, cover=COVER))
    (picture,) = read_bytes(made, "a.flac").pictures
    assert (picture.kind, made[picture.start : picture.stop]) == (3, COVER.data)
    assert b"COVERART=abcd" in made
    assert text not in made


def test_a_file_without_comments_gets_a_block_behind_streaminfo(tmp_path: Path) -> None:
    bare = flac_file()
    _, made = spliced(bare, "a.flac", Edit({"title": ()}))
    assert made == bare
    made = edited(bare, "a.flac", Edit({"title": ("t",), "track_total": ("9",)}))
    assert made[4] & 0x80 == 0
    assert made[42:46] == bytes((0x84,)) + made[43:46]
    path = tmp_path / "a.flac"
    real = encoded("flac", seconds=0.3)
    bare = real[:4] + bytes((real[4] | 0x80,)) + real[5:42] + real[read_bytes(real, "a.flac").layout.audio_start :]
    path.write_bytes(edited(bare, "a.flac", Edit({"title": ("t",)})))
    run("flac", "-ts", path)
    assert dict(FLAC(path).tags) == {"title": ["t"]}


def test_what_stands_around_stays() -> None:
    tag, old_tag = id3_tag(text_frame("TIT2", "contradicts")), b"TAG" + bytes(125)
    data = tag + flac_file(flac_block(COMMENT, vorbis_comments(b"TITLE=x"), last=True)) + old_tag
    made = edited(data, "a.flac", Edit({"title": ("longer than before",)}))
    assert made.startswith(tag)
    assert made.endswith(old_tag)


def test_several_comment_blocks() -> None:
    first = flac_block(COMMENT, vorbis_comments(b"TITLE=a", b"\xff\xfe", b"no equals"))
    second = flac_block(COMMENT, vorbis_comments(b"title=b", b"ARTIST=x", b"K\xffY=\xff") + b"rest", last=True)
    made = edited(flac_file(first, second), "a.flac", Edit({"title": ("c",), "genre": ("g",)}))
    expected = (
        flac_block(COMMENT, vorbis_comments(b"TITLE=c", b"\xff\xfe", b"no equals", b"GENRE=g")),
        flac_block(COMMENT, vorbis_comments(b"ARTIST=x", b"K\xffY=\xff") + b"rest", last=True),
    )
    assert made == flac_file(*expected)


def test_a_length_that_was_too_small_is_written_right() -> None:
    body = vorbis_comments(b"TITLE=x", b"LYRICS=" + b"l" * 5000)
    data = flac_file(flac_block(COMMENT, body, size=100), flac_block(PADDING, bytes(50), last=True))
    made = edited(data, "a.flac", Edit({"title": ("y",)}))
    assert made == flac_file(
        flac_block(COMMENT, vorbis_comments(b"TITLE=y", b"LYRICS=" + b"l" * 5000)),
        flac_block(PADDING, bytes(50), last=True),
    )


def test_a_streaminfo_that_is_too_short_has_nothing_of_the_next_block() -> None:
    whole = flac_file()[8:42]
    data = b"fLaC" + flac_block(0, whole[:18]) + flac_block(PADDING, b"p" * 50, last=True) + b"\xff\xf8" + bytes(500)
    made = edited(data, "a.flac", Edit({"title": ("x",)}))
    assert made[:26] == data[:26]
    assert read_bytes(made, "a.flac").audio_id == read_bytes(data, "a.flac").audio_id


def test_what_does_not_fit_into_a_block() -> None:
    image = make_jpeg(size_bytes=(1 << 24) + 1000)
    huge = flac_file(flac_block(PICTURE, picture_block(image), size=500), flac_block(PADDING, bytes(50), last=True))
    with pytest.raises(FormatError, match="at most 16777215 fit"):
        spliced(huge, "a.flac", Edit({"title": ("x",)}))
    with pytest.raises(FormatError, match="at most 16777215 fit"):
        spliced(flac_file(), "a.flac", Edit({}, cover=describe_image(image)))


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xff\xff\xff", vorbis_comments(b"TITLE=x")[:-1], vorbis_comments()[:-4] + b"\xff\xff\xff\x7f"]
)
def test_comments_that_are_cut_short(body: bytes) -> None:
    data = flac_file(flac_block(COMMENT, body, last=True))
    with pytest.raises(FormatError):
        spliced(data, "a.flac", Edit({"title": ("x",)}))


Fields = dict[str, tuple[str, ...]]


def comments_after(edit: Fields, *comments: bytes) -> list[bytes]:
    """The comments that ``edit`` makes of these, which are read as the edit over what they said."""
    made = edited(flac_file(flac_block(COMMENT, vorbis_comments(*comments), last=True)), "a.flac", Edit(edit))
    found, at = [], 54
    for _ in range(struct.unpack_from("<I", made, 54)[0]):
        (size,) = struct.unpack_from("<I", made, at + 4)
        found.append(made[at + 8 : at + 8 + size])
        at += 4 + size
    return found


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        ({"title": ("t", "u")}, [b"A=1", b"Title=x", b"B=2", b"TITLE=y"], [b"A=1", b"Title=t", b"Title=u", b"B=2"]),
        ({"title": ()}, [b"A=1", b"Title=x", b"TITLE=", b"B=2"], [b"A=1", b"B=2"]),
        ({"date": ("2001-02-03",)}, [b"YEAR=1999"], [b"YEAR=2001", b"DATE=2001-02-03"]),
        ({"date": ("2001-02-03",)}, [b"DATE=1999-01-01", b"YEAR=1999"], [b"DATE=2001-02-03", b"YEAR=2001"]),
        ({"date": ("2001",)}, [b"DATE=1999-01-01", b"YEAR=1970"], [b"DATE=2001", b"YEAR=1970"]),
        ({"date": ()}, [b"DATE=1999-01-01", b"YEAR=1999"], []),
        ({"label": ("new",)}, [b"LABEL=lab", b"ORGANIZATION=org"], [b"LABEL=new", b"ORGANIZATION=org"]),
        ({"label": ("new",)}, [b"organization=org"], [b"organization=new", b"LABEL=new"]),
        ({"organization": ("new",)}, [b"LABEL=lab", b"ORGANIZATION=org"], [b"LABEL=lab", b"ORGANIZATION=new"]),
        ({"track": ("4",)}, [b"TRACKNUMBER=3/12"], [b"TRACKNUMBER=4/12"]),
        ({"track_total": ("13",)}, [b"TRACKNUMBER=3/12"], [b"TRACKNUMBER=3/13"]),
        ({"track_total": ("13",)}, [b"TRACKNUMBER=3/12", b"TOTALTRACKS=12"], [b"TRACKNUMBER=3/13", b"TOTALTRACKS=13"]),
        ({"track_total": ()}, [b"TRACKNUMBER=3/12", b"TRACKTOTAL=12"], [b"TRACKNUMBER=3"]),
        ({"track": ()}, [b"TRACKNUMBER=3/12"], [b"TRACKTOTAL=12"]),
        ({"track": ("A1",), "track_total": ("x",)}, [b"TRACKNUMBER=3/12"], [b"TRACKNUMBER=A1", b"TRACKTOTAL=x"]),
        ({"track": ("4",)}, [b"TRACK=3/12"], [b"TRACK=4/12", b"TRACKNUMBER=4/12"]),
        ({"track": ("4",)}, [b"TRACKNUMBER=3", b"TOTALTRACKS=12"], [b"TRACKNUMBER=4", b"TOTALTRACKS=12"]),
        ({"disc": ("2",), "disc_total": ("3",)}, [b"DISCNUMBER=1/2"], [b"DISCNUMBER=2/3"]),
        ({"track": ("7",)}, [b"TRACKNUMBER=3", b"TRACK=5"], [b"TRACKNUMBER=7", b"TRACK=7"]),
        ({"album_artist": ("n",)}, [b"ALBUM ARTIST=x", b"ALBUMARTIST=x"], [b"ALBUM ARTIST=n", b"ALBUMARTIST=n"]),
        ({"track_total": ("9",)}, [b"TRACK_TOTAL=8"], [b"TRACK_TOTAL=9", b"TRACKTOTAL=9"]),
        ({"compilation": ("1",)}, [b"COMPILATION=0"], [b"COMPILATION=1"]),
        ({"mein tag": ("ä",)}, [b"Mein Tag=x"], ["Mein Tag=ä".encode()]),
        ({"lyrics": ("l",)}, [b"UNSYNCEDLYRICS=x", b"T=1"], [b"UNSYNCEDLYRICS=l", b"T=1", b"LYRICS=l"]),
    ],
)  # fmt: skip
def test_names(edit: Fields, before: list[bytes], after: list[bytes]) -> None:
    assert comments_after(edit, *before) == after


@pytest.mark.parametrize(
    ("edit", "comments"),
    [
        ({"title": ("a\0b",)}, []),
        ({"title": ("a", "a")}, []),
        ({"title": (" ",)}, []),
        ({"title": ("\ud800",)}, []),
        ({"title": ("x" * 300_000,)}, []),
        ({"title": tuple(map(str, range(501)))}, []),
        ({"track": ("3/12",)}, []),
        ({"compilation": ("0",)}, []),
        ({"date": ("0000",)}, []),
        ({"a=b": ("x",)}, []),
        ({"gruß": ("x",)}, []),
        ({"coverart": ("x",)}, [b"COVERART=abcd"]),
        ({"year": ("1",)}, []),
        ({"label": ()}, [b"LABEL=lab", b"ORGANIZATION=org"]),
        ({"label": ("organic",)}, [b"LABEL=lab", b"ORGANIZATION=org"]),
        ({"organization": ("x",)}, [b"ORGANIZATION=org"]),
    ],
)
def test_what_comments_cannot_hold_is_said_and_left_out(edit: Fields, comments: list[bytes]) -> None:
    data = flac_file(flac_block(COMMENT, vorbis_comments(*comments, b"GENRE=g"), last=True))
    plan, made = spliced(data, "a.flac", Edit({**edit, "genre": ("h",)}))
    assert set(plan.unfit) == set(edit)
    assert all(plan.unfit.values())
    assert made == data.replace(b"GENRE=g", b"GENRE=h")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda text: not text.isspace()
)
LARGE = st.builds(lambda text, times: (text * times)[:200_000], TEXT, st.sampled_from([1, 1, 1, 400, 20_000]))
VALUES = st.lists(LARGE, max_size=4, unique=True).map(tuple)
NAMES = st.sampled_from([*sorted(FIELDS), "organization", "year", "description", "publisher"]) | st.text(
    "abcdefgh +-#", min_size=1, max_size=12
).map(lambda name: f"x{name}")
KEYS = st.sampled_from(
    ["TITLE", "title", "YEAR", "DATE", "TRACKNUMBER", "TRACK", "TOTALTRACKS", "TRACKTOTAL", "ORGANIZATION", "LABEL",
     "DISCNUMBER", "ALBUM ARTIST", "ALBUMARTIST", "COMMENT", "DESCRIPTION", "ENCODER", "PUBLISHER", "xa", "COVERART"]
)  # fmt: skip
COMMENTS = st.lists(
    st.binary(max_size=40)
    | st.builds(
        lambda key, value: f"{key}={value}".encode(), KEYS, TEXT | st.sampled_from(["3/12", "1999", "3", "/2"])
    ),
    max_size=12,
)
BLOCKS = st.lists(
    st.tuples(st.just(COMMENT), COMMENTS.map(lambda comments: vorbis_comments(*comments)))
    | st.tuples(st.sampled_from([PADDING, APPLICATION, 3, 5, 60]), st.binary(max_size=600))
    | st.tuples(st.just(PICTURE), st.builds(lambda kind: picture_block(make_jpeg(), kind=kind), st.integers(0, 6))),
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    blocks=BLOCKS, fields=st.dictionaries(NAMES, VALUES, max_size=5), seed=st.integers(0, 9), cover=st.integers(0, 2)
)
def test_any_edit_of_any_file(blocks: list[tuple[int, bytes]], fields: Fields, seed: int, cover: int) -> None:
    audio = b"\xff\xf8" + random.Random(seed).randbytes(3000)
    made_blocks = [flac_block(kind, body, last=at == len(blocks) - 1) for at, (kind, body) in enumerate(blocks)]
    data = flac_file(*made_blocks, audio=audio)
    edit = Edit(fields, cover=COVER if cover == 1 else None, remove_cover=cover == 2)
    plan, made = spliced(data, "a.flac", edit)
    own = read_bytes(data, "a.flac")
    done = {field: values for field, values in fields.items() if field not in plan.unfit}
    assert read_bytes(made, "a.flac").tags == overlaid(own.tags, Edit(done))
    assert made.endswith(audio)
    kept = [block[1:] for block in made_blocks if block[0] & 0x7F not in (COMMENT, PICTURE)]
    at = 42
    for block in kept:
        at = made.index(block, at) + len(block)
    fronts = [one for one in read_bytes(made, "a.flac").pictures if one.kind == 3]
    assert cover == 0 or len(fronts) == (cover == 1)
    assert_read_in_parts(data, plan, made, random.Random(seed), count=10)


def test_damaged_files(rich: Path) -> None:
    data, choice, done = rich.read_bytes(), random.Random(5), 0
    edits = (
        Edit({"title": ("New",), "date": ("2005",)}),
        Edit({"comment": ("c" * 5000,)}, cover=COVER),
        Edit({}, remove_cover=True),
    )
    for number in range(MUTATIONS):
        damaged = data[: choice.randrange(len(data))] if number % 4 == 0 else mutated(data, choice)
        found = try_splice(damaged, "a.flac", edits[number % 3])
        if found is not None:
            done += 1
            own, made = read_bytes(damaged, "a.flac"), read_bytes(found[1], "a.flac")
            assert found[1][made.layout.audio_start :] == damaged[own.layout.audio_start :]
    assert done > MUTATIONS // 3


def test_only_the_headers_are_read() -> None:
    data = flac_file(flac_block(COMMENT, vorbis_comments(b"TITLE=x"), last=True), audio=b"\xff\xf8" + bytes(30_000_000))
    source = CountingSource(data)
    plan = splice(source, "a.flac", Edit({"title": ("y",)}))
    assert source.bytes_read < 300_000
    assert sum(piece.size for piece in plan.pieces if isinstance(piece, Literal)) < 100
    assert SplicedSource(plan, source).size == len(data)
