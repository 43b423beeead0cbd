"""``musicfs search`` and ``collection`` with the real daemon: what is found is in the mount, and what changes is found."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, command, run_process
from tests.cli.test_real_mount import wait_until_scanned

_FOUND_WITHIN_S = 2.0  # a change, says the specification
_INDEXED_WITHIN_S = 30.0


@pytest.fixture
def mount_point(tmp_path: Path, sample_library: Path) -> Iterator[Path]:
    folder = tmp_path / "mnt"
    folder.mkdir()
    assert run_process("mount", str(folder), "--origin", str(sample_library)).code == 0
    wait_until_scanned()
    yield folder
    run_process("shutdown", "--graceful", "false")


def search(*arguments: str) -> dict[str, Any]:
    done = run_process("--json", "search", *arguments)
    assert (done.code in {0, 4}, done.err) == (True, "")
    document: dict[str, Any] = json.loads(done.out)
    assert done.code == (0 if document["total"] else 4)
    return document


def wait_for(is_so: Callable[[], bool], timeout_s: float) -> float:
    """How many seconds it took until it was so."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() < begun + timeout_s
        time.sleep(0.05)
    return time.monotonic() - begun


def tracks() -> int:
    count: int = json.loads(run_process("--json", "status").out)["tracks"]
    return count


def test_what_is_found_is_in_the_mount(mount_point: Path) -> None:
    wait_for(lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for(lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    everything = search("*", "--limit", "0")
    assert len(everything["results"]) == everything["total"] == tracks()
    for hit in everything["results"]:
        assert (mount_point / hit["path"].lstrip("/")).is_file()
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


def test_what_changes_is_found(mount_point: Path) -> None:
    wait_for(lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for(lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    track = search("format:flac", "--limit", "1")["results"][0]
    assert search("zyzzyva")["total"] == 0
    assert run_process("metadata", "set", track["path"], "--title", "Zyzzyva Song").code == 0
    took_s = wait_for(lambda: search("zyzzyva")["total"] == 1, _INDEXED_WITHIN_S)
    assert took_s < _FOUND_WITHIN_S
    (hit,) = search("zyzzyva")["results"]
    assert hit["highlights"]["title"] == "<b>Zyzzyva</b> Song"
    assert (mount_point / hit["path"].lstrip("/")).is_file()
    assert run_process("metadata", "undo", hit["path"]).code == 0
    wait_for(lambda: search("zyzzyva")["total"] == 0, _INDEXED_WITHIN_S)


def test_collections_are_folders(mount_point: Path) -> None:
    wait_for(lambda: run_process("search", "*").code == 0, _INDEXED_WITHIN_S)
    wait_for(lambda: search("*")["total"] == tracks(), _INDEXED_WITHIN_S)
    total = search("format:flac")["total"]
    assert run_process("collection", "create", "All Flac", "--query", "format:flac", "--sort", "title").code == 0

    def document() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run_process("--json", "collection", "show", "All Flac").out)
        return found

    wait_for(lambda: document()["count"] == total, _INDEXED_WITHIN_S)
    shown = document()
    assert len(shown["entries"]) == total
    folder = mount_point / shown["path"].lstrip("/")
    links = sorted(one for one in folder.iterdir() if one.is_symlink())
    targets = [one.resolve() for one in links]
    assert targets == [(mount_point / hit["path"].lstrip("/")).resolve() for hit in shown["entries"]]
    again = run_process("collection", "create", "All Flac", "--query", "*")
    assert (again.code, "--replace" in again.err or "replace" in again.err) == (1, True)
    assert run_process("collection", "delete", "All Flac").code == 0
    wait_for(lambda: not folder.exists(), _INDEXED_WITHIN_S)
    assert run_process("collection", "show", "All Flac").code == 4
