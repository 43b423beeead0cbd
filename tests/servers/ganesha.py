"""A real NFS server: nfs-ganesha, which serves version 3 on 127.0.0.1 alone.

Version 3 wants a port mapper, and rpcbind listens on every address: it runs in a network namespace of its own, where nobody
hears it. Its other door, the socket /run/rpcbind.sock, is a file: in a mount namespace with an empty /run it is seen by
ganesha alone, which stays in the tests' own network. So there is no relay, and the machine's own rpcbind is left alone.

Needs root (ganesha opens files by handle), and nfs-ganesha, nfs-ganesha-vfs, rpcbind and util-linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from musicfs.config.settings import OriginSettings
from tests.servers.stopping import stop_processes

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0

# Attr_Expiration_Time: the tests write behind the server's back, and it must not answer from memory.
_CONFIGURATION = """
NFS_CORE_PARAM {{
    Protocols = 3; Bind_addr = 127.0.0.1; Plugins_Dir = {plugins}; Mount_Path_Pseudo = false;
    NFS_Port = {nfs}; MNT_Port = {mount}; NLM_Port = {nlm}; Rquota_Port = {rquota};
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSV4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {state}; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT_DEFAULTS {{ Attr_Expiration_Time = 0; }}
MDCACHE {{ Dir_Chunk = 0; }}
EXPORT {{
    Export_Id = 1; Path = {root}; Pseudo = /music; Access_Type = RO; Squash = None; SecType = sys;
    Protocols = 3; Transports = TCP; PrivilegedPort = false; FSAL {{ Name = VFS; }}
}}
EXPORT {{
    Export_Id = 2; Path = {refused}; Pseudo = /refused; Access_Type = RO; SecType = sys;
    Protocols = 3; Transports = TCP; PrivilegedPort = true; FSAL {{ Name = VFS; }}
}}
EXPORT {{
    Export_Id = 3; Path = {hidden}; Pseudo = /hidden; Access_Type = None; SecType = sys;
    Protocols = 3; Transports = TCP; PrivilegedPort = false; FSAL {{ Name = VFS; }}
}}
"""


class GaneshaServer:
    """Serves ``root``, a new folder below ``folder``; ``refused`` is exported to ports below 1024, ``hidden`` to nobody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "export"
        self.refused = folder / "refused"
        self.hidden = folder / "hidden"
        self.port, self.mount_port, nlm, rquota = _free_ports(4)
        for path in (self.root, self.refused, self.hidden, folder / "state"):
            path.mkdir(parents=True)
        (folder / "ganesha.conf").write_text(
            _CONFIGURATION.format(
                plugins=_plugins(),
                nfs=self.port,
                mount=self.mount_port,
                nlm=nlm,
                rquota=rquota,
                state=folder / "state",
                root=self.root,
                refused=self.refused,
                hidden=self.hidden,
            )
        )
        self._rpcbind: subprocess.Popen[bytes] | None = None
        self._ganesha: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Block until the server answers on both ports. Raises RuntimeError, with its log, when it does not."""
        if os.geteuid() != 0:
            raise RuntimeError("nfs-ganesha opens files by handle, which only root may: run these tests as root")
        if self._rpcbind is None:
            self._rpcbind = self._spawn(
                # rpcbind gives up root, and with that the signal at its parent's death; the end of its pid namespace, which
                # is that of the shell, takes it along.
                "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                "sh", "-c", "mount -t tmpfs -o mode=755 run /run && rpcbind -f; exit",
            )  # fmt: skip
        inside = Path(f"/proc/{self._rpcbind.pid}")
        self._wait(lambda: _is_up(inside / "root/run"), self._rpcbind)
        self._ganesha = self._spawn(
            "nsenter", f"--mount={inside}/ns/mnt", f"--root={inside}/root",
            "ganesha.nfsd", "-F", "-f", str(self._folder / "ganesha.conf"),
            "-L", str(self._log), "-p", str(self._folder / "pid"),
        )  # fmt: skip
        self._wait(lambda: _answers(self.port) and _answers(self.mount_port), self._ganesha)

    def stop(self) -> None:
        """End everything, ganesha politely; the namespaces go with their last process."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End everything at once, as a power cut does; :meth:`start` serves the same folder on the same ports again."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The server answers nothing from now on; connections are still taken, by the kernel."""
        if self._ganesha is not None:
            stop_processes([self._ganesha.pid])

    def resume(self) -> None:
        if self._ganesha is not None:
            self._ganesha.send_signal(signal.SIGCONT)

    def settings(
        self,
        path: str = "",
        *,
        export: str | None = None,
        timeout_s: float = 10.0,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> OriginSettings:
        """An origin for the folder ``path`` of ``root``."""
        return OriginSettings(
            id="nfs",
            origin_type="nfs",
            host="127.0.0.1",
            port=self.port,
            mount_port=self.mount_port,
            export=str(self.root) if export is None else export,
            path=path,
            timeout_s=timeout_s,
            include=include,
            exclude=exclude,
        )

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _end(self, number: signal.Signals) -> None:
        for process, how in ((self._ganesha, number), (self._rpcbind, signal.SIGKILL)):
            if process is None:
                continue
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # one that is paused would not notice
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_TIMEOUT_S)
        self._ganesha = self._rpcbind = None

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],  # a test run that is killed leaves nothing behind
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _wait(self, ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                texts = (
                    file.read_text(errors="replace") for file in (self._folder / "output", self._log) if file.exists()
                )
                raise RuntimeError("nfs-ganesha does not answer:\n" + "\n".join(texts)[-5000:])
            time.sleep(0.02)


def _plugins() -> str:
    """Where the module for plain folders lies; the default names a folder that Debian does not have."""
    found = sorted(Path("/usr").glob("lib*/**/ganesha/libfsalvfs.so"))
    if not found:
        raise RuntimeError("nfs-ganesha-vfs is not installed: dist/test installs it")
    return str(found[0].parent)


def _free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on; all different, as they are held together."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [int(held.getsockname()[1]) for held in sockets]


def _is_up(run: Path) -> bool:
    """Whether rpcbind has its socket in a ``/run`` that is not this machine's."""
    return run.stat().st_dev != Path("/run").stat().st_dev and (run / "rpcbind.sock").is_socket()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
