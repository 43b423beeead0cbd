"""SPEC 3: a change of the origin is seen in the mount within two seconds, by those who walk and read it meanwhile."""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mutagen
import pytest

from tests.conftest import MountLibrary
from tests.faults.living import (
    FOLLOWS_S,
    Player,
    accept_originals,
    album,
    check_everything,
    digest,
    track,
    tree,
    virtual_of,
    wait_for,
)
from tests.mounting import Mounted


class Living:
    """A mount with players on it, and what its tree must be."""

    def __init__(self, mounted: Mounted, root: Path) -> None:
        self.mounted = mounted
        self.root = root

    def differences(self) -> list[str]:
        """What the mount shows otherwise than the origin holds it now."""
        wanted = {path: digest(path) for path in self.root.rglob("*") if path.is_file() and path.suffix != ".part"}
        found = tree(self.mounted)
        wrong = [f"{path} is missing" for path in set(wanted) - set(found.values())]
        for virtual, origin in found.items():
            try:
                if digest(self.mounted.point / virtual) != wanted.get(origin):
                    wrong.append(f"{virtual} is not {origin}")
            except OSError as error:
                wrong.append(str(error))
        return wrong

    def expect(self, what: str, within_s: float = FOLLOWS_S) -> None:
        """The mount shows exactly what the origin holds now, byte for byte, in time."""
        began = time.monotonic()
        deadline = began + within_s + 1  # what this comparison itself costs
        while wrong := self.differences():
            assert time.monotonic() < deadline, f"{what} is not followed: {wrong}"
        print(f"{what}: {time.monotonic() - began:.2f} s")
        accept_originals(self.mounted)


@pytest.fixture
def living(mount_library: MountLibrary, tmp_path: Path) -> Iterator[Living]:
    """Forty tracks, a walker that reads everything in circles, and another."""
    root = tmp_path / "origin"
    for number in range(8):
        album(root, f"Artist/Album {number}", 5, suffix=("flac", "mp3", "m4a", "ogg")[number % 4])
    mounted = mount_library({"o": root})
    players = [Player(mounted.point, may_vanish=True) for _ in range(2)]
    for player in players:
        player.start()
    yield Living(mounted, root)
    for player in players:
        player.stop()
        assert player.reads
    check_everything(mounted)


def test_everything_a_person_does_with_music(living: Living) -> None:
    root, mounted = living.root, living.mounted
    albums = root / "Artist"

    (albums / "Album 0" / "01.flac").rename(albums / "Album 0" / "One.flac")
    living.expect("a renamed file")

    (albums / "Album 1").rename(albums / "Album One")
    living.expect("a renamed folder")

    (albums / "Album 2").rename(root / "Album Two, elsewhere")
    living.expect("a moved folder")

    retagged = albums / "Album 3" / "02.ogg"
    before = virtual_of(mounted, retagged)
    tags = mutagen.File(retagged)
    tags["title"] = "A Better Title"
    tags["album"] = "A Better Album"
    tags.save()
    living.expect("a new tag")
    assert virtual_of(mounted, retagged).name == "02 - A Better Title.ogg"
    assert not before.exists()

    kept = root.parent / "kept"
    kept.mkdir()
    shutil.move(albums / "Album 4" / "03.flac", kept / "03.flac")
    living.expect("a deleted file")
    shutil.move(kept / "03.flac", albums / "Album 4" / "03.flac")
    living.expect("a restored file")

    shutil.rmtree(albums / "Album 5")
    living.expect("a deleted folder")

    other = track(root.parent, "other.flac", title="Album 0 2", album="Album 0", track="2", seed=99, seconds=0.4)
    other.replace(albums / "Album 0" / "02.flac")
    living.expect("a replaced file")

    album(root.parent / "outside", "Box/CD1", 3)
    album(root.parent / "outside", "Box/CD2", 3)
    (root.parent / "outside" / "Box").rename(root / "Box")
    living.expect("a new tree, moved in")

    for number in range(3):
        album(root, f"Copied/Deep/Er/{number}", 4, suffix="mp3")
    living.expect("a new tree, copied in")

    (albums / "Album 6" / "04.m4a").write_bytes(b"no longer music")
    living.expect("a file that is no music any more")

    (albums / "Album 6" / "notes.txt").write_text("sidecar")
    living.expect("a sidecar")

    swapped = albums / "swap"
    (albums / "Album 7" / "01.ogg").rename(swapped)
    (albums / "Album 7" / "02.ogg").rename(albums / "Album 7" / "01.ogg")
    swapped.rename(albums / "Album 7" / "02.ogg")
    living.expect("two files that swapped names")


