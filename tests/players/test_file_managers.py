"""What a desktop sees: GIO, and Thunar on a screen of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.mounting import Mounted, ServedFile
from tests.players.programs import need, run

POLL_S = 0.1


def test_gio_lists_a_folder(mounted: Mounted) -> None:
    listed = run("gio", "list", "--hidden", mounted.point).splitlines()
    assert sorted(listed) == sorted(os.listdir(mounted.point))


def test_gio_knows_size_and_type_of_a_track(one_of_each: dict[str, ServedFile]) -> None:
    for track in one_of_each.values():
        said = run("gio", "info", track.virtual)
        assert re.search(rf"^size:\s+{track.origin.stat().st_size}$", said, re.MULTILINE), said
        assert "type: regular" in said


def test_gio_says_that_nothing_can_be_written(one_of_each: dict[str, ServedFile]) -> None:
    track = one_of_each[".flac"].virtual
    if os.geteuid() != 0:  # root passes every permission check; the mount itself refuses it all the same
        assert "access::can-write: FALSE" in run("gio", "info", track)
    refused = subprocess.run(
        [need("gio"), "remove", str(track)], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode != 0
    assert track.exists()


@contextlib.contextmanager
def screen(folder: Path) -> Iterator[dict[str, str]]:
    """An X server without a screen, for one client; it chooses a free display number itself."""
    reader, writer = os.pipe()
    with (folder / "xvfb.log").open("wb") as log:
        server = subprocess.Popen(
            [need("Xvfb"), "-displayfd", str(writer), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
            pass_fds=[writer],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            number = numbers.readline().strip()  # written once it is ready; empty when it ended instead
        assert number, (folder / "xvfb.log").read_text(errors="replace")
        yield {"DISPLAY": f":{number}"}
    finally:
        server.terminate()
        server.wait(20)


def test_thunar_lists_an_album(mounted: Mounted, one_of_each: dict[str, ServedFile], tmp_path: Path) -> None:
    """Thunar opens the folder and asks for every entry of it."""
    show_in_thunar(one_of_each[".flac"].virtual.parent, tmp_path)
    assert mounted.process.poll() is None


def show_in_thunar(folder: Path, tmp_path: Path) -> None:
    """Open a folder in Thunar until it has asked for every entry; watched from outside, for it tells nobody."""
    wanted = set(os.listdir(folder))
    trace = tmp_path / "trace"
    runtime = Path(tempfile.mkdtemp(prefix="musicfs-x-"))
    with screen(tmp_path) as display:
        environment = {
            **os.environ,
            **display,
            "HOME": str(tmp_path),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "GIO_USE_VFS": "local",
            "NO_AT_BRIDGE": "1",
            "LC_ALL": "C.UTF-8",
        }
        calls = "trace=open,openat,stat,lstat,statx,newfstatat"
        with (tmp_path / "thunar.log").open("wb") as log:
            thunar = subprocess.Popen(
                [
                    need("dbus-run-session"), "--", need("strace"), "-f", "-s", "4096", "-xx", "-e", calls, "-o", str(trace),
                    need("thunar"), str(folder),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            seen: set[str] = set()
            while not seen >= wanted and time.monotonic() < deadline:
                time.sleep(POLL_S)
                seen = _entries_asked_for(trace, folder) if trace.exists() else set()
            assert seen >= wanted, (
                f"not asked for: {wanted - seen}\n{(tmp_path / 'thunar.log').read_text(errors='replace')}"
            )
        finally:
            os.killpg(thunar.pid, signal.SIGTERM)  # its own session: the bus, strace and Thunar
            thunar.wait(20)


def _entries_asked_for(trace: Path, folder: Path) -> set[str]:
    """Names below ``folder`` for which a call of the trace succeeded; strace was told to write paths in hexadecimal."""
    names = set()
    prefix = os.fsencode(folder) + b"/"
    for line in trace.read_text(errors="replace").splitlines():
        if not re.search(r"= \d+$", line):
            continue
        for quoted in re.findall(r'"((?:\\x[0-9a-f]{2})+)"', line):
            path = bytes.fromhex(quoted.replace("\\x", ""))
            if path.startswith(prefix):
                names.add(os.fsdecode(path[len(prefix) :].split(b"/")[0]))
    return names
