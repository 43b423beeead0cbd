"""What all commands share: help, errors, exit codes, and how little they import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from musicfs import __version__
from musicfs.cli.main import cli, main
from tests.api.backend import FakeBackend, serving
from tests.cli.conftest import REPOSITORY, Done, Run, command, run_process


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


ALL = dict(commands(cli))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(run: Run, path: tuple[str, ...]) -> None:
    done = run(*path, "--help")
    assert done.code == 0
    assert "Example" in done.out
    assert f"  musicfs {' '.join(path)}" in done.out or f" {' '.join(path)}" in done.out.partition("Example")[2]
    assert done.err == ""


def test_the_table_of_commands_says_what_they_say(run: Run) -> None:
    out = run("--help").out
    for path, found in ALL.items():
        if len(path) == 1:
            assert found.get_short_help_str(200) in out.replace("\n", " ")


def test_the_version(run: Run) -> None:
    assert run("--version").out == f"musicfs {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("statsu",), 'no such command "statsu"; did you mean "status"?'),
        (("mount", "--bogus"), "bogus"),
        (("origin", "rescan"), "ID"),
        (("-l", "loud", "status"), "loud"),
        (("--endpoint", "http://x", "status"), 'endpoint "http://x" is not supported'),
        (("--config", "/nowhere.toml", "status"), "/nowhere.toml: cannot be read"),
        (("--config", "/nowhere.toml", "config", "show"), "/nowhere.toml: cannot be read"),
        (("completion", "tcsh"), "tcsh"),
    ],
)
def test_usage_errors_end_with_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("shutdown",), ("origin", "list"), ("origin", "health", "x"), ("origin", "rescan", "x"),
     ("origin", "confirm", "x"), ("cache", "stats"), ("cache", "clear"), ("cache", "prefetch", "/"), ("cache", "pin", "/"),
     ("cache", "unpin", "/"), ("cache", "pins"), ("cache", "verify"), ("metadata", "get", "/"),
     ("metadata", "set", "/", "--genre", "x"), ("metadata", "diff", "/"), ("metadata", "clear", "/"),
     ("metadata", "undo", "/"), ("metadata", "log"), ("metadata", "export", "--output", "/tmp/never.csv"),
     ("search", "x"), ("collection", "list"), ("collection", "show", "x"), ("collection", "delete", "x"),
     ("collection", "create", "x", "--query", "a")],
    ids=" ".join,
)  # fmt: skip
def test_without_a_daemon_it_is_3(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.code == 3
    assert done.err.startswith("error: no MusicFS is running")
    assert "\n  start it with `musicfs mount`" in done.err


def test_a_daemon_that_is_about_to_answer_is_waited_for(run: Run, socket: Path, user: Path) -> None:
    cache = user / ".cache" / "musicfs"
    cache.mkdir(parents=True)
    (cache / "musicfs.pid").write_text(f"{os.getpid()}\n")
    backend = FakeBackend()
    served = threading.Event()
    asked = threading.Event()

    def serve() -> None:
        with serving(backend, socket):
            served.set()
            assert asked.wait(30)

    late = threading.Timer(0.3, serve)
    late.start()
    assert run("status").code == 0
    asked.set()
    late.join()
    assert served.is_set()


@pytest.mark.parametrize("pid", ["", "x", "999999999", "99999999999999999999999"])
def test_a_pid_that_is_nobodys_is_not_waited_for(
    run: Run, user: Path, pid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicfs.cli.invocation._RESTART_S", 3600.0)
    cache = user / ".cache" / "musicfs"
    cache.mkdir(parents=True)
    (cache / "musicfs.pid").write_text(pid)
    assert run("status").code == 3


def test_an_unknown_origin_is_4(run: Run, backend: FakeBackend) -> None:
    assert backend
    for verb in ("health", "rescan", "confirm"):
        done = run("origin", verb, "nowhere")
        assert (done.code, done.err) == (
            4,
            'error: there is no origin "nowhere"\n  `musicfs origin list` shows them\n',
        )


def test_a_bug_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("musicfs.config.load.read", broken)
    done = run("status")
    assert done.code == 1
    assert done.err.startswith("error: this should not have happened: RuntimeError: broken\n")
    assert "Traceback" not in done.err
    monkeypatch.setenv("MUSICFS_TRACEBACK", "1")
    assert "Traceback" in run("status").err


def test_a_bug_in_completion_is_silent_unless_it_is_looked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr("musicfs.cli.completing.answer", broken)
    monkeypatch.setenv("_MUSICFS_COMPLETE", "bash")
    assert run() == Done(1, "", "")
    monkeypatch.setenv("MUSICFS_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="broken"):
        run()


def test_an_interrupt_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("musicfs.config.load.read", interrupted)
    assert run("status").code == 130


def test_shared_options_may_stand_behind_the_command(run: Run, backend: FakeBackend, socket: Path) -> None:
    assert backend
    before = json.loads(run("--json", "--endpoint", f"unix://{socket}", "status").out)
    behind = json.loads(run("status", "--json", "--endpoint", f"unix://{socket}").out)
    nested = json.loads(run("origin", "list", "--json").out)
    assert before == behind
    assert nested[0]["id"] == "nas"


def test_the_endpoint_may_be_a_variable(
    run: Run, backend: FakeBackend, socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    assert run("status").code == 3
    monkeypatch.setenv("MUSICFS_ENDPOINT", f"unix://{socket}")
    assert run("status").code == 0


def test_a_configuration_with_problems_still_finds_its_daemon(run: Run, backend: FakeBackend, tmp_path: Path) -> None:
    assert backend
    file = tmp_path / "musicfs.toml"
    file.write_text("nonsense = 1\n")
    assert run("--config", str(file), "status").code == 0
    other = tmp_path / "other.toml"
    other.write_text("nonsense = 1\n")
    done = run("--config", str(other), "status")
    assert done.code == 2
    assert "nonsense is not a setting" in done.err


@pytest.mark.parametrize(
    ("arguments", "light"),
    [
        (("--help",), ("grpc", "rich", "mutagen", "llfuse", "lmdb", "msgspec", "musicfs.config.load", "musicfs.cli.mount")),
        (("mount", "--help"), ("grpc", "rich", "mutagen", "llfuse", "lmdb", "musicfs.config.load")),
        (("mount", "/nowhere"), ("grpc", "google", "rich", "mutagen", "llfuse", "lmdb", "subprocess")),
        (("config", "show"), ("grpc", "google", "rich", "mutagen", "llfuse", "lmdb")),
        (("status",), ("rich", "mutagen", "llfuse", "lmdb")),
        (("cache", "stats"), ("rich", "mutagen", "llfuse", "lmdb")),
        (("search", "x"), ("rich", "mutagen", "llfuse", "lmdb", "tantivy", "sqlite3")),
        (("search", "--help"), ("grpc", "google", "rich", "mutagen", "llfuse", "lmdb", "tantivy")),
        (("collection", "list"), ("rich", "mutagen", "llfuse", "lmdb", "tantivy", "sqlite3")),
        (("metadata", "set", "--help"), ("grpc", "google", "rich", "mutagen", "llfuse", "lmdb", "sqlite3")),
        (("metadata", "get", "/"), ("rich", "mutagen", "llfuse", "lmdb", "sqlite3")),
        (("metadata", "set", "/", "--genre", "x"), ("rich", "mutagen", "llfuse", "lmdb", "sqlite3")),
    ],
)  # fmt: skip
def test_commands_import_little(arguments: tuple[str, ...], light: tuple[str, ...]) -> None:
    script = "import sys; from musicfs.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert set(done.stderr.splitlines()[-1].split()) & set(light) == set()


def test_a_reader_who_has_seen_enough(user: Path) -> None:
    assert user
    show = subprocess.Popen(
        command("config", "show"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert show.stdout is not None and show.stderr is not None
    show.stdout.close()
    assert show.stderr.read() == ""
    show.stderr.close()
    assert show.wait(30) == 1


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o nosort"), ("zsh", "#compdef musicfs"), ("fish", "--no-files")]
)
def test_completion_scripts(run: Run, shell: str, sign: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert sign in done.out
    assert "_MUSICFS_COMPLETE" in done.out


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = run_process("status", cwd=tmp_path)
    assert done.code == 3
    assert done.err.startswith("error: no MusicFS")


def test_main_takes_its_arguments_from_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["musicfs", "--version"])
    assert main() == 0
    assert "musicfs" in capsys.readouterr().out
