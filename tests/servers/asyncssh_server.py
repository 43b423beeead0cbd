"""Another SFTP server than OpenSSH's, in this process: it knows passwords, and gives less at a time than asked."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from pathlib import Path
from typing import Any

import asyncssh

from musicfs.config.settings import OriginSettings

START_TIMEOUT_S = 20.0
USER = "listener"
MOST_BYTES = 10_000  # in one answer, whatever is asked for: the draft allows it
PASSWORD_VARIABLE = "MUSICFS_TEST_SFTP_PASSWORD"


class _Server(asyncssh.SSHServer):
    def __init__(self, password: str) -> None:
        self._password = password

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, self._password)


class _Files(asyncssh.SFTPServer):
    def read(self, file_obj: object, offset: int, size: int) -> Any:
        return super().read(file_obj, offset, min(size, MOST_BYTES))


class AsyncsshServer:
    """One event loop in a thread, on a free port of 127.0.0.1, that serves ``root`` as what it is on this disk."""

    def __init__(self, folder: Path, password: str) -> None:
        self.root = folder / "served"
        self.root.mkdir()
        self.port = 0
        self._password = password
        self._known_hosts = folder / "known_hosts"
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._started: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="asyncssh server", daemon=True)

    def start(self) -> None:
        """Blocks until it listens."""
        self._thread.start()
        self.port = self._started.result(START_TIMEOUT_S)
        public = self._key.export_public_key().decode().strip()
        self._known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def stop(self) -> None:
        """End it and its thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_TIMEOUT_S)

    def settings(self, *, origin_id: str = "sftp", path: Path | None = None) -> OriginSettings:
        """An origin at ``path``; its password is looked up in the environment as ``PASSWORD_VARIABLE``."""
        return OriginSettings(
            id=origin_id,
            origin_type="sftp",
            host="127.0.0.1",
            port=self.port,
            username=USER,
            password=f"env:{PASSWORD_VARIABLE}",
            path=os.fspath(path or self.root),
            known_hosts=str(self._known_hosts),
        )

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        listener = await asyncssh.create_server(
            lambda: _Server(self._password), "127.0.0.1", 0, server_host_keys=[self._key], sftp_factory=_Files
        )
        self._started.set_result(listener.get_port())
        await self._stopping.wait()
        listener.close()
        await listener.wait_closed()
