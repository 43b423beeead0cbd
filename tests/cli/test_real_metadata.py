"""``musicfs metadata`` with the real daemon: from the command to the file in the mount, out to a file and back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.cli.conftest import run_process


def lines(*arguments: str) -> list[dict[str, Any]]:
    done = run_process("--json", "metadata", *arguments)
    assert done.err == ""
    return [json.loads(line) for line in done.out.splitlines()]


def test_from_the_command_to_the_mount_and_back(sample_mount: Path, sample_library: Path, tmp_path: Path) -> None:
    tracks = lines("get", "/")
    assert len(tracks) > 3
    track = next(one for one in tracks if one["own"].get("title") and one["format"] == "flac")
    for form in ("csv", "json", "jsonl"):
        assert run_process("metadata", "export", "--output", str(tmp_path / f"before.{form}")).code == 0

    (done,) = lines("set", track["path"], "--title", "Corrected", "--custom", "mood=calm", "--custom", "mood=odd")
    assert done["error"] == "" and done["new_path"] != track["path"]
    assert (sample_mount / done["new_path"].lstrip("/")).is_file(), "the tree follows at once"
    (after,) = lines("get", str(sample_mount / done["new_path"].lstrip("/")))
    assert after["effective"]["title"] == ["Corrected"] and after["own"] == track["own"]
    assert after["overlay"] == {"title": ["Corrected"], "mood": ["calm", "odd"]}
    assert "Corrected" in run_process("metadata", "diff", "/").out

    assert run_process("metadata", "export", "--only-changed", "--output", str(tmp_path / "own.csv")).code == 0
    for form in ("csv", "json", "jsonl"):
        results = lines("import", str(tmp_path / f"before.{form}"))
        assert {one["error"] for one in results} == {""}, "files are found though their path has changed"
        (changed,) = (one for one in results if one["changes"])
        assert changed["new_path"] == track["path"]
        again = run_process("metadata", "import", str(tmp_path / f"before.{form}"))
        assert again.out == f"0 tracks changed, {len(tracks)} unchanged\n"
        assert run_process("metadata", "undo", track["path"]).code == 0
        assert lines("get", done["new_path"])[0]["effective"]["title"] == ["Corrected"]

    assert run_process("metadata", "clear", "/").code == 0
    assert run_process("metadata", "diff", "/").out == "nothing is corrected\n"
    assert run_process("metadata", "import", str(tmp_path / "own.csv")).out.endswith("1 track changed\n")
    assert lines("get", done["new_path"])[0]["overlay"] == after["overlay"]
    log = json.loads(run_process("--json", "metadata", "log").out)
    assert [item["action"] for item in log[:2]] == ["import", "clear"]


def test_a_library_of_beets(sample_mount: Path, sample_library: Path, tmp_path: Path) -> None:
    assert sample_mount
    first, second, third, *_ = (one for one in lines("get", "/") if one["own"].get("title"))
    assert run_process("metadata", "set", third["path"], "--mb-recording-id", "rec").code == 0
    items = [
        (str(sample_library / first["origin_path"]), ""),
        (second["origin_path"], ""),
        ("/elsewhere/x.flac", ""),
        ("/elsewhere/y.flac", "rec"),
        ("/elsewhere/z.flac", "another"),
    ]
    with sqlite3.connect(tmp_path / "library.db") as database:
        database.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, title TEXT, mb_trackid TEXT, genre TEXT)"
        )
        rows = [(path.encode(), recording_id) for path, recording_id in items]
        database.executemany("INSERT INTO items (path, title, mb_trackid, genre) VALUES (?, '', ?, 'Found')", rows)
    database.close()
    for folder in (("--beets-folder", str(sample_library)), ()):
        results = sorted(lines("import", str(tmp_path / "library.db"), *folder), key=lambda one: int(one["row"]))
        assert [(one["row"], one["file_id"]) for one in results] == [
            (1, first["file_id"]), (2, second["file_id"]), (3, 0), (4, third["file_id"]), (5, 0)
        ]  # fmt: skip
        assert [bool(one["error"]) for one in results] == [False, False, True, False, True]
    found = lines("get", "--query", "genre:Found", "/")
    assert {one["file_id"] for one in found} == {first["file_id"], second["file_id"], third["file_id"]}
    assert all(one["effective"]["genre"] == ["Found"] for one in found)
