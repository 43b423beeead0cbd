"""What is exported is what is imported, value for value."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musicfs.api.metadata import Cover, MetadataChange, TrackMetadata
from musicfs.api.tagfiles.cells import REMOVE, decode_cell, encode_cell
from musicfs.api.tagfiles.exporting import write_export
from musicfs.api.tagfiles.reading import TagFormat, read_changes
from musicfs.errors import ConfigError
from musicfs.model import FIELD_NAMES, Technical

WRITTEN = (TagFormat.CSV, TagFormat.JSON, TagFormat.JSONL)

characters = st.characters(codec="utf-8", exclude_characters="\0")
# What is special somewhere: to CSV, to JSON, to cells, to spreadsheets, to whoever splits lines.
specials = st.sampled_from([
    "\\", "\\\\", "\\-", "\\x41", ";", ",", "\t", '"', "'", "\r", "\n", "\r\n", "=", "+", "-", "@", "1", "|", "\x85",
    "\ufeff", "\u2028", " ", "null", "custom:x",
])  # fmt: skip
value = (
    st.lists(specials | st.text(characters, min_size=1, max_size=3), min_size=1, max_size=6).map("".join).filter(bool)
)
values = st.lists(value, max_size=4).map(tuple)
custom = (
    st.text('abcdefghijklmnopqrstuvwxyzäß :,;"_-.', min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: bool(name) and name == name.lower() and name not in FIELD_NAMES)
)
fields = st.dictionaries(st.sampled_from(FIELD_NAMES) | custom, values, max_size=5)


def track(number: int, effective: dict[str, tuple[str, ...]], *, overlay: dict[str, tuple[str, ...]] | None = None,
          cover: Cover = Cover.OWN, origin_path: str = "") -> TrackMetadata:  # fmt: skip
    return TrackMetadata(
        file_id=number, path=f"/A/{number}.flac", origin_id="nas", origin_path=origin_path or f"x/{number}.flac",
        format="flac", technical=Technical(), own={}, effective=effective, overlay=overlay or {}, cover=cover,
    )  # fmt: skip


def read(path: Path) -> list[MetadataChange]:
    changes = []
    for row in read_changes(str(path)):
        assert row.error is None, row.error
        assert row.change is not None
        changes.append(row.change)
    return changes


@given(values)
def test_cells(given_values: tuple[str, ...]) -> None:
    cell = encode_cell(given_values)
    assert cell and decode_cell(cell) == given_values
    assert (cell == REMOVE) == (not given_values)
    if given_values and given_values[0][0] in "=@":
        assert cell.startswith("\\x"), "no spreadsheet may take it for a formula"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a\\\\b", ("a", "b")), ("\\-", ()), ("C:\\Music", ("C:\\Music",)), ("a;b\nc", ("a;b\nc",)), ("\\x3d1", ("=1",)),
        ("\\x5c\\\\\\x5c", ("\\", "\\")),
    ],
)  # fmt: skip
def test_cells_as_people_write_them(cell: str, expected: tuple[str, ...]) -> None:
    assert decode_cell(cell) == expected


@pytest.mark.parametrize(
    ("text", "cell"),
    [("-6.50 dB", "-6.50 dB"), ("+1.2", "+1.2"), ("-2+3", "\\x2d2+3"), ("@x", "\\x40x"), ("A\\B", "A\\B")],
)
def test_formulas_are_disarmed_and_nothing_else(text: str, cell: str) -> None:
    assert encode_cell((text,)) == cell


@given(st.lists(st.tuples(fields, st.booleans()), max_size=4), value.filter(lambda text: not text.isspace()))
@example([({}, False)], REMOVE)
@pytest.mark.parametrize("form", WRITTEN)
def test_an_export_is_read_back(
    form: TagFormat, given_tracks: list[tuple[dict[str, tuple[str, ...]], bool]], origin_path: str
) -> None:
    tracks = [
        track(number, {name: kept for name, kept in each.items() if kept}, origin_path=origin_path, overlay=each,
              cover=Cover.REMOVED if removed else Cover.OWN)
        for number, (each, removed) in enumerate(given_tracks, 1)
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        path = Path(folder, f"tags.{form}")
        assert write_export(str(path), tracks, form) == len(tracks)
        changes = read(path)
        assert [name.name for name in Path(folder).iterdir()] == [path.name]
    assert [dict(change.set) for change in changes] == [each for each, _ in given_tracks]
    assert [change.remove_cover for change in changes] == [removed for _, removed in given_tracks]
    assert all(change.match == {"origin_id": "nas", "origin_path": origin_path} for change in changes)


def test_columns_come_in_our_order(tmp_path: Path) -> None:
    tracks = [track(1, {"mood": ("x",), "title": ("T",)}), track(2, {"artist": ("A", "B"), "arranger": ("C",)})]
    write_export(str(tmp_path / "tags.csv"), tracks, TagFormat.CSV)
    assert (tmp_path / "tags.csv").read_text().splitlines() == [
        "path,file_id,origin_id,origin_path,title,artist,custom:arranger,custom:mood",
        "/A/1.flac,1,nas,x/1.flac,T,,,x",
        "/A/2.flac,2,nas,x/2.flac,,A\\\\B,C,",
    ]


def test_only_corrections(tmp_path: Path) -> None:
    tracks = [
        track(1, {"title": ("T",)}),
        track(2, {"title": ("New",), "album": ("B",)}, overlay={"title": ("New",), "genre": ()}),
        track(3, {"title": ("T",)}, cover=Cover.REMOVED),
    ]
    path = tmp_path / "tags.jsonl"
    assert write_export(str(path), tracks, TagFormat.JSONL, only_changed=True) == 2
    changes = read(path)
    assert [dict(change.set) for change in changes] == [{"title": ("New",), "genre": ()}, {}]
    assert changes[1].remove_cover


@pytest.mark.parametrize("form", WRITTEN)
def test_nothing_to_export(tmp_path: Path, form: TagFormat) -> None:
    path = tmp_path / f"tags.{form}"
    assert write_export(str(path), [], form) == 0
    assert list(read_changes(str(path), form)) == []


def test_a_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        write_export(str(path), [], TagFormat.CSV)
    assert path.read_text() == "precious"

    def appears() -> list[TrackMetadata]:
        (tmp_path / "late.csv").write_text("precious")
        return [track(1, {})]

    with pytest.raises(ConfigError, match="exists"):
        write_export(str(tmp_path / "late.csv"), (each for _ in (1,) for each in appears()), TagFormat.CSV)
    assert (tmp_path / "late.csv").read_text() == "precious"
    write_export(str(path), [], TagFormat.CSV, overwrite=True)
    assert path.read_text().startswith("path,file_id")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["late.csv", "tags.csv"]


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "tags.json"
    path.write_text("precious")

    def broken() -> list[TrackMetadata]:
        raise ConfigError("the query makes no sense")

    with pytest.raises(ConfigError, match="query"):
        write_export(str(path), (each for _ in (1,) for each in broken()), TagFormat.JSON, overwrite=True)
    assert path.read_text() == "precious"
    assert [each.name for each in tmp_path.iterdir()] == ["tags.json"]


def test_long_values_of_csv(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    lyrics = ('la "la"\n' * 100_000,)
    write_export(str(tmp_path / "tags.csv"), [track(1, {"lyrics": lyrics})], TagFormat.CSV)
    assert read(tmp_path / "tags.csv")[0].set == {"lyrics": lyrics}
    assert csv.field_size_limit() == limit, "it belongs to the interpreter"
