"""Several libraries of one machine, started as the template unit starts them: nothing of one is the other's."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.living import album, wait_for
from tests.mounting import REPOSITORY, is_mount_point, musicfs_command
from tests.packaging.test_units import directives


class Instance:
    """``musicfs@NAME.service`` without systemd: its command line and what systemd puts into its environment."""

    def __init__(self, name: str, folder: Path, runtime: str) -> None:
        self.name = name
        self.point = folder / name / "mount"
        self.config = folder / "etc" / f"{name}.toml"
        self.logs = folder / name / "logs"
        self.state = folder / name / "state"
        self.cache = folder / name / "cache"
        music = folder / name / "music"
        album(music, name.title(), 2)
        for path in (self.point, self.state, self.cache, self.config.parent):
            path.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f'mount_point = "{self.point}"\ncache_dir = "{self.cache}"\nstate_dir = "{self.state}"\n'
            f'[logging]\nlog_dir = "{self.logs}"\n[grpc]\naddresses = []\n[metrics]\naddress = ""\n'
            f'[collections]\nbuiltin = false\n[[origins]]\nid = "o"\npath = "{music}"\n'
        )
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / f"{name}.notify"))
        self.manager.settimeout(30)
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("MUSICFS_", "XDG_", "NOTIFY_"))
        } | {"HOME": str(folder), "PYTHONPATH": str(REPOSITORY), "RUNTIME_DIRECTORY": runtime}
        line = directives("musicfs@.service")["Service"]["ExecStart"].replace("%i", name)
        program, *arguments = shlex.split(line.replace("/etc/musicfs", str(self.config.parent)))
        assert program == "/usr/bin/musicfs"
        with (folder / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*musicfs_command(), *arguments],
                env=self.environment | {"NOTIFY_SOCKET": str(folder / f"{name}.notify")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ready(self) -> None:
        while "READY=1" not in self.manager.recv(65536).decode():
            pass

    def status(self) -> dict[str, object]:
        done = subprocess.run(
            [*musicfs_command(), "--config", str(self.config), "--json", "status"],
            env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        found: dict[str, object] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def is_scanned(self) -> bool:
        return self.status().get("files_indexed") == 2

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        if is_mount_point(self.point):
            subprocess.run(["umount", "-l", str(self.point)], check=False)
        self.manager.close()


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[list[Instance]]:
    runtime = tempfile.mkdtemp(prefix="musicfs-run-")
    made = [Instance(name, tmp_path, runtime) for name in ("home", "car")]
    yield made
    for one in made:
        one.end()
    shutil.rmtree(runtime)


def test_two_instances_share_nothing_but_the_runtime_folder(instances: list[Instance]) -> None:
    for one in instances:
        one.ready()
        wait_for("the scan", one.is_scanned, 30)
    home, car = instances
    runtime = Path(home.environment["RUNTIME_DIRECTORY"])
    assert {path.name for path in runtime.iterdir()} == {"home.sock", "car.sock"}
    for one in instances:
        status = one.status()
        assert (status["instance"], status["mount_point"], status["pid"]) == (one.name, str(one.point), one.process.pid)
        assert {path.name.split("-")[0] for path in one.logs.iterdir()} == {one.name}
        assert [path.name for path in (one.point / "A").iterdir()] == [f"{one.name.title()} [FLAC]"]
        assert (one.state / "journal").exists() and (one.cache / "catalog").exists()
    home.process.terminate()
    assert home.process.wait(30) == 0
    assert not is_mount_point(home.point)
    assert home.status() == {}
    assert car.status()["instance"] == "car"
    assert len(list(car.point.rglob("*.flac"))) == 2
    car.process.terminate()
    assert car.process.wait(30) == 0
