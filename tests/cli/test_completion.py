"""Completion: what a line in bash means, what is offered, and what the real shells make of it."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.api.trash import TrashEntry
from musicfs.cli.completing import Typed, quoted, read_bash_line
from musicfs.cli.completion import SCRIPTS
from tests.api.backend import FakeBackend
from tests.cli.conftest import REPOSITORY
from tests.players.programs import need

BREAKS = " \t\n\"'><=;|&(:"  # what bash has, with the @ of hosts left out
ODD = "Odd, name: $1 [x]* 'q' \"d\" \\ &~"
NAMES = (f"{ODD}/One/1.flac", "Nina Simone/Pastel Blues/01 - Sinnerman.flac", "Nina Simone/Wild Is the Wind/2.flac")


def deleted(path: str, *, restored_ms: int = 0) -> TrashEntry:
    return TrashEntry(
        path=path, origin_id="nas", origin_path="x", deleted_ms=1, size_bytes=1, restored_ms=restored_ms
    )  # fmt: skip


DELETED = (
    deleted("/Nina Simone/Wild Is the Wind/01 - Four Women.flac"),
    deleted("/Nina Simone/Wild Is the Wind/02 - Lilac Wine.flac"),
    deleted("/Nina Simone/Restored/1.flac", restored_ms=1),
    deleted(f"/{ODD}/It's gone.mp3"),
)

NAME = st.text(st.characters(exclude_characters="\0\n\t", exclude_categories=["Cs"]), min_size=1, max_size=12)


# A line of bash.


@pytest.mark.parametrize(
    ("line", "words", "current", "kept", "quote"),
    [
        ("musicfs ", (), "", 0, ""),
        ("musicfs st", (), "st", 0, ""),
        ("A=1 musicfs  cache pin ", ("cache", "pin"), "", 0, ""),
        (r"musicfs pin /Nina\ Si", ("pin",), "/Nina Si", 0, ""),
        ('musicfs pin "/Nina Si', ("pin",), "/Nina Si", 0, '"'),
        (r'musicfs pin "a\"b\n" "c\$', ("pin", 'a"b\\n'), "c$", 0, '"'),
        ("musicfs pin 'a\\b' /x'y z", ("pin", "a\\b"), "/xy z", 2, "'"),
        ("musicfs search --origin=na", ("search",), "--origin=na", 9, ""),
        (r"musicfs pin a\:b:c", ("pin",), "a:b:c", 4, ""),
        ('musicfs pin "/Nina Simone/"', ("pin",), "/Nina Simone/", 0, ""),
        ("musicfs pin x\\", ("pin",), "x", 0, ""),
    ],
)
def test_lines(line: str, words: Sequence[str], current: str, kept: int, quote: str) -> None:
    typed = read_bash_line(line, BREAKS)
    assert (tuple(typed.words), *typed[1:]) == (words, current, kept, quote)


@given(st.lists(NAME, max_size=4), NAME, st.sampled_from(["", "'", '"']))
def test_what_is_quoted_reads_as_it_was(words: list[str], last: str, quote: str) -> None:
    line = " ".join(["musicfs", *map(shlex.quote, words), quote + quoted(last, quote)])
    typed = read_bash_line(line, "")
    assert typed == Typed(words, last, typed.kept, typed.quote)
    assert shlex.split(line + typed.quote) == ["musicfs", *words, last]


# What is offered.


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A home, a folder that stands for the mount, and a ``musicfs`` that notes how it was called."""

    home: Path
    called: Path
    environment: dict[str, str]


@pytest.fixture
def sandbox(tmp_path: Path, user: Path) -> Sandbox:
    point = tmp_path / "mnt"
    for name in NAMES:
        path = point / name
        path.parent.mkdir(parents=True)
        path.touch()
    config = user / ".config" / "musicfs" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"instance = 'musicfs'\nmount_point = '{point}'\n[[origins]]\nid = 'nas'\npath = '/a'\n"
        "[[origins]]\nid = 'usb'\npath = '/b'\n"
    )
    called = tmp_path / "called"
    program = tmp_path / "bin" / "musicfs"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
