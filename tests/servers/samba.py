"""A Samba server: smbd on 127.0.0.1, started by root, with everything it writes under one folder and no account added.

The only user is root, whom clients call :data:`USER`; a name is mapped, so that no Unix account is made for the tests.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from musicfs.config.settings import OriginSettings
from tests.servers.stopping import stop_family

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
USER = "listener"
SHARE = "music"
GUARDED_SHARE = "guarded"
SEALED_SHARE = "sealed"
PASSWORD_VARIABLE = "MUSICFS_TEST_SMB_PASSWORD"

_CONFIGURATION = """
[global]
    smb ports = {port}
    interfaces = lo
    bind interfaces only = yes
    disable netbios = yes
    server role = standalone server
    server string = tests
    map to guest = Bad User
    guest account = nobody
    username map = {home}/users
    passdb backend = smbpasswd:{home}/smbpasswd
    private dir = {home}/private
    state directory = {home}/state
    cache directory = {home}/cache
    lock directory = {home}/lock
    pid directory = {home}/pid
    ncalrpc dir = {home}/ncalrpc
    log file = {home}/log
    log level = 0
    load printers = no
    printing = bsd
    printcap name = /dev/null
    disable spoolss = yes
    server min protocol = SMB2_02
    unix extensions = no
    wide links = no
    {extra}
[{share}]
    path = {root}
    read only = yes
    force user = root
    guest ok = yes
[{guarded}]
    path = {root}
    read only = yes
    force user = nobody
    guest ok = no
[{sealed}]
    path = {root}
    read only = yes
    force user = root
    server smb encrypt = required
"""


class SambaServer:
    """One smbd with three shares of the folder ``root``.

    :data:`SHARE` reads as root and lets guests in, :data:`GUARDED_SHARE` reads as nobody, so that permissions count, and
    :data:`SEALED_SHARE` wants encryption. ``extra`` are more lines of the global section.
    """

    def __init__(self, *, extra: str = "") -> None:
        # Not below pytest's folders, which nobody but their owner may enter: a share is also read as another user.
        self._home = Path(tempfile.mkdtemp(prefix="musicfs-samba-"))
        self._home.chmod(0o755)
        self.root = self._home / "root"
        self.port = _free_port()
        self.password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("root", "private", "state", "cache", "lock", "pid", "ncalrpc"):
            (self._home / name).mkdir(mode=0o755)
        (self._home / "users").write_text(f"root = {USER}\n")
        self._configuration = self._home / "smb.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                home=self._home,
                root=self.root,
                port=self.port,
                share=SHARE,
                guarded=GUARDED_SHARE,
                sealed=SEALED_SHARE,
                extra=extra,
            )
        )
        self._add_user()

    def start(self) -> None:
        """Start it and wait until it answers; raises after a deadline."""
        smbd = shutil.which("smbd") or "/usr/sbin/smbd"
        self._process = subprocess.Popen(
            [smbd, "--foreground", "--no-process-group", f"--configfile={self._configuration}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its children share one process group: they are paused and ended together
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._home / "log").read_text(errors="replace") if (self._home / "log").exists() else ""
                self.kill()
                raise RuntimeError(f"smbd does not answer on port {self.port}: {log[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and remove all it wrote."""
        if self._process is not None:
            self.resume()
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        self.kill()
        shutil.rmtree(self._home)

    def kill(self) -> None:
        """End all its processes at once, as a power cut does; :meth:`start` brings it back on the same port."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._pids() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._process = None

    def pause(self) -> None:
        """Stop all its processes where they are: connections stay open and nothing answers."""
        stop_family(self._pids)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def settings(
        self,
        *,
        origin_id: str = "nas",
        share: str = SHARE,
        path: str = "",
        username: str = USER,
        password: str = f"env:{PASSWORD_VARIABLE}",
        port: int = 0,
        timeout_s: float = 5.0,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> OriginSettings:
        """How to reach it. The password is found in the environment once :meth:`reveal_password` has put it there."""
        return OriginSettings(
            id=origin_id,
            origin_type="smb",
            host="127.0.0.1",
            port=port or self.port,
            share=share,
            path=path,
            username=username,
            password=password if username else "",
            timeout_s=timeout_s,
            include=include,
            exclude=exclude,
        )

    def reveal_password(self) -> None:
        """Put the password where :meth:`settings` says it is."""
        os.environ[PASSWORD_VARIABLE] = self.password

    def _add_user(self) -> None:
        subprocess.run(
            ["smbpasswd", "-c", str(self._configuration), "-L", "-s", "-a", "root"],
            input=f"{self.password}\n{self.password}\n",
            text=True,
            check=True,
            capture_output=True,
            timeout=START_TIMEOUT_S,
        )

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False

    def _pids(self) -> list[int]:
        """Its processes that run, without those that have ended and were not waited for yet."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # proc(5): the name in parentheses, then state, parent and process group.
                state, _, group = status.read_text().rpartition(")")[2].split()[:3]
                if self._process is not None and int(group) == self._process.pid and state not in "ZX":
                    found.append(int(status.parts[2]))
        return found

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
