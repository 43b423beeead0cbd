"""SPEC 1: reads at any place, by any call, give the origin's bytes, all of them."""

from __future__ import annotations

import mmap
import os
import random
import threading
from pathlib import Path

import pytest

from tests.faults.living import origin_of, track
from tests.mounting import Mounted, mount


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A mount of two tracks of some megabytes."""
    root = tmp_path_factory.mktemp("large")
    track(root, "a.wav", title="Long", seconds=20.0)
    track(root, "b.flac", title="Other", seconds=3.0)
    mounted = mount({"o": root}, tmp_path_factory.mktemp("mounted"))
    yield mounted
    mounted.close()


def _pairs(mounted: Mounted) -> list[tuple[Path, bytes]]:
    found = []
    for path in sorted(mounted.point.rglob("*")):
        origin = origin_of(mounted, path) if path.is_file() else None
        if origin is not None:
            found.append((path, origin.read_bytes()))
    assert len(found) == 2
    return found


def test_reads_at_random_places_are_slices_of_the_whole(large: Mounted) -> None:
    choice = random.Random(5)
    for path, data in _pairs(large):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for _ in range(400):
                start = choice.randrange(len(data) + 10)
                size = choice.choice((1, 100, 4096, 65536, 131072, 131073, 1 << 20))
                assert os.pread(descriptor, size, start) == data[start : start + size]
        finally:
            os.close(descriptor)


def test_the_end_of_the_file_is_the_only_short_read(large: Mounted) -> None:
    for path, data in _pairs(large):
        with path.open("rb", buffering=0) as stream:
            assert stream.seek(-10, os.SEEK_END) == len(data) - 10
            assert stream.read(100) == data[-10:]
            assert stream.read(100) == b""
            assert os.pread(stream.fileno(), 100, len(data)) == b""
            assert os.pread(stream.fileno(), 100, len(data) + 1_000_000) == b""


def test_mapped_and_direct_reads(large: Mounted) -> None:
    for path, data in _pairs(large):
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert bytes(mapped) == data
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            buffer = mmap.mmap(-1, 1 << 20)
            count = os.preadv(descriptor, [buffer], 8192)
            expected = data[8192 : 8192 + len(buffer)]
            assert count == len(expected) and buffer[:count] == expected
        finally:
            os.close(descriptor)


def test_many_readers_of_one_file(large: Mounted) -> None:
    (path, data), *_ = _pairs(large)
    wrong: list[int] = []

    def read(seed: int) -> None:
        choice = random.Random(seed)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for _ in range(200):
                start = choice.randrange(len(data))
                if os.pread(descriptor, 70_000, start) != data[start : start + 70_000]:
                    wrong.append(start)
        finally:
            os.close(descriptor)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
