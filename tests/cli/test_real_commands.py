"""Every command against a live mount, as a person types it: on a terminal, in a pipe, as JSON; and every example."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pytest

from musicfs.cli.main import cli
from tests.cli.house import INTERRUPTED, House
from tests.cli.shapes import SHAPES, As, Lines, mistakes, words
from tests.cli.test_main import ALL
from tests.players.programs import need

GLOD = "/Björk/Glóð (2001) [MP3]"
SONG = f"{GLOD}/01 - Ísbrú.mp3"
COMMANDS = {" ".join(path): command for path, command in ALL.items() if not isinstance(command, click.Group)}
WITHOUT_JSON = {"completion"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.start()
    yield house
    house.stop()


# JSON.


def test_every_command_has_a_shape() -> None:
    assert {name.partition(" --")[0] for name in SHAPES} == COMMANDS.keys() - WITHOUT_JSON


@pytest.mark.parametrize("name", SHAPES)
def test_the_help_says_what_the_shape_is(name: str) -> None:
    text = " ".join(inspect.cleandoc(COMMANDS[name.partition(" --")[0]].help or "").split())
    said = text.partition("With --json")[2]
    assert said
    missing = [word for word in words(SHAPES[name]) if not re.search(rf"(?<![a-z_]){re.escape(word)}(?![a-z_])", said)]
    assert missing == []


ASKED: dict[str, tuple[tuple[str, ...], ...]] = {
    "status": (("status",),),
    "origin list": (("origin", "list"),),
    "origin health": (("origin", "health", "nas"),),
    "origin rescan": (("origin", "rescan", "nas"), ("origin", "rescan", "nas", "--wait")),
    "origin confirm": (("origin", "confirm", "nas"),),
    "origin test": (("origin", "test", "nas"),),
    "search": (("search", "metallica"), ("search", "--", "-nothing-like-it")),
    "collection list": (("collection", "list"),),
    "collection create": (("collection", "create", "All", "--query", "*", "--sort", "title"),),
    "collection delete": (("collection", "delete", "All"),),
    "metadata set": (
        ("metadata", "set", SONG, "--genre", "Ice"),
        ("metadata", "set", GLOD, "--genre", "Fire", "--dry-run"),
    ),
    "metadata get": (("metadata", "get", SONG), ("metadata", "get", "/")),
    "metadata diff": (("metadata", "diff", "/"),),
    "metadata log": (("metadata", "log"),),
    "metadata export": (("metadata", "export", "--output", "all.csv", "--force"),),
    "metadata import": (("metadata", "import", "all.csv"),),
    "metadata undo": (("metadata", "undo", SONG),),
    "metadata clear": (("metadata", "clear", SONG),),
    "cache stats": (("cache", "stats"),),
    "cache pin": (("cache", "pin", GLOD),),
    "cache pins": (("cache", "pins"),),
    "cache prefetch": (("cache", "prefetch", "/"),),
    "cache unpin": (("cache", "unpin", GLOD),),
    "cache verify": (("cache", "verify"),),
    "cache clear": (("cache", "clear", "--dry-run"), ("cache", "clear")),
    "config check": (("config", "check"),),
    "config show": (("config", "show"),),
    "config reload": (("config", "reload"),),
    "backup": (("backup", "--force", "all.tar"),),
    "doctor": (("doctor",),),
    "doctor --library": (("doctor", "--library", "--all"),),
}


@pytest.mark.parametrize("name", ASKED)
def test_json_has_its_shape(house: House, name: str) -> None:
    shape = SHAPES[name]
    for arguments in ASKED[name]:
        documents = house.documents(*arguments)
        is_stream = isinstance(shape, Lines) or (isinstance(shape, As) and isinstance(shape.shape, Lines))
        assert is_stream or len(documents) == 1
        for document in documents:
            assert list(mistakes(document, shape)) == []


def test_json_of_a_collection_has_its_tracks(house: House) -> None:
    [shown] = house.documents("collection", "show", "Recently Added")
    assert list(mistakes(shown, SHAPES["collection show"])) == []
    assert shown["entries"]


def test_json_of_the_trash(house: House) -> None:
    prepare(house, "trash")
    for name, arguments in {
        "trash list": (),
        "trash restore": ("--all",),
        "trash empty": ("--yes", "--restored"),
    }.items():
        documents = house.documents(*name.split(), *arguments)
        assert documents
        for document in documents:
            assert list(mistakes(document, SHAPES[name])) == []
    house.let_return("Nina Simone/Pastel Blues/1.flac")


def test_json_of_the_library_names_what_is_wrong(house: House) -> None:
    [document] = house.documents("doctor", "--library")
    assert (document["counts"]["unreadable"], document["counts"]["duplicate"]) == (1, 1)
    [broken] = [one for one in document["issues"] if one["kind"] == "unreadable"]
    assert (broken["origin_id"], broken["paths"]) == ("nas", ["broken.flac"])
    [twice] = [one for one in document["issues"] if one["kind"] == "duplicate"]
    assert sorted(twice["paths"]) == ["New Arrivals/Again.flac", "New Arrivals/Enter Sandman.flac"]


def test_exit_codes(house: House) -> None:
    codes = {
        ("status",): 0,
        ("metadata", "export", "--output", "/nowhere/x.csv"): 1,
        ("search", "artsit:x"): 2,
        ("statsu",): 2,
        ("--config", "/nowhere.toml", "config", "check"): 2,
        ("--endpoint", "/nowhere.sock", "status"): 3,
        ("search", "there-is-nothing-like-it"): 4,
        ("origin", "health", "nowhere"): 4,
        ("metadata", "get", "/nowhere"): 4,
        ("collection", "show", "nowhere"): 4,
        ("cache", "pin", "/nowhere"): 4,
    }
    assert {arguments: house.run("musicfs", *arguments).code for arguments in codes} == codes


# Terminal and pipe.

LOOKS = (
    "status", "origin list", "origin health nas", "origin rescan nas --wait", "origin confirm nas", "origin test nas",
    "search metallica", "collection list", "collection show 'Recently Added'", f"metadata get '{SONG}'",
    "metadata diff /", "metadata log", "cache stats", "cache pins", "cache prefetch /", "cache verify",
    "cache clear --dry-run", "trash list", "config check", "config show", "config reload", "backup --force all.tar",
    "doctor --library",
)  # fmt: skip


@pytest.mark.parametrize("line", LOOKS)
def test_on_a_terminal_and_in_a_pipe(house: House, line: str) -> None:
    code, text = house.on_terminal(f"musicfs {line}")
    assert (code, "error" in text.lower().splitlines()[:1]) == (0, False), text
    assert text.strip()
    piped = house.run("bash", "-c", f"musicfs {line} | cat; exit ${{PIPESTATUS[0]}}")
    assert (piped.code, piped.err) == (0, "")
    assert "\x1b" not in piped.out
    coloured = house.run("bash", "-c", f"NO_COLOR=1 musicfs {line}")
    assert "\x1b" not in coloured.out


def test_tables_fit_the_terminal_and_columns_do_not_care(house: House) -> None:
    _, narrow = house.on_terminal("COLUMNS=50 musicfs search metallica")
    assert "3 tracks match" in narrow and max(map(len, narrow.splitlines())) <= 50
    assert (
        house.run("bash", "-c", "COLUMNS=20 musicfs origin list | head -2").out.splitlines()[1].startswith("nas  local")
    )


# The examples of the helps.


def examples() -> Iterator[tuple[str, str]]:
    """(command, line) of every example."""
    for name, command in {"": cli, **COMMANDS}.items():
        block = inspect.cleandoc(command.help or "").partition("\b\nExample")[2].partition("\n")[2]
        for line in inspect.cleandoc(block.partition("\n\n")[0]).splitlines():
            yield name, line.strip()


EXAMPLES = list(dict.fromkeys(line for _, line in examples()))
# These have tests of their own, for they end the mount, or do not end.
ELSEWHERE = re.compile(r"musicfs shutdown|musicfs mount|mount --foreground|musicfs restore|events")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 50


@pytest.mark.parametrize("line", [line for line in EXAMPLES if not ELSEWHERE.search(line)])
def test_examples_run(house: House, line: str) -> None:
    shell = "zsh" if "fpath" in line else "bash"
    need(shell)
    prepare(house, line)
    typed = line.replace("/srv/music", str(house.music)).replace("/mnt/nas", f"{house.root}/mnt/nas")
    if shell == "zsh":
        typed = f"fpath=({house.home}); {typed}"
    code, text = house.on_terminal(typed, typed="y\n", shell=shell)
    assert code == 0, text
    house.run("musicfs", "metadata", "clear", "/")
    if "trash" in line:
        house.let_return("Nina Simone/Pastel Blues/1.flac")


def prepare(house: House, line: str) -> None:
    """What an example takes for granted: that there is something to delete, undo, import or unpin."""
    if "collection delete" in line or "--replace" in line or 'collection show "Quiet' in line:
        house.run("musicfs", "collection", "create", "Quiet Jazz", "--query", "genre:jazz", "--replace")
    elif "collection create" in line:
        for name in ("Quiet Jazz", "New"):
            house.run("musicfs", "collection", "delete", name)
    elif "metadata import corrections" in line:
        house.run("musicfs", "metadata", "export", "--output", "corrections.csv", "--force")
    elif "metadata export" in line:
        for file in ("library.csv", "corrections.jsonl", "bjork.json"):
            (house.work / file).unlink(missing_ok=True)
    elif "metadata undo" in line:
        house.run("musicfs", "metadata", "set", GLOD, "--year", "2002")
    elif "trash" in line:
        house.delete("Nina Simone/Pastel Blues/1.flac")
    elif "cache unpin --query" in line:
        house.run("musicfs", "cache", "pin", "--query", 'artist:"Nina Simone"')
    elif "cache unpin" in line:
        house.run("musicfs", "cache", "pin", "/Nina Simone")
    elif "beets" in line:
        library = house.home / ".config" / "beets" / "library.db"
        library.parent.mkdir()
        with contextlib.closing(sqlite3.connect(library)) as database, database:
            database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, path BLOB, title TEXT, mb_trackid TEXT)")
            item = (b"Nina Simone/Pastel Blues/1.flac", "Be My Husband", "")
            database.execute("INSERT INTO items (path, title, mb_trackid) VALUES (?, ?, ?)", item)


def test_events_until_interrupted(house: House) -> None:
    for line in [line for line in EXAMPLES if "events" in line]:
        assert line.split()[0] == "musicfs"
    rescan = partial(house.run, "musicfs", "origin", "rescan", "nas", "--wait")
    code, text = house.on_terminal("musicfs events", interrupt_after="sync_completed", meanwhile=rescan)
    assert "sync_started" in text
    assert code == INTERRUPTED
    _, text = house.on_terminal("musicfs --json events", interrupt_after="sync_completed", meanwhile=rescan)
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert found
    for event in found:
        assert list(mistakes(event, SHAPES["events"])) == []


def test_mounting_and_unmounting_as_the_examples_do(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    try:
        [mounted] = house.documents("mount")
        assert list(mistakes(mounted, SHAPES["mount"])) == []
        [gone] = house.documents("shutdown")
        assert (list(mistakes(gone, SHAPES["shutdown"])), gone) == ([], mounted)
        for line in (line for line in EXAMPLES if line.startswith("musicfs shutdown")):
            assert house.run("musicfs", "mount").code == 0
            code, text = house.on_terminal(line)
            assert (code, text) == (0, f"unmounted {house.mount_point}\n")
        for line in (line for line in EXAMPLES if line.startswith("musicfs restore")):
            typed = line.replace("/mnt", f"{house.root}/mnt")
            assert house.run("bash", "-c", f"musicfs backup --force {typed.split()[-1]}").code == 0
            code, text = house.on_terminal(typed, typed="y\n")
            assert (code, "restored" in text) == (0, True), text
            piped = typed.replace("musicfs ", "musicfs --json ", 1).replace(" --yes", "")
            assert house.run("bash", "-c", f"{piped} </dev/null").code == 2
            done = house.run("bash", "-c", piped.replace("restore", "restore --yes"))
            assert list(mistakes(json.loads(done.out), SHAPES["restore"])) == []
        for line in (line for line in EXAMPLES if line.startswith("musicfs mount")):
            typed = line.replace("/srv", f"{house.root}/srv").replace("/mnt", f"{house.root}/mnt")
            code, text = house.on_terminal(typed)
            assert (code, text.startswith(f"mounted {house.mount_point} (pid ")) == (0, True), text
            assert house.run("musicfs", "shutdown").code == 0
    finally:
        house.stop()
