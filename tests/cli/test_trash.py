"""``musicfs trash`` in front of a running daemon: in a pipe, as JSON, and on a terminal."""

from __future__ import annotations

import json
import re
import time

import msgspec
import pytest

from musicfs.api.trash import TrashSelection
from tests.api.backend import FakeBackend
from tests.cli.conftest import Run, on_terminal


def selection(backend: FakeBackend) -> TrashSelection:
    """The last that was asked for."""
    found = backend.selections[-1][1]
    assert isinstance(found, TrashSelection)
    return found


def test_list(run: Run, backend: FakeBackend) -> None:
    assert run("trash", "list").out.splitlines() == ["/A/B\\xff/01 - One.flac", "/C/Two.mp3"]
    documents = json.loads(run("--json", "trash", "list").out)
    assert documents[1] == {
        "path": "/C/Two.mp3",
        "origin_id": "s3",
        "origin_path": "2.mp3",
        "deleted_ms": 1_600_000_000_000,
        "size_bytes": 5,
        "cached_bytes": 0,
        "artist": "",
        "album": "",
        "title": "",
        "duration_ms": 0,
        "trash_path": "",
        "restored_ms": 1_650_000_000_000,
    }
    code, out = on_terminal("trash", "list")
    assert code == 0
    assert "part, 10.0 MiB of 30.0 MiB" in out and "restored" in out and "nothing" in out
    backend.deleted = (msgspec.structs.replace(backend.deleted[0], cached_bytes=30 << 20),)
    assert re.search(r"mall\W", on_terminal("trash", "list")[1])
    backend.deleted = ()
    assert run("--json", "trash", "list").out == "[]\n"
    assert "nothing is in the trash" in on_terminal("trash", "list")[1]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_times_are_counted_back_from_now(run: Run, backend: FakeBackend, text: str, seconds: int) -> None:
    before_ms = time.time_ns() // 1_000_000 - seconds * 1000
    assert run("trash", "list", "--since", text, "--origin", "nas", "--path", "*/B/*").code == 0
    found = selection(backend)
    assert before_ms <= found.deleted_after_ms <= before_ms + 60_000
    assert (found.origin_id, found.pattern) == ("nas", "*/B/*")
    assert run("trash", "empty", "--older-than", text, "--dry-run").code == 0
    assert before_ms <= selection(backend).deleted_before_ms <= before_ms + 60_000


@pytest.mark.parametrize("text", ["", "d", "7", "7y", "-1d", "1.5d", "9999999w"])
def test_no_time(run: Run, backend: FakeBackend, text: str) -> None:
    done = run("trash", "list", "--since", text or " ")
    assert done.code == 2
    assert "is no duration" in done.err


def test_restore(run: Run, backend: FakeBackend) -> None:
    done = run("trash", "restore", "/A", "/C/Two.mp3")
    assert (done.code, done.out) == (1, "1 track is in the tree again; 1 is not\n")
    assert selection(backend).paths == ("/A", "/C/Two.mp3")
    assert json.loads(run("--json", "trash", "restore", "--all").out.splitlines()[-1])["complete"]
    assert selection(backend) == TrashSelection()
    assert run("trash", "restore", "/X").code == 4
    assert run("trash", "restore").code == 2
    assert run("trash", "restore", "--all", "/X").code == 2


def test_empty(run: Run, backend: FakeBackend) -> None:
    assert run("trash", "empty", "--yes").out == "2 tracks are forgotten, with 7.0 MiB in the cache\n"
    assert run("trash", "empty", "--dry-run").out == "would forget 2 tracks\n"
    assert [call[0] for call in backend.selections] == ["empty"] * 3
    assert [call[2:] for call in backend.selections] == [(False, True), (False, False), (False, True)]
    code, out = on_terminal("trash", "empty", "--restored", "--yes")
    assert (code, "2 tracks are forgotten" in out) == (0, True)
    refused = run("trash", "empty")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert backend.selections[-1][2:] == (False, True)  # it was only looked at
    backend.deleted = backend.deleted[:1]
    assert run("trash", "empty", "--dry-run").out == "would forget 1 track\n"
    assert run("trash", "empty", "--yes").out == "1 track is forgotten, with 7.0 MiB in the cache\n"
    backend.deleted = ()
    assert run("trash", "empty").out == "there is nothing to forget\n"
