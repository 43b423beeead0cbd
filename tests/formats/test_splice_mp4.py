"""MP4 with changed tags: what other programs read in it, and that nothing but the tags has changed."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.mp4 import MP4, AtomDataType, MP4FreeForm

from musicfs.errors import FormatError
from musicfs.formats import extract_picture
from musicfs.formats.plans import Edit, Image, Literal, Plan
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.model import Facts
from musicfs.testing.audio import make_audio, run_ffmpeg
from musicfs.testing.images import make_jpeg, make_png
from tests.formats import mp4_layout
from tests.formats.building import box, mp4_data
from tests.formats.reading import CountingSource, read_bytes

TAGS: dict[str, str | Sequence[str]] = {
    "title": "Title", "artist": ("One", "Two"), "album": "Album", "album_artist": "Three", "track": "3",
    "track_total": "12", "disc": "1", "date": "2001-02-03", "genre": "Rock", "comment": "c", "compilation": "1",
    "bpm": "128", "label": "Label", "mb_album_id": "b4fd5ab6-9fd8-4a2b-a43e-2a7a0e5d2a3e", "mood": "x", "encoder": "e",
}  # fmt: skip
EDITS: dict[str, Mapping[str, tuple[str, ...]]] = {
    "one word": {"title": ("Another title, which is longer than before",)},
    "shorter": {"title": ("T",), "comment": ()},
    "much longer": {"lyrics": ("la la la\n" * 5000,)},
    "many": {
        "artist": ("Ä", "B", "C"), "track": ("9",), "track_total": ("10",), "disc_total": ("2",), "bpm": ("99",),
        "compilation": (), "genre": ("Jazz", "Blues"), "mb_album_id": (), "mood": ("y", "z"), "isrc": ("DE1234567890",),
        "mb_recording_id": ("53f0bd53-1a8b-4bd4-94ae-6ec7b3f8e4d0",), "my own": ("1",), "label": ("Another",),
    },
}  # fmt: skip


def variants(folder: Path) -> dict[str, Path]:
    """Real files of every layout that ffmpeg writes."""
    made = {
        kind: make_audio(folder / f"{kind}.{suffix}", kind, tags=TAGS, picture=make_jpeg(), seconds=2)
        for kind, suffix in (("m4a", "m4a"), ("alac", "m4a"), ("m4b", "m4b"))
    }
    made["untagged"] = make_audio(folder / "untagged.m4a", "m4a", seconds=2)
    chapters = folder / "chapters.txt"
    marks = "".join(f"[CHAPTER]\nTIMEBASE=1/10\nSTART={n * 5}\nEND={n * 5 + 5}\ntitle=Chapter {n}\n" for n in range(4))
    chapters.write_text(f";FFMETADATA1\ntitle=Book\nartist=Author\n{marks}")
    book = ["-i", str(made["m4b"]), "-i", str(chapters), "-map", "0:a", "-map_metadata", "1", "-map_chapters", "1"]
    picture = folder / "cover.png"
    picture.write_bytes(make_png(3))
    flags = {
        "first": "+faststart", "fragments": "+frag_keyframe+empty_moov", "default base": "+empty_moov+default_base_moof",
        "dash": "+dash+global_sidx+empty_moov", "no base": "+empty_moov+omit_tfhd_offset", "rtp": "+rtphint",
    }  # fmt: skip
    for name, flag in flags.items():
        target = made[name] = folder / f"{name}.m4a"
        cut = ("-frag_duration", "300000") if "empty_moov" in flag else ()
        run_ffmpeg(
            ["-i", str(made["m4a"]), "-map", "0:a", "-c", "copy", *cut, "-movflags", flag, "-f", "mp4", str(target)]
        )
    for name, flag in (("chapters", "+faststart"), ("chapters last", "+disable_chpl")):
        target = made[name] = folder / f"{name}.m4b"
        run_ffmpeg([*book, "-c", "copy", "-movflags", flag, "-f", "ipod", str(target)])
    for name, first in (("cover", "+faststart"), ("cover last", "")):
        target = made[name] = folder / f"{name}.m4a"
        pictured = ["-i", str(made["untagged"]), "-i", str(picture), "-map", "0", "-map", "1", "-c", "copy"]
        pictured += ["-disposition:v", "attached_pic", "-metadata", "title=T"]
        run_ffmpeg([*pictured, *(("-movflags", first) if first else ()), "-f", "ipod", str(target)])
    made["video"] = folder / "video.m4a"
    run = ["-i", str(made["untagged"]), "-f", "lavfi", "-i", "testsrc=s=64x64:d=2", "-map", "0:a", "-map", "1:v"]
    run_ffmpeg([*run, "-c:a", "copy", "-c:v", "mpeg4", "-movflags", "+faststart", "-f", "mp4", str(made["video"])])
    padded = made["padded"] = folder / "padded.m4a"
    shutil.copy(made["first"], padded)
    file = MP4(padded)
    file.save(padding=lambda info: 2000)
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return variants(tmp_path_factory.mktemp("mp4"))


VARIANTS = (
    "m4a", "alac", "m4b", "untagged", "first", "fragments", "default base", "dash", "no base", "rtp", "chapters",
    "chapters last", "cover", "cover last", "video", "padded",
)  # fmt: skip
MOVING = frozenset({b"stco", b"co64", b"tfhd", b"tfra", b"free", b"skip"})


def whole(plan: Plan, data: bytes) -> bytes:
    source = SplicedSource(plan, CountingSource(data))
    return source.read(0, source.size)


def spliced(data: bytes, edit: Edit, name: str = "x.m4a") -> tuple[bytes, Plan]:
    plan = splice(CountingSource(data), name, edit)
    return whole(plan, data), plan


def wanted_tags(own: Facts, edit: Edit, plan: Plan) -> dict[str, tuple[str, ...]]:
    fields = {field: values for field, values in edit.fields.items() if field not in plan.unfit}
    return {field: values for field, values in {**own.tags, **fields}.items() if values}


def kept(data: bytes, *items: bytes) -> list[tuple[tuple[bytes, ...], bytes]]:
    """Every atom that is to stay as it is: all but offsets and ``items``, named as they are, or as free-form items are."""
    return [
        (atom.path, atom.body)
        for atom in mp4_layout.leaves(mp4_layout.parse(data))
        if atom.name not in MOVING and not (atom.path[-2:-1] == (b"ilst",) and item_name(atom) in items)
    ]


def item_name(atom: mp4_layout.Atom) -> bytes:
    if atom.name != b"----":
        return atom.name
    _, name, *_ = mp4_layout.parse(atom.body)
    return name.body[4:].lower()


def check(data: bytes, edit: Edit, *, items: Sequence[bytes] = (), is_fragmented: bool = False) -> bytes:
    """Splice, and prove it with other means than the splicer's own."""
    made, plan = spliced(data, edit)
    own, facts = read_bytes(data, "x.m4a"), read_bytes(made, "x.m4a")
    assert facts.tags == wanted_tags(own, edit, plan)
    assert facts.audio_id == own.audio_id
    before, after = mp4_layout.samples(data), mp4_layout.samples(made)
    assert before == after
    assert sum(map(len, before)) > 0
    assert mp4_layout.fragment_places(data) == mp4_layout.fragment_places(made)
    if items:
        assert kept(data, *items) == kept(made, *items)
    return made


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_layouts(variant: str, edit: str, files: dict[str, Path]) -> None:
    data = files[variant].read_bytes()
    made = check(data, Edit(EDITS[edit]))
    cuts = random.Random(variant).sample(range(len(made)), 20)
    source = SplicedSource(splice(CountingSource(data), "x.m4a", Edit(EDITS[edit])), CountingSource(data))
    for start, stop in itertools.pairwise(sorted({0, *cuts, len(made)})):
        assert source.read(start, stop) == made[start:stop]


