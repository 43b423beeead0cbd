"""Apache's mod_dav: a WebDAV server over a folder."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from musicfs.config.settings import OriginSettings
from tests.servers.stopping import kill_processes, processes_of, stop_processes

START_TIMEOUT_S = 30.0
USER = "listener"
_MODULES = "/usr/lib/apache2/modules"
_CONFIG = """\
ServerRoot "{folder}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile "{folder}/pid"
ErrorLog "{folder}/log"
DefaultRuntimeDir "{folder}"
Mutex pthread
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authn_file_module {modules}/mod_authn_file.so
LoadModule auth_basic_module {modules}/mod_auth_basic.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
LoadModule dir_module {modules}/mod_dir.so
StartServers 1
KeepAliveTimeout 5
DavLockDB "{folder}/locks"
DocumentRoot "{root}"
<Directory "{root}">
    Dav On
    AuthType Basic
    AuthName music
    AuthUserFile "{folder}/users"
    Require valid-user
</Directory>
"""


class ApacheServer:
    """A WebDAV server of the folder ``root`` on a free port of 127.0.0.1, for one user with a password made for it."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is for its files and :attr:`root`, and open to all: its workers may run as another user."""
        self._folder = folder
        self.root = folder / "root"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, origin_id: str = "dav", path: str = "", **changes: object) -> OriginSettings:
        """How to reach the folder ``path`` below :attr:`root`; the password comes from a file, which is made here."""
        file = self._folder / "password"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(self.password)
        known = {"origin_type": "webdav", "url": f"{self.url}/{path}", "username": USER, "password": f"file:{file}"}
        return OriginSettings(id=origin_id, **{**known, **changes})  # type: ignore[arg-type]  # checked where it is made

    def start(self) -> None:
        """Start it, or start it again; blocks until it answers."""
        self.root.mkdir(exist_ok=True)
        config = self._folder / "config"
        config.write_text(_CONFIG.format(folder=self._folder, port=self.port, root=self.root, modules=_MODULES))
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", "-stdin"], input=self.password, text=True, capture_output=True, check=True
        )
        (self._folder / "users").write_text(f"{USER}:{hashed.stdout.strip()}\n")
        program = shutil.which("apache2") or "/usr/sbin/apache2"
        self._process = subprocess.Popen(
            [program, "-f", str(config), "-DFOREGROUND"], stdin=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"apache2 ended with {code}: {self._log()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("OPTIONS", "/")
                connection.getresponse()
                connection.close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"apache2 did not start: {self._log()}")

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL to it and its workers; :meth:`start` brings it back."""
        if self._process is not None:
            kill_processes(processes_of(self._process.pid))
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        stop_processes(processes_of(self._process.pid))

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)  # a session of its own: it and its workers

    def _log(self) -> str:
        log = self._folder / "log"
        return log.read_text()[-2000:] if log.exists() else "no log"
