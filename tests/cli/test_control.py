"""Commands in front of a running daemon: in a pipe, as JSON, and on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest

from musicfs.api.backend import OriginStatus, Phase, SyncProgress
from musicfs.errors import UnreachableError
from musicfs.model import Health
from tests.api.backend import SCAN, STATUS, FakeBackend
from tests.cli.conftest import Run, on_terminal


def test_status(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("status")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "mount point  /mnt/music\n"
        "state        syncing (first scan)\n"
        "tracks       998 (1000 files)\n"
        "on disk      3.0 GiB\n"
        "open files   5\n"
        "uptime       1h 2m\n"
        "process      0 (keeper 4321, 2 restarts)\n"
        "version      1.2.3\n"
        "content      1.5 GiB of 10.0 GiB, 93 % of reads were hits, 2.0 GiB fetched, 1.0 MiB saved\n"
        "problems     1 file could not be read; `musicfs doctor` lists them\n"
        "crashes      1 report in 30 days; `musicfs doctor` names the newest\n"
        "\n"
        "ORIGIN  TYPE   HEALTH     FILES\n"
        "nas     local  healthy    1000\n"
        "usb     local  unhealthy  0\n"
        "scan of nas: 120 of 4000 files (3 %), Björk/Début\n"
    )


def test_status_as_json_has_a_stable_shape(run: Run, backend: FakeBackend) -> None:
    assert backend
    assert json.loads(run("--json", "status").out) == {
        "version": "1.2.3",
        "instance": "test",
        "uptime_s": 3723,
        "mount_point": "/mnt/music",
        "state": "syncing",
        "pid": 0,
        "keeper_pid": 4321,
        "keeper_restarts": 2,
        "crash_reports": 1,
        "open_file_handles": 5,
        "fuse_ops_total": 123456789012,
        "files_indexed": 1000,
        "tracks": 998,
        "problems": 1,
        "cache_size_bytes": 3 << 30,
        "cache": json.loads(run("--json", "cache", "stats").out),
        "detail": "first scan",
        "origins": [
            {"id": "nas", "origin_type": "local", "health": "healthy", "files_count": 1000},
            {"id": "usb", "origin_type": "local", "health": "unhealthy", "files_count": 0},
        ],
        "work": [{"name": "scan of nas", "done": 120, "total": 4000, "unit": "files", "detail": "Björk/Début"}],
    }


def test_status_on_a_terminal_has_colours(backend: FakeBackend) -> None:
    assert backend
    code, out = on_terminal("status")
    assert code == 0
    assert "\x1b[" in out
    assert "unhealthy" in out and "/mnt/music" in out


def test_names_cannot_drive_the_terminal(backend: FakeBackend) -> None:
    evil = "a\x1b[2J\nb\u202ec\udcff"
    backend.state = msgspec.structs.replace(
        STATUS, mount_point=evil, origins=(OriginStatus(evil, evil, Health.HEALTHY),), detail=evil
    )
    for arguments in (("status",), ("origin", "rescan", "nas", "--wait")):
        _, out = on_terminal(*arguments)
        assert "\x1b[2J" not in out
        assert "\u202e" not in out
    _, out = on_terminal("status")
    assert "a\\x1b[2J\\nb\\u202ec\\xff" in out


def test_origins(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("origin", "list")
    assert done.out == (
        "ID   TYPE   HEALTH     FILES  SIZE     PATH\n"
        "nas  local  healthy    1000   5.0 GiB  /srv/music\n"
        "usb  local  unhealthy  0      0 B      /media/usb\n"
        "nas: 12 files are gone, but still shown; `musicfs origin confirm nas` removes them\n"
        "usb: the folder is not there\n"
    )
    assert json.loads(run("--json", "origin", "list").out)[0] == {
        "id": "nas",
        "origin_type": "local",
        "display_name": "nas",
        "root_path": "/srv/music",
        "health": "healthy",
        "files_count": 1000,
        "total_size_bytes": 5 << 30,
        "held_removals": 12,
        "last_scan_ms": 1700000000000,
        "message": "",
    }
    code, out = on_terminal("origin", "list")
    assert code == 0
    assert "\x1b[" in out and "/media/usb" in out


def test_health(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("origin", "health", "nas")
    assert done.code == 0
    assert done.out.splitlines() == [
        "origin   nas",
        "health   healthy",
        "checked  3s ago",
        "held     12 files are gone, but still shown; `musicfs origin confirm nas` removes them",
    ]
    assert run("origin", "health", "usb").code == 1
    assert json.loads(run("--json", "origin", "health", "usb").out) == {
        "origin_id": "usb",
        "health": "unhealthy",
        "message": "the folder is not there",
        "last_check_s": 3,
        "held_removals": 0,
    }


def test_confirm(run: Run, backend: FakeBackend) -> None:
    assert backend
    assert run("origin", "confirm", "nas").out == "12 files removed from nas\n"
    assert json.loads(run("--json", "origin", "confirm", "nas").out) == {"origin_id": "nas", "removed": 12}


def test_rescan(run: Run, backend: FakeBackend) -> None:
    assert run("origin", "rescan", "nas", "--subdir", "A").out == (
        "nas: scan started; `musicfs status` shows how far it is\n"
    )
    assert backend.calls == [("rescan", "nas", "A")]
    assert run("origin", "rescan", "nas", "--wait").out == (
        "nas: scanning 0\nnas: indexing 3/4 A/\\x1b[2J\\xff.flac\n"
        "nas: 3 added, 1 modified, 2 removed, 1 could not be read\n"
    )
    lines = [json.loads(line) for line in run("--json", "origin", "rescan", "nas", "--wait").out.splitlines()]
    assert [line["phase"] for line in lines] == [step.phase.value for step in SCAN]
    assert lines[-1] == {
        "phase": "complete",
        "current": 4,
        "total": 4,
        "current_path": "",
        "bytes_synced": 0,
        "added": 3,
        "modified": 1,
        "removed": 2,
        "failed": 1,
        "new_files": [{"path": "A/1.flac", "file_id": 7, "virtual_path": "Artist/Album/01 - One.flac"}],
    }
    assert json.loads(run("--json", "origin", "rescan", "nas").out)["phase"] == "scanning"


def test_a_rescan_with_nothing_to_do(run: Run, backend: FakeBackend) -> None:
    backend.steps = (SyncProgress(phase=Phase.COMPLETE),)
    assert run("origin", "rescan", "nas").out == "nas: 0 added, 0 modified, 0 removed\n"


def test_a_rescan_that_fails(run: Run, backend: FakeBackend) -> None:
    backend.error = UnreachableError("nas does not answer", remedy="switch it on")
    done = run("origin", "rescan", "nas", "--wait")
    assert (done.code, done.err) == (1, "error: nas does not answer\n  switch it on\n")


def test_a_rescan_on_a_terminal_has_a_bar(backend: FakeBackend) -> None:
    assert backend
    code, out = on_terminal("origin", "rescan", "nas", "--wait")
    assert code == 0
    assert "nas scanning" in out and "0:00" in out
    assert out.endswith("nas: 3 added, 1 modified, 2 removed, 1 could not be read\r\n")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [((), (True, 0.0)), (("--graceful", "false"), (False, 0.0)), (("--timeout", "7"), (True, 7.0))],
)
def test_shutdown_returns_when_the_process_is_gone(
    run: Run, backend: FakeBackend, arguments: tuple[str, ...], asked: tuple[bool, float]
) -> None:
    process = subprocess.Popen(["sleep", "60"])
    backend.state = msgspec.structs.replace(STATUS, pid=process.pid)

    def end() -> None:
        assert backend.on_shutdown.wait(30)
        process.terminate()

    ending = threading.Thread(target=end)
    ending.start()
    done = run("shutdown", *arguments)
    ending.join()
    assert process.wait(30) != 0
    assert (done.code, done.out) == (0, "unmounted /mnt/music\n")
    assert backend.calls[-1] == ("shutdown", *asked)


def test_shutdown_of_a_process_that_will_not_end(
    run: Run, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicfs.cli.shutdown._MARGIN_S", 0.1)
    backend.state = msgspec.structs.replace(STATUS, pid=os.getpid())
    done = run("shutdown", "--timeout", "1")
    assert done.code == 1
    assert f"(pid {os.getpid()}) has not ended" in done.err


def test_shutdown_as_json(run: Run, backend: FakeBackend) -> None:
    assert backend
    assert json.loads(run("--json", "shutdown").out) == {"mount_point": "/mnt/music", "pid": 0}


def test_json_is_indented_for_people(backend: FakeBackend) -> None:
    assert backend
    _, out = on_terminal("--json", "origin", "confirm", "nas")
    assert out.replace("\r\n", "\n") == '{\n  "origin_id": "nas",\n  "removed": 12\n}\n'


def test_an_origin_is_tried_out_without_a_mount(run: Run, tmp_path: Path) -> None:
    music = tmp_path / "music" / "album"
    music.mkdir(parents=True)
    (music / "1.mp3").write_bytes(b"12345")
    config = tmp_path / "test.toml"
    config.write_text(
        f"[[origins]]\nid = 'disk'\npath = '{music.parent}'\n[[origins]]\nid = 'gone'\npath = '/nowhere'\n"
    )
    done = run("--config", str(config), "origin", "test", "disk")
    assert done.code == 0
    assert "read 5 of 5 bytes of 'album/1.mp3'" in done.out
    done = run("--config", str(config), "--json", "origin", "test", "gone")
    assert done.code == 1
    answer = json.loads(done.out)
    assert (answer["address"], answer["ok"], len(answer["steps"])) == ("/nowhere", False, 1)
    assert answer["steps"][0]["remedy"]
    assert run("--config", str(config), "origin", "test", "other").code == 4
