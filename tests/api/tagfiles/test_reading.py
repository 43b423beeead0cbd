"""Reading files of tags as people and other programs write them."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.api.metadata import MAX_COVER_BYTES, MetadataChange
from musicfs.api.tagfiles.names import Column, Kind, column_named, field_named
from musicfs.api.tagfiles.reading import TagFormat, guess_format, read_changes
from musicfs.api.tagfiles.rows import ChangeRow
from musicfs.errors import ConfigError, MusicFSError
from musicfs.formats.fields import VORBIS, VORBIS_ALIASES
from musicfs.model import FIELD_NAMES


def read(path: Path, data: str | bytes, form: TagFormat | None = None) -> list[ChangeRow]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read_changes(str(path), form))


def changes(path: Path, data: str | bytes) -> list[MetadataChange]:
    rows = read(path, data)
    assert [row.error for row in rows] == [None] * len(rows)
    return [row.change for row in rows if row.change is not None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tags.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_dialects(file: Path, delimiter: str, end: str, start: str) -> None:
    rows = [
        ["path", "Album Artist", "year", "custom:My Mood"],
        ["/a", '"A, ""B""; C\tD"', "2001", ""],
        ["/b", "", "", "\\-"],
    ]
    text = start + "".join(delimiter.join(row) + end for row in rows)
    assert changes(file, text) == [
        MetadataChange(path="/a", set={"album_artist": ('A, "B"; C\tD',), "date": ("2001",)}),
        MetadataChange(path="/b", set={"my mood": ()}),
    ]


def test_what_a_cell_can_hold(file: Path) -> None:
    text = 'path,lyrics,genre\n/a,"la\r\nla\n\nla","Rock\\\\Pop"\n\n,,\n/b,x;y,\\x3d1\\y'
    rows = read(file, text)
    assert [row.number for row in rows] == [2, 5], "rows of a spreadsheet: empty ones count, and are passed over"
    assert [dict(row.change.set) for row in rows if row.change] == [
        {"lyrics": ("la\r\nla\n\nla",), "genre": ("Rock", "Pop")},
        {"lyrics": ("x;y",), "genre": ("=1\\y",)},
    ]


@pytest.mark.parametrize(
    ("header", "cells", "change"),
    [
        ("path,file_id,isrc", "/a,7,X", MetadataChange(path="/a", set={"isrc": ("X",)})),
        ("file_id,isrc", "7,X", MetadataChange(file_id=7, set={"isrc": ("X",)})),
        (
            "path,file_id,origin_id,origin_path,title",
            "/a,7,nas,b,T",
            MetadataChange(match={"origin_id": "nas", "origin_path": "b"}, set={"title": ("T",)}),
        ),
        (
            "path,match:isrc,match:MusicBrainz Recording Id,title",
            "/a,X,Y,T",
            MetadataChange(match={"isrc": "X", "mb_recording_id": "Y"}, set={"title": ("T",)}),
        ),
        (
            "isrc,mb_recording_id,mb_track_id",
            "X,Y,Z",
            MetadataChange(match={"mb_track_id": "Z"}, set={"isrc": ("X",), "mb_recording_id": ("Y",)}),
        ),
        ("isrc,mb_recording_id", "X,Y", MetadataChange(match={"mb_recording_id": "Y"}, set={"isrc": ("X",)})),
        ("isrc,mb_track_id,title", "X,,T", MetadataChange(match={"isrc": "X"}, set={"title": ("T",)})),
    ],
)
def test_which_track_a_row_is_about(file: Path, header: str, cells: str, change: MetadataChange) -> None:
    assert changes(file, f"{header}\n{cells}\n") == [change]


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        ("path,title", ",T", "does not say which track"),
        ("path,title", "/a,T,more", "has 3 cells, and the header 2"),
        ("file_id,title", "x,T", "file_id: 'x' is no id"),
        ("file_id,title", "0,T", "file_id: '0' is no id"),
        ("path,title", "/a,a\\x00b", "title: has a NUL character"),
        ("path,title", "/a,a\0b", "title: has a NUL character"),
        ("isrc,title", "a\\\\b,T", "isrc: has several values"),
        ("path,cover", "/a,nowhere.jpg", "nowhere.jpg: No such file or directory"),
        ("path,cover", "/a,empty.jpg", "has 0 bytes"),
        ("path,cover", "/a,large.jpg", f"and a picture 1 to {MAX_COVER_BYTES}"),
        ("path,comment", f"/a,{'x' * 1_000_001}", "more text"),
    ],
)
def test_a_row_that_makes_no_sense_does_not_stop_the_rest(file: Path, header: str, cells: str, said: str) -> None:
    (file.parent / "empty.jpg").touch()
    with (file.parent / "large.jpg").open("wb") as stream:
        stream.truncate(MAX_COVER_BYTES + 1)
    good = {"path": "/good", "file_id": "3", "isrc": "I"}[header.partition(",")[0]]
    first, bad, last = read(file, f"{header}\n{good}\n{cells}\n{good}\n")
    assert first.change and last.change and bad.change is None
    assert bad.number == 3 and bad.error is not None
    assert said in str(bad.error)
    assert bad.error.remedy


def test_covers(file: Path) -> None:
    (file.parent / "art").mkdir()
    (file.parent / "art" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    text = "path,cover\n/a,art/a.jpg\n/b,art/a.jpg\n/c,\\-\n/d,\n"
    first, second, third, fourth = changes(file, text)
    assert first.cover == b"\xff\xd8\xff" and second.cover is first.cover
    assert third.remove_cover and third.cover is None
    assert not fourth.remove_cover and fourth.cover is None
    checked = list(read_changes(str(file), reads_covers=False))
    assert [row.error for row in checked] == [None] * 4


def test_json(tmp_path: Path) -> None:
    items = [
        {
            "path": "/a",
            "title": "T",
            "Artist": ["A", "B"],
            "track": 3,
            "comment": None,
            "compilation": True,
            "bpm": 1.5,
        },
        {"file_id": 7, "genre": [], "custom:Mood": "x", "cover": None},
        {"match:isrc": "X", "year": ""},
    ]
    expected = [
        MetadataChange(
            path="/a",
            set={
                "title": ("T",), "artist": ("A", "B"), "track": ("3",), "comment": (), "compilation": ("1",), "bpm": ("1.5",)
            },
        ),
        MetadataChange(file_id=7, set={"genre": (), "mood": ("x",)}, remove_cover=True),
        MetadataChange(match={"isrc": "X"}, set={"date": ()}),
    ]  # fmt: skip
    assert changes(tmp_path / "a.json", json.dumps(items, indent=1)) == expected
    assert changes(tmp_path / "a.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, items))) == expected
    numbers = [row.number for row in read(tmp_path / "b.jsonl", "\n" + json.dumps(items[0]) + "\n")]
    assert numbers == [2], "the line"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("7", "no JSON object"),
        ('{"path": "/a", "title": {"a": 1}}', "title: is neither text nor a list of texts"),
        ('{"path": "/a", "title": [["x"]]}', "title: is neither text"),
        ('{"path": "/a", "titel": "x"}', "there is no field 'titel'"),
        ('{"path": "/a", "year": "1", "date": "2"}', "date: date is given twice"),
        ('{"path": "/a", "title": "\\u0000"}', "NUL"),
        ('{"path": ["/a", "/b"]}', "path: has several values"),
        ("{}", "does not say which track"),
        ('{"path": ', "this is no JSON"),
        ('{"path": "/a", "title": "\\ud800"}', ""),
    ],
)
def test_lines_of_json_that_make_no_sense(tmp_path: Path, item: str, said: str) -> None:
    (bad, good) = read(tmp_path / "a.jsonl", item + '\n{"path": "/b"}\n')
    assert bad.error is not None and said in str(bad.error)
    assert good.change == MetadataChange(path="/b")


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@pytest.mark.parametrize("form", list(TagFormat))
@pytest.mark.parametrize("start", [b"", b"path,title\n", b'[{"path":"', b"SQLite format 3\0"])
def test_any_bytes_are_rows_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, form: TagFormat, start: bytes, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + data)
    try:
        for row in read_changes(str(path), form):
            assert (row.change is None) != (row.error is None)
    except ConfigError as error:
        assert str(path) in str(error) and error.remedy


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("a", b"path,title\n", TagFormat.CSV), ("a.tsv", b"path\ttitle\n", TagFormat.CSV), ("a.csv", b"", TagFormat.CSV),
        ("a", b" \n[ ", TagFormat.JSON), ("a", b'\xef\xbb\xbf{"', TagFormat.JSONL), ("a.json", b"", TagFormat.JSON),
        ("a.ndjson", b"", TagFormat.JSONL), ("a.blb", b"SQLite format 3\0...", TagFormat.BEETS),
    ],
)  # fmt: skip
def test_telling_formats_apart(tmp_path: Path, name: str, data: bytes, form: TagFormat) -> None:
    (tmp_path / name).write_bytes(data)
    assert guess_format(str(tmp_path / name)) is form


def test_every_name_that_files_use_is_understood() -> None:
    for name, field in {**VORBIS, **VORBIS_ALIASES}.items():
        assert field_named(name) == field, name
    for field in FIELD_NAMES:
        for spelling in (field, field.upper(), field.replace("_", " ").title(), field.replace("_", "")):
            assert column_named(f" {spelling} ") == Column(Kind.FIELD, field)
    assert column_named("File ID") == Column(Kind.KEY, "file_id")
    assert field_named("MusicBrainz Release Track Id") == "mb_track_id"
    assert field_named("MusicBrainz Recording Id") == "mb_recording_id"
    assert field_named("CUSTOM:Mood") == "mood"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("albumartits", "did you mean album_artist?"), ("duration", "custom:duration"), ("custom:", "custom:mood"),
        ("custom:title", "write title without custom"), ("match:title", "match:mb_track_id"), ("custom:a\nb", "custom:mood"),
    ],
)  # fmt: skip
def test_names_that_nothing_has(name: str, remedy: str) -> None:
    with pytest.raises(MusicFSError) as caught:
        column_named(name)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("form", [TagFormat.CSV, TagFormat.JSONL])
def test_memory_is_that_of_a_row(tmp_path: Path, form: TagFormat) -> None:
    path = tmp_path / "tags"
    value = "x" * 1000
    with path.open("w") as stream:
        if form is TagFormat.CSV:
            stream.write("path,comment\n")
        for number in range(20_000):
            stream.write(
                f"/a/{number},{value}\n" if form is TagFormat.CSV else f'{{"path":"/{number}","comment":"{value}"}}\n'
            )
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_changes(str(path), form)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2 << 20, "of 20 MB"
    finally:
        tracemalloc.stop()
