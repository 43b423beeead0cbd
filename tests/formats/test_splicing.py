"""What changed tags are in every container: the same promises, held for one of each kind."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from musicfs.errors import ChangedError, FormatError
from musicfs.formats import HEAD_BYTES, HeadTail, NeedRange, extract_picture, splicing
from musicfs.formats.plans import Edit, Image, Pages, Piece, Plan, Range, pack_pieces, unpack_pieces
from musicfs.formats.source import View
from musicfs.formats.spliced import Spliced, SplicedSource
from musicfs.formats.splicing import splice
from musicfs.model import Facts
from musicfs.testing.audio import KINDS, make_audio, run_ffmpeg
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.reading import CountingSource, read_bytes

TAGS = {
    "title": "Title", "artist": ("One", "Two"), "album": "Album", "album_artist": "Three", "track": "3", "track_total": "12",
    "disc": "1", "date": "2001-02-03", "genre": ("Rock", "Own genre"), "comment": "c", "lyrics": "la " * 50, "bpm": "128",
    "label": "Label", "mb_album_id": "b4fd5ab6-9fd8-4a2b-a43e-2a7a0e5d2a3e", "mood": "x", "compilation": "1",
}  # fmt: skip
EDITS: Mapping[str, Edit] = {
    "one": Edit({"title": ("Ein längerer Titel, ŝtelita",)}),
    "shorter": Edit({"title": ("T",)}),
    "removed": Edit({"artist": (), "lyrics": (), "mood": (), "genre": ()}),
    "added": Edit({"composer": ("Α", "Β"), "isrc": ("DE1234567890",), "my own": ("v",), "disc_total": ("2",)}),
    "number": Edit({"track_total": ("99",)}),
    "date and genre": Edit({"date": ("1999",), "genre": ("Jazz", "Free Jazz", "R&B")}),
    "large": Edit({"lyrics": ("sha la la\n" * 10_000,), "comment": ("x" * 3000,)}),
    "cover": Edit({"album": ("Other",)}, Image(make_jpeg("blue", size_bytes=300_000), "image/jpeg", 64, 64, 24)),
    "small cover": Edit({}, Image(make_png(1, width=8, height=8), "image/png", 8, 8, 24)),
    "no cover": Edit({"album": ()}, remove_cover=True),
    "everything": Edit(dict.fromkeys(TAGS, ()), remove_cover=True),
}  # fmt: skip
# What some container cannot hold: fields, values.
HARD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "words for numbers": {"track": ("A1",), "bpm": ("fast",), "disc_total": ("many",)},
    "not text": {"title": ("\udc80",), "artist": ("a\0b",), "album": (" ",)},
    "doubles": {"artist": ("a", "a"), "composer": ("b", "b")},
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {
        kind: make_audio(
            folder / f"{kind}.{made.suffix}", kind, tags=TAGS, picture=make_jpeg(size_bytes=70_000), seconds=5
        ).read_bytes()
        for kind, made in KINDS.items()
    }


def name_of(kind: str) -> str:
    return f"x.{KINDS[kind].suffix}"


def whole(plan: Plan, data: bytes) -> bytes:
    source = SplicedSource(plan, CountingSource(data))
    return source.read(0, source.size)


def overlaid(own: Facts, edit: Edit, plan: Plan) -> dict[str, tuple[str, ...]]:
    fields = {field: values for field, values in edit.fields.items() if field not in plan.unfit}
    return {field: values for field, values in {**own.tags, **fields}.items() if values}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_says_what_was_asked_for(kind: str, edit: str, originals: dict[str, bytes], tmp_path: Path) -> None:
    data, name, change = originals[kind], name_of(kind), EDITS[edit]
    source = CountingSource(data)
    plan = splice(source, name, change)
    made = whole(plan, data)
    own, facts = read_bytes(data, name), read_bytes(made, name)
    assert len(made) == plan.size
    assert facts.tags == overlaid(own, change, plan)
    assert not plan.unfit
    assert (facts.audio_id, facts.format) == (own.audio_id, own.format)
    assert msgspec.structs.replace(facts.technical, bitrate=0) == msgspec.structs.replace(own.technical, bitrate=0)
    images = [extract_picture(CountingSource(made), one) for one in facts.pictures]
    if change.cover is not None:
        assert images == [change.cover.data]
    else:
        assert images == [] if change.remove_cover else [make_jpeg(size_bytes=70_000)]
    assert unpack_pieces(pack_pieces(plan.pieces)) == plan.pieces
    written = tmp_path / name
    written.write_bytes(made)
    before = tmp_path / f"before-{name}"
    before.write_bytes(data)
    assert run_ffmpeg(["-i", str(written), "-map", "0:a", "-c", "copy", "-f", "hash", "-"]) == run_ffmpeg(
        ["-i", str(before), "-map", "0:a", "-c", "copy", "-f", "hash", "-"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_read_is_a_slice(kind: str, originals: dict[str, bytes]) -> None:
    data, choice = originals[kind], random.Random(kind)
    for change in EDITS.values():
        plan = splice(CountingSource(data), name_of(kind), change)
        made, spliced = whole(plan, data), Spliced(plan)
        edges = {0, plan.size, *itertools.accumulate(piece.size for piece in plan.pieces)}
        edges |= {min(plan.size, max(0, edge + choice.randint(-300, 300))) for edge in edges for _ in range(3)}
        for _ in range(60):
            start, stop = sorted(choice.sample(sorted(edges), 2))
            found = bytearray(stop - start)
            spliced.fill(memoryview(found), start, lambda begin, end: data[begin:end])
            assert found == made[start:stop]
            place = spliced.original(start, stop)
            assert place is None or data[place[0] : place[1]] == found


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_undone_gives_the_tags_back(kind: str, originals: dict[str, bytes]) -> None:
    data, name = originals[kind], name_of(kind)
    own = read_bytes(data, name)
    for change in EDITS.values():
        plan = splice(CountingSource(data), name, msgspec.structs.replace(change, cover=None, remove_cover=False))
        made = whole(plan, data)
        back = {field: own.tags.get(field, ()) for field in change.fields}
        undone = splice(CountingSource(made), name, Edit(back))
        assert not undone.unfit
        facts = read_bytes(whole(undone, made), name)
        assert (facts.tags, facts.audio_id) == (own.tags, own.audio_id)
        assert len(facts.pictures) == len(own.pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_files_without_any_tags(kind: str, tmp_path: Path) -> None:
    name = name_of(kind)
    data = make_audio(tmp_path / name, kind).read_bytes()
    own = read_bytes(data, name)
    fields = {"title": ("T",), "artist": ("A", "B"), "track": ("1",), "mood": ("m",)}
    image = make_jpeg("green")
    made = whole(splice(CountingSource(data), name, Edit(fields, Image(image, "image/jpeg"))), data)
    facts = read_bytes(made, name)
    assert facts.tags == own.tags | fields
    assert [extract_picture(CountingSource(made), one) for one in facts.pictures] == [image]
    bare = read_bytes(whole(splice(CountingSource(data), name, Edit({"title": ()}, remove_cover=True)), data), name)
    assert bare.tags == own.tags


@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_keeps_its_own(kind: str, case: str, originals: dict[str, bytes]) -> None:
    data, name = originals[kind], name_of(kind)
    edit = Edit({**HARD[case], "label": ("Other label",)})
    plan = splice(CountingSource(data), name, edit)
    assert set(plan.unfit) <= set(HARD[case])
    assert all(plan.unfit.values())
    own, facts = read_bytes(data, name), read_bytes(whole(plan, data), name)
    assert facts.tags == overlaid(own, edit, plan)
    assert facts.tags["label"] == ("Other label",)


@pytest.mark.parametrize("kind", KINDS)
def test_little_is_read_and_little_is_made(kind: str, originals: dict[str, bytes], tmp_path: Path) -> None:
    """It costs what the tags cost, however long the audio; and no picture is in the plan."""
    data = originals[kind]
    longer = make_audio(tmp_path / name_of(kind), kind, tags=TAGS, picture=make_jpeg(size_bytes=70_000), seconds=45)
    sources = [CountingSource(data), CountingSource(longer.read_bytes())]
    plans = [splice(source, name_of(kind), EDITS["one"]) for source in sources]
    assert sources[1].bytes_read < sources[0].bytes_read + 3 * HEAD_BYTES
    assert all(len(pack_pieces(plan.pieces)) < 20_000 for plan in plans)
    covered = splice(CountingSource(data), name_of(kind), EDITS["cover"])
    assert len(pack_pieces(covered.pieces)) < 20_000
    assert len(covered.extra) < 300_000 * 1.5


# The proof: whatever a splicer gets wrong, its plan is not served.

Wrong = Callable[[splicing.Splicer], splicing.Splicer]


def edits_something_else(good: splicing.Splicer) -> splicing.Splicer:
    return lambda view, start, own, edit: good(view, start, own, Edit({"title": ("Wrong",)}))


def loses_another_field(good: splicing.Splicer) -> splicing.Splicer:
    return lambda view, start, own, edit: good(view, start, own, Edit({**edit.fields, "artist": ()}))


def loses_the_picture(good: splicing.Splicer) -> splicing.Splicer:
    return lambda view, start, own, edit: good(view, start, own, Edit(edit.fields, remove_cover=True))


def does_nothing(good: splicing.Splicer) -> splicing.Splicer:
    return lambda view, start, own, edit: Plan((Range(0, view.size),))


def loses_the_end(good: splicing.Splicer) -> splicing.Splicer:
    def wrong(view: View, start: int, own: Facts, edit: Edit) -> Plan:
        plan = good(view, start, own, edit)
        cut: list[Piece] = []
        for piece in plan.pieces:
            if isinstance(piece, Range) and piece.start <= own.layout.audio_start + 2000 < piece.stop:
                cut += [Range(piece.start, own.layout.audio_start), Range(own.layout.audio_start + 2000, piece.stop)]
            elif isinstance(piece, Pages):
                cut.append(msgspec.structs.replace(piece, start=piece.stop))
            else:
                cut.append(piece)
        assert cut != list(plan.pieces)
        return msgspec.structs.replace(plan, pieces=tuple(cut))

    return wrong


def breaks_down(good: splicing.Splicer) -> splicing.Splicer:
    def wrong(view: View, start: int, own: Facts, edit: Edit) -> Plan:
        raise struct.error("unpack requires a buffer of 4 bytes")

    return wrong


@pytest.mark.parametrize(
    "break_it",
    [edits_something_else, loses_another_field, loses_the_picture, does_nothing, loses_the_end, breaks_down],
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_plan_is_not_served(
    kind: str, break_it: Wrong, originals: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, name = originals[kind], name_of(kind)
    container = read_bytes(data, name).layout.container
    right = splicing._SPLICERS
    assert splice(CountingSource(data), name, EDITS["one"])
    monkeypatch.setattr(splicing, "_SPLICERS", {**right, container: break_it(right[container])})
    with pytest.raises(FormatError):
        splice(CountingSource(data), name, EDITS["one"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_file_is_planned_in_a_few_requests(kind: str, originals: dict[str, bytes]) -> None:
    data, name = originals[kind], name_of(kind)
    source, requests = HeadTail(len(data), data[:HEAD_BYTES], data[-1024:]), 0
    while True:
        try:
            plan = splice(source, name, EDITS["one"])
            break
        except NeedRange as need:
            source.add(need.start, data[need.start : max(need.stop, min(need.limit, need.start + HEAD_BYTES))])
            requests += 1
            assert requests < 8
    assert plan == splice(CountingSource(data), name, EDITS["one"])


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_the_source_pass_through(kind: str, originals: dict[str, bytes]) -> None:
    data = originals[kind]

    class Failing(CountingSource):
        left = 1

        def read(self, start: int, stop: int) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise ChangedError("the file changed")
            return super().read(start, stop)

    for reads in range(6):
        source = Failing(data)
        source.left = reads
        try:
            splice(source, name_of(kind), EDITS["everything"])
        except ChangedError:
            continue
        assert len(source.ranges) <= reads


def test_other_files_are_refused(originals: dict[str, bytes]) -> None:
    for data in (b"", b"text", originals["flac"][100:300]):
        with pytest.raises(FormatError):
            splice(CountingSource(data), "x.flac", EDITS["one"])
