"""What the mount process loads before it answers: every module there is paid for by each start, and in memory for months."""

from __future__ import annotations

import subprocess
import sys

# Each is needed by something that most mounts never do, or not before they serve.
LATE = (
    "hashlib", "secrets", "random", "shutil", "tarfile", "tempfile", "ipaddress", "asyncio", "ssl", "xml", "json",
    "email", "urllib.request", "http", "logging.handlers", "concurrent.futures", "multiprocessing",
    "grpc", "google.protobuf", "mutagen", "tantivy", "PIL", "watchdog", "prometheus_client", "rich", "asyncssh",
    "smbprotocol", "fastcdc",
    "musicfs.api", "musicfs.library", "musicfs.daemon.keeper", "musicfs.daemon.reload", "musicfs.daemon.logs.journal",
    "musicfs.store.transaction", "musicfs.store.overlays", "musicfs.store.state", "musicfs.store.backup",
    "musicfs.store.chunks_tables", "musicfs.index.reader", "musicfs.vfs.searches", "musicfs.content.spliced",
    "musicfs.content.remembered", "musicfs.origins.wrappers.retry", "musicfs.origins.local", "musicfs.daemon.dumping",
)  # fmt: skip


def test_the_mount_process_starts_with_little() -> None:
    program = "import sys, musicfs.daemon.run; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "musicfs.mount.session" in loaded
    assert sorted(loaded & set(LATE)) == []
