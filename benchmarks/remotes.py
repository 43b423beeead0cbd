"""Servers far away: one of each kind behind a line with a round trip and a rate, and the peers that reach them too."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.bench import NotMeasurable
from benchmarks.servers import MusicFS, Peer
from musicfs.config.settings import OriginSettings
from musicfs.testing.proxy import CountingProxy, Counts
from tests.servers import apache, ganesha, samba, sshd, weed

KINDS = ("sftp", "smb", "nfs", "s3", "webdav")
GIGABIT_BYTES_PER_S = 125_000_000
_TIMEOUT_S = 60.0  # of one answer: a line that is slow on purpose is no outage
_FAR = "far"  # what rclone calls the server


@dataclass(frozen=True, slots=True)
class Line:
    """The way to the server."""

    round_trip_s: float = 0.0
    bytes_per_s: int = 0  # 0: no limit

    def proxy(self, port: int) -> CountingProxy:
        return CountingProxy(port, delay_s=self.round_trip_s / 2, bytes_per_s=self.bytes_per_s)


@dataclass(frozen=True, slots=True)
class Remote:
    """A server with files, and how each program reaches it through the line."""

    kind: str
    proxies: tuple[CountingProxy, ...]  # the first is the one that files come through
    origin: OriginSettings
    put: Callable[[str, bytes], object]  # create or replace a file: path below the origin's folder, content
    rclone: tuple[str, Mapping[str, str]] | None = None  # the place, and the environment that explains it
    sshfs: tuple[tuple[str, ...], str] | None = None  # command and place
    fetch: tuple[str, Callable[[str], list[str]]] | None = None  # the origin's own client: name, command for a path
    fetch_environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def proxy(self) -> CountingProxy:
        return self.proxies[0]

    def reset(self) -> None:
        """Count from zero."""
        for proxy in self.proxies:
            proxy.reset()

    def counts(self) -> Counts:
        """What all lines carried."""
        counts = [proxy.snapshot() for proxy in self.proxies]
        return Counts(*(sum(getattr(one, name) for one in counts) for name in Counts.__struct_fields__))

    def add_folder(self, folder: Path) -> None:
        """Put everything below ``folder`` on the server."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(str(path.relative_to(folder)), path.read_bytes())

    def musicfs(self, folder: Path, settings: str = "") -> MusicFS:
        return MusicFS(folder, folder / f"musicfs-{self.kind}", settings, origin=self.origin)

    def peers(self, folder: Path) -> list[Peer]:
        """Those mounts of the same server that are installed."""
        found = []
        if self.rclone is not None and shutil.which("rclone"):
            place, environment = self.rclone
            command = ("rclone", "mount", "--config", "/dev/null", "--vfs-cache-mode", "off", "--read-only")
            found.append(Peer("rclone mount", command, place, folder / f"rclone-{self.kind}", environment))
        if self.sshfs is not None and shutil.which("sshfs"):
            found.append(Peer("sshfs", *self.sshfs, folder / f"sshfs-{self.kind}"))
        return found

    def fetch_file(self, path: str) -> None:
        """Have the origin's own client bring one file, to nowhere. Raises CalledProcessError."""
        assert self.fetch is not None
        subprocess.run(
            self.fetch[1](path),
            env={**os.environ, **self.fetch_environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=600,
        )  # fmt: skip


@contextlib.contextmanager
def remote(kind: str, folder: Path, line: Line) -> Iterator[Remote]:
    """A server of that kind without files, behind ``line``. Raises NotMeasurable when it cannot be had here."""
    with contextlib.ExitStack() as stack:
        try:
            made = _MAKERS[kind](folder, line, stack)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            raise NotMeasurable(f"no {kind} server: {str(error).splitlines()[0] if str(error) else error!r}") from error
        yield made


def _put_below(root: Path) -> Callable[[str, bytes], object]:
    def put(name: str, data: bytes) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return put


def _sftp(folder: Path, line: Line, stack: contextlib.ExitStack) -> Remote:
    server = sshd.Sshd()
    stack.callback(server.stop)
    server.start()
    proxy = stack.enter_context(line.proxy(server.port))
    server.trust_port(proxy.port)
    place = f"{server.user}@127.0.0.1:{server.root}"
    options = [f"IdentityFile={server.key_file}", f"UserKnownHostsFile={server.known_hosts}", "IdentitiesOnly=yes"]
    flags = tuple(part for option in options for part in ("-o", option))
    rclone = _rclone_variables(
        type="sftp", host="127.0.0.1", port=str(proxy.port), user=server.user, key_file=str(server.key_file),
        known_hosts_file=str(server.known_hosts), shell_type="none",
    )  # fmt: skip
    return Remote(
        "sftp", (proxy,), server.settings(port=proxy.port, timeout_s=_TIMEOUT_S), _put_below(server.root),
        (f"{_FAR}:{server.root}", rclone),
        (("sshfs", "-f", "-p", str(proxy.port), *flags), place),
        ("sftp", lambda path: ["sftp", "-q", "-P", str(proxy.port), *flags, f"{place}/{path}", "/dev/null"]),
    )  # fmt: skip


def _smb(folder: Path, line: Line, stack: contextlib.ExitStack) -> Remote:
    server = samba.SambaServer()
    stack.callback(server.stop)
    server.start()
    proxy = stack.enter_context(line.proxy(server.port))
    secret, login = folder / "smb-password", folder / "smb-login"
    for file, text in ((secret, server.password), (login, f"username={samba.USER}\npassword={server.password}\n")):
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
    origin = server.settings(port=proxy.port, password=f"file:{secret}", timeout_s=_TIMEOUT_S)
    rclone = _rclone_variables(
        type="smb", host="127.0.0.1", port=str(proxy.port), user=samba.USER, **{"pass": _obscured(server.password)}
    )

    def command(path: str) -> list[str]:
        inside = path.replace("/", "\\")
        share = f"//127.0.0.1/{samba.SHARE}"
        return ["smbclient", "-A", str(login), "-p", str(proxy.port), share, "-c", f'get "{inside}" /dev/null']

    return Remote(
        "smb", (proxy,), origin, _put_below(server.root), (f"{_FAR}:{samba.SHARE}", rclone), None,
        ("smbclient", command) if shutil.which("smbclient") else None,
    )  # fmt: skip


def _nfs(folder: Path, line: Line, stack: contextlib.ExitStack) -> Remote:
    server = ganesha.GaneshaServer(folder / "ganesha")
    stack.callback(server.stop)
    server.start()
    proxies = tuple(stack.enter_context(line.proxy(port)) for port in (server.port, server.mount_port))
    ports = {"port": proxies[0].port, "mount_port": proxies[1].port}
    origin = msgspec.structs.replace(server.settings(timeout_s=_TIMEOUT_S), **ports)

    def command(path: str) -> list[str]:
        query = f"version=3&nfsport={proxies[0].port}&mountport={proxies[1].port}"
        return ["nfs-cat", f"nfs://127.0.0.1{server.root}/{path}?{query}"]

    return Remote(
        "nfs", proxies, origin, _put_below(server.root), fetch=("nfs-cat", command) if shutil.which("nfs-cat") else None
    )


def _s3(folder: Path, line: Line, stack: contextlib.ExitStack) -> Remote:
    own = folder / "weed"
    own.mkdir()
    server = weed.WeedServer(own)
    stack.callback(server.stop)
    server.start()
    proxy = stack.enter_context(line.proxy(server.port))
    endpoint = f"http://127.0.0.1:{proxy.port}"
    rclone = _rclone_variables(
        type="s3", provider="Other", endpoint=endpoint, access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key, force_path_style="true",
    )  # fmt: skip
    return Remote(
        "s3", (proxy,), server.settings(endpoint=endpoint, timeout_s=_TIMEOUT_S), server.put,
        (f"{_FAR}:{server.bucket}", rclone), None, *_rclone_cat(server.bucket, rclone),
    )  # fmt: skip


def _webdav(folder: Path, line: Line, stack: contextlib.ExitStack) -> Remote:
    own = folder / "apache"
    own.mkdir()
    for each in (own, *own.parents):  # its workers run as another user
        with contextlib.suppress(PermissionError):
            each.chmod(each.stat().st_mode | 0o055)
        if each == folder.parent:
            break
    server = apache.ApacheServer(own)
    stack.callback(server.stop)
    server.start()
    proxy = stack.enter_context(line.proxy(server.port))
    url = f"http://127.0.0.1:{proxy.port}"
    rclone = _rclone_variables(
        type="webdav", url=url, vendor="other", user=apache.USER, **{"pass": _obscured(server.password)}
    )
    return Remote(
        "webdav", (proxy,), server.settings(url=url, timeout_s=_TIMEOUT_S), _put_below(server.root),
        (f"{_FAR}:", rclone), None, *_rclone_cat("", rclone),
    )  # fmt: skip


def _rclone_cat(
    place: str, variables: Mapping[str, str]
) -> tuple[tuple[str, Callable[[str], list[str]]] | None, Mapping[str, str]]:
    if not shutil.which("rclone"):
        return None, {}
    return ("rclone cat", lambda path: ["rclone", "--config", "/dev/null", "cat", f"{_FAR}:{place}/{path}"]), variables


def _rclone_variables(**options: str) -> dict[str, str]:
    """rclone's configuration of a remote, by environment: what it logs in with appears in no list of processes."""
    variables = {f"RCLONE_CONFIG_{_FAR.upper()}_{name.upper()}": value for name, value in options.items()}
    return {**variables, "AWS_CA_BUNDLE": ""}  # where it is set, rclone's S3 refuses to start, HTTPS or not


def _obscured(password: str) -> str:
    """The password in the form that rclone wants, which is no secret to anybody; empty without rclone."""
    if not shutil.which("rclone"):
        return ""
    done = subprocess.run(["rclone", "obscure", "-"], input=password, capture_output=True, text=True, check=True)
    return done.stdout.strip()


_MAKERS: Mapping[str, Callable[[Path, Line, contextlib.ExitStack], Remote]] = {
    "sftp": _sftp,
    "smb": _smb,
    "nfs": _nfs,
    "s3": _s3,
    "webdav": _webdav,
}
