"""What the kernel has of a corrected file is right after every edit, and readers see whole versions."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from musicfs.testing.audio import make_audio
from tests.correcting import Tagger, overlay_names, tagging
from tests.faults.living import FOLLOWS_S, Player, digest, track, wait_for
from tests.mounting import Mounted, mount

# Names that no edit of a title changes: what the kernel knows of them must be told to be wrong.
SETTINGS = '[tree]\ntemplate = "$artist/$album/$track.$format"\n[prefetch]\nnext_track = false\n'
TITLES = ("AAAA", "BBBB", "CCCC")


@dataclass(frozen=True)
class Served:
    """A mount of one larger FLAC among small ones."""

    mounted: Mounted
    tagger: Tagger
    path: Path
    original: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("kernel")
    tags = {"artist": "A", "album": "Long", "title": "Own!", "track": "1"}
    original = make_audio(home / "origin" / "long.wav", seconds=20.0, tags=tags)
    for number in range(6):
        track(home / "origin", f"{number}.mp3", title=f"T{number}", track=str(number))
    mounted = mount({"o": home / "origin"}, home, SETTINGS)
    try:
        with tagging(mounted) as tagger:
            yield Served(mounted, tagger, mounted.point / "A" / "Long" / "01.wav", original)
    finally:
        mounted.close()


def holds(path: Path, text: str) -> bool:
    """Whether a text is anywhere in the file."""
    return text.encode() in path.read_bytes()


def is_version(path: Path, known: str) -> bool:
    """Whether the whole file has this digest."""
    return digest(path) == known


@pytest.fixture
def versions(served: Served) -> dict[str, str]:
    """The digest of the whole file with each title, each read when nothing else went on; the file is as it was."""
    known = {}
    for title in TITLES:
        served.tagger.set(served.path, title=title)
        wait_for("the version", partial(holds, served.path, title))
        known[title] = digest(served.path)
    served.tagger.clear(served.path)
    wait_for("the original", lambda: digest(served.path) == digest(served.original))
    assert len(set(known.values())) == len(TITLES)
    return known


def test_edits_of_equal_size_are_seen_in_attributes_and_pages(served: Served, versions: dict[str, str]) -> None:
    own = served.path.stat()
    assert own.st_size == served.original.stat().st_size
    mtime_ns, inodes, took = own.st_mtime_ns, {own.st_ino}, []
    for number in range(30):
        title = TITLES[number % len(TITLES)]
        served.tagger.set(served.path, title=title)
        begun = time.monotonic()
        wait_for("the new version", partial(is_version, served.path, versions[title]), FOLLOWS_S)
        took.append(time.monotonic() - begun)
        status = served.path.stat()
        assert status.st_mtime_ns > mtime_ns
        mtime_ns = status.st_mtime_ns
        inodes.add(status.st_ino)
        assert overlay_names(served.path) == {"title"}
    assert len(inodes) == 1 + len(TITLES), "one number for each version"
    served.tagger.undo(served.path, 30)
    wait_for("the original", lambda: digest(served.path) == digest(served.original), FOLLOWS_S)
    back = served.path.stat()
    assert (back.st_ino, back.st_size) == (own.st_ino, own.st_size)
    assert back.st_mtime_ns > mtime_ns
    print(f"seen after {sorted(took)[15] * 1000:.0f} ms in the median, {max(took) * 1000:.0f} ms at most, with reading")


def test_an_open_handle_keeps_its_version(served: Served, versions: dict[str, str]) -> None:
    served.tagger.set(served.path, title="AAAA")
    wait_for("the first", lambda: digest(served.path) == versions["AAAA"], FOLLOWS_S)
    whole = served.path.read_bytes()
    with served.path.open("rb", buffering=0) as half, served.path.open("rb", buffering=0) as unread:
        first = half.read(100_000)
        status = os.fstat(half.fileno())
        served.tagger.set(served.path, title="A longer title, which moves the audio " * 10)
        wait_for("the second", lambda: served.path.stat().st_size > status.st_size, FOLLOWS_S)
        for handle in (half, unread):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert first + half.readall() == whole
        assert unread.readall() == whole
        assert os.fstat(half.fileno()).st_size == status.st_size
    assert served.path.read_bytes() != whole
    served.tagger.clear(served.path)


def test_an_old_inode_is_stale_and_never_another_version(served: Served) -> None:
    """A descriptor that names an inode, without having opened it: the kernel asks for the inode, not for the name."""
    served.tagger.set(served.path, title="AAAA")
    wait_for("the first", lambda: b"AAAA" in served.path.read_bytes(), FOLLOWS_S)
    descriptor = os.open(served.path, os.O_PATH)
    try:
        served.tagger.set(served.path, title="BBBB")
        wait_for("the second", lambda: b"BBBB" in served.path.read_bytes(), FOLLOWS_S)
        with pytest.raises(OSError) as failed:
            os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY))
        assert failed.value.errno == errno.ESTALE
    finally:
        os.close(descriptor)
    served.tagger.clear(served.path)


@dataclass
class Reader(threading.Thread):
    """Reads one file in circles, in pieces; ``seen`` are the digests of whole files."""

    path: Path
    ending: threading.Event
    seen: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    rounds: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                self.seen.add(digest(self.path))
                self.rounds += 1
            except OSError as error:
                # The kernel looks a stale name up again, once; between edits without a pause that can be in vain.
                (self.stale if error.errno == errno.ESTALE else self.errors).append(str(error))


def test_readers_see_one_version_whole_while_tags_change(served: Served, versions: dict[str, str]) -> None:
    ending = threading.Event()
    readers = [Reader(served.path, ending) for _ in range(3)]
    player = Player(served.mounted.point, may_vanish=True)
    for thread in (*readers, player):
        thread.start()
    try:
        for number in range(60):
            served.tagger.set(served.path, title=TITLES[number % len(TITLES)])
        wait_for("the last", lambda: digest(served.path) == versions[TITLES[59 % len(TITLES)]], FOLLOWS_S)
    finally:
        ending.set()
        for reader in readers:
            reader.join(30)
        player.stop()
    possible = {*versions.values(), digest(served.original)}
    for reader in readers:
        assert not reader.errors
        assert reader.seen <= possible, "a mix of two versions"
        assert len(reader.seen) > 1
        assert reader.rounds > 5
        assert len(reader.stale) <= reader.rounds // 10
    served.tagger.clear(served.path)
