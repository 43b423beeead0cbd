"""``musicfs search`` in front of a running daemon: in a pipe, as JSON, on a terminal, and for other programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from musicfs.api.search import SearchHit
from musicfs.cli.track_list import pieces
from musicfs.errors import IndexNotReadyError
from musicfs.index.help import QUERY_HELP
from tests.api.backend import FakeBackend
from tests.api.search_backend import HITS, many
from tests.cli.conftest import Run, command, on_terminal, run_process


def test_in_a_pipe_it_prints_paths(run: Run, backend: FakeBackend) -> None:
    done = run("search", "artist:björk", "début")
    assert (done.code, done.err) == (0, "")
    assert done.out == "/mnt/music/Björk/Début/01 - One & Two.flac\n/mnt/music/Other/a\\xff\\x1b[2J.flac\n"
    assert backend.asked_for == [("search", "artist:björk début", "", 100, 0)]
    done = run("search", "a", "--limit", "1", "--offset", "1", "--origin", "nas")
    assert done.out == "/mnt/music/Other/a\\xff\\x1b[2J.flac\n"
    assert backend.asked_for[-1] == ("search", "a", "nas", 1, 1)


def test_as_json_it_has_a_stable_shape(run: Run, backend: FakeBackend) -> None:
    assert backend
    document = json.loads(run("--json", "search", "a b").out)
    assert (document["query"], document["total"], document["took_ms"]) == ("a b", 2, 3)
    assert document["results"][0] == {
        "file_id": 7,
        "path": "/Björk/Début/01 - One & Two.flac",
        "artist": "Björk",
        "album": "Début",
        "title": "One & Two",
        "score": 2.5,
        "highlights": {
            "artist": "<b>Björk</b>",
            "title": "One &amp; <b>Two</b>",
            "composer": "x &lt;b&gt; <b>y</b>",
        },
        "duration_ms": 241_400,
    }
    assert document["results"][1]["path"] == "/Other/a\\xff\x1b[2J.flac"
    assert list(document["results"][1]) == list(document["results"][0])


def test_on_a_terminal_it_is_a_table(backend: FakeBackend) -> None:
    backend.found = (
        msgspec.structs.replace(HITS[0], path="/B/1.flac"),
        msgspec.structs.replace(HITS[1], artist="ready", path="/O/\x1b[2J.flac"),
    )
    code, out = on_terminal("search", "björk", "--offset", "0")
    assert code == 0
    lines = out.splitlines()
    assert re.search(
        r"#.*artist.*album.*title.*path", re.sub(r"\x1b\[[\d;]*m", "", out.partition("━")[0].replace("─", ""))
    )
    assert "\x1b[1mBjörk\x1b[0m" in out, "what was found is bold"
    assert "One & \x1b[1mTwo\x1b[0m" in out
    assert "\x1b[1mDébut" not in out
    assert "\x1b[2J" not in out and "\\x1b[2J.flac" in out
    assert "\x1b[32mready" not in out, "an artist is no state"
    assert "2 tracks match" in lines[-1]
    backend.found = many(250)
    _, out = on_terminal("search", "x")
    assert "250 tracks match; 1 to 100 are shown, --limit 0 shows all" in out.splitlines()[-1]
    _, out = on_terminal("search", "x", "--offset", "300")
    assert "250 tracks match, none of them after the first 300" in out


def test_paths_for_xargs(backend: FakeBackend, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert backend
    from musicfs.cli.main import main

    assert main(["search", "x", "--paths0"]) == 0
    out = capfdbinary.readouterr().out
    assert out == "/mnt/music/Björk/Début/01 - One & Two.flac\0".encode() + b"/mnt/music/Other/a\xff\x1b[2J.flac\0"


def test_a_playlist(backend: FakeBackend, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from musicfs.cli.main import main

    backend.found = (
        HITS[0],
        msgspec.structs.replace(HITS[1], title="Two\nlines", duration_ms=0),
        SearchHit(file_id=3, path="/a\nb.flac", title="no playlist can name it"),
        SearchHit(file_id=4, path="", title="no view has it"),
        SearchHit(file_id=5, path="/untagged.flac", duration_ms=1_500),
    )
    assert main(["search", "x", "--m3u"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out.decode("utf-8", "surrogateescape") == (
        "#EXTM3U\n"
        "#EXTINF:241,Björk - One & Two\n/mnt/music/Björk/Début/01 - One & Two.flac\n"
        "#EXTINF:-1,Two lines\n/mnt/music/Other/a\udcff\x1b[2J.flac\n"
        "#EXTINF:2,untagged.flac\n/mnt/music/untagged.flac\n"
    )
    assert captured.err == b"left out, as no playlist can name it: '/mnt/music/a\\nb.flac'\n"


def test_all_of_very_much(run: Run, backend: FakeBackend) -> None:
    backend.found = many(12_000)
    done = run("search", "x")
    assert (len(done.out.splitlines()), done.err) == (100, "100 of 12000 tracks; --limit 0 prints all\n")
    done = run("search", "x", "--limit", "0")
    assert (len(set(done.out.splitlines())), done.err) == (12_000, "")
    done = run("search", "x", "--limit", "11000", "--offset", "5", "--json")
    results = json.loads(done.out)["results"]
    assert [len(results), results[0]["file_id"], results[-1]["file_id"]] == [11_000, 6, 11_005]
    assert run("search", "x", "--limit", "0", "--offset", "11999").out == "/mnt/music/11999\n"
    backend.found = many(3_000, "y" * 5_000)
    assert len(run("search", "x", "--limit", "2000").out.splitlines()) == 2_000, "more than a message has room for"


def test_nothing_found_is_4(run: Run, backend: FakeBackend) -> None:
    backend.found = ()
    done = run("search", "x")
    assert (done.code, done.out, done.err) == (4, "", "")
    done = run("--json", "search", "x")
    assert (done.code, json.loads(done.out)["results"]) == (4, [])
    code, out = on_terminal("search", "x")
    assert code == 4
    assert "nothing matches" in out


def test_a_mistake_is_pointed_at(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("search", "genre:jazz", "artsit:x")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'error: column 12: there is no field "artsit"\n'
        "  genre:jazz artsit:x\n"
        "             ^\n"
        "  did you mean artist:? To look for a colon, put the text in quotes\n"
    )
    done = run("search", "椎名林檎 a )")
    assert done.err.splitlines()[1:3] == ["  椎名林檎 a )", "  " + " " * 11 + "^"], "wide letters take two cells"
    done = run("search", "x" * 100 + " a ) " + "y" * 100)
    shown, caret = done.err.splitlines()[1:3]
    assert shown[caret.index("^")] == ")"
    assert (shown.startswith("  ...x"), shown.endswith("y...")) == (True, True)
    done = run("search", "a\x1b[2J )")
    assert done.err.splitlines()[1] == "  a\\x1b[2J )"
    done = run("search", "x" * 257)
    assert done.code == 2
    assert "column 257: the query has 257 characters" in done.err


def test_what_else_goes_wrong(run: Run, backend: FakeBackend) -> None:
    assert run("search").code == 2
    assert run("search", "").code == 2
    assert run("search", "x", "--limit", "-1").code == 2
    assert run("search", "x", "--origin", "nowhere").code == 4
    done = run("search", "x", "--m3u", "--json")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: give --m3u or --json, not both")
    backend.search_error = IndexNotReadyError(
        "the search index is being built", remedy="`musicfs status` shows how far"
    )
    done = run("search", "x")
    assert (done.code, done.err) == (1, "error: the search index is being built\n  `musicfs status` shows how far\n")


def test_a_query_that_begins_with_a_minus(run: Run, backend: FakeBackend) -> None:
    assert run("search", "--", "-live", "jazz").code == 0
    assert backend.asked_for[-1][1] == "-live jazz"


def test_the_help_explains_queries(run: Run) -> None:
    assert QUERY_HELP in run("search", "--help").out


@pytest.mark.parametrize("marked", ["", "plain", "<b>a</b>", "a<b>b</b>c<b>d</b>", "&lt;b&gt;<b>&amp;</b>"])
def test_pieces_of_highlights(marked: str) -> None:
    found = pieces(marked, "bold")
    assert all(text and style in {"", "bold"} for text, style in found)
    assert [text for text, style in found if style] == [
        text.replace("&amp;", "&") for text in re.findall("<b>(.*?)</b>", marked)
    ]


def test_in_processes_of_their_own(backend: FakeBackend, tmp_path: Path) -> None:
    assert backend
    done = run_process("search", "x", cwd=tmp_path)
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert command("search")[-1] == "search"
