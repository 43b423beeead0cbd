"""Servers at the end of a line: a folder that a real server serves, reached through a proxy of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from musicfs.config.settings import OriginSettings
from musicfs.testing.proxy import CountingProxy
from tests.mounting import Place
from tests.servers.ganesha import GaneshaServer
from tests.servers.samba import SambaServer
from tests.servers.sshd import Sshd
from tests.servers.weed import WeedServer

KINDS = ("sftp", "smb", "nfs", "s3")
FAR_S = 0.025  # each way: a round trip of 50 ms
ANSWER_TIMEOUT_S = 3.0


class Server(Protocol):
    """What every server of :mod:`tests.servers` can do."""

    @property
    def port(self) -> int: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """An origin: ``root`` has its files on this machine, ``settings`` lead to the server through ``proxy``."""

    server: Server
    proxy: CountingProxy
    root: Path
    settings: OriginSettings

    @property
    def place(self) -> Place:
        """What to mount."""
        return Place(self.root, self.settings)

    @property
    def received_bytes(self) -> int:
        """What came from the server since the proxy was started or reset."""
        return self.proxy.snapshot().to_client_bytes


@dataclass(slots=True)
class Servers:
    """One running server of each kind, and how to reach a folder of it. ``scratch`` holds what is written for them."""

    sshd: Sshd
    samba: SambaServer
    ganesha: GaneshaServer
    weed: WeedServer
    scratch: Path
    smb_password_file: Path
    _lines: dict[str, Callable[[str, CountingProxy], tuple[Path, OriginSettings]]] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = {"sftp": self._sftp, "smb": self._smb, "nfs": self._nfs, "s3": self._s3}

    @contextlib.contextmanager
    def line(
        self, kind: str, folder: str, *, delay_s: float = 0.0, bytes_per_s: int = 0, **changes: object
    ) -> Iterator[Line]:
        """A line to ``folder``, which is made, on the server of this kind. ``changes`` replace settings."""
        with CountingProxy(self.server(kind).port, delay_s=delay_s, bytes_per_s=bytes_per_s) as proxy:
            root, settings = self._lines[kind](folder, proxy)
            root.mkdir(parents=True, exist_ok=True)
            yield Line(self.server(kind), proxy, root, msgspec.structs.replace(settings, **changes))

    def server(self, kind: str) -> Server:
        """The server of this kind."""
        found: dict[str, Server] = {"sftp": self.sshd, "smb": self.samba, "nfs": self.ganesha, "s3": self.weed}
        return found[kind]

    def _sftp(self, folder: str, proxy: CountingProxy) -> tuple[Path, OriginSettings]:
        self.sshd.trust_port(proxy.port)
        root = self.sshd.root / folder
        return root, self.sshd.settings(path=root, port=proxy.port, timeout_s=ANSWER_TIMEOUT_S)

    def _smb(self, folder: str, proxy: CountingProxy) -> tuple[Path, OriginSettings]:
        password = f"file:{self.smb_password_file}"
        settings = self.samba.settings(port=proxy.port, path=folder, password=password, timeout_s=ANSWER_TIMEOUT_S)
        return self.samba.root / folder, settings

    def _nfs(self, folder: str, proxy: CountingProxy) -> tuple[Path, OriginSettings]:
        settings = self.ganesha.settings(folder, timeout_s=ANSWER_TIMEOUT_S)
        return self.ganesha.root / folder, msgspec.structs.replace(settings, port=proxy.port)

    def _s3(self, folder: str, proxy: CountingProxy) -> tuple[Path, OriginSettings]:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        settings = self.weed.settings(prefix=f"{folder}/", endpoint=endpoint, timeout_s=ANSWER_TIMEOUT_S)
        return self.scratch / folder, settings

    def upload(self, root: Path) -> None:
        """Put the files below the root of an S3 line into the bucket, where they are served from."""
        for path in sorted(root.rglob("*")):
            if path.is_file():
                self.weed.put(str(path.relative_to(self.scratch)), path.read_bytes())
