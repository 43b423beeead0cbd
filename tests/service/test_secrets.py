"""Secrets of every kind, looked for in everything that a real run at its most talkative leaves or says."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.daemon.test_logs import decode
from tests.faults.living import album, keeper_of, processes_below, wait_for
from tests.mounting import Mounted, Place, mount, musicfs_command
from tests.servers.apache import USER as DAV_USER
from tests.servers.apache import ApacheServer
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.receiver import Receiver
from tests.servers.samba import SambaServer
from tests.servers.weed import WeedServer

COMMANDS = (
    ("status",), ("status", "--json"), ("origin", "list", "--json"), ("config", "show"), ("config", "check"), ("doctor",),
    *(("origin", what, name) for what in ("health", "test") for name in ("dav", "sftp", "nas", "bucket")),
    ("config", "reload"), ("search", "One"), ("trash", "list"),
)  # fmt: skip

# What a process of Python imports first: the journal is where this test listens, in all processes of the mount.
SITE = """
import os
if os.environ.get("TEST_JOURNAL"):
    from musicfs.daemon.logs import journal
    journal.Journal.__init__.__defaults__ = (os.environ["TEST_JOURNAL"],)
"""


class Everything:
    """A server of each kind that takes a secret, and the secrets."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.sftp_password, self.webhook_secret, self.url_token = (secrets.token_hex(12) for _ in range(3))
        public = Path(tempfile.mkdtemp(prefix="musicfs-dav-"))
        stack.callback(shutil.rmtree, public, ignore_errors=True)
        public.chmod(0o755)
        self.dav, self.samba = ApacheServer(public), SambaServer()
        sftp_root, weed_folder = folder / "sftp", folder / "weed"
        sftp_root.mkdir()
        weed_folder.mkdir()
        self.sftp, self.weed = AsyncsshServer(sftp_root, self.sftp_password), WeedServer(weed_folder)
        self.receiver = Receiver()
        for server in (self.dav, self.samba, self.sftp, self.weed, self.receiver):
            stack.callback(server.stop)
            server.start()
        scratch = folder / "scratch"
        for root, name in ((self.dav.root, "Dav"), (sftp_root, "Sftp"), (self.samba.root, "Smb"), (scratch, "Weed")):
            album(root, name, 2)
        for path in scratch.rglob("*.flac"):
            self.weed.put(str(path.relative_to(scratch)), path.read_bytes())
        smb = self.samba.settings(password=kept(folder / "smb", self.samba.password))
        sftp = msgspec.structs.replace(
            self.sftp.settings(path=sftp_root), password=kept(folder / "sftp-password", self.sftp_password)
        )
        self.places: dict[str, Path | Place] = {
            "dav": Place(self.dav.root, self.dav.settings()),
            "sftp": Place(sftp_root, sftp),
            "nas": Place(self.samba.root, smb),
            "bucket": Place(scratch, self.weed.settings()),
        }
        reference = kept(folder / "hook", self.webhook_secret)
        url = f"http://127.0.0.1:{self.receiver.port}/hook?token={self.url_token}"
        self.webhook = f'[[webhooks]]\nurl = "{url}"\nsecret = "{reference}"\n'

    def words(self) -> dict[str, set[str]]:
        """What nobody may find, in the forms in which it travels."""
        known = {
            "webdav": self.dav.password, "sftp": self.sftp_password, "smb": self.samba.password,
            "s3": self.weed.secret_access_key, "webhook": self.webhook_secret, "url": self.url_token,
        }  # fmt: skip
        found = {name: {value, urllib.parse.quote(value, safe="")} for name, value in known.items()}
        found["webdav"].add(base64.b64encode(f"{DAV_USER}:{self.dav.password}".encode()).decode())
        return found


def kept(path: Path, value: str) -> str:
    """A reference to a secret in a file."""
    path.touch(mode=0o600)
    path.write_text(value)
    return f"file:{path}"


