"""The content store at its edges: there is none, or its disk is full; and secrets stay where they are kept."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.living import processes_below
from tests.mounting import Mounted, Place, mount
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import FOLDERS, check_same, make_noise

QUIET = f"{FOLDERS}[health]\ncheck_interval_secs = 86400\n[prefetch]\nnext_track = false\n"
FILES, FILE_BYTES = 10, 12_000_000
MEMORY_BYTES = 48 << 20  # for blocks that were just fetched
WORKING_BYTES = 64 << 20  # what answering takes beside: threads, buffers, frames on their way
DISK_MB = 32


@pytest.fixture
def line(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Line]:
    """More music than memory for it."""
    name = f"keeping-{request.node.name}"
    with servers.line("sftp", name, poll_interval_s=86400.0) as line:
        for number in range(FILES):
            make_noise(line.root / f"{number}.wav", FILE_BYTES, number)
        yield line


def _private_bytes(pid: int) -> int:
    """What a process holds itself, without mapped files (proc(5), RssAnon)."""
    found = re.search(r"^RssAnon:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def test_without_a_store_everything_is_read_and_memory_is_bounded(line: Line, home: Path) -> None:
    mounted = mount({"sftp": line.place}, home, f"{QUIET}[cache]\ncontent_cache_gb = 0\n")
    try:
        before = _private_bytes(mounted.process.pid)
        received = line.received_bytes
        check_same(mounted, line.root)
        assert line.received_bytes - received <= FILES * FILE_BYTES * 1.05, "something was fetched twice"
        assert _private_bytes(mounted.process.pid) - before <= MEMORY_BYTES + WORKING_BYTES
        assert not (home / "cache" / "chunks").exists()
    finally:
        mounted.close()


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A disk below the cache that takes less than there is to read."""
    folder = home / "cache"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_once_and_reading_goes_on(line: Line, home: Path, small_disk: Path) -> None:
    mounted = mount({"sftp": line.place}, home, QUIET)
    mounted.allow_log("the disk is full")
    try:
        check_same(mounted, line.root)
        check_same(mounted, line.root)
        warned = [text for text in mounted.log.splitlines() if "WARNING" in text or "ERROR" in text]
        by_part = Counter(re.findall(r"(?:WARNING|ERROR) (\w+ [\w.]+)", "\n".join(warned)))
        assert by_part["mount musicfs.content.keeping"] == 1, "\n".join(warned)
        assert set(by_part.values()) == {1}, "\n".join(warned)
        assert all("the disk is full" in text and "free some space" in text for text in warned), "\n".join(warned)
    finally:
        mounted.close()


@contextlib.contextmanager
def _over_all(servers: Servers, home: Path) -> Iterator[tuple[Mounted, dict[str, Line]]]:
    with contextlib.ExitStack() as stack:
        lines = {kind: stack.enter_context(servers.line(kind, "secrets")) for kind in KINDS}
        for seed, (kind, line) in enumerate(lines.items()):
            make_noise(line.root / kind / "1.wav", 200_000, seed)
        servers.upload(lines["s3"].root)
        places: dict[str, Path | Place] = {kind: line.place for kind, line in lines.items()}
        mounted = mount(places, home, f'{FOLDERS}[logging]\nlevel = "trace"\n[health]\ncheck_interval_secs = 1\n')
        mounted.allow_log(".")
        stack.callback(mounted.close)
        yield mounted, lines


def test_secrets_are_nowhere_but_where_they_are_kept(servers: Servers, home: Path) -> None:
    """Not in the log at its most talkative, on a command line, in what commands print, in errors, nor in the cache."""
    secrets = {"smb": servers.samba.password, "s3": servers.weed.secret_access_key}
    with _over_all(servers, home) as (mounted, lines):
        for line in lines.values():
            check_same(mounted, line.root)
        said = [_say(mounted, *command) for command in _COMMANDS]
        command_lines = "\n".join(processes_below(mounted.process.pid).values())
        assert "musicfs" in command_lines
        for line in lines.values():
            line.proxy.refuse()
            line.proxy.cut()
        said += [_say(mounted, "origin", what, kind) for kind in secrets for what in ("health", "test")]
        for line in lines.values():
            line.proxy.resume()
        texts = [*said, command_lines, mounted.log]
    for path in (home / "cache", home / "state"):
        texts += [file.read_bytes().decode("latin-1") for file in path.rglob("*") if file.is_file()]
    for kind, secret in secrets.items():
        assert not [text for text in texts if secret in text], f"the secret of {kind} is there"


_COMMANDS = (
    ("status", "--json"),
    ("status",),
    ("origin", "list", "--json"),
    ("config", "show"),
    ("doctor",),
    ("origin", "test", "smb"),
    ("origin", "test", "s3"),
)


def _say(mounted: Mounted, *arguments: str) -> str:
    done = mounted.command(*arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr
