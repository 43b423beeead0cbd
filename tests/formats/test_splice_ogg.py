"""Ogg Vorbis, Opus and Ogg FLAC with changed tags: pages, packets, and what other programs find in them."""

from __future__ import annotations

import base64
import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen import File as MutagenFile
from mutagen.flac import Picture as MutagenPicture

from musicfs.errors import FormatError
from musicfs.formats.images import describe_image
from musicfs.formats.oggcrc import checksum
from musicfs.formats.plans import Edit, Extra, Literal, Pages, Plan, Range
from musicfs.formats.spliced import Spliced
from musicfs.testing.audio import encoded, make_audio, run_ffmpeg
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.building import ogg_pages, picture_block, vorbis_comments
from tests.formats.reading import read_bytes
from tests.formats.spliced_files import (
    OggPage,
    assert_read_in_parts,
    audio_hashes,
    edited,
    filled,
    ogg_pages_of,
    overlaid,
    renumbered,
    run,
    slow_checksum,
    spliced,
    try_splice,
    with_checksum,
)  # fmt: skip
from tests.formats.test_damage import mutated
from tests.formats.test_splice_flac import COMMENTS, NAMES, VALUES, Fields

MUTATIONS = 1500
COVER = describe_image(make_png(3, width=250, height=250))  # of 188 KB: four pages
KINDS = ("ogg", "opus", "oga")
TAGS = {"title": "Old", "artist": ("One", "Two"), "track": "3", "track_total": "12", "odd": "y" * 700}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of two encoders each, with tags; some with a picture."""
    folder = tmp_path_factory.mktemp("ogg")
    made = {
        f"ffmpeg.{kind}": make_audio(folder / f"ffmpeg.{kind}", tags=TAGS, picture=make_jpeg(), seconds=3)
        for kind in KINDS
    }
    wav = make_audio(folder / "a.wav", seconds=3)
    run("oggenc", "-Q", "-t", "Old", "-c", "odd=1", wav, "-o", folder / "oggenc.ogg")
    run("opusenc", "--quiet", "--title", "Old", "--serial", "77", wav, folder / "opusenc.opus")
    run("flac", "-s", "--ogg", "--serial-number=9", "-T", "TITLE=Old", wav, "-o", folder / "flac.oga")
    names = ("oggenc.ogg", "opusenc.opus", "flac.oga")
    return made | {name: folder / name for name in names}


FILES = ("ffmpeg.ogg", "ffmpeg.opus", "ffmpeg.oga", "oggenc.ogg", "opusenc.opus", "flac.oga")
EDITS = {
    "text": Edit({"title": ("New\nname",), "artist": (), "track": ("4",)}),
    "large": Edit({"title": ("New",), "comment": ("é" * 90_000,)}),
    "removed": Edit({"title": ()}, remove_cover=True),
    "cover": Edit({"genre": ("g",)}, cover=COVER),
}


def pages_by_stream(data: bytes) -> dict[int, list[OggPage]]:
    streams: dict[int, list[OggPage]] = {}
    for page in ogg_pages_of(data):
        streams.setdefault(page.serial, []).append(page)
    return streams


def packets_of(pages: list[OggPage]) -> list[bytes]:
    """The packets of a stream, and that the flags say so."""
    packets, part, is_open = [], b"", False
    for page in pages:
        assert bool(page.flags & 1) == is_open
        at = 0
        for segment in page.lacing:
            part += page.payload[at : at + segment]
            at += segment
            is_open = segment == 255
            if not is_open:
                packets.append(part)
                part = b""
    return packets


def assert_sound(data: bytes) -> None:
    """Checksums, numbers and flags of all pages are right."""
    for pages in pages_by_stream(data).values():
        assert all(page.checksum_is_right for page in pages)
        assert [page.sequence for page in pages] == list(range(len(pages)))
        assert [page.flags & 2 for page in pages] == [2] + [0] * (len(pages) - 1)
        packets_of(pages)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", EDITS)
def test_other_programs_find_the_change_and_nothing_else(
    name: str, what: str, files: dict[str, Path], tmp_path: Path
) -> None:
    data, edit, path = files[name].read_bytes(), EDITS[what], tmp_path / name
    whole = edited(data, name, edit)
    path.write_bytes(whole)
    assert_sound(whole)
    before, after = MutagenFile(files[name]), MutagenFile(path)
    expected = dict(before.tags)
    names = {"track": "tracknumber"}
    expected |= {names.get(field, field): list(values) for field, values in edit.fields.items()}
    shown = dict(after.tags)
    pictures = shown.pop("metadata_block_picture", [])
    old_pictures = expected.pop("metadata_block_picture", [])
    assert shown == {key: values for key, values in expected.items() if values}
    if what == "cover":
        found = [MutagenPicture(base64.b64decode(one)) for one in pictures] or after_pictures(whole, name)
        assert [(one.type, one.data, one.width, one.mime) for one in found] == [(3, COVER.data, 250, "image/png")]
    else:
        assert pictures == ([] if what == "removed" else old_pictures)
    assert audio_hashes(path) == audio_hashes(files[name])
    run("oggz-validate", path)
    if name.endswith("opus"):
        assert "WARNING" not in run("opusinfo", path)
    elif name == "oggenc.ogg":
        assert "WARNING" not in run("ogginfo", path)
    elif name == "flac.oga":
        run("flac", "--ogg", "-ts", path)
    told = run("ffprobe", "-v", "error", "-show_entries", "stream_tags", "-of", "default=nw=1", path)
    assert ("tag:title=old" in told.lower()) == ("title" not in edit.fields)


def after_pictures(data: bytes, name: str) -> list[MutagenPicture]:
    """The pictures of Ogg FLAC, which has blocks for them."""
    assert name.endswith("oga")
    packets = packets_of(next(iter(pages_by_stream(data).values())))
    return [MutagenPicture(packet[4:]) for packet in packets[:10] if packet[0] & 0x7F == 6]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", EDITS)
def test_packets_but_the_comments_are_the_same_bytes(name: str, what: str, files: dict[str, Path]) -> None:
    data = files[name].read_bytes()
    plan, whole = spliced(data, name, EDITS[what])
    (before,), (after,) = pages_by_stream(data).values(), pages_by_stream(whole).values()
    old, new = packets_of(before), packets_of(after)
    if len(old) == len(new):
        assert [index for index, (one, other) in enumerate(zip(old, new, strict=True)) if one != other] == [1]
    else:
        assert name.endswith("oga") and what == "cover"
        assert new[0][:7] == old[0][:7] and new[0][9:] == old[0][9:]
        assert int.from_bytes(new[0][7:9]) == int.from_bytes(old[0][7:9]) + 1
        assert new[4:] == old[3:] or new[3:] == old[2:]
    shift = len(after) - len(before)
    start = read_bytes(data, name).layout.audio_start
    made_start = read_bytes(whole, name).layout.audio_start
    assert whole[made_start:] == renumbered(data, start, before[0].serial, shift)
    assert any(isinstance(piece, Pages) for piece in plan.pieces) == (shift != 0)
    if what in ("text", "removed") and "oggenc" in name:
        assert shift == 0
    assert_read_in_parts(data, plan, whole, random.Random(name + what))


def test_a_kept_picture_is_no_literal() -> None:
    text = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_block(make_jpeg(size_bytes=2_000_000)))
    data = with_comments("opus", vorbis_comments(b"TITLE=x", text))
    plan, whole = spliced(data, "a.opus", Edit({"title": ("longer",)}))
    assert_sound(whole)
    assert sum(piece.size for piece in plan.pieces if isinstance(piece, Literal)) < 45 * 282
    _, again = spliced(data, "a.opus", Edit({"title": ("longer",)}, cover=COVER))
    assert len(read_bytes(again, "a.opus").pictures) == 1
    plan, _ = spliced(data, "a.opus", Edit({}, cover=COVER))
    assert plan.extra == spliced(encoded("ogg"), "a.ogg", Edit({}, cover=COVER))[0].extra
    assert sum(piece.size for piece in plan.pieces if isinstance(piece, Extra)) == len(plan.extra)


def headers_with(data: bytes, packets: list[bytes], count: int) -> bytes:
    """``data``, whose first ``count`` packets behind the first page are replaced by ``packets``."""
    pages = list(ogg_pages_of(data))
    start, serial, ended = pages[1].start, pages[0].serial, 0
    for index, page in enumerate(pages[1:], 1):
        ended += sum(segment < 255 for segment in page.lacing)
        if ended == count:
            rest = pages[index + 1].start
            break
    made = b"".join(with_checksum(page) for page in split(ogg_pages(packets, serial=serial, sequence=1)))
    shift = len(split(made)) + 1 - pages[index + 1].sequence
    return data[:start] + made + renumbered(data, rest, serial, shift)


def split(data: bytes) -> list[bytes]:
    pages = list(ogg_pages_of(data))
    return [data[one.start : one.start + 27 + len(one.lacing) + len(one.payload)] for one in pages]


def with_comments(kind: str, comments: bytes) -> bytes:
    """A real file whose comment list, and what follows it, is this."""
    data = encoded(kind)
    packets = packets_of(list(ogg_pages_of(data)))
    if kind == "opus":
        return headers_with(data, [b"OpusTags" + comments], 1)
    return headers_with(data, [b"\x03vorbis" + comments, packets[2]], 2)


@pytest.mark.parametrize("tail", [b"", b"\0" * 500, b"\1binary\xff" + bytes(300), b"\0not zero"])
def test_what_follows_the_list_of_opus_stays(tail: bytes) -> None:
    data = with_comments("opus", vorbis_comments(b"TITLE=x", b"\xff\xfe", b"nothing") + tail)
    whole = edited(data, "a.opus", Edit({"title": ("y" * 3000,)}))
    packet = packets_of(list(ogg_pages_of(whole)))[1]
    assert packet == b"OpusTags" + vorbis_comments(b"TITLE=" + b"y" * 3000, b"\xff\xfe", b"nothing") + tail


@pytest.mark.parametrize("tail", [b"", b"\1", b"\1" + bytes(90), b"\0"])
def test_the_framing_bit_of_vorbis_and_what_follows_stays(tail: bytes) -> None:
    data = with_comments("ogg", vorbis_comments(b"TITLE=x") + tail)
    whole = edited(data, "a.ogg", Edit({"title": ("y",), "genre": ("g",)}))
    packet = packets_of(list(ogg_pages_of(whole)))[1]
    assert packet == b"\x03vorbis" + vorbis_comments(b"TITLE=y", b"GENRE=g") + tail


def test_pages_are_kept_in_number_where_they_can_be() -> None:
    data = with_comments("ogg", vorbis_comments(b"TITLE=" + b"x" * 200_000) + b"\1")
    for size in (200_300, 250_000, 150_000, 70_000, 5_000):
        plan, whole = spliced(data, "a.ogg", Edit({"title": ("y" * size,)}))
        assert_sound(whole)
        assert len(split(whole)) == len(split(data))
        assert not any(isinstance(piece, Pages) for piece in plan.pieces)
    # Three segments in four pages cannot be.
    plan, whole = spliced(
        with_comments("opus", vorbis_comments(b"TITLE=" + b"x" * 200_000)), "a.opus", Edit({"title": ("y" * 600,)})
    )
    (pages,) = (piece for piece in plan.pieces if isinstance(piece, Pages))
    assert pages.shift == -1
    assert_sound(whole)


def test_chained_streams_stay() -> None:
    first, second = encoded("ogg"), encoded("opus")
    other = b"".join(reserialised(page, 5) for page in split(second))
    data = first + other
    plan, whole = spliced(data, "a.ogg", Edit({"title": ("t",)}, cover=COVER))
    assert whole.endswith(other)
    assert_sound(whole)
    assert_read_in_parts(data, plan, whole, random.Random(1))


def reserialised(page: bytes, serial: int) -> bytes:
    return with_checksum(page[:14] + struct.pack("<I", serial) + page[18:])


@pytest.mark.parametrize("ours", ["ogg", "opus", "oga"])
@pytest.mark.parametrize("cover", [False, True])
def test_multiplexed_streams_stay_in_place(ours: str, cover: bool) -> None:
    """Pages of another stream lie among the headers and the audio."""
    title = b"TITLE=" + b"x" * 150_000
    data = encoded(ours)
    if ours != "oga":
        data = with_comments(ours, vorbis_comments(title, b"A=b") + b"\1")
    own = split(data)
    foreign = [reserialised(page, 42) for page in split(encoded("oga", seconds=2, seed=3))]
    foreign[0] = with_checksum(foreign[0][:28] + b"\x7fOTHER" + foreign[0][34:])
    mixed, rest = [foreign[0], own[0]], foreign[1:]
    for page in own[1:]:
        mixed.append(page)
        mixed += rest[:2]
        rest = rest[2:]
    data = b"".join(mixed + rest)
    edit = Edit({"title": ("t",)}, cover=COVER if cover else None)
    plan, whole = spliced(data, f"a.{ours}", edit)
    assert read_bytes(whole, f"a.{ours}").tags == overlaid(read_bytes(data, f"a.{ours}").tags, edit)
    streams = pages_by_stream(whole)
    assert [page.payload for page in streams[42]] == [page.payload for page in pages_by_stream(data)[42]]
    assert_sound(whole)
    assert packets_of(streams[0])[3:][-5:] == packets_of(pages_by_stream(data)[0])[-5:]
    assert_read_in_parts(data, plan, whole, random.Random(1))


def test_a_skeleton_with_an_index_is_refused() -> None:
    for version, refused in ((3, False), (4, True)):
        skeleton = ogg_pages([b"fishead\0" + struct.pack("<HH", version, 0) + bytes(52)], serial=9, flags=2)
        data = skeleton + encoded("ogg")
        if refused:
            with pytest.raises(FormatError, match="index"):
                spliced(data, "a.ogg", Edit({"title": ("t",)}))
        else:
            assert edited(data, "a.ogg", Edit({"title": ("t",)})).startswith(skeleton)


def test_audio_in_the_page_of_the_headers_is_refused() -> None:
    data = encoded("ogg")
    pages = list(ogg_pages_of(data))
    packets = packets_of(pages)
    joined = headers_with(data, [packets[1], packets[2], bytes(50)], 2)
    with pytest.raises(FormatError, match="audio begins"):
        spliced(joined, "a.ogg", Edit({"title": ("t",)}))


def test_checksums_against_real_pages(files: dict[str, Path]) -> None:
    for path in files.values():
        for page in split(path.read_bytes()):
            assert checksum(page) == slow_checksum(page) == struct.unpack_from("<I", page, 22)[0]
            assert with_checksum(page) == page


# Renumbering: pages as they may come, against the slow way.


@st.composite
def page_runs(draw: st.DrawFn) -> bytes:
    """Pages of two streams; payloads may hold what looks like pages, and whole ones."""
    choice = random.Random(draw(st.integers(0, 1 << 32)))
    made = []
    for _ in range(draw(st.integers(1, 12))):
        lacing = bytes(draw(st.lists(st.sampled_from([0, 1, 7, 254, 255]), max_size=255)))
        if choice.randrange(4) == 0:
            lacing = b"\xff" * choice.randrange(256)
        payload = bytearray(choice.randbytes(sum(lacing)))
        inner = draw(st.sampled_from([b"", b"", b"OggS", b"OggSOggS\0", b"OggS" + bytes(22) + b"\1\1"]))
        if draw(st.integers(0, 3)) == 0:
            pages = split(ogg_pages([choice.randbytes(choice.randrange(400))], serial=1))
            inner = b"".join(with_checksum(page) for page in pages) * choice.randrange(1, 4)
        if payload and inner:
            at = choice.randrange(len(payload))
            payload[at : at + len(inner)] = inner[: len(payload) - at]
        sequence = draw(st.sampled_from([0, 1, 77, 0xFFFFFFFF, 0xFFFFFFFE]))
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 5, choice.choice((1, 1, 1, 2)), sequence, 0, len(lacing))
        made.append(with_checksum(head + lacing + payload))
    return b"".join(made)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=page_runs(), shift=st.sampled_from([1, -1, 3, 300, -70_000]), before=st.integers(0, 3), seed=st.integers(0, 99)
)
def test_renumbered_reads(data: bytes, shift: int, before: int, seed: int) -> None:
    whole = renumbered(data, 0, 1, shift)
    original = b"O" * before + data
    plan = Plan((Range(0, before), Pages(before, len(original), 1, shift)))
    assert_read_in_parts(original, plan, b"O" * before + whole, random.Random(seed), count=40)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_pages_are_the_same_however_they_are_read(seed: int, files: dict[str, Path]) -> None:
    choice = random.Random(seed)
    data = bytearray(b"".join(split(files["oggenc.ogg"].read_bytes())[2:]) * 2)
    serial = struct.unpack_from("<I", data, 14)[0]
    for _ in range(choice.randrange(1, 6)):
        at, size = choice.randrange(len(data)), choice.choice((1, 4, 300, 70_000))
        kind = choice.randrange(3)
        data[at : at + size] = choice.randbytes(size if kind == 0 else 1) if kind < 2 else b""
    plan = Plan((Pages(0, len(data), serial, 3),))
    whole = filled(Spliced(plan), bytes(data), 0, len(data))
    assert_read_in_parts(bytes(data), plan, whole, choice, count=60)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["ogg", "opus"]),
    comments=COMMENTS,
    tail=st.sampled_from([b"", b"\1", bytes(700)]),
    fields=st.dictionaries(NAMES, VALUES, max_size=5),
    cover=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_any_edit_of_any_comments(
    kind: str, comments: list[bytes], tail: bytes, fields: Fields, cover: int, seed: int
) -> None:
    data = with_comments(kind, vorbis_comments(*comments) + tail)
    edit = Edit(fields, cover=COVER if cover == 1 else None, remove_cover=cover == 2)
    plan, whole = spliced(data, f"a.{kind}", edit)
    done = {field: values for field, values in fields.items() if field not in plan.unfit}
    assert read_bytes(whole, f"a.{kind}").tags == overlaid(read_bytes(data, f"a.{kind}").tags, Edit(done))
    assert_sound(whole)
    packets = packets_of(list(ogg_pages_of(whole)))
    assert packets[2:] == packets_of(list(ogg_pages_of(data)))[2:]
    assert packets[1].endswith(tail)
    assert_read_in_parts(data, plan, whole, random.Random(seed), count=10)


@pytest.mark.parametrize("name", ["ffmpeg.ogg", "opusenc.opus", "flac.oga"])
def test_damaged_files(name: str, files: dict[str, Path]) -> None:
    data, choice, done = files[name].read_bytes(), random.Random(name), 0
    edits = list(EDITS.values())
    for number in range(MUTATIONS):
        damaged = data[: choice.randrange(len(data))] if number % 4 == 0 else mutated(data, choice)
        found = try_splice(damaged, name, edits[number % len(edits)])
        if found is None:
            continue
        done += 1
        plan, whole = found
        start, made_start = read_bytes(damaged, name).layout.audio_start, read_bytes(whole, name).layout.audio_start
        assert len(whole) - made_start == len(damaged) - start
        if not any(isinstance(piece, Pages) for piece in plan.pieces):
            assert whole[made_start:] == damaged[start:]
        elif number % 10 == 0:
            assert_read_in_parts(damaged, plan, whole, choice, count=5)
    assert done > MUTATIONS // 4


def test_multiplexed_by_ffmpeg(tmp_path: Path) -> None:
    path, made = tmp_path / "a.ogg", tmp_path / "b.ogg"
    streams = ("-f", "lavfi", "-i", "sine=d=2", "-f", "lavfi", "-i", "anoisesrc=d=2")
    run_ffmpeg([*streams, "-map", "0", "-map", "1", "-c:a", "libvorbis", "-f", "ogg", str(path)])
    made.write_bytes(edited(path.read_bytes(), "a.ogg", Edit({"title": ("t",)}, cover=COVER)))
    assert_sound(made.read_bytes())
    assert audio_hashes(made) == audio_hashes(path)
    run("oggz-validate", made)
