"""The origin contract as tests: subclass :class:`OriginSuite`, say how to open an origin, and run pytest.

::

    class TestMyOrigin(OriginSuite):
        def open_subject(self, tmp_path: Path) -> Subject:
            return MySubject(...)  # an empty origin, and how to put files into it

pytest shows better messages after ``pytest.register_assert_rewrite("musicfs.testing.origin_suite")`` in a conftest.py.
Optional powers are tested where the origin has them.
"""

from __future__ import annotations

import os
import queue
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from musicfs.errors import ChangedError, GoneError, OriginError
from musicfs.model import Entry
from musicfs.origins.contract import Anchored, Change, Folder, LocalPaths, Origin, Watchable

NAMES = (
    "plain.flac",
    " leading and trailing ",
    "-dash.flac",
    "UPPER.FLAC",
    "upper.flac",
    "quote\"'`$(x).flac",
    "back\\slash.flac",
    "new\nline\ttab.flac",
    "percent%2Fslash.flac",
    "Björk nfc.flac",
    "Bjo\u0308rk nfd.flac",
    "日本語.flac",
    "עברית.flac",
    "\U0001f3b5 emoji.flac",
    "\uffee before an astral \U00010000.flac",
    "*?[glob].flac",
    "...",
    "x" * 255,
)
# What no origin serves, whatever it holds.
BAD_PATHS = ("", "/", ".", "..", "../escape", "a/../plain.flac", "a//b", "a/", "/plain.flac", "./plain.flac", "nul\0.flac",
             "\ud800 no byte.flac", "y" * 300, "/".join("z" * 200 for _ in range(30)))  # fmt: skip
WATCH_TIMEOUT_S = 10.0


class Subject(Protocol):
    """The origin under test, and its other side."""

    @property
    def origin(self) -> Origin:
        """The same one every time."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Create or replace a file, its folders too; a replacement has another version, even of the same size."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file."""
        ...


