"""``musicfs collection`` in front of a running daemon: in a pipe, as JSON, and on a terminal."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import msgspec
import pytest

from musicfs.api.collections import CollectionSettings
from musicfs.index.help import QUERY_HELP
from musicfs.model import Rule
from tests.api.backend import FakeBackend
from tests.api.search_backend import RULE, many
from tests.cli.conftest import Run, on_terminal

RULE_JSON = msgspec.json.encode(RULE).decode()
EIGHTIES = {
    "name": "80s Music",
    "query": "year:[1980 TO 1989]",
    "sort": "",
    "limit": 0,
    "source": "built-in",
    "count": 2,
    "path": "/80s Music",
    "changed_ms": 0,
}


def test_list(run: Run, backend: FakeBackend) -> None:
    assert run("collection", "list").out.splitlines() == [
        "NAME       SOURCE    TRACKS  HOLDS",
        "80s Music  built-in  2       year:[1980 TO 1989]",
        f"Mine's     user      0       {RULE_JSON}, sorted by -year, at most 50",
    ]
    documents = json.loads(run("--json", "collection", "list").out)
    assert documents[0] == EIGHTIES
    assert msgspec.convert(documents[1].pop("rule"), Rule) == RULE
    assert documents[1] == {
        "name": "Mine's",
        "sort": "-year",
        "limit": 50,
        "source": "user",
        "count": 0,
        "path": "",
        "changed_ms": 1_700_000_000_000,
    }
    code, out = on_terminal("collection", "list")
    assert code == 0
    assert "\x1b[" in out and "80s Music" in out
    backend.kept = ()
    assert run("collection", "list").out == "there are no collections\n"
    assert run("--json", "collection", "list").out == "[]\n"


def test_show(run: Run, backend: FakeBackend) -> None:
    assert run("collection", "show", "80s Music").out.splitlines() == [
        "/mnt/music/Björk/Début/01 - One & Two.flac",
        "/mnt/music/Other/a\\xff\\x1b[2J.flac",
    ]
    playlist = "#EXTM3U\n#EXTINF:241,Björk - One & Two\n/mnt/music/Björk/Début/01 - One & Two.flac\n"
    assert run("collection", "show", "80s Music", "--limit", "1", "--m3u").out == playlist
    document = json.loads(run("--json", "collection", "show", "80s Music").out)
    entries = document.pop("entries")
    assert document == EIGHTIES
    assert entries[0] == {
        "file_id": 7,
        "path": "/Björk/Début/01 - One & Two.flac",
        "artist": "Björk",
        "album": "Début",
        "title": "One & Two",
        "duration_ms": 241_400,
    }
    code, out = on_terminal("collection", "show", "80s Music", "--limit", "1")
    assert code == 0
    assert "year:[1980 TO 1989]" in out and "Début" in out and "1 of 2 tracks are shown" in out
    _, out = on_terminal("collection", "show", "Mine's")
    assert "not made yet" in out
    assert backend.asked_for[-1] == ("collection", "Mine's", 0, 1000)


def test_all_tracks_of_a_large_collection(run: Run, backend: FakeBackend) -> None:
    backend.found = many(12_000)
    backend.kept = tuple(msgspec.structs.replace(one, count=12_000) for one in backend.kept)
    assert len(run("collection", "show", "80s Music").out.splitlines()) == 1_000
    assert len(set(run("collection", "show", "80s Music", "--limit", "0").out.splitlines())) == 12_000
    backend.kept = tuple(msgspec.structs.replace(one, count=13_000) for one in backend.kept)
    out = run("collection", "show", "80s Music", "--limit", "0", "--offset", "11000").out
    assert len(out.splitlines()) == 1_000, "it became shorter"


def test_create_by_a_query(run: Run, backend: FakeBackend) -> None:
    done = run("collection", "create", "Quiet", "--query", "genre:jazz", "--sort", "-year", "--limit", "20")
    assert (done.code, done.out) == (0, "Quiet is kept; `musicfs collection show Quiet` shows what is in it\n")
    settings = CollectionSettings(query="genre:jazz", sort="-year", limit=20)
    assert backend.asked_for == [("create_collection", "Quiet", settings, False)]
    done = run("collection", "create", "Quiet", "--query", "genre:soul")
    assert (done.code, done.err) == (1, "error: there is a collection 'Quiet'\n  --replace changes it\n")
    document = json.loads(run("--json", "collection", "create", "Quiet", "--query", "genre:soul", "--replace").out)
    assert (document["query"], document["source"]) == ("genre:soul", "user")
    done = run("collection", "create", "x", "--query", "jazz artsit:x")
    assert (done.code, done.err.splitlines()[2]) == (2, "       ^")
    assert QUERY_HELP in run("collection", "create", "--help").out


def test_create_by_a_rule(run: Run, backend: FakeBackend, tmp_path: Path) -> None:
    assert run("collection", "create", "Mine", "--rule", RULE_JSON).code == 0
    assert backend.asked_for[-1] == ("create_collection", "Mine", CollectionSettings(rule=RULE), False)
    file = tmp_path / "rule.json"
    file.write_text('{"genre": "Härd"}')
    assert run("collection", "create", "File", "--rule", f"@{file}").code == 0
    assert backend.asked_for[-1] == ("create_collection", "File", CollectionSettings(rule=Rule(genre="Härd")), False)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{", "the rule is no JSON"),
        ("\udcff", "the rule is no JSON"),
        ("[]", "the rule makes no sense: Expected `object`, got `array`"),
        ("{}", "this one has none"),
        ('{"genre": "a", "match": "b"}', "this one has match and genre"),
        ('{"or": [{"gerne": "a"}]}', "unknown field `gerne` - at `$.or[0]`"),
        ('{"recently_added": 0}', ">= 1 - at `$.recently_added`"),
        ('{"not":' * 100_000, "too many rules inside each other"),
        ('{"not":' * 17 + '{"genre":"a"}' + "}" * 17, "more than 16 rules deep"),
        ("@/nowhere.json", "No such file"),
    ],
    ids=lambda text: text[:20],
)
def test_rules_that_make_no_sense(run: Run, backend: FakeBackend, rule: str, said: str) -> None:
    done = run("collection", "create", "x", "--rule", rule)
    assert done.code == (1 if rule.startswith("@") else 2)
    assert said in done.err
    assert backend.asked_for == []


def test_delete_says_how_to_make_it_again(run: Run, backend: FakeBackend) -> None:
    made = backend.kept[1]
    done = run("collection", "delete", "Mine's")
    assert done.code == 0
    first, again = done.out.splitlines()
    assert first == "deleted Mine's; this makes it again:"
    assert run(*shlex.split(again)[1:]).code == 0
    assert backend.kept[1].settings == made.settings
    assert json.loads(run("--json", "collection", "delete", "Mine's").out)["name"] == "Mine's"


def test_delete_asks_on_a_terminal(backend: FakeBackend) -> None:
    code, out = on_terminal("collection", "delete", "Mine's", typed="n\n")
    assert code == 1 and "Delete the collection Mine's? [y/N]" in out
    assert any(one.name == "Mine's" for one in backend.kept)
    assert on_terminal("collection", "delete", "Mine's", typed="y\n")[0] == 0
    assert not any(one.name == "Mine's" for one in backend.kept)
    assert on_terminal("collection", "delete", "Mine's", "--yes")[0] == 4


def test_what_goes_wrong(run: Run, backend: FakeBackend) -> None:
    assert run("collection", "show", "nowhere").code == 4
    assert run("collection", "delete", "nowhere").code == 4
    done = run("collection", "delete", "80s Music")
    assert (done.code, done.err) == (2, "error: '80s Music' is built in\n  set collections.builtin = false\n")
    assert run("collection", "create", "x").code == 2
    assert run("collection", "create", "x", "--query", "a", "--rule", "{}").code == 2
    assert run("collection", "create", "x", "--query", "").code == 2
    assert run("collection", "create", "x", "--query", "a", "--limit", "0").code == 2
    assert run("collection", "show", "80s Music", "--paths0", "--json").code == 2
    assert [one.name for one in backend.kept] == ["80s Music", "Mine's"]
