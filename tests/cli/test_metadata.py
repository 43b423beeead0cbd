"""``musicfs metadata`` in front of a running daemon: in a pipe, as JSON, and on a terminal."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.api.metadata import Cover, HistoryItem, MetadataChange
from musicfs.errors import UnreachableError
from musicfs.model import FIELD_NAMES
from tests.api.backend import serving
from tests.cli.conftest import Run, on_terminal
from tests.cli.metadata_backend import PLAIN, TagBackend

ONE, TWO, ODD = "/Björk/Début/01.flac", "/Björk/Début/02.flac", "/Plain/odd.ogg"


@pytest.fixture
def backend(socket: Path) -> Iterator[TagBackend]:
    backend = TagBackend()
    with serving(backend, socket):
        yield backend


def last(backend: TagBackend) -> MetadataChange:
    (change,) = backend.seen[-1]
    return change


def test_get(run: Run, backend: TagBackend) -> None:
    assert backend
    done = run("metadata", "get", ONE)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "/Björk/Début/01.flac\n"
        "  file                   nas: in/Björk/Début/01.flac\n"
        "  format                 flac, 4:01, 900 kbit/s, 44.1 kHz, 16 bit\n"
        "  title                  One\n"
        "  artist                 Björk\n"
        "                         Another\n"
        "  album                  Début\n"
        "  track                  3\n"
        "  date                   1993-07-05\n"
        "  replaygain_track_gain  -6.54 dB\n"
        "  replaygain_track_peak  0.988553\n"
        "  mood                   calm\n"
    )
    assert run("metadata", "get", ONE, "--field", "Album Artist", "--field", "year").out == (
        "/Björk/Début/01.flac\n  album_artist  (none)\n  date          1993-07-05\n"
    )


def test_get_of_a_folder_and_of_a_track_that_is_served_plain(run: Run, backend: TagBackend) -> None:
    assert backend
    done = run("metadata", "get", "Björk/", "--field", "title")
    assert done.out == f"{ONE}\n  title  One\n\n{TWO}\n  title  Two\n"
    done = run("metadata", "get", ODD, "--field", "title", "--field", "custom:Mood")
    assert done.out == f"{ODD}\n  title  Odd  (in the file: One)\n  mood   (none)  (in the file: calm)\n"
    assert done.err == (
        f"warning: {ODD}: {PLAIN}\n  the tree shows the change; these bytes do not, or not all of it\n"
        f"warning: {ODD}: bpm: Ogg cannot hold it\n  the tree has it; these bytes do not\n"
    )
    assert run("metadata", "get", ODD, "--own", "--field", "title").out == f"{ODD}\n  title  One\n"
    assert run("metadata", "get", ODD, "--overlay").out.splitlines()[-2:] == ["  title   Odd", "  mood    (none)"]
    assert "  lyrics                 la\\nla\n" in run("metadata", "get", ODD, "--own").out


def test_get_as_json_has_a_stable_shape(run: Run, backend: TagBackend) -> None:
    assert backend
    found = json.loads(run("--json", "metadata", "get", ODD).out)
    assert list(found.pop("own")) == [
        *(
            "title",
            "artist",
            "album",
            "track",
            "date",
            "lyrics",
            "replaygain_track_gain",
            "replaygain_track_peak",
            "mood",
        )
    ]
    assert found.pop("effective")["title"] == ["Odd"]
    assert found == {
        "file_id": 4,
        "path": ODD,
        "origin_id": "nas",
        "origin_path": "in/Plain/odd.ogg",
        "format": "flac",
        "technical": {
            "duration_ms": 241000, "bitrate": 900000, "sample_rate": 44100, "channels": 2, "bits_per_sample": 16,
            "codec": "flac",
        },
        "overlay": {"title": ["Odd"], "mood": []},
        "cover": "own",
        "served": "plain",
        "reason": PLAIN,
        "unfit": {"bpm": "Ogg cannot hold it"},
        "changed_ms": 0,
        "author": "",
    }  # fmt: skip
    lines = run("metadata", "get", "/Björk", "--json", "--own", "--field", "title").out.splitlines()
    assert [json.loads(line)["own"] for line in lines] == [{"title": ["One"]}, {"title": ["Two"]}]
    assert "effective" not in json.loads(lines[0])


def test_a_query_reaches_the_daemon(run: Run, backend: TagBackend) -> None:
    assert run("metadata", "get", "--query", "mood:calm").code == 0
    assert backend.asked[-1] == {"paths": ("/",), "query": "mood:calm"}
    assert run("metadata", "set", "--query", "mood:calm", "--genre", "x").code == 0
    assert backend.asked[-1]["query"] == "mood:calm"
    assert last(backend).path == "/"


def test_set(run: Run, backend: TagBackend) -> None:
    done = run("metadata", "set", ONE, "--title", "Einn", "--artist", "A; B", "--artist", "C", "--year", "2002")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{ONE}  -> /Björk/Début/Einn.flac\n"
        "  artist  Björk; Another -> A; B; C\n"
        "  date    1993-07-05 -> 2002\n"
        "  title   One -> Einn\n"
        "1 track changed\n"
    )
    assert last(backend) == MetadataChange(
        path=ONE, set={"title": ("Einn",), "artist": ("A; B", "C"), "date": ("2002",)}
    )
    assert backend.asked[-1] == {"query": "", "action": "set", "author": getpass.getuser(), "dry_run": False}
    again = run("metadata", "set", "/Björk/Début/Einn.flac", "--title", "Einn")
    assert (again.code, again.out) == (0, "0 tracks changed, 1 unchanged\n")


def test_every_field_has_an_option(run: Run, backend: TagBackend) -> None:
    options = [word for name in FIELD_NAMES for word in (f"--{name.replace('_', '-')}", f"of {name}")]
    assert run("metadata", "set", ONE, *options).code == 0
    assert last(backend).set == {name: (f"of {name}",) for name in FIELD_NAMES}


def test_set_customs_removals_and_covers(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    cover = tmp_path / "front.jpg"
    cover.write_bytes(b"\xff\xd8\xff")
    done = run(
        *("metadata", "set", ONE, "--custom", "Mood=a=b", "--custom", "mood=c", "--remove", "custom:other"),
        *("--remove", "Comment", "--album", "", "--cover", str(cover)),
    )
    assert done.code == 0
    assert "  cover  changed\n" in done.out
    assert last(backend).set == {"album": (), "mood": ("a=b", "c"), "other": (), "comment": ()}
    assert last(backend).cover == b"\xff\xd8\xff"
    assert run("metadata", "set", ONE, "--remove-cover").code == 0
    assert last(backend).remove_cover


def test_set_from_json(run: Run, backend: TagBackend, tmp_path: Path) -> None:
    text = '{"title": "Sól", "Album Artist": ["x", "y"], "custom:mood": "", "comment": null, "track": 3, "compilation": true}'
    expected = {
        "title": ("Sól",), "album_artist": ("x", "y"), "mood": (), "comment": (), "track": ("3",), "compilation": ("1",)
    }  # fmt: skip
    (tmp_path / "tags.json").write_text(text, encoding="utf-8-sig")
    for arguments in (("--json", text), (f"--json={text}",), ("--values", text), ("--json", f"@{tmp_path}/tags.json")):
        assert run("metadata", "set", ONE, "--dry-run", *arguments).code == 0
        assert last(backend).set == expected
    done = run("metadata", "set", ONE, "--json", "--json", text, "--dry-run")
    assert json.loads(done.out)["changes"][0]["field"] == "album_artist", "alone, --json is for the output"
    assert backend.tracks_by_id[1].overlay == {}, "nothing was changed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a field to set"),
        (("--title", "x", "--remove", "title"), "title is given twice"),
        (("--title", "x", "--json", '{"title": "y"}'), "title is given twice"),
        (("--custom", "mood"), "write NAME=TEXT"),
        (("--custom", "title=x"), "title is no custom tag but a field\n  write title without custom"),
        (("--remove", "titel"), "there is no field 'titel'; did you mean title?"),
        (("--json", "{broken"), "this is no JSON"),
        (("--json", '{"path": "/x"}'), "path is no field"),
        (("--json", '{"title": {}}'), "is neither text nor a list of texts"),
        (("--json", '{"titel": "x"}'), "did you mean title?"),
        (("--json", "@/nowhere.json"), "/nowhere.json"),
        (("--remove-cover", "--cover", __file__), "exclude each other"),
        (("--cover", "/nowhere.jpg"), "/nowhere.jpg"),
    ],
)
def test_what_set_does_not_understand(run: Run, backend: TagBackend, arguments: tuple[str, ...], said: str) -> None:
    done = run("metadata", "set", ONE, *arguments)
    assert done.code == (1 if "@/nowhere.json" in arguments else 2)
    assert said in done.err and done.err.startswith("error: ")
    assert backend.seen == []


def test_nothing_to_work_on(run: Run, backend: TagBackend) -> None:
    for verb in (("get",), ("diff",), ("set", "--genre", "x"), ("clear",), ("undo",)):
        assert run("metadata", *verb).code == 2, "neither a path nor a query"
        assert run("metadata", *verb, "").code == 2
        done = run("metadata", *verb, "/nowhere")
        assert (done.code, done.out, done.err) == (4, "", "error: there is no /nowhere\n")
    assert run("metadata", "get", ONE, "--field", "nonsense").code == 2
    assert backend.seen == []
    backend.metadata_error = UnreachableError("the store is away", remedy="wait")
    for arguments in (("get", ONE), ("set", ONE, "--genre", "x"), ("log",), ("export", "--output", "/tmp/never.csv")):
        done = run("metadata", *arguments)
        assert (done.code, done.err) == (1, "error: the store is away\n  wait\n")


def test_an_empty_selection_is_not_found(run: Run, backend: TagBackend) -> None:
    backend.tracks_by_id.clear()
    backend._below = lambda path: []  # type: ignore[method-assign]  # a query that nothing matches
    done = run("metadata", "get", "/Björk", "--query", "x")
    assert (done.code, done.err.splitlines()[0]) == (4, "error: no track below /Björk matches 'x'")
    assert run("metadata", "get", "/Björk").err.startswith("error: there are no tracks below /Björk\n")


def test_a_folder_and_what_is_in_it_is_one_thing(run: Run, backend: TagBackend) -> None:
    assert run("metadata", "set", "/Björk", ONE, "/Björk/Début", "/Plain", "--genre", "x").code == 0
    assert [change.path for change in backend.seen[-1]] == ["/Björk", "/Plain"]


def test_paths_as_the_shell_has_them(run: Run, backend: TagBackend) -> None:
    assert run("metadata", "set", "/mnt/music/Björk/Début/01.flac", "--genre", "x").code == 0
    assert last(backend).path == ONE


def test_the_same_title_for_several_tracks_wants_a_yes(run: Run, backend: TagBackend) -> None:
    done = run("metadata", "set", "/Björk", "--title", "Same")
    assert done.code == 2
    assert "2 tracks would all get the same title; --yes if that is meant" in done.err
    assert backend.seen == []
    assert run("metadata", "set", "/Björk", "--title", "Same", "--dry-run").code == 0
    assert run("metadata", "set", "/Björk", "--title", "").code == 0, "removing is the same for all"
    assert run("metadata", "set", "/Björk", "--title", "Same", "--yes").code == 0


def test_what_the_bytes_do_not_show_is_told(run: Run, backend: TagBackend) -> None:
    assert backend
    done = run("metadata", "set", "/", "--genre", "x")
    assert done.code == 0
    assert done.out.endswith("4 tracks changed\n")
    assert done.err == f"warning: {ODD}: {PLAIN}\n  the tree shows the change; these bytes do not, or not all of it\n"


def test_set_as_json(run: Run, backend: TagBackend) -> None:
    assert backend
    done = run("--json", "metadata", "set", ONE, "--title", "Einn")
    assert json.loads(done.out) == {
        "file_id": 1,
        "path": ONE,
        "new_path": "/Björk/Début/Einn.flac",
        "changes": [{"field": "title", "before": ["One"], "after": ["Einn"]}],
        "cover_changed": False,
        "reason": "",
        "error": "",
        "remedy": "",
    }


def test_diff(run: Run, backend: TagBackend) -> None:
    assert backend
    done = run("metadata", "diff", "/")
    assert done.out == f"{ODD}\n  title  One -> Odd\n  mood   calm -> (none)\n"
    assert done.err.startswith(f"warning: {ODD}: {PLAIN}\n")
    found = json.loads(run("--json", "metadata", "diff", "/").out)
    assert found["changes"] == [
        {"field": "title", "before": ["One"], "after": ["Odd"]},
        {"field": "mood", "before": ["calm"], "after": []},
    ]
    assert {"own", "overlay", "effective"}.isdisjoint(found)
    assert run("metadata", "diff", "/Björk").out == "nothing is corrected\n"


def test_clear(run: Run, backend: TagBackend) -> None:
    done = run("metadata", "clear", ODD, "--dry-run")
    assert done.out.endswith("  mood   (none) -> calm\n  title  Odd -> One\n1 track would change\n")
    assert last(backend) == MetadataChange(path=ODD, revert_all=True)
    assert run("metadata", "clear", ODD, "--field", "mood").code == 2, "a custom tag is written custom:mood"
    assert run("metadata", "clear", ODD, "--field", "custom:mood", "--field", "title", "--cover").code == 0
    assert last(backend) == MetadataChange(path=ODD, revert=("mood", "title"), revert_cover=True)
    assert backend.asked[-1]["action"] == "clear"


def test_undo(run: Run, backend: TagBackend) -> None:
    done = run("metadata", "undo", ODD, "--steps", "3", "--dry-run")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 track would change")
    assert backend.asked[-1] == {"paths": (ODD,), "steps": 3, "author": getpass.getuser(), "dry_run": True}
    assert run("metadata", "undo", ODD, "--steps", "0").code == 2


def test_log(run: Run, backend: TagBackend) -> None:
    assert run("metadata", "log").out == "nothing was changed\n"
    run("metadata", "set", ONE, "--genre", "x")
    backend.history.append(
        HistoryItem(
            sequence=2,
            time_ms=0,
            author="ada",
            action="import",
            path=TWO,
            origin_id="nas",
            origin_path="2",
            cover="set",
        )
    )
    at = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) for seconds in (0, 1_700_000_000)]
    assert run("metadata", "log").out == (
        f"{at[0]}  import  ada  {TWO}\n  cover  set\n{at[1]}  set  {getpass.getuser()}  {ONE}\n  genre  (none) -> x\n"
    )
    assert run("metadata", "log", "--limit", "1", "/Björk").out.count("\n") == 2
    assert backend.asked[-1] == {"path": "/Björk", "limit": 1}
    assert json.loads(run("--json", "metadata", "log").out)[1]["changes"] == [
        {"field": "genre", "before": [], "after": ["x"]}
    ]
    assert run("metadata", "log", ONE, TWO).code == 2


def test_on_a_terminal(backend: TagBackend) -> None:
    backend.slow_s = 0.2
    code, out = on_terminal("metadata", "set", "/", "--genre", "x")
    assert code == 0
    assert "/4" in out, "a bar, as it takes a while"
    assert "(none) -> x" in out and "4 tracks changed" in out and "warning:" in out
    backend.slow_s = 0.0
    code, out = on_terminal("metadata", "get", ODD)
    assert (code, "\x1b[" in out, "(in the file: One)" in out) == (0, True, True)
    code, out = on_terminal("metadata", "diff", "/")
    assert code == 0 and "One -> Odd" in out
    backend.tracks_by_id[1] = msgspec.structs.replace(backend.tracks_by_id[1], cover=Cover.REMOVED)
    assert "removed" in on_terminal("metadata", "diff", ONE)[1]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_a_person_is_asked(backend: TagBackend, answer: str, code: int) -> None:
    ended, said = on_terminal("metadata", "set", "/Björk", "--title", "Same", typed=answer)
    assert ended == code
    assert "2 tracks would all get the same title. Go on?" in said
    assert len(backend.seen) == (1 if code == 0 else 0)