def probe(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    del found["format"]["filename"], found["format"]["size"], found["format"]["bit_rate"]
    return found


def audio_hashes(path: Path) -> tuple[bytes, bytes]:
    decoded = run_ffmpeg(["-i", str(path), "-map", "0:a", "-f", "md5", "-"])
    return decoded, run_ffmpeg(["-i", str(path), "-map", "0", "-map", "-0:d", "-c", "copy", "-f", "hash", "-"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_other_programs_read(variant: str, files: dict[str, Path], tmp_path: Path) -> None:
    import taglib

    fields = {"title": ("Täst",), "artist": ("A", "B"), "label": ("Other",), "track": ("7",), "track_total": ("8",)}
    data = files[variant].read_bytes()
    path = tmp_path / files[variant].name
    path.write_bytes(check(data, Edit({**fields, "comment": ()})))

    before, after = MP4(files[variant]), MP4(path)
    expected = dict(before.tags or {})
    expected.pop("\xa9cmt", None)
    expected |= {"\xa9nam": ["Täst"], "\xa9ART": ["A", "B"], "trkn": [(7, 8)]}
    expected["----:com.apple.iTunes:LABEL"] = [MP4FreeForm(b"Other", AtomDataType.UTF8)]
    assert dict(after.tags) == expected
    assert after.info.length == before.info.length

    old, new = probe(files[variant]), probe(path)
    tags = {key.lower(): value for key, value in old["format"].pop("tags", {}).items() if key != "comment"}
    made = {key.lower(): value for key, value in new["format"].pop("tags").items()}
    assert made["track"] == "7/8"
    assert made == tags | {"title": "Täst", "artist": made["artist"], "label": "Other", "track": "7/8"}
    assert new == old
    assert audio_hashes(path) == audio_hashes(files[variant])

    with taglib.File(str(path)) as shown:
        assert (shown.tags["TITLE"], shown.tags["ARTIST"], shown.tags["TRACKNUMBER"]) == (["Täst"], ["A", "B"], ["7/8"])
        assert shown.tags["LABEL"] == ["Other"]
        assert "COMMENT" not in shown.tags
    if variant not in ("default base", "dash"):  # whose brand, iso5, it does not read
        done = subprocess.run(["AtomicParsley", str(path), "-t"], capture_output=True, check=True, timeout=60)
        assert 'Atom "trkn" contains: 7 of 8' in done.stdout.decode()
        assert 'Atom "©nam" contains: Täst' in done.stdout.decode()


@pytest.mark.parametrize("variant", ["m4a", "first", "padded", "fragments", "untagged"])
def test_covers(variant: str, files: dict[str, Path], tmp_path: Path) -> None:
    data = files[variant].read_bytes()
    for image, kind in ((make_png(5), 14), (make_jpeg("blue", size_bytes=300_000), 13)):
        edit = Edit({"title": ("T",)}, Image(image, "image/x"))
        plan = splice(CountingSource(data), "x.m4a", edit)
        assert plan.extra == image
        assert sum(len(piece.data) for piece in plan.pieces if isinstance(piece, Literal)) < 5000
        made = check(data, edit)
        facts = read_bytes(made, "x.m4a")
        assert [extract_picture(CountingSource(made), one) for one in facts.pictures] == [image]
        path = tmp_path / "x.m4a"
        path.write_bytes(made)
        assert [(bytes(one), one.imageformat) for one in MP4(path).tags["covr"]] == [(image, kind)]
        assert read_bytes(check(made, Edit({}, remove_cover=True)), "x.m4a").pictures == ()
    plan = splice(CountingSource(data), "x.m4a", Edit({"title": ("T",)}, Image(b"GIF89a" + bytes(20), "image/gif")))
    assert list(plan.unfit) == ["cover"]
    assert not plan.extra
    assert len(read_bytes(whole(plan, data), "x.m4a").pictures) == len(read_bytes(data, "x.m4a").pictures)


# What follows is built byte by byte.


def text(name: bytes, *values: str, kind: int = 1, locale: int = 0) -> bytes:
    coding = "utf-16-be" if kind == 2 else "utf-8"
    datas = (box(b"data", struct.pack(">II", kind, locale) + value.encode(coding)) for value in values)
    return box(name, b"".join(datas))


def free_form(name: str, *values: str, mean: bytes = b"com.apple.iTunes", kind: int = 1) -> bytes:
    head = box(b"mean", bytes(4) + mean) + box(b"name", bytes(4) + name.encode())
    return box(b"----", head + b"".join(mp4_data(kind, value.encode()) for value in values))


def pair(name: bytes, *numbers: int, tail: bytes = b"") -> bytes:
    return box(name, mp4_data(0, struct.pack(f">{len(numbers)}H", *numbers) + tail))


class Layout:
    """A file with real offsets: chunks of ten frames, after or before the movie box."""

    def __init__(self, **options: Any) -> None:
        self.options: dict[str, Any] = {
            "items": b"", "first": True, "wide": False, "long": frozenset(), "free_in_list": b"", "free_in_meta": b"",
            "free_in_udta": b"", "free_in_movie": b"", "free_behind": b"", "before_list": b"", "quicktime": False,
            "user_data": True, "tracks": 1, "ftyp": True, "to_end": False, "table": b"", "behind": b"", "frames": 40,
            "twice": False, "index": b"",
        } | options  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        return self.options[name]

    def _box(self, name: bytes, body: bytes) -> bytes:
        is_long: bool = name in self.long
        return box(name, body, long=is_long)

    def _movie(self, offsets: list[list[int]]) -> bytes:
        tracks = b""
        for number, track_offsets in enumerate(offsets, 1):
            entry = b"mp4a" + bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 2, 16, 0, 0, 44100 << 16)
            table = box(b"stsd", struct.pack(">III", 0, 1, len(entry) + 4) + entry)
            table += box(b"stsc", struct.pack(">5I", 0, 1, 1, 10, 1))
            sizes = [50 + index % 7 for index in range(self.frames)]
            table += box(b"stsz", struct.pack(f">{3 + len(sizes)}I", 0, 0, len(sizes), *sizes))
            letter, name = ("Q", b"co64") if self.wide else ("I", b"stco")
            table += self._box(
                name, struct.pack(f">II{len(track_offsets)}{letter}", 0, len(track_offsets), *track_offsets)
            )
            references = box(b"dref", struct.pack(">II", 0, 1) + box(b"url ", struct.pack(">I", 1)))
            minf = self._box(b"minf", box(b"dinf", references) + self._box(b"stbl", table + self.table))
            media = box(b"mdhd", struct.pack(">5I", 0, 0, 0, 1000, 2000) + bytes(4))
            media += box(b"hdlr", bytes(8) + b"soun" + bytes(12)) + minf
            tracks += self._box(
                b"trak", box(b"tkhd", bytes(12) + struct.pack(">I", number) + bytes(68)) + box(b"mdia", media)
            )
        meta = b"" if self.quicktime else bytes(4)
        meta += box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9)) + self.before_list
        meta += self._box(b"ilst", self.items + self.free_in_list) + self.free_in_meta
        user = self._box(b"udta", box(b"Xtra", b"x") + self._box(b"meta", meta) + self.free_in_udta + bytes(4))
        body: bytes = box(b"mvhd", bytes(100)) + tracks + (user if self.user_data else b"") + self.free_in_movie
        if self.to_end and not self.first:
            return struct.pack(">I4s", 0, b"moov") + body
        return self._box(b"moov", body)

    def build(self) -> bytes:
        head = box(b"ftyp", b"M4A \0\0\0\0") if self.ftyp else box(b"wide", b"")
        head += self.index
        sizes = [50 + index % 7 for index in range(self.frames)]
        frames = random.Random(1).randbytes(sum(sizes) * self.tracks)
        chunks = [sum(sizes[index : index + 10]) for index in range(0, len(sizes), 10)]
        starts = [list(itertools.accumulate(chunks, initial=n * sum(sizes)))[:-1] for n in range(self.tracks)]
        media = self._box(b"mdat", frames)
        extra = media if self.twice else b""
        movie_bytes = len(self._movie(starts)) + len(self.free_behind) if self.first else 0
        base = len(head) + len(extra) + movie_bytes + len(media) - len(frames)
        movie = self._movie([[base + start for start in track] for track in starts])
        if self.first:
            if self.to_end:
                media = struct.pack(">I4s", 0, b"mdat") + frames
                assert b"mdat" not in self.long
            return b"".join((head, extra, movie, self.free_behind, media, self.behind))
        return bytes(head + extra + media + self.behind + movie + self.free_behind)


