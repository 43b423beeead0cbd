"""A running mount follows another configuration: origins come and go, templates change, and what is open plays on."""

from __future__ import annotations

import json
import os
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from musicfs.api.client import Client
from musicfs.api.tcp import answers
from musicfs.api.tokens import load_token
from musicfs.config.addresses import parse_address
from musicfs.config.settings import OriginSettings
from musicfs.errors import DeniedError
from tests.api.network import free_port, make_certificate
from tests.daemon.test_real_ports import keeper_pid
from tests.faults.living import album, wait_for
from tests.mounting import Mounted, Place, mount


def rewrite(mounted: Mounted, old: str, new: str) -> None:
    """Replace a part of the configuration, as an editor does."""
    path = mounted.folder / "config.toml"
    text = path.read_text()
    assert old in text
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(old, new))
    fresh.rename(path)


def reload(mounted: Mounted) -> dict[str, list[str]]:
    done = mounted.command("config", "reload", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def albums(mounted: Mounted) -> set[str]:
    return {path.name for path in mounted.point.glob("*/*")}


def test_origins_come_and_go_while_a_file_plays(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    album(first, "One", 2, seconds=5.0, suffix="wav")
    album(second, "Two", 2)
    mounted = mount({"first": first}, tmp_path / "home", '[tree]\ntemplate = "$artist/$album/$title.$format"')
    try:
        status = mounted.status()
        track = next(mounted.point.rglob("One 1.wav"))
        original = next(first.rglob("01.wav")).read_bytes()
        with track.open("rb") as playing:
            assert playing.read(1000) == original[:1000]
            added = "\n".join(Place(second, OriginSettings(id="second", path=str(second))).table("second"))
            rewrite(mounted, "[[origins]]", f"{added}\n[[origins]]")
            assert reload(mounted)["applied"] == ["origin second: added"]
            wait_for("the new origin", lambda: albums(mounted) == {"One", "Two"})
            rewrite(mounted, '[[origins]]\nid = "first"', '[[origins]]\nid = "first"\nenabled = false')
            assert reload(mounted)["applied"] == ["origin first: enabled"]
            wait_for("the old origin to go", lambda: albums(mounted) == {"Two"})
            os.posix_fadvise(playing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert playing.read() == original[1000:], "what is open plays on"
        rewrite(mounted, "$artist/$album/$title.$format", "$album/$title.$format")
        assert reload(mounted)["applied"] == ["tree.template"]
        wait_for("the new template", lambda: {path.name for path in mounted.point.iterdir()} == {"Two"})
        after = mounted.status()
        assert (after["pid"], after["keeper_restarts"]) == (status["pid"], 0)
        mounted.roots = {"first": first, "second": second}
        mounted._before.update()
    finally:
        mounted.roots = {"first": first}
        mounted.close()


def test_a_wrong_file_changes_nothing_and_all_is_said(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 1)
    mounted = mount({"music": music}, tmp_path / "home", '[tree]\nnames = "posix"\n[logging]\nlevel = "info"')
    mounted.allow_log("configuration is not reloaded|is not allowed|is not a setting|column|template")
    mounted.allow_log("apply after unmounting")
    try:
        keeper = mounted.status()["keeper_pid"]
        rewrite(mounted, 'level = "info"', 'level = "loud"\ncolour = "red"')
        rewrite(mounted, 'names = "posix"', 'names = "posix"\ntemplate = "<$artist"')
        done = mounted.command("config", "reload")
        assert done.returncode == 2
        for said in ("loud", "logging.colour", "<$artist"):
            assert said in done.stderr
        done = mounted.command("config", "reload", "--json")
        assert done.returncode == 2
        assert len(json.loads(done.stdout)["problems"]) == 3
        assert mounted.status()["keeper_pid"] == keeper
        os.kill(mounted.process.pid, signal.SIGHUP)
        wait_for("the signal", lambda: mounted.log.count("is not reloaded") == 3)
        rewrite(mounted, 'level = "loud"\ncolour = "red"', 'level = "musicfs.daemon=debug,info"')
        rewrite(mounted, 'names = "posix"\ntemplate = "<$artist"', 'names = "windows"')
        found = reload(mounted)
        assert (found["applied"], found["needs_restart"]) == (["logging.level"], ["tree.names"])
        assert mounted.status()["keeper_pid"] == keeper, "levels change without another keeper"
    finally:
        mounted.close()


def test_signals_rescan_and_dump(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 1)
    mounted = mount({"music": music}, tmp_path / "home")
    mounted.allow_log("asked for:")
    try:
        os.kill(mounted.process.pid, signal.SIGHUP)
        wait_for("the reload", lambda: "nothing has changed" in mounted.log)
        os.kill(mounted.process.pid, signal.SIGUSR1)
        wait_for(
            "both dumps",
            lambda: all(f"WARNING {name} musicfs.daemon.dumping" in mounted.log for name in ("mount", "keeper")),
        )
        assert "thread signals: " in mounted.log
        dumped = wait_for("the file", lambda: [*(mounted.folder / "state" / "dumps").glob("*.json")])[0]
        wait_for("both processes in it", lambda: dumped.read_text().count("\n") == 2)
        objects = [json.loads(line) for line in dumped.read_text().splitlines()]
        assert [one["process"] for one in objects] == ["mount", "keeper"]
        assert objects[1]["state"]["files_indexed"] == 1
        assert objects[0]["open_files"] > 3
        assert all(any(thread["stack"] for thread in one["threads"]) for one in objects)
        assert dumped.stat().st_mode & 0o777 == 0o600
        assert str(dumped) in mounted.log
        for number in range(2, 8):
            os.kill(mounted.process.pid, signal.SIGUSR1)
            wait_for("the next one", partial(_said, mounted, "all of this is in", 2 * number))
        assert len([*dumped.parent.iterdir()]) == 5
        assert "thread link" in mounted.log or "thread MainThread: " in mounted.log
        assert next(mounted.point.rglob("*.flac")).stat().st_size
    finally:
        mounted.close()


def test_other_ports_token_and_certificate(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 1)
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    mounted = mount({"music": music}, tmp_path / "home", f'[grpc]\naddresses = ["{first}"]')
    try:
        before = mounted.status()["pid"]
        old_token = load_token(str(mounted.folder / "state" / "token"))
        token_file = tmp_path / "other-token"
        rewrite(mounted, f'addresses = ["{first}"]', f'addresses = ["{second}"]\ntoken_file = "{token_file}"')
        found = reload(mounted)
        assert (found["applied"], found["warnings"]) == (["grpc.addresses", "grpc.token_file"], [])
        wait_for("the new port", lambda: keeper_pid(second))
        assert not answers(parse_address(first))
        with Client(second, token=load_token(str(token_file))) as client:
            assert client.confirm("music") == 0
        with Client(second, token=old_token) as client, pytest.raises(DeniedError):
            client.status()
        mounted.allow_log("can be read by others")
        token_file.chmod(0o644)
        done = mounted.command("config", "reload")
        assert f"warning: grpc.token_file: no port: the token in {token_file} can be read by others" in done.stdout
        assert done.returncode == 0 and keeper_pid(second), "it is needed by the next keeper only"
        token_file.chmod(0o600)
        made = make_certificate(tmp_path)
        rewrite(mounted, "token_file =", f'tls_cert = "{made.path}"\ntls_key = "{made.key_path}"\ntoken_file =')
        assert reload(mounted)["applied"] == ["grpc.tls_cert", "grpc.tls_key"]
        wait_for("it again", lambda: keeper_pid(second))
        assert mounted.status()["pid"] == before
    finally:
        mounted.close()


def test_a_port_that_another_program_has_is_said(tmp_path: Path) -> None:
    """At once to who reloads, and for as long as it lasts in the status; all else works."""
    music = tmp_path / "music"
    album(music, "One", 1)
    first = f"127.0.0.1:{free_port()}"
    mounted = mount({"music": music}, tmp_path / "home", f'[grpc]\naddresses = ["{first}"]')
    mounted.allow_log("in use by another program")
    try:
        with socket.create_server(("127.0.0.1", 0)) as other:
            busy = f"127.0.0.1:{other.getsockname()[1]}"
            rewrite(mounted, f'"{first}"', f'"{first}", "{busy}"')
            done = mounted.command("config", "reload")
            assert done.returncode == 0
            assert f"warning: grpc.addresses: {busy} is in use by another program" in done.stdout
            assert "applied       grpc.addresses" in done.stdout
            wait_for("the status to say so", lambda: busy in mounted.status().get("detail", ""))
            assert mounted.status()["state"] == "degraded"
            assert keeper_pid(first), "what can be had is had"
        # That program has ended. Nothing has changed in the file, so another reload would not do.
        os.kill(mounted.status()["keeper_pid"], signal.SIGKILL)
        mounted.allow_log("keeper ended with status -9")
        wait_for("the port", lambda: keeper_pid(busy))
        assert mounted.status()["detail"] == ""
    finally:
        mounted.close()


def test_hidden_folders_and_what_playing_does_change_while_mounted(tmp_path: Path) -> None:
    music = tmp_path / "music"
    album(music, "One", 2, seconds=40.0, suffix="wav")
    settings = "[tree]\nshow_hidden = false\n[prefetch]\nlearn = false\n[collections]\nbuiltin = false\nplays = false"
    mounted = mount({"music": music}, tmp_path / "home", settings)
    try:
        keeper = mounted.status()["keeper_pid"]
        assert not [name for name in os.listdir(mounted.point) if name.startswith(".")]
        rewrite(mounted, "show_hidden = false", "show_hidden = true")
        rewrite(mounted, "learn = false", "learn = true\nnext_track_at = 0.25")
        found = reload(mounted)
        assert found["applied"] == ["tree.show_hidden", "prefetch.next_track_at", "prefetch.learn"]
        assert found["needs_restart"] == []
        assert mounted.status()["keeper_pid"] == keeper, "the mount's own affair"
        assert {".prefetch", ".search"} <= set(os.listdir(mounted.point))
        first, second = sorted((mounted.point / "A").rglob("*.wav"))
        for track in (first, second):
            track.read_bytes()
        wait_for("what was learned", (mounted.folder / "cache" / "successions").exists)
        rewrite(mounted, "show_hidden = true", "show_hidden = false")
        rewrite(mounted, "plays = false", "plays = true")
        assert reload(mounted)["applied"] == ["tree.show_hidden", "collections.plays"]
        assert not [name for name in os.listdir(mounted.point) if name.startswith(".")]
        assert (mounted.point / ".search").is_dir(), "what is hidden can be entered all the same"
    finally:
        mounted.close()


def _said(mounted: Mounted, words: str, times: int) -> bool:
    return mounted.log.count(words) >= times
