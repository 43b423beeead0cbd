"""Watching with the real inotify: what changes on disk is reported, soon, once, and without holes."""

from __future__ import annotations

import errno
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.origins import inotify
from musicfs.origins.contract import Change
from musicfs.origins.inotify import Inotify, InotifyEvent, parse_events
from musicfs.origins.local import LocalOrigin
from musicfs.origins.local_watch import LocalWatch

TIMEOUT_S = 10.0
DEBOUNCE_S = 0.05


class Watched:
    """A folder and what was reported of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self.watches: list[LocalWatch] = []

    def watch(
        self,
        *,
        watch_limit: int = 1000,
        open_source: Callable[[], inotify.EventSource] = Inotify,
        debounce_s: float = DEBOUNCE_S,
    ) -> LocalWatch:
        watch = LocalWatch(
            os.fsencode(self.folder),
            self.changes.put,
            watch_limit=watch_limit,
            debounce_s=debounce_s,
            open_source=open_source,
        )
        watch.start()
        self.watches.append(watch)
        assert watch.wait_armed(TIMEOUT_S)
        return watch

    def next(self) -> Change:
        return self.changes.get(timeout=TIMEOUT_S)

    def until(self, *wanted: Change) -> list[Change]:
        """Everything reported until all of ``wanted`` have been, each by itself or as part of a recursive change."""
        seen: list[Change] = []
        while not all(any(_covers(change, one) for change in seen) for one in wanted):
            try:
                seen.append(self.next())
            except queue.Empty:
                raise AssertionError(f"waited for {wanted}, but there came only {seen}") from None
        return seen

    def write(self, path: str, data: bytes = b"1") -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)


def _covers(change: Change, wanted: Change) -> bool:
    below = not change.folder or f"{wanted.folder}/".startswith(f"{change.folder}/")
    return change == wanted or (change.recursive and below)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "music").mkdir()
    watched = Watched(tmp_path / "music")
    yield watched
    for watch in watched.watches:
        watch.close()


def _create(watched: Watched) -> None:
    watched.write("a/new.flac")


def _append(watched: Watched) -> None:
    with open(watched.folder / "a/old.flac", "ab") as file:
        file.write(b"2")


def _touch(watched: Watched) -> None:
    os.utime(watched.folder / "a/old.flac", ns=(1, 1))


def _delete(watched: Watched) -> None:
    (watched.folder / "a/old.flac").unlink()


def _rename(watched: Watched) -> None:
    (watched.folder / "a/old.flac").rename(watched.folder / "a/renamed.flac")


def _replace(watched: Watched) -> None:
    """As tag editors save: a new file over the old one."""
    (watched.folder.parent / "new").write_bytes(b"2")
    (watched.folder.parent / "new").rename(watched.folder / "a/old.flac")


def _hard_link(watched: Watched) -> None:
    (watched.folder.parent / "other").write_bytes(b"2")
    (watched.folder / "a/linked.flac").hardlink_to(watched.folder.parent / "other")


def _symlink(watched: Watched) -> None:
    (watched.folder / "a/link.flac").symlink_to("old.flac")


@pytest.mark.parametrize("act", [_create, _append, _touch, _delete, _rename, _replace, _hard_link, _symlink])
def test_a_change_of_a_file_reports_its_folder(watched: Watched, act: Callable[[Watched], None]) -> None:
    watched.write("a/old.flac")
    watched.watch()
    act(watched)
    assert watched.next() == Change("a")


def test_a_move_between_folders_reports_both(watched: Watched) -> None:
    watched.write("a/1.flac")
    watched.write("b/2.flac")
    watched.watch()
    (watched.folder / "a/1.flac").rename(watched.folder / "b/1.flac")
    assert {watched.next(), watched.next()} == {Change("a"), Change("b")}


def test_a_burst_is_one_report(watched: Watched) -> None:
    (watched.folder / "a").mkdir()
    watched.watch(debounce_s=0.5)
    for number in range(200):
        watched.write(f"a/{number}.flac")
    assert watched.next() == Change("a")
    watched.write("end.flac")
    assert watched.next() == Change("")


def test_a_file_that_is_written_slowly_is_reported_meanwhile_and_at_its_end(watched: Watched) -> None:
    watched.watch(debounce_s=0.2)
    begin = time.monotonic()
    with open(watched.folder / "slow.flac", "wb", buffering=0) as file:
        while watched.changes.empty():  # never quiet for as long as the debouncer would like
            assert time.monotonic() - begin < TIMEOUT_S
            file.write(b"x")
            time.sleep(0.01)
        first = watched.next()
        took_s = time.monotonic() - begin
        file.write(b"x")
    assert first == Change("")
    assert took_s < 2.0
    assert watched.next() == Change("")


def test_a_tree_that_appears_is_watched(watched: Watched) -> None:
    watched.watch()
    watched.write("new/deep/er/1.flac")
    watched.until(Change("new", recursive=True))
    watched.write("new/deep/er/2.flac")
    watched.until(Change("new/deep/er"))


def test_nothing_is_lost_while_a_tree_appears(watched: Watched) -> None:
    """What a caller knows that lists whatever is reported is in the end what is there."""
    watched.watch(debounce_s=0.01)
    origin = LocalOrigin("disk", str(watched.folder))
    for album in range(150):
        for track in range(3):
            watched.write(f"artist {album % 7}/album {album}/cd/{track}.flac")
    watched.write("end/end.flac")
    expected = {entry.path for folder in origin.list() for entry in folder.files}
    known: set[str] = set()
    while known != expected:
        change = watched.next()
        for folder in origin.list(change.folder):
            known |= {entry.path for entry in folder.files}
            if not change.recursive:
                break


def test_renamed_folders_are_followed(watched: Watched) -> None:
    watched.write("a/b/c/1.flac")
    watched.write("x/2.flac")
    watched.watch()
    (watched.folder / "a/b").rename(watched.folder / "x/y")
    watched.until(Change("a/b", recursive=True), Change("x/y", recursive=True))
    watched.write("x/y/c/2.flac")
    watched.until(Change("x/y/c"))
    (watched.folder / "x").rename(watched.folder / "z")
    watched.until(Change("x", recursive=True), Change("z", recursive=True))
    watched.write("z/y/c/3.flac")
    watched.until(Change("z/y/c"))


def test_a_folder_that_is_moved_out_is_not_followed(watched: Watched) -> None:
    watched.write("a/b/1.flac")
    watched.watch()
    outside = watched.folder.parent / "outside"
    (watched.folder / "a").rename(outside)
    watched.until(Change("a", recursive=True))
    (outside / "b/2.flac").write_bytes(b"2")
    watched.write("end.flac")
    assert watched.until(Change("")) == [Change("")]
    outside.rename(watched.folder / "back")
    watched.until(Change("back", recursive=True))
    watched.write("back/b/3.flac")
    watched.until(Change("back/b"))


def test_a_deleted_tree_is_one_report(watched: Watched) -> None:
    watched.write("a/b/c/1.flac")
    watched.watch(debounce_s=0.3)
    shutil.rmtree(watched.folder / "a")
    assert watched.next() == Change("a", recursive=True)
    watched.write("a/1.flac")
    watched.until(Change("a", recursive=True))
    watched.write("a/2.flac")
    watched.until(Change("a"))


def test_a_folder_whose_permissions_change_is_reported(watched: Watched) -> None:
    watched.write("a/1.flac")
    watched.watch()
    (watched.folder / "a").chmod(0o700)
    assert watched.next() == Change("a", recursive=True)


def test_junk_and_excluded_names_are_not_reported(watched: Watched) -> None:
    origin = LocalOrigin("disk", str(watched.folder), exclude=("*.part", "private"), debounce_s=DEBOUNCE_S)
    (watched.folder / "private").mkdir()
    (watched.folder / "@eaDir").mkdir()
    watch = origin.watch(watched.changes.put)
    try:
        assert watch.wait_armed(TIMEOUT_S)
        for path in (".DS_Store", "._x.flac", "x.part", "private/1.flac", "@eaDir/1.flac", "#recycle/1.flac"):
            watched.write(path)
        watched.write("real/1.flac")
        assert watched.next() == Change("real", recursive=True)
    finally:
        watch.close()


def test_names_that_are_not_utf8(watched: Watched) -> None:
    watched.watch()
    folder = os.fsencode(watched.folder) + b"/stray \xff byte"
    os.mkdir(folder)
    watched.until(Change("stray \udcff byte", recursive=True))
    with open(folder + b"/\xfe.flac", "wb"):
        pass
    watched.until(Change("stray \udcff byte"))


# Limits


def test_folders_beyond_the_limit_are_named(watched: Watched) -> None:
    for path in ("a/x", "b/y/z", "c"):
        (watched.folder / path).mkdir(parents=True)
    watch = watched.watch(watch_limit=3)
    assert not watch.complete
    assert list(watch.unwatched) == ["b", "c"]
    watched.write("a/x/1.flac")
    assert watched.next() == Change("a/x")
    (watched.folder / "d").mkdir()
    watched.until(Change("d", recursive=True))
    watched.write("a/x/2.flac")
    watched.until(Change("a/x"))
    assert list(watch.unwatched) == ["b", "c", "d"]


def test_a_limit_of_zero_watches_nothing(watched: Watched) -> None:
    watch = watched.watch(watch_limit=0)
    assert watch.unwatched == ("",)
    assert not watch.complete


class FullInotify(Inotify):
    """The system has three watches left."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def add(self, path: bytes) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1
        return super().add(path)