class OriginSuite(ABC):
    """Every promise of :mod:`musicfs.origins.contract` that can be tested from outside."""

    names: ClassVar[tuple[str, ...]] = NAMES
    surrogate_names: ClassVar[tuple[str, ...]] = (
        "stray \udcff byte.flac",
        "\udc80first.flac",
    )  # () if it must be UTF-8
    large_size_bytes: ClassVar[int] = 3_000_001

    @abstractmethod
    def open_subject(self, tmp_path: Path) -> Subject:
        """An origin without files."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[Subject]:
        subject = self.open_subject(tmp_path)
        yield subject
        subject.origin.close()

    # Listing

    def test_an_empty_origin_lists_its_root(self, subject: Subject) -> None:
        folders = list(subject.origin.list())
        assert [(folder.path, folder.files, folder.complete) for folder in folders] == [("", (), True)]

    def test_listing_shows_every_file_once(self, subject: Subject) -> None:
        paths = _put_tree(subject)
        listed = [entry.path for entry in _entries(subject.origin)]
        assert sorted(listed) == sorted(paths)

    def test_listing_order(self, subject: Subject) -> None:
        _put_tree(subject)
        folders = list(subject.origin.list())
        assert [folder.path for folder in folders] == sorted((folder.path for folder in folders), key=_order)
        for folder in folders:
            names = [entry.path for entry in folder.files]
            assert names == sorted(names, key=_order)
            assert all(name.rpartition("/")[0] == folder.path for name in names)

    def test_every_folder_follows_its_parent(self, subject: Subject) -> None:
        _put_tree(subject)
        seen: set[str] = set()
        for folder in subject.origin.list():
            assert not folder.path or folder.path.rpartition("/")[0] in seen
            assert folder.path not in seen
            seen.add(folder.path)

    def test_listing_again_is_equal(self, subject: Subject) -> None:
        _put_tree(subject)
        assert list(subject.origin.list()) == list(subject.origin.list())

    def test_prefix_is_a_part_of_the_whole(self, subject: Subject) -> None:
        _put_tree(subject)
        whole = list(subject.origin.list())
        for prefix in (folder.path for folder in whole):
            inside = [folder for folder in whole if not prefix or f"{folder.path}/".startswith(f"{prefix}/")]
            assert list(subject.origin.list(prefix)) == inside

    @pytest.mark.parametrize(
        "prefix", ["nowhere", "a/nowhere/deep", "plain.flac", "a/b/01.flac", "pla", *BAD_PATHS[1:]]
    )
    def test_missing_prefix_is_gone(self, subject: Subject, prefix: str) -> None:
        _put_tree(subject)
        with pytest.raises(GoneError):
            list(subject.origin.list(prefix))

    def test_listing_does_nothing_before_its_first_item(self, subject: Subject) -> None:
        folders = subject.origin.list("late")
        subject.put("late/file.flac", b"1")
        assert [entry.path for folder in folders for entry in folder.files] == ["late/file.flac"]

    def test_listing_a_single_folder(self, subject: Subject) -> None:
        """A caller may stop after the first item, as it does for a change that is not recursive."""
        _put_tree(subject)
        assert [entry.path for entry in next(subject.origin.list("a")).files] == ["a/2.flac"]

    def test_large_folder(self, subject: Subject) -> None:
        paths = {f"many/{number:04d}.flac" for number in range(1500)}
        for path in paths:
            subject.put(path, b"")
        assert {entry.path for entry in _entries(subject.origin, "many")} == paths

    def test_deep_folder(self, subject: Subject) -> None:
        path = "/".join(f"level {number}" for number in range(40)) + "/file.flac"
        subject.put(path, b"deep")
        assert [entry.path for entry in _entries(subject.origin)] == [path]
        assert subject.origin.read(path, 0, 4, "") == b"deep"

    def test_listing_while_files_come_and_go(self, subject: Subject) -> None:
        stable = {f"{folder}/{number}.flac" for folder in "acegi" for number in range(20)}
        for path in stable:
            subject.put(path, b"stays")
        stop = threading.Event()

        def disturb() -> None:
            while not stop.is_set():
                for folder in "bdfh":
                    subject.put(f"{folder}/x.flac", b"comes")
                    subject.remove(f"{folder}/x.flac")

        with ThreadPoolExecutor(1) as pool:
            disturbing = pool.submit(disturb)
            try:
                for _ in range(10):
                    assert stable <= {entry.path for entry in _entries(subject.origin)}
            finally:
                stop.set()
            disturbing.result()

    # Names and entries

    def test_names(self, subject: Subject) -> None:
        for number, name in enumerate((*self.names, *self.surrogate_names)):
            subject.put(f"{name}/{name}", b"%d" % number)
        listed = {entry.path: entry for entry in _entries(subject.origin)}
        assert set(listed) == {f"{name}/{name}" for name in (*self.names, *self.surrogate_names)}
        for number, name in enumerate((*self.names, *self.surrogate_names)):
            entry = listed[f"{name}/{name}"]
            assert subject.origin.stat(entry.path) == entry
            assert subject.origin.read(entry.path, 0, entry.size, entry.version) == b"%d" % number
            assert list(_entries(subject.origin, name)) == [entry]

    def test_names_sort_by_bytes(self, subject: Subject) -> None:
        for name in (*self.names, *self.surrogate_names):
            subject.put(name, b"")
        listed = [entry.path for entry in _entries(subject.origin)]
        assert listed == sorted(listed, key=lambda name: name.encode("utf-8", "surrogateescape"))

    def test_entries_say_what_is_there(self, subject: Subject) -> None:
        subject.put("a/file.flac", b"12345")
        (entry,) = _entries(subject.origin)
        assert (entry.path, entry.size) == ("a/file.flac", 5)
        assert entry.mtime_ns > 0
        assert entry.version
        assert subject.origin.stat("a/file.flac") == entry

    def test_stat_of_what_is_not_a_file(self, subject: Subject) -> None:
        _put_tree(subject)
        for path in ("nowhere", "a", "a/b", "plain.flac/below", "a/nowhere/deep", *BAD_PATHS):
            assert subject.origin.stat(path) is None, path

    # Reading

    def test_read_ranges(self, subject: Subject) -> None:
        rng = random.Random(1)
        data = rng.randbytes(self.large_size_bytes)
        size = len(data)
        subject.put("large.flac", data)
        (entry,) = _entries(subject.origin)
        ranges = [(0, size), (0, 0), (0, 1), (size - 1, size), (size, size), (size // 2, size), (65_535, 65_537)]
        ranges += [
            (start, min(size, start + rng.randrange(200_000))) for start in (rng.randrange(size) for _ in range(50))
        ]
        for start, stop in ranges:
            assert subject.origin.read("large.flac", start, stop, entry.version) == data[start:stop]

    def test_read_an_empty_file(self, subject: Subject) -> None:
        subject.put("empty.flac", b"")
        (entry,) = _entries(subject.origin)
        assert entry.size == 0
        assert subject.origin.read("empty.flac", 0, 0, entry.version) == b""

    @pytest.mark.parametrize(("start", "stop"), [(0, 6), (5, 6), (6, 6), (3, 2), (-1, 2), (1 << 40, 1 << 41)])
    def test_a_range_outside_the_file(self, subject: Subject, start: int, stop: int) -> None:
        subject.put("five.flac", b"12345")
        with pytest.raises(ChangedError):
            subject.origin.read("five.flac", start, stop, "")

    def test_read_of_a_changed_file(self, subject: Subject) -> None:
        subject.put("file.flac", b"old")
        (old,) = _entries(subject.origin)
        subject.put("file.flac", b"new")
        with pytest.raises(ChangedError):
            subject.origin.read("file.flac", 0, 3, old.version)
        (new,) = _entries(subject.origin)
        assert new.version != old.version
        assert subject.origin.read("file.flac", 0, 3, new.version) == b"new"
        assert subject.origin.read("file.flac", 0, 3, "") == b"new"

    def test_a_removed_file(self, subject: Subject) -> None:
        subject.put("a/file.flac", b"1")
        subject.put("a/other.flac", b"2")
        (entry, _other) = _entries(subject.origin)
        subject.remove("a/file.flac")
        assert subject.origin.stat("a/file.flac") is None
        assert [entry.path for entry in _entries(subject.origin)] == ["a/other.flac"]
        with pytest.raises(GoneError):
            subject.origin.read("a/file.flac", 0, 1, entry.version)

    def test_read_of_what_is_not_a_file(self, subject: Subject) -> None:
        _put_tree(subject)
        for path in ("nowhere", "a", "a/b", "plain.flac/below", *BAD_PATHS):
            with pytest.raises(GoneError):
                subject.origin.read(path, 0, 0, "")

    def test_parallel_reads(self, subject: Subject) -> None:
        data = {f"{number}.flac": random.Random(number).randbytes(100_000) for number in range(4)}
        for path, content in data.items():
            subject.put(path, content)
        versions = {entry.path: entry.version for entry in _entries(subject.origin)}

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(25):
                path = rng.choice(sorted(data))
                start = rng.randrange(100_000)
                stop = rng.randrange(start, 100_001)
                assert subject.origin.read(path, start, stop, versions[path]) == data[path][start:stop]

        with ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(read, seed) for seed in range(16)]:
                done.result()

    # The rest

    def test_check_and_constants(self, subject: Subject) -> None:
        subject.origin.check()
        assert subject.origin.id
        assert subject.origin.caps == subject.origin.caps
        assert subject.origin.caps.parallel >= 1
        assert isinstance(subject.origin, Origin)

    def test_close_twice(self, subject: Subject) -> None:
        subject.put("file.flac", b"1")
        assert subject.origin.read("file.flac", 0, 1, "") == b"1"
        subject.origin.close()
        subject.origin.close()

    def test_errors_say_which_origin(self, subject: Subject) -> None:
        with pytest.raises(OriginError, match=subject.origin.id):
            subject.origin.read("nowhere", 0, 0, "")

    def test_opened_locally(self, subject: Subject) -> None:
        if not isinstance(subject.origin, LocalPaths):
            return
        subject.put("a/file.flac", b"12345")
        (entry,) = _entries(subject.origin)
        descriptor = subject.origin.open_local("a/file.flac", entry.version)
        try:
            assert os.pread(descriptor, 100, 0) == b"12345"
            assert not os.get_inheritable(descriptor)
        finally:
            os.close(descriptor)
        assert subject.origin.local_path("a/file.flac").startswith(subject.origin.local_path("a") + b"/")
        with pytest.raises(ChangedError):
            subject.origin.open_local("a/file.flac", "another")
        for path in ("nowhere", "a", *BAD_PATHS):
            with pytest.raises(GoneError):
                subject.origin.open_local(path, "")

    def test_anchored(self, subject: Subject) -> None:
        if not isinstance(subject.origin, Anchored):
            return
        list(subject.origin.list())
        assert subject.origin.anchor()
        assert subject.origin.anchor() == subject.origin.anchor()

    def test_watched(self, subject: Subject) -> None:
        if not isinstance(subject.origin, Watchable):
            return
        subject.put("a/file.flac", b"1")
        changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        watch = subject.origin.watch(changes.put)
        try:
            assert watch.wait_armed(WATCH_TIMEOUT_S)
            assert watch.complete
            assert watch.unwatched == ()
            subject.put("a/file.flac", b"2")
            _await_change(changes, "a/file.flac")
            subject.put("new/deep/file.flac", b"1")
            _await_change(changes, "new/deep/file.flac")
            subject.remove("a/file.flac")
            _await_change(changes, "a/file.flac")
        finally:
            watch.close()
            watch.close()
        while not changes.empty():
            changes.get_nowait()
        subject.put("a/file.flac", b"3")
        assert changes.empty()
        assert not watch.wait_armed(0)


def _put_tree(subject: Subject) -> set[str]:
    """Folders whose names sort differently by whole path (``a b/`` before ``a/``) than component by component."""
    paths = {
        "plain.flac",
        "a/2.flac",
        "a/b/01.flac",
        "a/b/10.flac",
        "a b/1.flac",
        "a-b/c/1.flac",
        "Z/1.flac",
        "é/1.flac",
    }
    for path in sorted(paths, reverse=True):
        subject.put(path, path.encode())
    return paths


def _entries(origin: Origin, prefix: str = "") -> list[Entry]:
    folders: list[Folder] = list(origin.list(prefix))
    assert all(folder.complete for folder in folders)
    return [entry for folder in folders for entry in folder.files]


def _order(path: str) -> list[bytes]:
    return [name.encode("utf-8", "surrogateescape") for name in path.split("/")] if path else []


def _await_change(changes: queue.SimpleQueue[Change], path: str) -> None:
    """Wait for a change that makes a caller list the folder of ``path``."""
    folder = path.rpartition("/")[0]
    while True:
        change = changes.get(timeout=WATCH_TIMEOUT_S)
        covers = change.recursive and (not change.folder or f"{folder}/".startswith(f"{change.folder}/"))
        if covers or change.folder == folder:
            return
