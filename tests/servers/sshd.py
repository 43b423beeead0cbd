"""A real OpenSSH server with its own SFTP, for one user, with keys of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
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
# root may read everything: as another user, folders can be unreadable.
UNPRIVILEGED_USER = "nobody"


class Sshd:
    """``sshd`` on 127.0.0.1. Everything it needs lies in a folder that is removed by :meth:`stop`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="musicfs-sshd-"))
        self._folder.chmod(0o755)  # the user who logs in is another than the one who made it
        self.root = self._folder / "served"
        self.root.mkdir()
        self.user = UNPRIVILEGED_USER if os.getuid() == 0 else getpass.getuser()
        self.port = _free_port()
        self.key_file = make_key(self._folder / "client_key")
        self.known_hosts = self._folder / "known_hosts"
        self._host_key = self._folder / "host_key"
        self._process: subprocess.Popen[bytes] | None = None
        self.change_host_key()
        self.trust(self.key_file)
        self._write_config()

    def start(self) -> None:
        """Start, or start again on the same port; blocks until it greets."""
        assert self._process is None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled in: where privileges are separated
        self._process = subprocess.Popen(
            [_sshd(), "-D", "-f", str(self._folder / "config"), "-E", str(self._folder / "log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._greets():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"sshd does not answer: {self.log()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it and its sessions, and remove everything it had."""
        self.kill()
        shutil.rmtree(self._folder)

    def kill(self) -> None:
        """SIGKILL to it and to all its sessions; :meth:`start` brings it back."""
        if self._process is None:
            return
        pids = self._pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def kill_sessions(self) -> None:
        """SIGKILL to the processes that serve files; their connections stay."""
        parents = {pid: _children(pid) for pid in self._pids()}
        for pid, children in parents.items():
            if not children and pid != self._process_pid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP to it and to all its sessions."""
        stop_family(self._pids)

    def resume(self) -> None:
        """SIGCONT after :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def sessions(self) -> int:
        """How many connections it serves now."""
        return len(_children(self._process_pid()))

    def open_files(self, folder: Path) -> list[str]:
        """Which files in a folder its processes hold open now."""
        held = []
        for pid in self._pids():
            with contextlib.suppress(OSError):
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        held.append(descriptor.readlink())
        return [path.name for path in held if path.parent == folder]

    def trust(self, key_file: Path) -> None:
        """Let the owner of this private key log in, beside whom it let in before."""
        authorized = self._folder / "authorized_keys"
        with authorized.open("a") as file:
            file.write(key_file.with_name(key_file.name + ".pub").read_text())
        authorized.chmod(0o644)

    def change_host_key(self) -> None:
        """A new host key from the next start on; ``known_hosts`` has the new one."""
        self._host_key.unlink(missing_ok=True)
        make_key(self._host_key)
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self._public_host_key()}\n")

    def trust_port(self, port: int) -> None:
        """Have ``known_hosts`` know this server behind another port, too: a proxy's."""
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {self._public_host_key()}\n")

    def settings(self, *, origin_id: str = "sftp", path: Path | str | None = None, **changes: object) -> OriginSettings:
        """An origin at ``path`` of this server, its root if None."""
        keys: dict[str, object] = {
            "origin_type": "sftp",
            "host": "127.0.0.1",
            "port": self.port,
            "username": self.user,
            "path": str(self.root if path is None else path),
            "key_file": str(self.key_file),
            "known_hosts": str(self.known_hosts),
        }
        return OriginSettings(id=origin_id, **(keys | changes))  # type: ignore[arg-type]  # keys by name, checked by the tests

    def log(self) -> str:
        """What it wrote."""
        path = self._folder / "log"
        return path.read_text() if path.exists() else ""

    def _public_host_key(self) -> str:
        return " ".join(self._host_key.with_name("host_key.pub").read_text().split()[:2])

    def _write_config(self) -> None:
        folder = self._folder
        (folder / "config").write_text(
            f"Port {self.port}\n"
            "ListenAddress 127.0.0.1\n"
            f"HostKey {self._host_key}\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\n"
            f"PidFile {folder}/pid\n"
            "StrictModes no\n"
            "UsePAM no\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            "MaxStartups 100\n"
            "Subsystem sftp internal-sftp\n"
        )

    def _greets(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def _process_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids() if self._process is not None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """The listener and everything below it."""
        found, at = [self._process_pid()], 0
        while at < len(found):
            found += _children(found[at])
            at += 1
        return found


def make_key(path: Path, passphrase: str = "") -> Path:
    """A new ed25519 key at ``path``, its public half beside it with ``.pub``."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)
    return path


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _sshd() -> str:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    assert found, "install openssh-server (dist/test does)"
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
