"""The commands with the real daemon: mount in the background, ask it, find it dead, mount again, end it."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Done, run_process, wait_until_scanned


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "mnt"
    folder.mkdir()
    yield folder
    run_process("shutdown", "--graceful", "false")


def test_from_mount_to_shutdown(mount_point: Path, sample_library: Path) -> None:
    done = run_process("mount", str(mount_point), "--origin", str(sample_library))
    status = wait_until_scanned()
    assert done == Done(0, f"mounted {mount_point} (pid {status['pid']})\n", "")
    assert any(mount_point.iterdir())
    assert status["mount_point"] == str(mount_point)
    origins = json.loads(run_process("--json", "origin", "list").out)
    assert [origin["root_path"] for origin in origins] == [str(sample_library)]
    origin_id = origins[0]["id"]
    steps = run_process("--json", "origin", "rescan", origin_id, "--wait").out.splitlines()
    assert json.loads(steps[-1])["phase"] == "complete"
    assert run_process("origin", "health", origin_id).code == 0
    assert run_process("origin", "confirm", origin_id).code == 0
    assert run_process("origin", "rescan", "nowhere").code == 4
    again = run_process("mount", str(mount_point), "--origin", str(sample_library))
    assert again.code == 1
    assert str(status["pid"]) in again.err
    done = run_process("shutdown")
    assert done == Done(0, f"unmounted {mount_point}\n", "")
    assert not any(mount_point.iterdir())
    assert run_process("status").code == 3


def test_a_daemon_that_was_killed_is_found_and_replaced(
    mount_point: Path, sample_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_process("mount", str(mount_point), "--origin", str(sample_library)).code == 0
    pid = int(str(wait_until_scanned()["pid"]))
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)
    monkeypatch.setenv("MUSICFS_MOUNT_POINT", str(mount_point))
    doctor = run_process("doctor")
    assert doctor.code == 1
    assert f"{mount_point} is mounted, but the process behind it is gone" in doctor.out
    assert run_process("mount", str(mount_point), "--origin", str(sample_library)).code == 0
    assert any(mount_point.iterdir())
    assert run_process("shutdown").code == 0
    assert stat.S_IMODE(mount_point.stat().st_mode) == 0o755