BUSY = (
    box(b"covr", mp4_data(13, make_jpeg()) + box(b"name", b"n") + mp4_data(14, make_png(1))),
    text(b"\xa9nam", "Title", locale=0x0E0F),
    free_form("iTunNORM", " 000002F5"),
    free_form("MusicBrainz Album Id", "id"),
    free_form("Mood", "x", "y", mean=b"org.example"),
    free_form("BINARY", "\1\0\2", kind=0),
    box(b"free", bytes(5)),
    pair(b"trkn", 7, 3, 12, 9),
    pair(b"disk", 0, 1, 2),
    box(b"gnre", mp4_data(0, b"\0\x12")),
    box(b"tmpo", mp4_data(21, b"\0\0\0\x80")),
    box(b"stik", mp4_data(21, b"\1")),
    box(b"rtng", mp4_data(21, b"\4")),
    text(b"\xa9cmt", "Größe", kind=2),
    box(b"xyzw", box(b"odd ", bytes(9)) + mp4_data(1, b"own") + mp4_data(21, b"\7")),
    box(b"\xa9lyr", b"broken"),
)


def test_other_items_stay() -> None:
    data = Layout(items=b"".join(BUSY)).build()
    own = read_bytes(data, "x.m4a")
    edits: dict[bytes, Edit] = {
        b"\xa9nam": Edit({"title": ("Other", "Second")}),
        b"trkn": Edit({"track_total": ("77",)}),
        b"disk": Edit({"disc": ("9",), "disc_total": ()}),
        b"tmpo": Edit({"bpm": ("70000",)}),
        b"\xa9cmt": Edit({"comment": ("Maß", "zwei")}),
        b"xyzw": Edit({"xyzw": ("1", "2")}),
        b"covr": Edit({}, Image(make_jpeg("green"), "image/jpeg")),
        b"cpil": Edit({"compilation": ("1",)}),
        b"\xa9lyr": Edit({"lyrics": ("mended",)}),
    }
    for item, edit in edits.items():
        made = check(data, edit, items=(item,))
        assert read_bytes(made, "x.m4a").pictures[1:] == own.pictures[1:] or item == b"covr" or len(made) != len(data)
    both = Edit({field: values for edit in edits.values() for field, values in edit.fields.items()})
    check(data, both, items=tuple(edits))


