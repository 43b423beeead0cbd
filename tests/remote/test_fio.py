"""fio checks every block: it writes its patterns at the origin, and verifies what it reads through the mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.testing.audio import make_audio
from tests.mounting import mount
from tests.players.programs import run
from tests.remote.lines import FAR_S, Servers
from tests.remote.noise import FOLDERS

JOBS = 4
SIZE = "3m"
# Sidecars are served as they are: fio's files are no audio, and need not be.
ALBUM = "Fio/Patterns"


def _fio(folder: Path, *options: str) -> str:
    return run(
        "fio", "--name=job", f"--directory={folder}", f"--numjobs={JOBS}", f"--size={SIZE}", "--bs=16k",
        "--ioengine=psync", "--filename_format=job.$jobnum.log", "--verify=crc32c", "--verify_fatal=1", "--thread",
        "--randseed=7", *options, cwd=folder, timeout_s=120,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["sftp", "nfs"])
def test_fio_verifies_every_block_in_any_order(kind: str, servers: Servers, home: Path) -> None:
    with servers.line(kind, f"fio-{kind}", delay_s=FAR_S) as line:
        make_audio(line.root / ALBUM / "01.flac", tags={"artist": "Fio", "title": "Patterns"})
        folder = line.root / ALBUM
        _fio(folder, "--rw=write", "--do_verify=0")
        mounted = mount({kind: line.place}, home, FOLDERS)
        try:
            served = mounted.point / ALBUM
            assert len(list(served.glob("job.*.log"))) == JOBS
            _fio(served, "--rw=randread", "--readonly")  # nothing of it is here yet
            _fio(served, "--rw=read", "--readonly")
        finally:
            mounted.close()
