"""The units where they are meant to run: the template for several libraries, and what systemd makes of a hang."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.living import album, wait_for
from tests.mounting import REPOSITORY
from tests.servers.systemd import MANAGER, missing
from tests.service.machine import Machine, is_mounted

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

QUIET = '[grpc]\naddresses = []\n[metrics]\naddress = ""\n[collections]\nbuiltin = false\n'


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def configure(machine: Machine, instance: str) -> Path:
    """A library of two tracks; its mount point."""
    music, point = machine.folder / f"{instance}-music", machine.folder / f"{instance}-library"
    album(music, instance.title(), 2)
    point.mkdir()
    machine.configure(
        f'mount_point = "{point}"\n{QUIET}[[origins]]\nid = "{instance}"\npath = "{music}"\n', instance=instance
    )
    return machine.path(point)


def has_tracks(point: Path) -> bool:
    """Whether both can be seen; where nothing answers there are none."""
    return sum(name.endswith(".flac") for _, _, names in os.walk(point) for name in names) == 2


def test_two_libraries_by_the_template(machine: Machine) -> None:
    points = {name: configure(machine, name) for name in ("home", "work")}
    units = [machine.install("musicfs@.service", name) for name in points]
    machine.systemd.systemctl("start", *units)
    for name, point in points.items():
        wait_for(f"the tracks of {name}", partial(has_tracks, point), 30)
        assert [path.name for path in point.glob("A/*")] == [f"{name.title()} [FLAC]"]
        assert machine.status(name)["mount_point"].endswith(f"{name}-library")
        for folder in (f"/var/lib/musicfs/{name}", f"/var/cache/musicfs/{name}"):
            assert machine.path(folder).stat().st_mode & 0o777 == 0o700
    machine.systemd.systemctl("stop", units[0])
    assert not is_mounted(points["home"])
    assert has_tracks(points["work"])
    assert machine.status("work")["state"] == "ready"


def test_no_device_but_that_of_fuse(machine: Machine) -> None:
    point = configure(machine, "config")
    machine.install("musicfs.service")
    drop_in = machine.path("/etc/systemd/system/musicfs.service.d/devices.conf")
    other = machine.folder / "loop-control"  # whoever may opens it, and nothing comes of it
    os.mknod(other, stat.S_IFCHR | 0o600, os.makedev(10, 237))
    other.open("rb").close()
    drop_in.write_text(f"[Service]\nExecStartPre=/bin/sh -c '! true < {other}'\n")
    machine.systemd.systemctl("daemon-reload")
    machine.systemd.systemctl("start", "musicfs")
    wait_for("the tracks", partial(has_tracks, point), 30)


def test_a_mount_that_hangs_is_killed_and_started_again(machine: Machine) -> None:
    """The watchdog, at a pace that can be waited for: the process stands still, as in a deadlock."""
    point = configure(machine, "config")
    machine.install("musicfs.service")
    drop_in = machine.path("/etc/systemd/system/musicfs.service.d/pace.conf")
    drop_in.write_text("[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\n")
    machine.systemd.systemctl("daemon-reload")
    machine.systemd.systemctl("start", "musicfs")
    wait_for("the tracks", partial(has_tracks, point), 30)
    machine.systemd.systemctl("kill", "--kill-who=main", "--signal=STOP", "musicfs")
    wait_for("it is started again", lambda: machine.systemd.shown("musicfs", "NRestarts")["NRestarts"] == "1", 40)
    wait_for("the tracks again", partial(has_tracks, point), 30)
    assert any("Watchdog timeout" in str(entry["MESSAGE"]) for entry in machine.systemd.journal())


def test_the_unit_of_a_user(machine: Machine) -> None:
    """By a manager of that user's, at home, with the program where pipx puts it; the user is root, who may mount anywhere."""
    home = machine.folder / "home"
    point = home / "library"
    for folder in (point, home / ".local/bin", home / ".config/musicfs", home / ".config/systemd/user"):
        folder.mkdir(parents=True)
    album(machine.folder / "music", "One", 2)
    (home / ".local/bin/musicfs").symlink_to(machine.program)
    (home / ".config/musicfs/config.toml").write_text(
        f'mount_point = "{point}"\n{QUIET}[[origins]]\nid = "o"\npath = "{machine.folder / "music"}"\n'
    )
    shutil.copy(REPOSITORY / "dist/musicfs-user.service", home / ".config/systemd/user/musicfs.service")
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": "/run/user/0"}
    machine.path("/run/user/0").mkdir(parents=True, mode=0o700)
    machine.path("/etc/systemd/system/manager.service").write_text(
        f"[Service]\nType=notify\nExecStart={MANAGER} --user --unit=basic.target --log-target=journal\nDelegate=yes\n"
        f"Environment={' '.join(f'{name}={value}' for name, value in environment.items())}\n"
    )
    machine.systemd.systemctl("daemon-reload")
    machine.systemd.systemctl("start", "manager")

    def systemctl(line: str) -> None:
        done = machine.systemd.run("systemctl", "--user", *line.split(), environment=environment)
        assert done.returncode == 0, done

    systemctl("daemon-reload")
    systemctl("enable --now musicfs")
    wait_for("the tracks", partial(has_tracks, machine.path(point)), 30)
    assert (home / ".cache/musicfs").is_dir() and (home / ".local/share/musicfs").is_dir()
    systemctl("reload musicfs")
    systemctl("stop musicfs")
    assert not is_mounted(machine.path(point))