def items_of(data: bytes) -> list[tuple[bytes, bytes]]:
    movie = next(atom for atom in mp4_layout.parse(data) if atom.name == b"moov")
    return [(atom.name, atom.body) for ilst in movie.all(b"udta", b"meta", b"ilst") for atom in ilst.inner]


def item(data: bytes, name: bytes) -> list[bytes]:
    return [body for one, body in items_of(data) if one == name]


def test_values_keep_the_form_of_what_they_replace() -> None:
    data = Layout(items=b"".join(BUSY)).build()
    made, plan = spliced(
        data,
        Edit({
            "title": ("Other", "Second"), "track_total": ("77",), "disc": (), "disc_total": (), "genre": ("Polka", "Own"),
            "bpm": ("99",), "comment": ("Maß",), "xyzw": ("1",), "mb_album_id": ("a", "b"), "mood": ("z",),
        }),
    )  # fmt: skip
    assert not plan.unfit
    assert item(made, b"\xa9nam") == [text(b"", "Other", "Second", locale=0x0E0F)[8:]]
    assert item(made, b"trkn") == [mp4_data(0, struct.pack(">4H", 7, 3, 77, 9))]
    assert item(made, b"disk") == []
    assert item(made, b"gnre") == []
    assert item(made, b"tmpo") == [mp4_data(21, b"\0\0\0\x63")]
    assert item(made, b"\xa9cmt") == [text(b"", "Maß", kind=2)[8:]]
    assert item(made, b"xyzw") == [box(b"odd ", bytes(9)) + mp4_data(1, b"1") + mp4_data(21, b"\7")]
    names = [name for name, _ in items_of(made)]
    assert names == [b"\xa9gen" if name == b"gnre" else name for name, _ in items_of(data) if name != b"disk"]
    free = item(made, b"----")
    assert free_form("MusicBrainz Album Id", "a", "b")[8:] in free
    assert free_form("Mood", "z", mean=b"org.example")[8:] in free
    assert free_form("iTunNORM", " 000002F5")[8:] in free


