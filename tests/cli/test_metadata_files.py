"""``musicfs metadata import`` and ``export``, over the socket: rows, reports, progress, and files read back."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.api.metadata import MAX_BATCH
from tests.api.backend import serving
from tests.cli.conftest import Run, on_terminal
from tests.cli.metadata_backend import TagBackend

ONE, TWO, ODD = "/Björk/Début/01.flac", "/Björk/Début/02.flac", "/Plain/odd.ogg"


@pytest.fixture
def backend(socket: Path) -> Iterator[TagBackend]:
    backend = TagBackend()
    with serving(backend, socket):
        yield backend


def test_import(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    file = tmp_path / "tags.csv"
    file.write_text(
        f"path,Title,Genre,cover\n{ONE},Einn,Pop\\\\Art Pop,front.jpg\n/nowhere,x,,\n{TWO},Two,,\n{TWO},,,missing.jpg\n",
        encoding="utf-8",
    )
    (tmp_path / "front.jpg").write_bytes(b"\xff\xd8\xff")
    done = run("metadata", "import", str(file))
    assert done.code == 1
    assert done.out == (
        f"{ONE}  -> /Björk/Début/Einn.flac\n"
        "  genre  (none) -> Pop; Art Pop\n"
        "  title  One -> Einn\n"
        "  cover  another one\n"
        "1 track changed, 1 unchanged, 2 failed\n"
    )
    assert done.err == (
        "error: row 3: /nowhere: there is no such track\n  look\n"
        f"error: row 5: cover: {tmp_path}/missing.jpg: No such file or directory\n"
        "  give a path relative to the folder of the file\n"
    )
    assert backend.asked[-1]["action"] == "import"
    assert backend.seen[-1][0].cover == b"\xff\xd8\xff"


def test_a_dry_run_changes_nothing(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    file.write_text(json.dumps([{"path": ONE, "title": "Einn", "mood": None} | {"custom:mood": None}]))
    done = run("metadata", "import", str(file), "--dry-run")
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        "error: row 1: there is no field 'mood'",
    )
    file.write_text(json.dumps([{"path": ONE, "title": "Einn", "custom:mood": None}]))
    done = run("metadata", "import", str(file), "--dry-run")
    assert (done.code, done.out) == (0, f"{ONE}\n  mood   calm -> (none)\n  title  One -> Einn\n1 track would change\n")
    assert backend.tracks_by_id[1].overlay == {}


def test_rows_keep_their_numbers_over_several_messages(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    count = 2 * MAX_BATCH + 50
    rows = [f"{ONE},{number}" for number in range(count)]
    rows[7] = ",7"
    rows[MAX_BATCH + 100] = "/nowhere,x"
    rows[-1] = "/nowhere,x"
    (tmp_path / "tags.csv").write_text("path,genre\n" + "\n".join(rows), encoding="utf-8")
    report = tmp_path / "failed.csv"
    done = run("--json", "metadata", "import", str(tmp_path / "tags.csv"), "--report", str(report))
    assert done.code == 1 and done.err == ""
    found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) == count
    failed = {item["row"]: item["error"] for item in found if item["error"]}
    assert list(failed) == [9, MAX_BATCH + 102, count + 1]
    assert failed[9] == "does not say which track"
    assert {item["row"] for item in found} == set(range(2, count + 2))
    assert set(found[0]) == {
        *("row", "file_id", "path", "new_path", "changes", "cover_changed", "reason", "error", "remedy")
    }
    assert len(backend.seen) == 3
    with report.open(encoding="utf-8", newline="") as stream:
        assert [(item["row"], item["path"]) for item in csv.DictReader(stream)] == [
            ("9", ""), (str(MAX_BATCH + 102), "/nowhere"), (str(count + 1), "/nowhere")
        ]  # fmt: skip


@pytest.mark.parametrize("bad", ['{"genre": "b"}', '{"path": "/nowhere", "genre": "b"}'])
def test_stopping_at_the_first_row_that_fails(run: Run, backend: TagBackend, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "tags.jsonl"
    file.write_text(f'{{"path": "{ONE}", "genre": "a"}}\n{bad}\n{{"path": "{TWO}", "genre": "c"}}\n', encoding="utf-8")
    done = run("metadata", "import", str(file), "--stop-on-error")
    assert (done.code, done.out.splitlines()[-1]) == (1, "1 track changed, 1 failed")
    assert [one.overlay for number, one in backend.tracks_by_id.items() if number < 3] == [{"genre": ("a",)}, {}]
    assert run("metadata", "import", str(file)).out.splitlines()[-1] == "1 track changed, 1 unchanged, 1 failed"
    assert backend.tracks_by_id[2].overlay == {"genre": ("c",)}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"path,titel\n", "column 2: there is no field 'titel'\n  did you mean title?"),
        ("a.csv", b"path,year,date\n", "columns 2 and 3 both mean date"),
        ("a.csv", b"path,title\n/x,y\n/x,\xff\n", "line 3: this is not UTF-8"),
        ("a.csv", "path,title\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b'path,title\n/x,y\n/x,"y"z\n', "line 3: "),
        ("a.csv", b'path,title\n/x,y\n/x,"y\n', "line 3: "),
        ("a.json", b"[{]", "is no JSON array"),
        ("a.db", b"no database", "column 1: there is no field 'no database'"),
    ],
)
def test_a_file_that_makes_no_sense_changes_nothing(
    run: Run, backend: TagBackend, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    done = run("metadata", "import", str(tmp_path / name))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {tmp_path}/{name}")
    assert said in done.err
    assert backend.seen == []


def test_a_file_that_is_not_there(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    assert backend
    assert run("metadata", "import", str(tmp_path / "nowhere.csv")).code == 2
    (tmp_path / "tags.csv").write_text("path,title\n")
    done = run("metadata", "import", str(tmp_path / "tags.csv"), "--format", "beets")
    assert done.code == 2 and "is no SQLite database" in done.err


def test_import_from_beets(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "library.db") as database:
        database.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, title TEXT, mb_trackid TEXT, year INT)"
        )
        database.execute(
            "INSERT INTO items VALUES (5, ?, 'Einn', 'b-1', 2002)", ("/srv/in/Björk/Début/01.flac".encode(),)
        )
        database.execute("INSERT INTO items VALUES (6, ?, 'Tveir', 'b-2', 0)", (b"/elsewhere/2.flac",))
        database.execute("INSERT INTO items VALUES (7, ?, 'x', '', 0)", (b"/elsewhere/3.flac",))
    database.close()
    done = run("metadata", "import", str(tmp_path / "library.db"))
    assert done.code == 1
    assert done.out.endswith("2 tracks changed, 1 failed\n")
    assert done.err == "error: row 7: there is no such track\n  look\n"
    assert [one.effective["title"] for one in backend.tracks_by_id.values() if one.file_id < 3] == [
        ("Einn",),
        ("Tveir",),
    ]


def test_progress_on_a_terminal(backend: TagBackend, tmp_path: Path) -> None:
    backend.slow_s = 0.2
    rows = [f"{ONE},{number}" for number in range(5)]
    (tmp_path / "tags.csv").write_text("\n".join(["path,bpm", *rows, "/nowhere,x"]), encoding="utf-8")
    code, out = on_terminal("metadata", "import", str(tmp_path / "tags.csv"))
    assert code == 1
    assert "/6" in out and "5 tracks changed, 1 failed" in out and "row 7" in out
    code, out = on_terminal("metadata", "export", "--output", str(tmp_path / "out.csv"))
    assert code == 0 and f"4 tracks written to {tmp_path}/out.csv" in out.replace("\r\n", "")


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_what_is_exported_is_imported_unchanged(run: Run, backend: TagBackend, tmp_path: Path, form: str) -> None:
    file = str(tmp_path / f"tags.{form}")
    done = run("metadata", "export", "--output", file)
    assert (done.code, done.out) == (0, f"4 tracks written to {file}\n")
    before = {number: one.effective for number, one in backend.tracks_by_id.items()}
    done = run("metadata", "import", file)
    assert (done.code, done.out) == (0, "0 tracks changed, 4 unchanged\n")
    assert {number: one.effective for number, one in backend.tracks_by_id.items()} == before
    backend.__post_init__()
    run("metadata", "set", ONE, "--title", "Einn")
    done = run("metadata", "import", file)
    assert "  title  Einn -> One\n" in done.out, "the path has changed, and the file is found all the same"


def test_export_of_corrections_and_of_a_part(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    assert backend
    file = tmp_path / "out.json"
    done = run("--json", "metadata", "export", "--output", str(file), "--only-changed")
    assert json.loads(done.out) == {"file": str(file), "format": "json", "tracks": 1}
    assert json.loads(file.read_text()) == [
        {
            "path": ODD, "file_id": 4, "origin_id": "nas", "origin_path": "in/Plain/odd.ogg", "title": ["Odd"],
            "custom:mood": None,
        }
    ]  # fmt: skip
    done = run("metadata", "export", "--output", str(file), "/Björk")
    assert (done.code, done.err) == (2, f"error: {file} exists\n  --force replaces it\n")
    assert run("metadata", "export", "--output", str(file), "/Björk", "--force").out.startswith("2 tracks")
    assert run("metadata", "export", "--output", str(tmp_path / "x"), "/Björk").code == 2, "which format?"
    assert run("metadata", "export", "--output", str(tmp_path / "x"), "--format", "csv", "/nowhere").code == 4
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["out.json"]
