"""What was deleted on a server: it plays from the cache alone, and shares its chunks with what is there."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.living import accept_originals, wait_for
from tests.mounting import Mounted, mount
from tests.remote.lines import Line, Servers
from tests.remote.noise import FOLDERS, make_noise

FILE_BYTES, FURTHER_BYTES = 6_000_000, 500_000


def cached_percent(path: Path) -> int:
    return int(os.getxattr(path, "user.musicfs.cached_percent"))


def _is_stored(path: Path) -> bool:
    return cached_percent(path) == 100


def trash(mounted: Mounted, *arguments: str) -> Any:
    """The last line that ``musicfs trash`` prints as JSON."""
    done = mounted.command("--json", "trash", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stats(mounted: Mounted) -> Any:
    done = mounted.command("--json", "cache", "stats")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def delete(mounted: Mounted, line: Line, name: str) -> Path:
    (line.root / name).unlink()
    rescanned = mounted.command("origin", "rescan", "sftp", "--wait")
    assert rescanned.returncode == 0, rescanned.stderr
    path = mounted.point / ".trash" / name
    wait_for("it is in the trash", lambda: path.exists() or None, 20)
    return path


def test_deleted_on_a_server(servers: Servers, home: Path) -> None:
    with servers.line("sftp", "trash", poll_interval_s=86400.0) as line:
        # Other recordings that begin with the same bytes, but for what their heads say of their length.
        for number, name in enumerate(("one.wav", "two.wav", "three.wav", "four.wav")):
            make_noise(line.root / name, FILE_BYTES + number * FURTHER_BYTES, seed=1)
        mounted = mount({"sftp": line.place}, home, FOLDERS)
        try:
            content = {name: (line.root / name).read_bytes() for name in ("one.wav", "two.wav")}
            for name, data in content.items():
                path = mounted.point / name
                assert path.read_bytes() == data
                wait_for("all of it is stored", partial(_is_stored, path))
            wait_for("what both have is stored once", lambda: stats(mounted)["dedup_ratio"] > 1.5 or None, 60)
            deleted = delete(mounted, line, "one.wav")
            line.proxy.refuse()
            line.proxy.cut()
            received, before = line.received_bytes, stats(mounted)
            assert deleted.read_bytes() == content["one.wav"]
            assert line.received_bytes == received
            assert trash(mounted, "empty", "--yes")["done"] == 1
            wait_for("it is forgotten", lambda: stats(mounted)["contents"] < before["contents"] or None, 20)
            assert before["used_bytes"] - stats(mounted)["used_bytes"] < FILE_BYTES / 2, (
                "most of it is another's as well"
            )
            living = mounted.point / "two.wav"
            assert cached_percent(living) == 100
            assert living.read_bytes() == content["two.wav"]
            line.proxy.resume()
            mounted.allow_log("origin sftp|sftp")
        finally:
            accept_originals(mounted)
            mounted.close()