def test_the_limit_of_the_system(watched: Watched) -> None:
    for path in ("a/x", "b/y", "c"):
        (watched.folder / path).mkdir(parents=True)
    watch = watched.watch(open_source=FullInotify)
    assert list(watch.unwatched) == ["b", "c"]


def test_a_network_filesystem_is_polled(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """inotify works there, and stays silent about what other machines do."""
    monkeypatch.setattr("musicfs.origins.local_watch.is_network_filesystem", lambda _path: True)
    assert watched.watch().unwatched == ("",)


def test_without_inotify(watched: Watched) -> None:
    def refuse() -> Inotify:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    watch = watched.watch(open_source=refuse)
    assert watch.unwatched == ("",)
    watch.close()
    watch.close()


# Lost events


class ForgetfulInotify(Inotify):
    """Events can be lost on demand, as in an overflow."""

    def __init__(self) -> None:
        super().__init__()
        self.overflow = threading.Event()

    def read(self, timeout_s: float | None) -> list[InotifyEvent]:
        events = super().read(timeout_s)
        if self.overflow.is_set() and events:
            self.overflow.clear()
            return [InotifyEvent(-1, inotify.OVERFLOW)]
        return events


def test_an_overflow_reports_everything_and_finds_new_folders(watched: Watched) -> None:
    source = ForgetfulInotify()
    (watched.folder / "old").mkdir()
    watched.watch(open_source=lambda: source)
    source.overflow.set()
    (watched.folder / "missed/deep").mkdir(parents=True)
    watched.until(Change("", recursive=True))
    deadline = time.monotonic() + TIMEOUT_S
    while not _reported(watched, "missed/deep"):
        assert time.monotonic() < deadline
        watched.write("missed/deep/1.flac")
    watched.write("old/1.flac")
    watched.until(Change("old"))


def _reported(watched: Watched, folder: str) -> bool:
    try:
        return watched.changes.get(timeout=0.2) == Change(folder)
    except queue.Empty:
        return False


def test_a_real_overflow(tmp_path: Path) -> None:
    """A caller that is busy for too long: the kernel's queue (16,384 events by default) fills up."""
    length = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    folder = tmp_path / "music"
    (folder / "a").mkdir(parents=True)
    changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
    busy, go_on = threading.Event(), threading.Event()

    def on_change(change: Change) -> None:
        changes.put(change)
        busy.set()
        assert go_on.wait(60)

    watch = LocalWatch(os.fsencode(folder), on_change, debounce_s=DEBOUNCE_S)
    watch.start()
    try:
        assert watch.wait_armed(TIMEOUT_S)
        (folder / "a/first").write_bytes(b"")
        assert busy.wait(TIMEOUT_S)
        one, other = os.fsencode(folder / "a/one"), os.fsencode(folder / "a/other")
        os.rename(folder / "a/first", one)
        for _ in range(length // 4 + 100):  # two events each way
            os.rename(one, other)
            os.rename(other, one)
        (folder / "late").mkdir()  # this event is lost
        go_on.set()
        while changes.get(timeout=TIMEOUT_S) != Change("", recursive=True):
            pass
        deadline = time.monotonic() + TIMEOUT_S
        seen: list[Change] = []
        while Change("late") not in seen:
            assert time.monotonic() < deadline
            (folder / "late/1.flac").write_bytes(b"")
            seen.append(changes.get(timeout=TIMEOUT_S))
    finally:
        go_on.set()
        watch.close()


def test_what_on_change_raises_ends_the_watch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: queue.SimpleQueue[threading.ExceptHookArgs] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", raised.put)

    def fail(change: Change) -> None:
        raise ValueError(change.folder)

    watch = LocalWatch(os.fsencode(watched.folder), fail, debounce_s=DEBOUNCE_S)
    watch.start()
    assert watch.wait_armed(TIMEOUT_S)
    watched.write("1.flac")
    assert raised.get(timeout=TIMEOUT_S).exc_type is ValueError
    watch.close()
    assert not watch.complete
    assert not watch.wait_armed(0)


def test_closing_leaves_no_descriptor_and_no_thread(watched: Watched) -> None:
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(5):
        watched.watch().close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


# The root and mounts


def test_a_root_that_goes_and_comes_back(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfs.origins.local_watch.ROOT_RETRY_S", 0.1)
    (watched.folder / "a").mkdir()
    watch = watched.watch()
    away = watched.folder.parent / "away"
    watched.folder.rename(away)
    assert watched.next() == Change("", recursive=True)
    assert watch.unwatched == ("",)
    away.rename(watched.folder)
    watched.until(Change("", recursive=True))
    assert watch.complete
    watched.write("a/1.flac")
    watched.until(Change("a"))


def test_a_root_that_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfs.origins.local_watch.ROOT_RETRY_S", 0.1)
    watched = Watched(tmp_path / "later")
    watch = watched.watch()
    try:
        assert watch.unwatched == ("",)
        watched.folder.mkdir()
        assert watched.next() == Change("", recursive=True)
        assert watch.complete
    finally:
        watch.close()


def test_mounts_below_the_root_are_noticed(watched: Watched) -> None:
    point = watched.folder / "disk"
    point.mkdir()
    watched.watch()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "musicfs-test", str(point)], check=True)
    try:
        watched.until(Change("", recursive=True))
        while not watched.changes.empty():
            watched.changes.get_nowait()
        deadline = time.monotonic() + TIMEOUT_S
        while not _reported(watched, "disk"):  # until the new filesystem is watched
            assert time.monotonic() < deadline
            watched.write("disk/1.flac")
    finally:
        subprocess.run(["umount", str(point)], check=True)
    watched.until(Change("", recursive=True))


def test_a_folder_mounted_twice_is_polled_once(watched: Watched) -> None:
    (watched.folder / "one/album").mkdir(parents=True)
    (watched.folder / "two").mkdir()
    subprocess.run(["mount", "--bind", str(watched.folder / "one"), str(watched.folder / "two")], check=True)
    try:
        watch = watched.watch()
        assert watch.unwatched == ("two",)
        watched.write("two/album/1.flac")
        assert watched.next() == Change("one/album")
    finally:
        subprocess.run(["umount", str(watched.folder / "two")], check=True)


# The parser


def test_parse_events() -> None:
    header = inotify._HEADER
    data = (
        header.pack(1, inotify.CREATE, 0, 16) + b"a.flac".ljust(16, b"\0")
        + header.pack(1, inotify.CREATE, 0, 16) + b"a.flac".ljust(16, b"\0")
        + header.pack(-1, inotify.OVERFLOW, 0, 0)
        + header.pack(2, inotify.IGNORED, 0, 0)
    )  # fmt: skip
    assert parse_events(data) == [
        InotifyEvent(1, inotify.CREATE, b"a.flac"),
        InotifyEvent(-1, inotify.OVERFLOW),
        InotifyEvent(2, inotify.IGNORED),
    ]
