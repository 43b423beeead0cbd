"""The line is cut after so and so many bytes, again and again: a read fails or is right, and in the end all are right."""

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

SIZES_BYTES = (900_000, 131_072, 3_000)
SETTINGS = f"{FOLDERS}[cache]\nread_timeout_s = 5\n[health]\ncheck_interval_secs = 1\n"
WORDS = "cannot be read|no answer|left alone|read: "


@pytest.fixture(scope="module")
def lines(servers: Servers) -> Iterator[Mapping[str, Line]]:
    with contextlib.ExitStack() as stack:
        found = {}
        for seed, kind in enumerate(KINDS):
            found[kind] = line = stack.enter_context(servers.line(kind, "cuts"))
            for number, size in enumerate(SIZES_BYTES):
                make_noise(line.root / kind / f"{number}.wav", size, seed * 10 + number)
        servers.upload(found["s3"].root)
        yield found


@pytest.fixture(scope="module")
def mounted(lines: Mapping[str, Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    found = mount({kind: line.place for kind, line in lines.items()}, tmp_path_factory.mktemp("cuts"), SETTINGS)
    found.allow_log(WORDS)
    yield found
    found.close()


class Cutter(threading.Thread):
    """Cuts a line after a number of bytes, from one to a megabyte, as soon as the last cut has happened."""

    def __init__(self, line: Line, seed: int) -> None:
        super().__init__(name="cutter", daemon=True)
        self._proxy = line.proxy
        self._choice = random.Random(seed)
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.05):
            self._proxy.cut_after(int(2 ** self._choice.uniform(0, 20)))
        self._proxy.resume()


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_right_however_often_the_line_is_cut(kind: str, mounted: Mounted, lines: Mapping[str, Line]) -> None:
    line = lines[kind]
    cutter = Cutter(line, KINDS.index(kind))
    cutter.start()
    try:
        for number in range(len(SIZES_BYTES)):
            wanted = (line.root / kind / f"{number}.wav").read_bytes()
            with (mounted.point / kind / f"{number}.wav").open("rb", buffering=0) as stream:
                answers = read_pieces(stream.fileno(), 0, len(wanted))
            check_answers(answers, wanted, 6.0, frozenset({"EIO"}))
    finally:
        cutter.ending.set()
        cutter.join(10)
    for number in range(len(SIZES_BYTES)):
        served, original = mounted.point / kind / f"{number}.wav", line.root / kind / f"{number}.wav"
        wait_for("it is read", partial(_is_readable, served), 15)
        assert served.read_bytes() == original.read_bytes()


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
