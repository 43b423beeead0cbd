"""SPEC 1: one inode is one version of a file's bytes, and an open handle serves one version or fails: never a mix."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.faults.living import FOLLOWS_S, accept_originals, album, check_everything, track, tree, virtual_of, wait_for
from tests.mounting import Mounted, mount


def _inodes(mounted: Mounted) -> dict[str, int]:
    return {
        os.path.relpath(os.path.join(folder, name), mounted.point): os.stat(os.path.join(folder, name)).st_ino
        for folder, folders, files in os.walk(mounted.point)
        for name in folders + files
    }


def test_inodes_survive_remounts_rescans_and_a_deleted_cache(sample_library: Path, tmp_path: Path) -> None:
    known: dict[str, int] = {}
    for attempt in ("first", "remounted", "without its cache"):
        if attempt == "without its cache":
            shutil.rmtree(tmp_path / "cache")
        mounted = mount({"sample": sample_library}, tmp_path)
        try:
            found = _inodes(mounted)
            assert len(found) > 20
            assert found == (known or found), attempt
            known = found
            mounted.command("origin", "rescan", "sample", "--wait")
            mounted.wait_until_scanned()
            assert _inodes(mounted) == known, f"{attempt}, rescanned"
        finally:
            mounted.close()


def _read_all(descriptor: int, start: int, stop: int) -> bytes:
    """As a program reads: what the kernel's pages still hold comes first, the error after it."""
    parts = b""
    while start + len(parts) < stop:
        part = os.pread(descriptor, stop - start - len(parts), start + len(parts))
        assert part, "the file ended early, without an error"
        parts += part
    return parts


# How an original changes while somebody reads it: path, new bytes of another length, new bytes of the same length.


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(".beside")
    beside.write_bytes(data)
    beside.rename(path)


def _edit(path: Path, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate()


def _edit_and_put_the_time_back(path: Path, data: bytes) -> None:
    found = path.stat()
    _edit(path, data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _truncate(path: Path, data: bytes) -> None:
    os.truncate(path, 1000)


def _cut_to_nothing(path: Path, data: bytes) -> None:
    os.truncate(path, 0)


def _delete(path: Path, data: bytes) -> None:
    path.unlink()


def _punch_and_grow(path: Path, data: bytes) -> None:
    size = path.stat().st_size
    os.truncate(path, 100)
    os.truncate(path, size)


CHANGES: dict[str, Callable[[Path, bytes], None]] = {
    "replaced": _replace,
    "edited in place": _edit,
    "edited with its time put back": _edit_and_put_the_time_back,
    "truncated": _truncate,
    "emptied": _cut_to_nothing,
    "deleted": _delete,
    "cut and grown again": _punch_and_grow,
}


@pytest.fixture
def long_track(mount_library: MountLibrary, tmp_path: Path) -> tuple[Mounted, Path]:
    """A mount of one large WAV among an album, and its original."""
    album(tmp_path, "Others", 6)
    origin = track(tmp_path, "long.wav", title="Long", album="Long", seconds=10.0)
    return mount_library({"o": tmp_path}), origin


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_open_handle_serves_its_version_or_fails(
    long_track: tuple[Mounted, Path], change: Callable[[Path, bytes], None]
) -> None:
    mounted, origin = long_track
    before = origin.read_bytes()
    after = before[:200] + bytes(byte ^ 0x55 for byte in before[200:])
    virtual = virtual_of(mounted, origin)
    inode = virtual.stat().st_ino
    descriptor = os.open(virtual, os.O_RDONLY)
    try:
        served = [(0, os.pread(descriptor, 50_000, 0))]
        change(origin, after)
        failures = set()
        for start in range(0, len(before), 100_000):
            try:
                served.append((start, _read_all(descriptor, start, min(start + 60_000, len(before)))))
            except OSError as error:
                failures.add(errno.errorcode[error.errno or 0])
        for start, data in served:
            assert data == before[start : start + len(data)], start
        assert failures <= {"ESTALE", "EIO"}
        assert failures or change in (_replace, _delete), "the old bytes are gone, and nothing failed"
    finally:
        os.close(descriptor)
    accept_originals(mounted)

    def follows() -> bool:
        """A new opener gets the new version, all of it, or no file."""
        if not origin.exists():
            return not virtual.exists()
        try:
            return virtual_of(mounted, origin).read_bytes() == origin.read_bytes()
        except (OSError, AssertionError):
            return False

    wait_for("the mount follows", follows, FOLLOWS_S + 1)
    found = check_everything(mounted)
    assert len(found) == 6 + origin.exists()
    if change in (_replace, _edit):
        assert virtual_of(mounted, origin).stat().st_ino != inode, "new content, old inode"


def test_a_file_that_is_moved_while_it_plays_plays_on(long_track: tuple[Mounted, Path]) -> None:
    mounted, origin = long_track
    data = origin.read_bytes()
    with virtual_of(mounted, origin).open("rb", buffering=0) as stream:
        assert stream.read(1000) == data[:1000]
        moved = origin.parent / "elsewhere" / "renamed.wav"
        moved.parent.mkdir()
        origin.rename(moved)
        moved.chmod(0o600)
        stream.seek(300_000)
        assert stream.read(100_000) == data[300_000:400_000]
    accept_originals(mounted)
    wait_for("the move", lambda: moved in tree(mounted).values(), FOLLOWS_S)


def test_what_was_read_before_an_edit_is_not_served_after_it(long_track: tuple[Mounted, Path]) -> None:
    """The kernel keeps the pages of an inode: other bytes must never be found under them, whatever the times say."""
    mounted, origin = long_track
    virtual = virtual_of(mounted, origin)
    assert virtual.read_bytes() == origin.read_bytes()
    data = bytearray(origin.read_bytes())
    data[200_000:205_000] = b"\x55" * 5000
    _edit_and_put_the_time_back(origin, bytes(data))
    accept_originals(mounted)
    wait_for("the edit", lambda: virtual_of(mounted, origin).read_bytes() == bytes(data), FOLLOWS_S)