class Journal:
    """Takes what is sent to the journal, for as long as it is open."""

    def __init__(self, path: Path) -> None:
        self.texts: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
            for descriptor in descriptors:
                with open(descriptor, "rb") as file:
                    file.seek(0)
                    data = file.read()
            if data == b"end":
                return
            self.texts.append(repr(decode(data)))

    def close(self) -> None:
        """Take no more. Idempotent."""
        if not self._thread.is_alive():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    with contextlib.ExitStack() as stack:
        yield Everything(tmp_path, stack)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TEST_JOURNAL", str(tmp_path / "journal.socket"))
    found = Journal(tmp_path / "journal.socket")
    yield found
    found.close()


def say(mounted: Mounted, *arguments: str) -> str:
    done = mounted.command(*arguments)
    return done.stdout + done.stderr


def files(*folders: Path) -> dict[str, str]:
    return {
        str(path): path.read_bytes().decode("latin-1")
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.name != "token"
    }


def test_no_secret_is_in_anything_that_is_left_or_said(
    everything: Everything, journal: Journal, tmp_path: Path
) -> None:
    home, logs = tmp_path / "home", tmp_path / "logs"
    logging = f'[logging]\nlevel = "trace,asyncssh=debug"\nlog_dir = "{logs}"\njson_output = true\njournald = "on"\n'
    settings = f"{logging}[health]\ncheck_interval_secs = 1\n{everything.webhook}[grpc]\naddresses = []\n"
    mounted = mount(everything.places, home, settings)
    mounted.allow_log(".")
    said: dict[str, str] = {}
    try:
        token = (home / "state" / "token").read_text().strip() if (home / "state" / "token").exists() else ""
        events = subprocess.Popen(
            [*musicfs_command(), "--config", str(home / "config.toml"), "--json", "events"],
            env=mounted.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        for path in mounted.point.rglob("*.flac"):
            assert path.read_bytes()
        said |= {" ".join(arguments): say(mounted, *arguments) for arguments in COMMANDS}
        config = home / "config.toml"
        config.write_text(config.read_text().replace("json_output = true", "json_output = false"))
        said["reload"] = say(mounted, "config", "reload")
        for server in (everything.dav, everything.samba, everything.weed):
            server.kill()
        said |= {f"without servers: {' '.join(one)}": say(mounted, *one) for one in COMMANDS}
        os.kill(mounted.process.pid, signal.SIGUSR1)
        dumps = home / "state" / "dumps"
        wait_for("a dump of both", partial(_has_lines, dumps, 2))
        said["processes"] = "\n".join(processes_below(mounted.process.pid).values())
        keeper = keeper_of(mounted)
        os.kill(keeper, signal.SIGSEGV)
        wait_for("another keeper", lambda: keeper_of(mounted) not in {0, keeper}, 20)
        wait_for("a delivery", lambda: everything.receiver.deliveries)
        events.send_signal(signal.SIGINT)
        said["events"] = events.communicate(timeout=20)[0]
    finally:
        mounted.close()
    journal.close()
    said |= {
        "terminal": mounted.log,
        "journal": "\n".join(journal.texts),
        **files(home / "cache", home / "state", logs),
    }
    assert '"origin' in said["events"], said["events"]
    assert any("/crashes/keeper-" in name for name in said) and any("/dumps/" in name for name in said)
    assert len(journal.texts) > 20 and len(mounted.log.splitlines()) > 20
    words = everything.words() | ({"control": {token}} if token else {})
    found = {
        (kind, place) for kind, forms in words.items() for place, text in said.items() if any(f in text for f in forms)
    }
    # An address that is written out in the configuration is shown as a part of it; in a file of its own it is not.
    assert {one for one in found if one[0] != "url" or not one[1].endswith("config show")} == set()


def _has_lines(folder: Path, count: int) -> bool:
    return sum(path.read_text().count("\n") for path in folder.glob("*")) == count
