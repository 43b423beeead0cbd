"""A file is replaced at its origin while it is open: never a mix of two versions, and the new one for who opens it anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.living import accept_originals, wait_for
from tests.mounting import Mounted, mount
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import FOLDERS, make_noise
from tests.remote.watching import PIECE_BYTES, read_pieces

SIZE_BYTES = 8_000_000
RATE = 4_000_000
WAYS = [(kind, way) for kind in KINDS for way in ("renamed", "in place") if (kind, way) != ("s3", "in place")]
WORDS = "is not the version|changed|read: "


@pytest.fixture(scope="module")
def lines(servers: Servers) -> Iterator[Mapping[str, Line]]:
    with contextlib.ExitStack() as stack:
        found = {kind: stack.enter_context(servers.line(kind, "replaced", bytes_per_s=RATE)) for kind in KINDS}
        for number, (kind, way) in enumerate(WAYS):
            make_noise(found[kind].root / kind / f"{way}.wav", SIZE_BYTES, number)
        servers.upload(found["s3"].root)
        yield found


@pytest.fixture(scope="module")
def mounted(lines: Mapping[str, Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    found = mount({kind: line.place for kind, line in lines.items()}, tmp_path_factory.mktemp("replaced"), FOLDERS)
    found.allow_log(WORDS)
    yield found
    found.close()


def _replace(path: Path, way: str, seed: int) -> None:
    """Other bytes of the same number; the time is another by itself."""
    if way == "in place":
        new = make_noise(path.with_suffix(".new"), SIZE_BYTES, seed)
        data = new.read_bytes()
        new.unlink()
        with path.open("r+b") as stream:
            stream.write(data)
    else:
        make_noise(path.with_suffix(".new"), SIZE_BYTES, seed).rename(path)


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_replaced_while_open(
    kind: str, way: str, mounted: Mounted, lines: Mapping[str, Line], servers: Servers
) -> None:
    line = lines[kind]
    original, served = line.root / kind / f"{way}.wav", mounted.point / kind / f"{way}.wav"
    old = original.read_bytes()
    descriptor = os.open(served, os.O_RDONLY)
    try:
        assert all(answer.data for answer in read_pieces(descriptor, 0, 1 << 19))
        _replace(original, way, 1000 + WAYS.index((kind, way)))
        if kind == "s3":
            servers.weed.put(str(original.relative_to(servers.scratch)), original.read_bytes())
        accept_originals(mounted)
        new = original.read_bytes()
        assert new != old and len(new) == len(old)
        _check_old_or_error(descriptor, old)
        done = mounted.command("origin", "rescan", kind, "--wait")
        assert done.returncode == 0, done.stderr
        wait_for("the new bytes", lambda: _read(served) == new, 10)
        _check_old_or_error(descriptor, old)
    finally:
        os.close(descriptor)
    assert served.read_bytes() == new


def _check_old_or_error(descriptor: int, old: bytes) -> None:
    """What the handle gives is of the version it was opened for; where that is lost, an error says so."""
    answers = read_pieces(descriptor, 0, len(old))
    for answer in answers:
        if answer.error:
            assert answer.error in {"ESTALE", "EIO"}
        else:
            assert answer.data == old[answer.start : answer.start + PIECE_BYTES], answer.start


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