def test_second_names_and_doubles_go_with_their_field() -> None:
    items = text(b"\xa9day", "2001-05-01") + free_form("YEAR", "2001") + text(b"\xa9nam", "a") + text(b"\xa9nam", "b")
    items += (
        free_form("TRACKNUMBER", "3/12")
        + free_form("publisher", "p")
        + free_form("DESCRIPTION", "d")
        + text(b"\xa9cmt", "c")
    )
    data = Layout(items=items).build()
    own = read_bytes(data, "x.m4a").tags
    assert own == {
        "date": ("2001-05-01",), "title": ("a", "b"), "track": ("3",), "track_total": ("12",), "label": ("p",),
        "description": ("d",), "comment": ("c",),
    }  # fmt: skip
    made = check(data, Edit({"date": ("1999",), "title": ("t",), "track": ("4",), "comment": ("k",)}))
    assert read_bytes(made, "x.m4a").tags == {
        "date": ("1999",), "title": ("t",), "track": ("4",), "track_total": ("12",), "label": ("p",),
        "description": ("d",), "comment": ("k",),
    }  # fmt: skip
    assert item(made, b"trkn") == [mp4_data(0, struct.pack(">4H", 0, 4, 12, 0))]
    assert read_bytes(check(data, Edit({"description": ()})), "x.m4a").tags == {
        field: values for field, values in own.items() if field != "description"
    }
    # Without its comment the description would be taken for it.
    assert list(spliced(data, Edit({"comment": (), "title": ("x",)}))[1].unfit) == ["comment"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("track", ("A1",)), ("track", ("03",)), ("track", ("1", "2")), ("track_total", ("70000",)), ("bpm", ("fast",)),
        ("bpm", ("127.5",)), ("bpm", ("0",)), ("title", ("a\0b",)), ("title", ("a", "a")), ("title", (" ",)),
        ("title", ("\udc80",)), ("year", ("2001",)), ("My Tag", ("x",)), ("itunnorm", ("x",)), ("binary", ("x",)),
        ("lyrics", ("x" * 300_000,)), ("compilation", ("maybe",)), ("", ("x",)), ("\udc80", ("x",)),
    ],
)  # fmt: skip
def test_what_does_not_fit(field: str, values: tuple[str, ...]) -> None:
    data = Layout(items=b"".join(BUSY)).build()
    made, plan = spliced(data, Edit({field: values, "album": ("new",)}))
    assert list(plan.unfit) == [field]
    assert plan.unfit[field]
    assert read_bytes(made, "x.m4a").tags == {**read_bytes(data, "x.m4a").tags, "album": ("new",)}


def test_nothing_to_do_leaves_the_file_as_it_is() -> None:
    data = Layout(items=b"".join(BUSY)).build()
    for edit in (Edit({}), Edit({"title": ("Title",)}), Edit({"album": ()}), Edit({"track": ("A1",)})):
        assert len(splice(CountingSource(data), "x.m4a", edit).pieces) == 1
    bare = Layout(user_data=False).build()
    assert spliced(bare, Edit({"title": (), "cover": ()}, remove_cover=True))[0] == bare


