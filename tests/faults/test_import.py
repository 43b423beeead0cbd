"""An import of corrected tags, and what dies in the middle of it: what was acknowledged is there, nothing is there by half.

Three hundred rows, which is three batches; ten thousand with ``--soak``.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
import pytest

from benchmarks.libraries import make_tiny_library
from tests.faults.living import command, keeper_of, kill, restart, wait_for
from tests.mounting import Mounted, mount

SAMPLE = 200
ENDS_S = 120.0


@dataclass(frozen=True, slots=True)
class Library:
    """A mounted library, and a file that gives every track of it another title, a genre, and an ISRC."""

    mounted: Mounted
    rows: Path
    count: int

    def title(self, number: int) -> str:
        return f"Imported {number:05}"


@pytest.fixture
def count(pytestconfig: pytest.Config) -> int:
    return 10_000 if pytestconfig.getoption("--soak") else 300


@pytest.fixture
def library(tmp_path: Path, count: int) -> Iterator[Library]:
    make_tiny_library(tmp_path / "music", count)
    mounted = mount({"o": tmp_path / "music"}, tmp_path / "home")
    try:
        made = Library(mounted, tmp_path / "rows.csv", count)
        fields = ("path", "title", "genre", "isrc")
        _write(made.rows, fields, (
            (f"/{track.relative_to(mounted.point)}", made.title(number), "Imported", _isrc(number))
            for number, track in enumerate(_tracks(mounted))
        ))  # fmt: skip
        yield made
    finally:
        mounted._abandon()


def _isrc(number: int) -> str:
    return f"XX{number:010}"


def _write(path: Path, fields: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(fields)
        writer.writerows(rows)


def _tracks(mounted: Mounted) -> list[Path]:
    return sorted(path for path in mounted.point.rglob("*") if path.suffix in (".flac", ".mp3"))


def _import(mounted: Mounted, rows: Path) -> tuple[int, int]:
    """How many tracks changed, and how many did not; fails if a row does."""
    done = mounted.command("--json", "metadata", "import", str(rows), timeout_s=ENDS_S)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert not [one for one in results if one["error"] or one["reason"]]
    return sum(bool(one["changes"]) for one in results), sum(not one["changes"] for one in results)


def _check_all(library: Library, title: Callable[[int], str], sample: int = SAMPLE) -> None:
    """Every track is where its title puts it, and the bytes of a sample of them say what was imported."""
    tracks = _tracks(library.mounted)
    assert len(tracks) == library.count
    names = {path.stem.partition(" - ")[2] for path in tracks}
    assert names == {title(number) for number in range(library.count)}
    for path in tracks[:: max(library.count // sample, 1)]:
        assert _said(path) == [path.stem.partition(" - ")[2], "Imported"], path


def _said(path: Path) -> list[str]:
    """(title, genre) in the bytes of a file of the mount, all of which are there."""
    assert len(path.read_bytes()) == path.stat().st_size
    read = mutagen.File(str(path), easy=True)
    return [read["title"][0], read["genre"][0]]


def test_everything_is_imported_and_a_second_time_nothing(library: Library, tmp_path: Path) -> None:
    mounted = library.mounted
    assert _import(mounted, library.rows) == (library.count, 0)
    _check_all(library, library.title)
    assert _import(mounted, library.rows) == (0, library.count)

    by_isrc = tmp_path / "isrc.csv"
    numbers = range(library.count)
    _write(by_isrc, ("isrc", "title"), ((_isrc(number), f"Again {number:05}") for number in numbers))
    assert _import(mounted, by_isrc) == (library.count, 0)
    _check_all(library, "Again {:05}".format)
    assert _import(mounted, by_isrc) == (0, library.count)

    exported = tmp_path / "exported.csv"
    done = mounted.command("metadata", "export", "--output", str(exported), timeout_s=ENDS_S)
    assert done.returncode == 0, done.stderr
    assert _import(mounted, exported) == (0, library.count)
    mounted.close()


def test_an_isrc_that_moves_is_found_where_it_is_now(library: Library, tmp_path: Path) -> None:
    """What is known from one part of an import to the next follows what the import itself and others change."""
    mounted = library.mounted
    assert _import(mounted, library.rows) == (library.count, 0)
    first, second, *_ = _tracks(mounted)
    rows = tmp_path / "moves.csv"

    def move(path: Path, isrc: str) -> None:
        done = mounted.command("metadata", "set", str(path), "--isrc", isrc)
        assert done.returncode == 0, done.stderr

    def found(isrc: str) -> list[dict[str, Any]]:
        _write(rows, ("isrc", "genre"), iter([(isrc, "Imported")]))
        done = mounted.command("--json", "metadata", "import", str(rows))
        return [json.loads(line) for line in done.stdout.splitlines()]

    (before,) = found(_isrc(0))
    assert before["path"] == f"/{first.relative_to(mounted.point)}"
    move(first, "YY0")
    assert "no track has" in found(_isrc(0))[0]["error"]
    move(second, _isrc(0))
    (after,) = found(_isrc(0))
    assert after["path"] == f"/{second.relative_to(mounted.point)}"
    move(first, _isrc(0))
    assert "2 tracks have" in found(_isrc(0))[0]["error"]
    mounted.close()


def _interrupted(library: Library, kill_now: Callable[[subprocess.Popen[str]], object]) -> dict[str, str]:
    """Import, and call ``kill_now`` when the first batch is acknowledged; new path -> title of all that were by the end."""
    mounted = library.mounted
    process = subprocess.Popen(
        [*command(mounted), "--json", "metadata", "import", str(library.rows)],
        env=mounted.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    ending = threading.Timer(ENDS_S, process.kill)
    ending.start()
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline()]
        kill_now(process)
        lines += process.stdout.readlines()  # communicate() would pass over what the first line's read has buffered
        process.wait()
    finally:
        ending.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    results = [json.loads(line) for line in lines if line.endswith("\n")]
    print(f"{len(results)} of {library.count} rows were acknowledged")
    return {one["new_path"]: one["changes"][-1]["after"][0] for one in results if not one["error"]}


def _check_interrupted(library: Library, acknowledged: dict[str, str]) -> None:
    """All that was acknowledged is there, and nothing by half; another import does the rest, and no more."""
    mounted = library.mounted
    assert acknowledged
    for new_path, said in acknowledged.items():
        assert _said(mounted.point / new_path.lstrip("/")) == [said, "Imported"]

    def is_whole() -> bool:  # what was written to the state, and not yet shown, is shown soon
        return sum(path.stem.partition(" - ")[2].startswith("Imported") for path in _tracks(mounted)) == imported

    listed = mounted.command("--json", "metadata", "get", "--query", "genre:Imported", "/", timeout_s=ENDS_S)
    imported = len(listed.stdout.splitlines())
    assert imported >= len(acknowledged)
    wait_for("the tree says what the state says", is_whole)
    for path in _tracks(mounted)[:: max(library.count // SAMPLE, 1)]:
        title, genre = _said(path)
        assert title == path.stem.partition(" - ")[2]
        assert title.startswith("Imported") == (genre == "Imported"), path
    changed, unchanged = _import(mounted, library.rows)
    assert (changed, unchanged) == (library.count - imported, imported)
    _check_all(library, library.title)


def test_the_keeper_is_killed(library: Library) -> None:
    mounted = library.mounted
    mounted.allow_log("the keeper ended with status -9")
    before = keeper_of(mounted)
    acknowledged = _interrupted(library, lambda _: os.kill(before, 9))
    wait_for("another keeper answers", lambda: mounted.status().get("keeper_pid") not in (None, before), 20)
    mounted.wait_until_scanned()
    _check_interrupted(library, acknowledged)
    mounted.close()


def test_the_command_is_killed(library: Library) -> None:
    acknowledged = _interrupted(library, lambda process: process.kill())
    _check_interrupted(library, acknowledged)
    library.mounted.close()


def test_the_mount_process_is_killed(library: Library) -> None:
    acknowledged = _interrupted(library, lambda _: kill(library.mounted))
    again = restart(library.mounted)
    try:
        _check_interrupted(Library(again, library.rows, library.count), acknowledged)
    finally:
        again.close()
