"""A systemd of our own: the real manager as the first process of a container that shares the machine's files and network.

It can change nothing of the machine: every file system is read-only inside, but for the folder it is given; what it writes to
/etc, /var and /tmp goes to an overlay, /run is new. It has the units that are put there and none of the machine's: one of
those would empty /tmp. Mounts made inside are seen inside only, or through :attr:`Systemd.root`. Takes root.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.players.programs import need
from tests.servers.stopping import processes_of

MANAGER = "/lib/systemd/systemd"
START_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 120.0
_POLL_S = 0.05
_TARGETS = "sysinit basic shutdown network-online local-fs remote-fs nss-user-lookup multi-user"
# Our folder is set aside, everything that is mounted becomes read-only, overlays are laid over what is to be written, and our
# folder is put back; then come the units, and the manager.
_SETUP = """\
set -eu
folder=$1 manager=$2
mount -t proc proc /proc
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/folder /run/over /run/generators
mount --bind "$folder" /run/folder
while read -r _ _ _ _ place _; do
    place=$(printf '%b' "$place")
    case $place in
        /run | /run/* | /proc | /proc/* | /dev | /dev/*) ;;
        /sys/fs/cgroup | /sys/fs/cgroup/*) ;;
        *) mount -o remount,bind,ro "$place" ;;
    esac
done < /proc/self/mountinfo
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount --recursive /sys/fs/cgroup
for name in etc var tmp; do
    mkdir -p "/run/over/$name/upper" "/run/over/$name/work"
    mount -t overlay over -o "lowerdir=/$name,upperdir=/run/over/$name/upper,workdir=/run/over/$name/work" "/$name"
done
chmod 1777 /tmp
mkdir -p "$folder"
mount --move /run/folder "$folder"
units=/etc/systemd/system
mount -t tmpfs units "$units"
for name in $TARGETS; do printf '[Unit]\\nDefaultDependencies=no\\n' > "$units/$name.target"; done
printf '[Unit]\\nDefaultDependencies=no\\nWants=systemd-journald.service\\n' > "$units/test.target"
# Without the sockets that are not in /run.
grep -v '^Sockets=' /lib/systemd/system/systemd-journald.service > "$units/systemd-journald.service"
cp /lib/systemd/system/systemd-journald.socket "$units"
mkdir -p /etc/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nRateLimitBurst=0\\n' > /etc/systemd/journald.conf.d/test.conf
[ -s /etc/machine-id ] || systemd-machine-id-setup
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$units" SYSTEMD_GENERATOR_PATH=/run/generators \\
    "$manager" --system --unit=test.target --log-target=journal --show-status=no
"""


def missing() -> str:
    """What keeps it from running here that no installation helps; empty if nothing does."""
    if os.geteuid():
        return "it takes root"
    with open("/proc/self/mountinfo") as mounts:
        has_root = any(line.split()[4] == "/" for line in mounts)
    return "" if has_root else "in a chroot whose root is no mount nothing could be made read-only"


class Systemd:
    """The manager and its journal. ``folder`` is what can be written inside, and takes what its start says, in ``log``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._cgroup = f"musicfs-test-{os.getpid()}-{time.monotonic_ns()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def root(self) -> Path:
        """The container's root folder, as seen from outside."""
        return Path(f"/proc/{self._pid}/root")

    def start(self) -> None:
        """Start it; blocks until it takes commands."""
        for program in (MANAGER, "unshare", "nsenter", "systemctl", "journalctl"):
            need(program)
        joins = [
            f"{{ mkdir {path} && echo $$ > {path}/cgroup.procs || true; }} 2>/dev/null" for path in self._cgroups()
        ]
        unshare = "exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup --propagation private"
        script = "\n".join([*joins, f'{unshare} bash -c "$SETUP" bash "$@"'])
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, "bash", str(self._folder), MANAGER],
                env={"PATH": os.environ["PATH"], "SETUP": _SETUP, "TARGETS": _TARGETS},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_up():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(_POLL_S)

    def _is_up(self) -> bool:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self._pid = int(children[0])
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{self._pid}/exe").endswith("/systemd"):
                return self.run("systemctl", "is-active", "systemd-journald.service").returncode == 0
        return False

    @property
    def log(self) -> str:
        """What is said before there is a journal."""
        return (self._folder / "log").read_text(errors="replace")

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        return subprocess.run(
            self.inside(*command), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(environment or {})},
        )  # fmt: skip

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command inside."""
        namespaces = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
        return ["nsenter", f"--target={self._pid}", *namespaces, "--root", "--wd=/", "--", *command]

    def systemctl(self, *arguments: str) -> str:
        """What ``systemctl`` prints; fails with what it and the journal say."""
        done = self.run("systemctl", *arguments)
        said = "\n".join(str(entry.get("MESSAGE")) for entry in self.journal())
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{said}\n{self.log}"
        return done.stdout

    def shown(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        lines = self.systemctl("show", unit, f"--property={','.join(names)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pids(self) -> list[int]:
        """The processes inside, as they are numbered outside."""
        return processes_of(self._pid)

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """Entries of the journal, with all their fields."""
        done = self.run("journalctl", "--output=json", "--all", "--no-pager", *arguments)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """End the manager and with it all that runs inside. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)  # the kernel ends the rest of its namespace before it is gone
        process.wait(30)
        for path in self._cgroups():
            for folder, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _cgroups(self) -> Iterator[str]:
        """A group of its own in each hierarchy (cgroups(7)): what the manager makes is made below it."""
        with open("/proc/self/mounts") as mounts:
            fields = [line.split() for line in mounts]
        yield from (f"{place}/{self._cgroup}" for _, place, kind, *_ in fields if kind in {"cgroup", "cgroup2"})