@pytest.mark.parametrize("size", [8, 9, 33, 34, 41, 100, 5000])
@pytest.mark.parametrize("place", ["free_in_meta", "before_list", "free_in_udta", "free_in_movie", "free_behind"])
def test_a_free_box_takes_up_the_difference(place: str, size: int) -> None:
    """The title becomes 33 bytes longer: a box of as many disappears, and one of less than eight more does not serve."""
    data = Layout(items=text(b"\xa9nam", "a"), **{place: box(b"skip", bytes(size - 8))}).build()
    made = check(data, Edit({"title": ("a" * 34,)}), items=(b"\xa9nam",) if size == 33 else ())
    is_absorbed = size == 33 or size >= 41
    assert (len(made) == len(data)) == is_absorbed
    assert (made.index(b"mdat") == data.index(b"mdat")) == is_absorbed
    shorter = check(made, Edit({"title": ()}))
    assert len(shorter) == len(made)


def test_a_removed_cover_leaves_no_hole() -> None:
    items = text(b"\xa9nam", "a") + box(b"covr", mp4_data(13, make_jpeg(size_bytes=200_000)))
    data = Layout(items=items, free_in_meta=box(b"free", bytes(50))).build()
    made = check(data, Edit({}, remove_cover=True))
    assert len(data) - len(made) > 200_000


