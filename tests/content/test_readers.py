"""Readers: exactly the bytes asked for, of one version, or an error; the lock is let go around every wait."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.content.keys import Source
from musicfs.content.readers import BlobReader
from musicfs.content.sources import Sources
from musicfs.errors import ChangedError, GoneError, NotFoundError, UnreachableError
from musicfs.origins.local import LocalOrigin
from musicfs.origins.memory import MemoryOrigin
from tests.content.worlds import Opened, Waits

DATA = bytes(range(256)) * 2000


def at(origin_id: str, path: str, version: str, size: int = len(DATA)) -> Source:
    return Source(origin_id, path, version, size)


@pytest.fixture
def local(tmp_path: Path) -> tuple[Path, LocalOrigin]:
    (tmp_path / "a.flac").write_bytes(DATA)
    return tmp_path / "a.flac", LocalOrigin("o", str(tmp_path))


def _version(origin: LocalOrigin, path: str = "a.flac") -> str:
    entry = origin.stat(path)
    assert entry is not None
    return entry.version


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=5000), st.data())
def test_a_reader_of_a_range_is_a_slice_of_a_slice(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, draw: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("range")
    (folder / "a").write_bytes(data)
    begin = draw.draw(st.integers(0, len(data)))
    size = draw.draw(st.integers(0, len(data) - begin))
    start = draw.draw(st.integers(0, size))
    stop = draw.draw(st.integers(start, size))
    memory = MemoryOrigin("m")
    memory.put("a", data)
    for origin in (LocalOrigin("o", str(folder)), memory):
        sources = Sources(Opened(origin), Waits())
        reader = sources.open(at(origin.id, "a", "", len(data)), begin, size)
        assert reader.size == size
        assert bytes(reader.read(start, stop)) == data[begin : begin + size][start:stop]
        reader.close()
        reader.close()
        sources.close()


def test_blobs() -> None:
    reader = BlobReader(DATA)
    assert (reader.size, reader.read(3, 9)) == (len(DATA), DATA[3:9])
    reader.close()


def test_an_origin_that_is_not_configured() -> None:
    with pytest.raises(NotFoundError, match="'gone' is not configured"):
        Sources(Opened(), Waits()).open(at("gone", "a", ""), 0, 1)


def test_opening_lets_the_lock_go_and_closing_gives_the_descriptor_back(local: tuple[Path, LocalOrigin]) -> None:
    _, origin = local
    waits = Waits()
    before = len(os.listdir("/proc/self/fd"))
    reader = Sources(Opened(origin), waits).open(at("o", "a.flac", _version(origin)), 0, len(DATA))
    assert waits.count == 1
    assert len(os.listdir("/proc/self/fd")) == before + 1
    reader.close()
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_warm_read_does_not_wait_and_a_cold_one_lets_the_lock_go(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    waits = Waits()
    reader = Sources(Opened(origin), waits).open(at("o", "a.flac", _version(origin)), 0, len(DATA))
    path.read_bytes()
    waits.count = 0
    assert bytes(reader.read(0, len(DATA))) == DATA
    assert waits.count == 0
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    assert bytes(reader.read(100, 200_000)) == DATA[100:200_000]
    assert waits.count == 1
    reader.close()


def test_another_version_is_refused_at_opening(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    sources = Sources(Opened(origin), Waits())
    version = _version(origin)
    path.write_bytes(DATA + b"x")
    with pytest.raises(ChangedError):
        sources.open(at("o", "a.flac", version), 0, len(DATA))
    path.unlink()
    with pytest.raises(GoneError):
        sources.open(at("o", "a.flac", version), 0, len(DATA))


def test_an_origin_whose_folder_is_gone_is_unreachable_not_empty(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    version = _version(origin)
    list(origin.list())  # it knows what it stands on
    path.parent.rename(path.parent.with_name("away"))
    origins = Opened(origin)
    with pytest.raises(UnreachableError):
        Sources(origins, Waits()).open(at("o", "a.flac", version), 0, len(DATA))
    assert origins.forgotten == ["o"], "what it stands on may have been confirmed meanwhile"


def test_what_explains_a_new_ctime_ends_nobody(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    reader = Sources(Opened(origin), Waits()).open(at("o", "a.flac", _version(origin)), 0, len(DATA))
    moved = path.with_name("moved")
    path.rename(moved)
    assert bytes(reader.read(0, 100)) == DATA[:100]
    moved.chmod(0o400)
    assert bytes(reader.read(0, 100)) == DATA[:100]
    os.link(moved, path)
    assert bytes(reader.read(0, 100)) == DATA[:100]
    moved.unlink()
    path.unlink()
    assert bytes(reader.read(0, 100)) == DATA[:100]
    reader.close()


def test_an_edit_is_noticed_whatever_the_times_say(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    for put_back in (False, True):
        reader = Sources(Opened(origin), Waits()).open(at("o", "a.flac", _version(origin)), 0, len(DATA))
        found = path.stat()
        with path.open("r+b") as stream:
            stream.write(b"edited")
        if put_back:
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        for _ in range(2):
            with pytest.raises(ChangedError):
                reader.read(0, 100)
        reader.close()


def test_a_file_that_became_shorter_is_an_error_never_short(local: tuple[Path, LocalOrigin]) -> None:
    path, origin = local
    reader = Sources(Opened(origin), Waits()).open(at("o", "a.flac", _version(origin)), 0, len(DATA))
    os.truncate(path, 1000)
    for start, stop in ((0, 100), (900, 1100), (5000, 6000)):
        with pytest.raises(ChangedError):
            reader.read(start, stop)
    reader.close()


def test_threads_do_not_share_buffers(local: tuple[Path, LocalOrigin]) -> None:
    _, origin = local
    sources = Sources(Opened(origin), Waits())
    reader = sources.open(at("o", "a.flac", _version(origin)), 0, len(DATA))
    views: list[tuple[int, memoryview | bytes]] = []
    done = threading.Barrier(5)

    def read(start: int) -> None:
        view = reader.read(start, start + 1000)
        done.wait(5)
        views.append((start, bytes(view)))

    threads = [threading.Thread(target=read, args=(start,)) for start in (1, 20_002, 40_003, 60_004)]
    for thread in threads:
        thread.start()
    done.wait(5)
    for thread in threads:
        thread.join()
    assert all(view == DATA[start : start + 1000] for start, view in views) and len(views) == 4
    reader.close()
