"""The line is cut after so and so many bytes: once is not noticed, and however often it happens no byte is wrong."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.faults.living import wait_for
from tests.mounting import Mounted, mount
from tests.remote.lines import KINDS, Line, Servers
from tests.remote.noise import FOLDERS, make_noise
from tests.remote.watching import check_answers, read_pieces

SIZE_BYTES = 1_000_000
# After the n-th byte that comes from the server while a file is read: in the first answer's header, then all over it.
PLACES = (1, 7, 30, 100, 500, 2_000, 20_000, *range(90_000, SIZE_BYTES, 150_000))
SETTINGS = (
    f"{FOLDERS}[cache]\nread_timeout_s = 5\n[health]\ncheck_interval_secs = 86400\n[prefetch]\nnext_track = false\n"
)
WORDS = "cannot be read|no answer|left alone|read: "


@pytest.fixture(scope="module")
def lines(servers: Servers) -> Iterator[Mapping[str, Line]]:
    with contextlib.ExitStack() as stack:
        found = {}
        for seed, kind in enumerate(KINDS):
            found[kind] = line = stack.enter_context(servers.line(kind, "cuts", poll_interval_s=86400.0))
            for number in PLACES:
                make_noise(line.root / kind / f"{number}.wav", SIZE_BYTES, seed * 10_000_000 + number)
            for number in range(2):
                make_noise(line.root / kind / f"again-{number}.wav", SIZE_BYTES // 2, seed * 100 + 50_000_000 + number)
        servers.upload(found["s3"].root)
        yield found


@pytest.fixture(scope="module")
def mounted(lines: Mapping[str, Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    found = mount({kind: line.place for kind, line in lines.items()}, tmp_path_factory.mktemp("cuts"), SETTINGS)
    found.allow_log(WORDS)
    yield found
    found.close()


@pytest.mark.parametrize("kind", KINDS)
def test_one_cut_is_not_noticed(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line = lines[kind]
    before = line.proxy.snapshot().connections
    for number in PLACES:
        line.proxy.cut_after(number)
        served, original = mounted.point / kind / f"{number}.wav", line.root / kind / f"{number}.wav"
        assert served.read_bytes() == original.read_bytes(), number
        line.proxy.resume()
    assert line.proxy.snapshot().connections - before >= len(PLACES) // 2, "it was hardly ever cut"


class Cutter(threading.Thread):
    """Cuts a line after a number of bytes, from one to half a megabyte, again and again."""

    def __init__(self, line: Line, seed: int) -> None:
        super().__init__(name="cutter", daemon=True)
        self._proxy = line.proxy
        self._choice = random.Random(seed)
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.02):
            self._proxy.cut_after(int(2 ** self._choice.uniform(0, 19)))
        self._proxy.resume()


@pytest.mark.parametrize("kind", ["sftp", *(pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS[1:])])
def test_bytes_are_right_however_often_the_line_is_cut(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line = lines[kind]
    cutter = Cutter(line, KINDS.index(kind))
    cutter.start()
    originals = sorted((line.root / kind).glob("again-*.wav"))
    try:
        for original in originals:
            wanted = original.read_bytes()
            with (mounted.point / kind / original.name).open("rb", buffering=0) as stream:
                check_answers(read_pieces(stream.fileno(), 0, len(wanted)), wanted, 6.0, frozenset({"EIO"}))
    finally:
        cutter.ending.set()
        cutter.join(10)
    for original in originals:
        served = mounted.point / kind / original.name
        wait_for("it is read", partial(_is_readable, served), 15)
        assert served.read_bytes() == original.read_bytes()


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