def test_a_large_audiobook() -> None:
    """Twenty hours in chunks of one frame: 5 MB of offsets in two tables."""
    count = 600_000
    data = Layout(items=text(b"\xa9nam", "a")).build()
    sizes, chunk = data.index(b"stsc"), data.index(b"stco")
    assert sizes < chunk
    offsets = struct.pack(f">II{count}I", 0, count, *range(1 << 24, (1 << 24) + count))
    large = Layout(
        items=text(b"\xa9nam", "a"), table=box(b"co64", struct.pack(">II", 0, count // 2) + bytes(4 * count))
    )
    table = large.table
    large.options["table"] = table + box(b"stco", offsets)
    book = large.build()
    source = CountingSource(book)
    plan = splice(source, "x.m4a", Edit({"title": ("longer",)}))
    assert source.bytes_read < 3 * len(table) + 200_000
    assert max(stop - start for start, stop in source.ranges) <= 256 * 1024
    assert sum(len(piece.data) for piece in plan.pieces if isinstance(piece, Literal)) < 8 * count
    assert whole(plan, book)[-2000:] == book[-2000:]


def test_what_cannot_be_moved_is_refused() -> None:
    longer = Edit({"title": ("longer",)})
    for options, reason in (
        ({"table": box(b"what", b"")}, "what"),
        ({"behind": box(b"what", b"")}, "what"),
        ({"behind": box(b"uuid", bytes(20))}, "uuid"),
        ({"behind": box(b"moov", b"")}, "2 movie boxes"),
        ({"table": box(b"stco", struct.pack(">III", 0, 1, 0xFFFFFFFF))}, "too large"),
        ({"table": box(b"stco", struct.pack(">III", 0, 9, 0))}, "no room"),
    ):
        data = Layout(items=text(b"\xa9nam", "a"), **options).build()
        with pytest.raises(FormatError, match=reason):
            splice(CountingSource(data), "x.m4a", longer)
        if reason in {"too large", "2 movie boxes"}:
            continue
        free = Layout(items=text(b"\xa9nam", "a"), free_in_meta=box(b"free", bytes(99)), **options).build()
        assert splice(CountingSource(free), "x.m4a", longer).size == len(free)
    inside = Layout(items=text(b"\xa9nam", "a")).build()
    wrong = inside.replace(
        b"stco" + inside[inside.index(b"stco") + 4 :][:12],
        b"stco" + struct.pack(">III", 0, 4, inside.index(b"\xa9nam")),
    )
    with pytest.raises(FormatError, match="among the tags"):
        splice(CountingSource(wrong), "x.m4a", longer)
    external = inside.replace(box(b"url ", struct.pack(">I", 1)), box(b"url ", struct.pack(">I", 0)))
    with pytest.raises(FormatError, match="another file"):
        splice(CountingSource(external), "x.m4a", longer)
    keyed = inside.replace(b"mdirappl", b"mdtaappl")
    with pytest.raises(FormatError, match="mdta"):
        splice(CountingSource(keyed), "x.m4a", longer)


def iloc(*, version: int, base: int, extents: Sequence[int], base_width: int, width: int, method: int = 0) -> bytes:
    body = bytes((version, 0, 0, 0, width << 4 | 4, base_width << 4)) + struct.pack(">I" if version == 2 else ">H", 1)
    body += struct.pack(">I" if version == 2 else ">H", 1) + (struct.pack(">H", method) if version else b"") + bytes(2)
    body += base.to_bytes(base_width) + struct.pack(">H", len(extents))
    return box(b"iloc", body + b"".join(extent.to_bytes(width) + struct.pack(">I", 4) for extent in extents))


def test_places_of_items_and_of_auxiliary_data_and_segments() -> None:
    title = Edit({"title": ("a" * 101,)})

    def moved(**options: Any) -> tuple[bytes, bytes]:
        data = Layout(items=text(b"\xa9nam", "a"), **options).build()
        made, _ = spliced(data, title)
        assert len(made) == len(data) + 100
        return data, made

    for version, base_width, width in itertools.product((0, 1, 2), (0, 4, 8), (0, 4, 8)):
        if base_width or width:
            extents = [5000, 5050] if width else [0]
            place = iloc(
                version=version, base=6000 if base_width else 0, extents=extents, base_width=base_width, width=width
            )
            data, made = moved(behind=box(b"meta", bytes(4) + place))
            want = iloc(
                version=version, base=6100 if base_width else 0, base_width=base_width, width=width,
                extents=extents if base_width else [5100, 5150],
            )  # fmt: skip
            assert made.endswith(want)
    inner = iloc(version=1, base=6000, extents=[0], base_width=4, width=0, method=1)
    assert moved(behind=box(b"meta", bytes(4) + inner))[1].endswith(inner)
    both = iloc(version=1, base=0, extents=[10, 5000], base_width=4, width=4)
    assert moved(behind=box(b"meta", bytes(4) + both))[1].endswith(
        iloc(version=1, base=0, extents=[10, 5100], base_width=4, width=4)
    )
    for version, flags in itertools.product((0, 1), (0, 1)):
        head = bytes((version, 0, 0, flags)) + (b"cenc" + bytes(4) if flags else b"")
        letter = "Q" if version else "I"
        before = box(b"saio", head + struct.pack(f">I3{letter}", 3, 20, 5000, 6000))
        after = box(b"saio", head + struct.pack(f">I3{letter}", 3, 20, 5100, 6100))
        data, made = moved(table=before)
        assert before in data
        assert after in made

    def sidx(version: int, distance: int) -> bytes:
        return box(
            b"sidx",
            bytes((version, 0, 0, 0)) + bytes(8) + (struct.pack(">QQ" if version else ">II", 0, distance)) + bytes(4),
        )

    for version in (0, 1):
        data = Layout(items=text(b"\xa9nam", "a"), behind=sidx(version, 77)).build()
        assert spliced(data, title)[0].endswith(sidx(version, 77))
        for distance, moved_to in ((9000, 9100), (3, None)):
            index = sidx(version, distance)
            data = Layout(items=text(b"\xa9nam", "a"), index=index).build()
            if moved_to is None:
                with pytest.raises(FormatError, match="index of segments"):
                    splice(CountingSource(data), "x.m4a", title)
            else:
                assert spliced(data, title)[0][16:].startswith(sidx(version, moved_to))


def test_tags_by_keys_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    keyed = tmp_path / "keyed.m4a"
    run_ffmpeg(
        [
            "-i",
            str(files["m4a"]),
            "-map",
            "0:a",
            "-c",
            "copy",
            "-movflags",
            "+use_metadata_tags",
            "-f",
            "mp4",
            str(keyed),
        ]
    )
    with pytest.raises(FormatError, match="mdta"):
        splice(CountingSource(keyed.read_bytes()), "x.m4a", Edit({"title": ("x",)}))


def nested() -> dict[str, Any]:
    made = b""
    for _ in range(3000):
        made = box(b"moof", made)
    return {"behind": made}


def fragments(count: int) -> dict[str, Any]:
    base = box(b"traf", box(b"tfhd", struct.pack(">IIQ", 1, 1, 1 << 20)))
    return {"behind": (box(b"moof", box(b"mfhd", bytes(8)) + base) + box(b"mdat", b"x")) * count}


def endless_items() -> dict[str, Any]:
    return {"behind": box(b"meta", bytes(4) + box(b"iloc", b"\1\0\0\0\0\0\xff\xff" + (bytes(6) + b"\xff\xff") * 65535))}


CRAFTED: dict[str, tuple[dict[str, Any], str]] = {
    "nested": (nested(), "nested too deeply"),
    "endless items": (endless_items(), "no offsets"),
    "many fragments": (fragments(20_000), "too much data"),
    "more fragments": (fragments(30_000), "more than"),
    "many tracks": ({"tracks": 400}, ""),
    "many lists": ({"items": text(b"\xa9nam", "a") * 9000}, ""),
    "too many items": ({"items": text(b"\xa9nam", "a") * 10_001}, "more than"),
    "some fragments": (fragments(5000), ""),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_files_are_bounded(case: str) -> None:
    options, reason = CRAFTED[case]
    data = Layout(**{"items": text(b"\xa9nam", "a")} | options).build()
    source = CountingSource(data)
    began = time.process_time()
    if reason:
        with pytest.raises(FormatError, match=reason):
            splice(source, "x.m4a", Edit({"title": ("longer",)}))
    else:
        assert len(splice(source, "x.m4a", Edit({"title": ("longer",)})).pieces) < 20_000
    assert time.process_time() - began < 2
    assert len(source.ranges) < 150_000


def test_encrypted_and_old_files_keep_their_structure(files: dict[str, Path]) -> None:
    for variant, new in (("m4a", b"drms"), ("first", b"enca")):
        data = files[variant].read_bytes()
        locked = data.replace(b"mp4a", new, 1)
        assert locked != data
        check(locked, Edit({"title": ("longer than it was before",)}), items=(b"\xa9nam",))


boxes_to_leave = st.sampled_from(
    [b"", box(b"free", b""), box(b"free", bytes(33)), box(b"skip", b"x" * 700), box(b"free", bytes(9), long=True)]
)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
values_of = st.lists(words.filter(lambda word: not word.isspace()), unique=True, max_size=3).map(tuple)
texts = st.sampled_from(
    ["title", "artist", "genre", "mood", "label", "mb_album_id", "xyzw", "comment", "own tag", "date"]
)
numbers = st.sampled_from(["track", "track_total", "disc", "disc_total", "bpm"])
number_values = st.one_of(st.just(()), st.integers(1, 70_000).map(lambda number: (str(number),)), values_of)
edits = st.builds(
    lambda a, b: {**a, **b},
    st.dictionaries(texts, values_of, max_size=5),
    st.dictionaries(numbers, number_values, max_size=3),
)
layouts = st.fixed_dictionaries({
    "items": st.lists(st.integers(0, len(BUSY) - 1), unique=True),
    "first": st.booleans(), "wide": st.booleans(), "quicktime": st.booleans(), "user_data": st.booleans(),
    "tracks": st.integers(1, 3), "ftyp": st.booleans(), "twice": st.booleans(), "free_in_list": boxes_to_leave,
    "free_in_meta": boxes_to_leave, "free_in_udta": boxes_to_leave, "free_in_movie": boxes_to_leave,
    "free_behind": boxes_to_leave, "before_list": boxes_to_leave, "to_end": st.booleans(),
    "long": st.sets(st.sampled_from([b"moov", b"udta", b"meta", b"ilst", b"trak", b"stbl", b"stco"])),
})  # fmt: skip
EDITED_ITEMS = {
    "title": b"\xa9nam", "artist": b"\xa9ART", "genre": b"\xa9gen", "xyzw": b"xyzw", "comment": b"\xa9cmt",
    "date": b"\xa9day", "track": b"trkn", "track_total": b"trkn", "disc": b"disk", "disc_total": b"disk", "bpm": b"tmpo",
}  # fmt: skip
FREE_NAMES = {"mb_album_id": b"musicbrainz album id"}


@settings(deadline=None, max_examples=300)
@given(
    options=layouts,
    fields=edits,
    is_pictured=st.booleans(),
    removed=st.booleans(),
    cuts=st.lists(st.floats(0, 1)),
)
def test_any_layout_and_any_edit(
    options: dict[str, Any], fields: dict[str, tuple[str, ...]], is_pictured: bool, removed: bool, cuts: list[float]
) -> None:
    data = Layout(**options | {"items": b"".join(BUSY[index] for index in options["items"])}).build()
    cover = make_png(2) if is_pictured else None
    edit = Edit(fields, Image(cover, "image/png") if cover else None, remove_cover=removed and cover is None)
    items = {name for field in fields for name in (EDITED_ITEMS.get(field, b""), FREE_NAMES.get(field, field.encode()))}
    items |= {b"covr"} | ({b"gnre"} if "genre" in fields else set())
    made = check(data, edit, items=tuple(items) if options["user_data"] else ())
    own, facts = read_bytes(data, "x.m4a"), read_bytes(made, "x.m4a")
    if cover:
        images = [extract_picture(CountingSource(made), one) for one in facts.pictures]
        assert images == [cover, *(extract_picture(CountingSource(data), one) for one in own.pictures[1:])]
    elif edit.remove_cover:
        assert not facts.pictures
    plan = splice(CountingSource(data), "x.m4a", edit)
    assert plan.size == len(made)
    assert set(plan.unfit) <= {"track", "track_total", "disc", "disc_total", "bpm", "date"}
    source = SplicedSource(plan, CountingSource(data))
    places = sorted({0, len(made), *(int(cut * len(made)) for cut in cuts)})
    for start, stop in itertools.pairwise(places):
        assert source.read(start, stop) == made[start:stop]
