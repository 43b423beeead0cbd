"""What reading costs on the wire, counted where the bytes pass and not by ourselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import pytest

from musicfs.store.chunks_schema import BLOCK_BYTES
from tests.mounting import Mounted, mount
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import FOLDERS, make_noise, read_range

WHOLE_BYTES = 5_000_000
LARGE_BYTES = 20_000_000
# Frames of SSH and SMB, headers of HTTP, acknowledgements of neither: what carries the bytes.
OVERHEAD = 1.03
GREETINGS_BYTES = 40_000
# Nothing but reads is counted: the origins are looked at once, before.
QUIET = FOLDERS + "[health]\ncheck_interval_secs = 86400\n"


@pytest.fixture(scope="module")
def lines(servers: Servers) -> Iterator[Mapping[str, Line]]:
    """A line of each kind, and three files behind each."""
    with contextlib.ExitStack() as stack:
        found = {}
        for seed, kind in enumerate(KINDS):
            line = stack.enter_context(servers.line(kind, "wire", poll_interval_s=86400.0))
            make_noise(line.root / kind / "whole.wav", WHOLE_BYTES, seed)
            make_noise(line.root / kind / "middle.wav", LARGE_BYTES, seed + 10)
            make_noise(line.root / kind / "head.wav", LARGE_BYTES, seed + 20)
            if kind == "s3":
                servers.upload(line.root)
            found[kind] = line
        yield found


@pytest.fixture(scope="module")
def mounted(lines: Mapping[str, Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    found = mount({kind: line.place for kind, line in lines.items()}, tmp_path_factory.mktemp("wire"), QUIET)
    yield found
    found.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_costs_its_size_once(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line, path = lines[kind], mounted.point / kind / "whole.wav"
    before = line.received_bytes
    assert path.read_bytes() == (line.root / kind / "whole.wav").read_bytes()
    cost = line.received_bytes - before
    assert cost <= path.stat().st_size * OVERHEAD + GREETINGS_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_read_costs_nothing(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line, path = lines[kind], mounted.point / kind / "whole.wav"
    wanted = (line.root / kind / "whole.wav").read_bytes()
    assert path.read_bytes() == wanted
    before = line.received_bytes
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)  # past what the kernel remembers: we are asked again
    try:
        assert os.pread(descriptor, BLOCK_BYTES, 8 * BLOCK_BYTES) == wanted[8 * BLOCK_BYTES : 9 * BLOCK_BYTES]
    finally:
        os.close(descriptor)
    assert path.read_bytes() == wanted
    assert line.received_bytes == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_seek_costs_a_few_blocks(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line, middle = lines[kind], LARGE_BYTES // 2
    before = line.received_bytes
    found = read_range(mounted.point / kind / "middle.wav", middle, 1000)
    assert found == read_range(line.root / kind / "middle.wav", middle, 1000)
    assert line.received_bytes - before <= 4 * BLOCK_BYTES * OVERHEAD + GREETINGS_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_costs_head_and_tail(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line = lines[kind]
    before = line.received_bytes
    assert read_range(mounted.point / kind / "head.wav", 0, 4096) == read_range(line.root / kind / "head.wav", 0, 4096)
    size = (line.root / kind / "head.wav").stat().st_size
    end = read_range(mounted.point / kind / "head.wav", size - 128, 128)  # what looks for tags looks here, too
    assert end == read_range(line.root / kind / "head.wav", size - 128, 128)
    assert line.received_bytes - before <= 4 * BLOCK_BYTES * OVERHEAD + GREETINGS_BYTES