if [ -n "$_MUSICFS_COMPLETE" ]; then PYTHONPATH={REPOSITORY} exec {sys.executable} -m musicfs.cli.main; fi
exec {sys.executable} -c 'import json, os, sys
with open("{called}.part", "w") as file: json.dump(sys.argv[1:], file)
os.rename("{called}.part", "{called}")' "$@"
"""
    )
    program.chmod(0o755)
    environment = {
        "HOME": str(user), "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8",
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"], "COLUMNS": "200", "LINES": "50",
    }  # fmt: skip
    return Sandbox(user, called, environment)


def offered(sandbox: Sandbox, *words: str, shell: str = "fish") -> list[str]:
    done = subprocess.run(
        ["musicfs"], input="".join(f"{word}\0" for word in ("musicfs", *words)), capture_output=True, text=True,
        timeout=30, check=False, env={**sandbox.environment, "_MUSICFS_COMPLETE": shell},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_what_is_offered(sandbox: Sandbox) -> None:
    assert offered(sandbox, "st") == ["word\tstatus\tShow what is mounted and how it is doing."]
    assert [line.split("\t")[1] for line in offered(sandbox, "origin", "rescan", "")] == ["nas", "usb"]
    assert offered(sandbox, "search", "x", "--origin=n") == ["word\t--origin=nas\t/a"]
    assert [line.split("\t")[:2] for line in offered(sandbox, "cache", "pin", "/")] == [
        ["open", "/Nina Simone/"], ["open", f"/{ODD}/"]
    ]  # fmt: skip
    assert offered(sandbox, "cache", "pin", "~/x") == ["files"]
    assert offered(sandbox, "metadata", "get", "/", "--field", "cus") == ["open\tcustom:\t"]
    assert offered(sandbox, "nonsense", "") == []
    assert offered(sandbox, "st", shell="tcsh") == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("origin", ""), ["confirm", "health", "list", "rescan", "test"]),
        (("origin", "rescan", "n"), ["nas"]),
        (("cache", "clear", "u"), ["usb"]),
        (("cache", "clear", "--tier", ""), ["edges", "main"]),
        (("cache", "p"), ["pin", "pins", "prefetch"]),
        (("cache", "prefetch", "Nina Simone/Wild"), ["Nina Simone/Wild Is the Wind/"]),
        (("metadata", "s"), ["set"]),
        (("metadata", "get", "/", "--field", "album_"), ["album_artist", "album_artist_sort", "album_sort"]),
        (("metadata", "set", "/", "--album-a"), ["--album-artist", "--album-artist-sort"]),
        (("metadata", "import", "/", "--format", "j"), ["json", "jsonl"]),
        (("trash", ""), ["empty", "list", "restore"]),
    ],
    ids=" ".join,
)
def test_commands_options_and_values(sandbox: Sandbox, words: Sequence[str], found: Sequence[str]) -> None:
    assert [line.split("\t")[1] for line in offered(sandbox, *words)] == found


@pytest.mark.parametrize("words", [("collection", "show"), ("cache", "unpin"), ("trash", "restore")], ids=" ".join)
def test_without_a_daemon_nothing_is_offered(sandbox: Sandbox, words: Sequence[str]) -> None:
    assert offered(sandbox, *words, "/") == []


def test_paths_that_the_shell_knows(sandbox: Sandbox, tmp_path: Path) -> None:
    for words in (("cache", "pin"), ("trash", "restore")):
        assert offered(sandbox, *words, f"{tmp_path}/mnt/N") == ["files"]
    config = sandbox.home / ".config" / "musicfs" / "config.toml"
    config.write_text(config.read_text().replace("mount_point", "cache_dir"))
    assert offered(sandbox, "cache", "pin", "/A") == ["files"], "nobody knows where the mount is"


def test_nothing_heavy_is_imported_for_it(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "musicfs.cli.main"], input="musicfs\0sta\0", capture_output=True,
        text=True, timeout=30, check=True,
        env={**sandbox.environment, "_MUSICFS_COMPLETE": "zsh", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.stdout.startswith("word\tstatus\t")
    for name in ("grpc", "rich", "msgspec", "tantivy", "lmdb"):
        assert f" {name}\n" not in done.stderr


# In the shells themselves.

START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='> '; bind 'set bell-style none'; . {script}\n"),
    "zsh": (["zsh", "-f", "-i"], "PS1='> '; autoload -U compinit; compinit -u -D; . {script}\n"),
}


def heard(terminal: int, deadline: float, before: bytes) -> bytes:
    """What is printed next, if there is anything soon."""
    assert time.monotonic() < deadline, before.decode(errors="replace")
    ready, _, _ = select.select([terminal], [], [], 0.05)
    return os.read(terminal, 65536) if ready else b""


def typed_in(shell: str, sandbox: Sandbox, tmp_path: Path, typed: str) -> list[str]:
    """How ``musicfs`` is called when this is typed, with Tab where it says ``<Tab>``, and Enter behind it."""
    need(shell)
    script = tmp_path / f"script.{shell}"
    script.write_text(SCRIPTS[shell])
    arguments, start = START[shell]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *arguments], stdin=slave, stdout=slave, stderr=slave, env=sandbox.environment
    )
    os.close(slave)
    try:
        os.write(master, start.format(script=shlex.quote(str(script))).encode())
        os.write(master, b"echo rea''dy\n")
        seen = b""
        deadline = time.monotonic() + 10
        while b"ready" not in seen:
            seen += heard(master, deadline, seen)
        os.write(master, typed.replace("<Tab>", "\t").encode() + b"\r")
        while not sandbox.called.exists():
            seen += heard(master, deadline, seen)
    finally:
        os.close(master)  # the terminal hangs up
        process.wait(10)
    called: list[str] = json.loads(sandbox.called.read_text())
    return called


CASES = (
    ("musicfs stat<Tab>", ["status"]),
    ("musicfs cache pin /Nin<Tab>", ["cache", "pin", "/Nina Simone/"]),
    ('musicfs cache pin "/Nin<Tab>', ["cache", "pin", "/Nina Simone/"]),
    ("musicfs cache pin '/Nin<Tab>", ["cache", "pin", "/Nina Simone/"]),
    ("musicfs cache pin /Nin<Tab>Pas<Tab>", ["cache", "pin", "/Nina Simone/Pastel Blues/"]),
    (
        "musicfs cache pin /Nin<Tab>Pas<Tab><Tab> x",
        ["cache", "pin", "/Nina Simone/Pastel Blues/01 - Sinnerman.flac", "x"],
    ),
    ("musicfs cache pin /Od<Tab>", ["cache", "pin", f"/{ODD}/"]),
    ("musicfs cache pin /Od<Tab>O<Tab>1<Tab>", ["cache", "pin", f"/{ODD}/One/1.flac"]),
    ("musicfs search x --origin=n<Tab>", ["search", "x", "--origin=nas"]),
    ("musicfs search x --origin u<Tab>", ["search", "x", "--origin", "usb"]),
    ("musicfs collection show 80<Tab>", ["collection", "show", "80s Music"]),
    ("musicfs collection show Mi<Tab>", ["collection", "show", "Mine's"]),
    ("musicfs trash restore /Nin<Tab>W<Tab>02<Tab>", ["trash", "restore", DELETED[1].path]),
    ("musicfs trash restore --all /O<Tab><Tab>", ["trash", "restore", "--all", DELETED[3].path]),
    ('musicfs trash restore "Nin<Tab>W<Tab>01<Tab>', ["trash", "restore", DELETED[0].path.lstrip("/")]),
    ("musicfs trash restore '/Nin<Tab>W<Tab>01<Tab>", ["trash", "restore", DELETED[0].path]),
    ('musicfs trash restore "Nina Simone/"W<Tab>01<Tab>', ["trash", "restore", DELETED[0].path.lstrip("/")]),
    ('musicfs trash restore "/Nina Simone/"<Tab>01<Tab>', ["trash", "restore", DELETED[0].path]),
    ('musicfs search x --origin="n<Tab>', ["search", "x", "--origin=nas"]),
    ('musicfs trash restore "Nina Simone/Wild Is the Wind/01<Tab>', ["trash", "restore", DELETED[0].path.lstrip("/")]),
)


@pytest.mark.parametrize("shell", START)
@pytest.mark.parametrize(("typed", "called"), CASES, ids=[typed for typed, _ in CASES])
def test_tab(shell: str, typed: str, called: list[str], sandbox: Sandbox, backend: FakeBackend, tmp_path: Path) -> None:
    backend.deleted = DELETED
    if shell == "zsh" and typed[-10:-9] in {"'", '"'}:
        typed += typed[-10]  # a quote stays open behind a folder
    assert typed_in(shell, sandbox, tmp_path, typed) == called


def fish(sandbox: Sandbox, tmp_path: Path, line: str) -> list[str]:
    need("fish")
    script = tmp_path / "musicfs.fish"
    script.write_text(SCRIPTS["fish"])
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete --do-complete {shlex.quote(line)}"],
        capture_output=True, text=True, timeout=30, check=True, env=sandbox.environment,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_fish(sandbox: Sandbox, backend: FakeBackend, tmp_path: Path) -> None:
    backend.deleted = DELETED
    assert fish(sandbox, tmp_path, "musicfs trash restore ") == ["Nina Simone/", f"{ODD}/"]
    assert fish(sandbox, tmp_path, "musicfs trash restore /Nina\\ Simone/W") == ["/Nina Simone/Wild Is the Wind/"]
    assert fish(sandbox, tmp_path, "musicfs trash restore '/Nina Simone/Wild Is the Wind/0") == [
        DELETED[0].path, DELETED[1].path
    ]  # fmt: skip
    assert fish(sandbox, tmp_path, "musicfs stat") == ["status\tShow what is mounted and how it is doing."]
    assert fish(sandbox, tmp_path, "musicfs cache pin /Nin") == ["/Nina Simone/"]
    assert fish(sandbox, tmp_path, "musicfs cache pin /Nina\\ Simone/P") == ["/Nina Simone/Pastel Blues/"]
    assert fish(sandbox, tmp_path, 'musicfs cache pin "/Nina Simone/P') == ["/Nina Simone/Pastel Blues/"]
    assert fish(sandbox, tmp_path, "musicfs collection show 8") == ["80s Music\tbuilt-in"]
    assert fish(sandbox, tmp_path, "musicfs cache pin /O") == [f"/{ODD}/"]
