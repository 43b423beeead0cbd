"""``musicfs doctor --library``: as people read it, as programs do, and what goes wrong."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from musicfs.api.library import ISSUE_KINDS, LibraryReport
from musicfs.cli.doctor.library import _WORDS
from musicfs.errors import DiskFullError
from tests.api.backend import FakeBackend
from tests.cli.conftest import Run, on_terminal

TEXT = """\
warn  unreadable     3 files could not be read
                     nas:A/broken\\xff.mp3 (no MPEG frame)
                     and 2 more; --all shows them
                     shown under their own names, and played as they are; repair or replace them
ok    without tags   none
ok    split albums   none
warn  duplicates     1 recording is there more than once in one origin
                     nas:A/1.flac, B/1\\x1b[2J.flac and 10 more
                     remove what is too much at the origin; MusicFS never does
warn  no cover       1 album has no cover
                     /Björk/Début
                     put a cover.jpg beside the tracks, or `musicfs metadata set FOLDER --cover FILE`
ok    drifted        none
warn  corrections    1 file with corrected tags is gone
                     a file that is not known any more (its file is gone; corrected were title)
                     they apply again when that file is back, or exactly one other has its audio and no corrections
warn  not checked    usb: the folder is not there
"""


def test_for_people(run: Run, backend: FakeBackend) -> None:
    done = run("doctor", "--library")
    assert (done.code, done.err) == (0, "")
    assert done.out == TEXT
    assert backend.looks == [((), "", 10)]
    assert run("doctor", "--library", "--all", "--origin", "nas").code == 0
    assert backend.looks[-1] == ((), "nas", 0)


def test_on_a_terminal(backend: FakeBackend) -> None:
    code, text = on_terminal("doctor", "--library")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert code == 0
    assert "warn  unreadable     3 files could not be read" in plain.replace("\r", "")
    assert "\x1b[33mwarn" in text
    assert "\x1b[2J" not in text, "a name must not clear the screen"
    assert backend.looks


def test_for_programs(run: Run, backend: FakeBackend) -> None:
    document = json.loads(run("--json", "doctor", "--library").out)
    assert list(document) == ["files", "counts", "unchecked", "issues"]
    assert (document["files"], document["unchecked"]) == (1000, {"usb": "the folder is not there"})
    assert list(document["counts"]) == list(ISSUE_KINDS)
    assert document["issues"][0] == {
        "kind": "unreadable", "origin_id": "nas", "paths": ["A/broken\\xff.mp3"], "detail": "no MPEG frame", "files": 1
    }  # fmt: skip
    backend.reported = (LibraryReport(counts=dict.fromkeys(ISSUE_KINDS, 0), complete=True),)
    assert json.loads(run("--json", "doctor", "--library").out)["issues"] == []


def test_every_kind_has_words_and_is_in_the_help(run: Run) -> None:
    assert tuple(_WORDS) == ISSUE_KINDS
    words = " ".join(run("doctor", "--help").out.split())
    assert ", ".join(ISSUE_KINDS) in words


def test_what_goes_wrong(run: Run, backend: FakeBackend) -> None:
    backend.library_error = DiskFullError("no room", remedy="make some")
    done = run("doctor", "--library")
    assert (done.code, done.out, done.err) == (1, "", "error: no room\n  make some\n")
    done = run("doctor", "--all")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: --all and --origin are for --library")
    assert run("doctor", "--origin", "nas").code == 2


def test_without_a_daemon(run: Run) -> None:
    assert run("doctor", "--library").code == 3


def test_a_stream_that_ends_early_is_a_bug(run: Run, backend: FakeBackend) -> None:
    backend.reported = (LibraryReport(),)
    done = run("doctor", "--library")
    assert (done.code, "should not have happened" in done.err) == (1, True)


@pytest.mark.parametrize("count", [1, 2])
def test_one_and_several(run: Run, backend: FakeBackend, count: int) -> None:
    last = msgspec.structs.replace(backend.reported[-1], counts=dict.fromkeys(ISSUE_KINDS, count))
    backend.reported = (last,)
    out = run("doctor", "--library").out
    assert ("albums are shown" in out, "album is shown" in out) == (count == 2, count == 1)