def test_a_file_that_is_written_slowly_is_never_served_half_and_old(living: Living) -> None:
    data = track(living.root.parent, "slow.wav", title="Slow", album="Slow", seconds=3.0).read_bytes()
    target = living.root / "Artist" / "slow.wav"
    written = threading.Event()

    def write() -> None:
        with target.open("wb") as stream:
            step = len(data) // 30
            for start in range(0, len(data), step):
                stream.write(data[start : start + step])
                stream.flush()
                written.wait(0.05)  # a slow network, not a synchronisation

    writer = threading.Thread(target=write)
    writer.start()
    writer.join()
    living.expect("a slowly written file", FOLLOWS_S + 1)
    assert virtual_of(living.mounted, target).read_bytes() == data


def test_many_changes_at_once(living: Living) -> None:
    """What ``beets`` does: everything moves, is retagged and cleaned up after, while players walk."""
    root = living.root
    for folder in sorted(path for path in (root / "Artist").iterdir()):
        for number, path in enumerate(sorted(folder.iterdir())):
            tags = mutagen.File(path, easy=True)
            tags["album"] = f"{folder.name} (Remastered)"
            tags.save()
            target = root / "Sorted" / f"{folder.name} (Remastered)" / f"{number + 1:02} renamed{path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        folder.rmdir()
    (root / "Artist").rmdir()
    living.mounted.allow_log(r"\d+ of \d+ files vanished at once")

    def held() -> bool:
        return living.mounted.status().get("state") == "degraded"

    # Files seen between their retagging and their move are known to have moved. If most were not, every old path is gone
    # at once and no file is what it was: that looks like an outage until a person says it is none.
    wait_for("the guard, or all of it", lambda: held() or not living.differences())
    if held():
        answer = living.mounted.command("origin", "confirm", "o")
        assert answer.returncode == 0, answer
    living.expect("a whole library", FOLLOWS_S + 2)


@pytest.mark.parametrize("came", ["before the mount", "after it"])
def test_a_disk_that_vanishes_below_the_origin_takes_no_names_with_it(
    mount_library: MountLibrary, tmp_path: Path, came: str
) -> None:
    root, disk = tmp_path / "origin", tmp_path / "disk"
    album(root, "Own", 5)
    album(disk, "Disk", 5)
    (root / "usb").mkdir()
    with contextlib.ExitStack() as stack:
        if came == "before the mount":
            _plug(disk, root / "usb", stack)
        mounted = mount_library({"o": root})
        mounted.allow_log("is not on the filesystem|cannot be read|is not there|there is no folder|vanished")
        check_everything(mounted)
        if came == "after it":
            _plug(disk, root / "usb", stack)
            assert mounted.command("origin", "rescan", "o", "--wait").returncode == 0
            mounted.wait_until_scanned()
        before = wait_for("the disk's files", lambda: len(found := tree(mounted)) == 10 and found)
        stack.close()
        accept_originals(mounted)
        mounted.process.send_signal(signal.SIGHUP)
        wait_for("the loss is noticed", lambda: mounted.status().get("state") == "degraded", 20)
        assert tree(mounted) == before
        for virtual, origin in before.items():
            if "usb" in origin.parts:
                with pytest.raises(OSError) as error:
                    (mounted.point / virtual).open("rb")
                assert errno.errorcode[error.value.errno or 0] in ("EIO", "ESTALE"), virtual
            else:
                assert digest(mounted.point / virtual) == digest(origin)
        _plug(disk, root / "usb", stack)  # another disk, in truth: it is taken for the old one only if a person says so
        assert mounted.command("origin", "confirm", "o").returncode == 0
        wait_for("all is back", lambda: _reads_everything(mounted, 10))
        stack.close()
        accept_originals(mounted)


def _plug(source: Path, point: Path, stack: contextlib.ExitStack) -> None:
    """Mount a disk of its own that holds what ``source`` does; the stack takes it away."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(point)], check=True)
    stack.callback(subprocess.run, ["umount", "-l", str(point)], check=True)
    shutil.copytree(source, point, dirs_exist_ok=True)


def _reads_everything(mounted: Mounted, count: int) -> bool:
    try:
        return len(check_everything(mounted)) == count
    except (OSError, AssertionError):
        return False
