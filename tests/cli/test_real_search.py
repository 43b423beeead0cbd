"""``musicfs search`` and ``collection`` with the real daemon: what is found is in the mount, and what changes is found."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.cli.conftest import REPOSITORY, command, run_process
from tests.faults.living import wait_for

_FOUND_WITHIN_S = 2.0  # a change, says the specification
_INDEXED_WITHIN_S = 30.0


def search(*arguments: str) -> dict[str, Any]:
    done = run_process("--json", "search", *arguments)
    assert (done.code in {0, 4}, done.err) == (True, "")
    document: dict[str, Any] = json.loads(done.out)
    assert done.code == (0 if document["total"] else 4)
    return document


def tracks() -> int:
    count: int = json.loads(run_process("--json", "status").out)["tracks"]
    return count


def test_what_is_found_is_in_the_mount(sample_mount: Path) -> None:
    wait_for("an index", lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for("everything is found", lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    everything = search("*", "--limit", "0")
    assert len(everything["results"]) == everything["total"] == tracks()
    for hit in everything["results"]:
        assert (sample_mount / hit["path"].lstrip("/")).is_file()
    one = next(hit for hit in everything["results"] if hit["artist"] and hit["title"] and hit["duration_ms"])
    found = search(f'artist:"{one["artist"]}"', f'title:"{one["title"]}"')
    assert one["file_id"] in {hit["file_id"] for hit in found["results"]}
    assert "<b>" in found["results"][0]["highlights"]["title"]

    raw = subprocess.run(
        command("search", "*", "--paths0", "--limit", "0"), capture_output=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ).stdout  # fmt: skip
    paths = raw.split(b"\0")[:-1]
    assert len(paths) == tracks()
    assert all(os.path.isfile(path) for path in paths)
    playlist = run_process("search", "*", "--m3u", "--limit", "0").out.splitlines()
    assert playlist[0] == "#EXTM3U"
    assert sorted(line.encode() for line in playlist[2::2]) == sorted(paths)

    done = run_process("search", "artsit:x")
    assert (done.code, done.err.splitlines()[2]) == (2, "  ^")
    assert run_process("search", "x", "--origin", "nowhere").code == 4
    assert search("surely-nothing-has-this-word")["results"] == []


def test_what_changes_is_found(sample_mount: Path) -> None:
    wait_for("an index", lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for("everything is found", lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    track = search("format:flac", "--limit", "1")["results"][0]
    assert search("zyzzyva")["total"] == 0
    assert run_process("metadata", "set", track["path"], "--title", "Zyzzyva Song").code == 0
    begun = time.monotonic()
    wait_for("it is found", lambda: search("zyzzyva")["total"] == 1, _INDEXED_WITHIN_S)
    took_s = time.monotonic() - begun
    assert took_s < _FOUND_WITHIN_S
    (hit,) = search("zyzzyva")["results"]
    assert hit["highlights"]["title"] == "<b>Zyzzyva</b> Song"
    assert (sample_mount / hit["path"].lstrip("/")).is_file()
    assert run_process("metadata", "undo", hit["path"]).code == 0
    wait_for("it is not found", lambda: search("zyzzyva")["total"] == 0, _INDEXED_WITHIN_S)


def test_collections_are_folders(sample_mount: Path) -> None:
    wait_for("an index", lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for("everything is found", lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    total = search("format:flac")["total"]
    assert run_process("collection", "create", "All Flac", "--query", "format:flac", "--sort", "title").code == 0

    def document() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run_process("--json", "collection", "show", "All Flac").out)
        return found

    wait_for("the collection is full", lambda: document()["count"] == total, _INDEXED_WITHIN_S)
    shown = document()
    assert len(shown["entries"]) == total
    folder = sample_mount / shown["path"].lstrip("/")
    links = sorted(one for one in folder.iterdir() if one.is_symlink())
    targets = [one.resolve() for one in links]
    assert targets == [(sample_mount / hit["path"].lstrip("/")).resolve() for hit in shown["entries"]]
    again = run_process("collection", "create", "All Flac", "--query", "*")
    assert (again.code, "--replace" in again.err or "replace" in again.err) == (1, True)
    assert run_process("collection", "delete", "All Flac").code == 0
    wait_for("its folder goes", lambda: not folder.exists(), _INDEXED_WITHIN_S)
    assert run_process("collection", "show", "All Flac").code == 4
