"""A machine on which MusicFS runs as its units say: installed as they tell at their top, in a systemd of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.living import wait_for
from tests.mounting import REPOSITORY
from tests.servers.systemd import Systemd

_PROGRAM = "/usr/bin/musicfs"


def is_mounted(path: Path) -> bool:
    """Whether a folder of a machine is a mount; os.path.ismount would follow the way there out of the machine."""
    return path.stat().st_dev != path.parent.stat().st_dev


class Machine:
    """``folder`` has what is the machine's own: music, mount points, the program. Systemd is started by :meth:`start`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.systemd = Systemd(folder)
        self.program = folder / "musicfs"
        self.program.write_text(
            f'#!/bin/sh\nexec env PYTHONPATH="{REPOSITORY}" {sys.executable} -m musicfs.cli.main "$@"\n'
        )
        self.program.chmod(0o755)

    def start(self) -> None:
        """Have a machine on which nothing of MusicFS is installed."""
        self.systemd.start()
        self.path("/etc/musicfs").mkdir(mode=0o755)

    def path(self, path: str | Path) -> Path:
        """A file of the machine, as this process can open it."""
        return self.systemd.root / str(path).lstrip("/")

    def install(self, unit: str, instance: str = "", environment: Mapping[str, str] | None = None) -> str:
        """Install a unit as it tells, with the program where it is; the name to start it by.

        ``environment`` goes to a file that root alone can read.
        """
        units = self.path("/etc/systemd/system")
        shutil.copy(REPOSITORY / "dist" / unit, units / unit)
        name = unit.replace("@", f"@{instance}")
        command = re.findall(r"^ExecStart=(.*)$", (units / unit).read_text(), re.MULTILINE)[-1]
        lines = ["[Service]", "ExecStart=", f"ExecStart={command.replace(_PROGRAM, str(self.program))}"]
        if environment is not None:
            file = self.path(f"/etc/musicfs/{name}.env")
            file.touch(mode=0o600)
            file.write_text("".join(f"{key}={value}\n" for key, value in environment.items()))
            lines.append(f"EnvironmentFile=/etc/musicfs/{name}.env")
        folder = units / f"{name}.d"
        folder.mkdir()
        (folder / "program.conf").write_text("\n".join(lines) + "\n")
        self.systemd.systemctl("daemon-reload")
        return name

    def configure(self, text: str, instance: str = "config") -> None:
        """Write the configuration of an instance."""
        self.path(f"/etc/musicfs/{instance}.toml").write_text(text)

    def musicfs(self, *arguments: str, instance: str = "config", code: int = 0) -> str:
        """What the command prints, run by root as an administrator would."""
        done = self.try_musicfs(*arguments, instance=instance)
        assert done.returncode == code, done
        return done.stdout

    def try_musicfs(self, *arguments: str, instance: str = "config") -> subprocess.CompletedProcess[str]:
        """The same, however it ends."""
        return self.systemd.run(str(self.program), "--config", f"/etc/musicfs/{instance}.toml", *arguments)

    def documents(self, *arguments: str, instance: str = "config") -> list[Any]:
        """What the command prints with ``--json``, line by line."""
        return [json.loads(line) for line in self.musicfs("--json", *arguments, instance=instance).splitlines()]

    def status(self, instance: str = "config") -> dict[str, Any]:
        """``musicfs status``."""
        [document] = self.documents("status", instance=instance)
        found: dict[str, Any] = document
        return found

    def wait_for_status(self, what: str, timeout_s: float = 60, **expected: object) -> dict[str, Any]:
        """The status once it says all of this; while the keeper is replaced there is none."""

        def look() -> dict[str, Any] | None:
            done = self.try_musicfs("--json", "status")
            status = json.loads(done.stdout) if done.returncode == 0 else {}
            return status if all(status.get(key) == value for key, value in expected.items()) else None

        found = wait_for(what, look, timeout_s)
        assert found is not None
        return found

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on, with its output to read."""
        return subprocess.Popen(
            self.systemd.inside(str(self.program), "--config", "/etc/musicfs/config.toml", *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )  # fmt: skip

    def stop(self) -> None:
        """End it, whatever runs there."""
        self.systemd.stop()
