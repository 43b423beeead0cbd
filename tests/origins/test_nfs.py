"""The NFS origin against a real server."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, ConfigError, DeniedError, GoneError, UnreachableError
from musicfs.origins import nfs_server, registry
from musicfs.origins.contract import Anchored
from musicfs.origins.local import LocalOrigin
from musicfs.origins.nfs import NfsOrigin, open_nfs_origin
from musicfs.origins.nfs_rpc import unix_credential
from musicfs.testing.origin_suite import OriginSuite, Subject
from musicfs.testing.proxy import CountingProxy
from tests.origins.subjects import FolderSubject
from tests.servers.ganesha import GaneshaServer

SHORT_S = 1.0
LARGE = random.Random(3).randbytes(3_000_001)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GaneshaServer]:
    server = GaneshaServer(tmp_path_factory.mktemp("ganesha"))
    server.start()
    yield server
    server.stop()


def open_origin(settings: OriginSettings, anchor: bytes = b"") -> NfsOrigin:
    return open_nfs_origin(settings, anchor=anchor, debounce_s=0.1)


class NfsSubject(FolderSubject):
    """A folder of its own in the export, and an origin for it."""

    def __init__(self, server: GaneshaServer, name: str, settings: OriginSettings | None = None) -> None:
        self.nfs = open_origin(settings or server.settings(name))
        super().__init__(server.root / name, self.nfs)
        self.path = server.root / name


class TestNfs(OriginSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: GaneshaServer) -> None:
        self.server = server

    def open_subject(self, tmp_path: Path) -> Subject:
        return NfsSubject(self.server, tmp_path.name)


@pytest.fixture
def subject(server: GaneshaServer, tmp_path: Path) -> Iterator[NfsSubject]:
    """Answers may take :data:`SHORT_S`."""
    subject = NfsSubject(server, tmp_path.name, server.settings(tmp_path.name, timeout_s=SHORT_S))
    yield subject
    subject.origin.close()


# What is listed


def test_shows_what_a_local_origin_shows(subject: NfsSubject) -> None:
    """Versions, inodes and ctimes too, so that one file is one wherever it is seen."""
    _put_oddities(subject.path)
    local = LocalOrigin("disk", str(subject.path))
    ours = [msgspec.structs.replace(folder, device=0) for folder in subject.origin.list()]
    theirs = [msgspec.structs.replace(folder, device=0) for folder in local.list()]
    assert ours == theirs
    for folder in theirs:
        for entry in folder.files:
            assert subject.origin.stat(entry.path) == entry
            assert subject.origin.read(entry.path, 0, entry.size, entry.version) == b"real"
    for path in ("leaves", "far", "broken", "loop", "up", "fifo", "device", "folder link", "folder link/real.flac"):
        assert subject.origin.stat(path) is None
        with pytest.raises(GoneError):
            subject.origin.read(path, 0, 1, "")


def _put_oddities(folder: Path) -> None:
    (folder / "a").mkdir(parents=True)
    (folder / "a/real.flac").write_bytes(b"real")
    (folder / "Thumbs.db").write_bytes(b"junk")
    (folder.parent / f"{folder.name}-outside").write_bytes(b"outside")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "device", 0o20644, os.makedev(1, 3))
    for name, target in (
        ("relative", "a/real.flac"),
        ("a/chain", "../relative"),
        ("a/dots", ".././a/../a/./real.flac"),
        ("a/through a link", "../folder link/real.flac"),
        ("absolute", str(folder / "a/real.flac")),
        ("leaves", f"../{folder.name}-outside"),
        ("out and in", f"../{folder.name}/a/real.flac"),
        ("far", "/etc/hostname"),
        ("up", "../../../../../../../../etc/hostname"),
        ("broken", "nowhere"),
        ("beneath a file", "a/real.flac/x"),
        ("loop", "loop"),
        ("pipe", "fifo"),
        ("folder link", "a"),
        (os.fsdecode(b"stray \xff"), os.fsdecode(b"a/real.flac")),
    ):
        (folder / name).symlink_to(target)


def test_selection(server: GaneshaServer, tmp_path: Path) -> None:
    settings = server.settings(tmp_path.name, include=("*.flac",), exclude=("Podcasts/",))
    subject = NfsSubject(server, tmp_path.name, settings)
    for path in ("a/1.flac", "a/1.txt", "Podcasts/2.flac", "Podcasts/deep/3.flac"):
        subject.put(path, b"1")
    (subject.path / "link.txt").symlink_to("a/1.flac")
    assert [(folder.path, len(folder.files), folder.skipped) for folder in subject.origin.list()] == [
        ("", 0, ()),
        ("a", 1, ()),
    ]
    assert subject.origin.stat("a/1.flac") is not None
    assert subject.origin.stat("a/1.txt") is None
    assert subject.origin.stat("Podcasts/2.flac") is None
    with pytest.raises(GoneError):
        list(subject.origin.list("Podcasts"))
    subject.origin.close()


def test_a_folder_that_may_not_be_read(subject: NfsSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    subject.put("closed/1.flac", b"1")
    subject.put("open/1.flac", b"1")
    subject.put("open/secret.flac", b"1")
    (subject.path / "closed").chmod(0)
    (subject.path / "open/secret.flac").chmod(0)
    (subject.path / "open/hidden").symlink_to("../closed/1.flac")
    monkeypatch.setattr(nfs_server, "own_credential", lambda: unix_credential(65534, 65534, ()))
    root, closed, shown = subject.origin.list()
    assert root.complete
    assert (closed.files, closed.complete, closed.skipped) == ((), False, (("", "permission denied"),))
    assert [entry.path for entry in shown.files] == ["open/1.flac", "open/secret.flac"]
    assert (shown.complete, shown.skipped) == (False, (("hidden", "permission denied"),))
    with pytest.raises(DeniedError, match=r"closed/1\.flac"):
        subject.origin.stat("closed/1.flac")
    with pytest.raises(DeniedError, match=r"open/secret\.flac: permission denied"):
        subject.origin.read("open/secret.flac", 0, 1, "")
    subject.path.chmod(0)
    with pytest.raises(DeniedError, match="its root folder"):
        subject.origin.check()
    with pytest.raises(DeniedError, match="its root folder"):
        list(subject.origin.list())


def test_a_listing_left_early_leaves_no_threads(subject: NfsSubject) -> None:
    for number in range(20):
        subject.put(f"{number}/1.flac", b"1")
    before = threading.active_count()
    folders = subject.origin.list()
    next(folders)
    next(folders)
    folders.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


# What is not there


def test_words_for_what_is_wrong(server: GaneshaServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        good = server.settings()
        cases: list[tuple[OriginSettings, type[Exception], str]] = [
            (server.settings(export="/nowhere"), DeniedError, "has no export '/nowhere' for this machine"),
            (server.settings(export=str(server.hidden)), DeniedError, "has no export"),
            (server.settings(export=str(server.refused)), DeniedError, "wants more than the numbers of user and group"),
            (server.settings("no/such"), UnreachableError, f"there is no folder no/such in the export '{server.root}'"),
            (
                msgspec.structs.replace(good, port=port),
                UnreachableError,
                f"127.0.0.1:{port} cannot be reached: Connection",
            ),
            (msgspec.structs.replace(good, mount_port=port), UnreachableError, f"MOUNT service at port {port}"),
            (msgspec.structs.replace(good, mount_port=server.port), UnreachableError, "has no such program"),
            (
                msgspec.structs.replace(good, host="host.invalid"),
                UnreachableError,
                "its name is not known here",
            ),
        ]
        for settings, error, words in cases:
            origin = open_origin(settings)
            for action in (
                origin.check,
                lambda origin=origin: origin.stat("a"),
                lambda origin=origin: list(origin.list()),
            ):
                with pytest.raises(error, match="origin 'nfs'") as caught:
                    action()
                assert words in str(caught.value)
            origin.close()
    open_origin(good).check()


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="export is missing"):
        open_origin(OriginSettings(id="nfs", origin_type="nfs", host="127.0.0.1"))
    with pytest.raises(ConfigError, match="no path in an export"):
        open_origin(OriginSettings(id="nfs", origin_type="nfs", host="127.0.0.1", export="/a", path="../b"))


def test_another_folder_in_the_roots_place(subject: NfsSubject, server: GaneshaServer) -> None:
    subject.put("1.flac", b"1")
    assert isinstance(subject.origin, Anchored)
    assert len(list(subject.origin.list())) == 1
    again = open_origin(server.settings(subject.path.name), subject.origin.anchor())
    again.check()
    subject.path.rename(subject.path.with_name("moved"))
    subject.path.mkdir()
    for origin in (subject.nfs, again):
        for action in (
            origin.check,
            lambda origin=origin: origin.stat("1.flac"),
            lambda origin=origin: list(origin.list()),
        ):
            with pytest.raises(UnreachableError, match="is not on the filesystem it was on"):
                action()
    again.close()


# Changes


def test_a_file_that_changes_while_it_is_read_is_never_mixed(subject: NfsSubject) -> None:
    """Written in place, truncated, and replaced by another file; every range that is given out is of one version."""
    contents: dict[str, bytes] = {}
    stop = threading.Event()
    rng = random.Random(1)
    newest = ""

    def change(round_: int) -> None:
        nonlocal newest
        data = bytes([round_ % 251]) * (2_500_000 - 100_000 * (round_ % 3))
        name = "file.flac" if round_ % 2 else "new.flac"
        subject.put(name, data)
        status = (subject.path / name).stat()
        newest = f"{status.st_size:x}-{status.st_mtime_ns // 1000:x}"
        contents[newest] = data
        if name == "new.flac":
            (subject.path / name).rename(subject.path / "file.flac")

    def read() -> tuple[int, int]:
        good = changed = 0
        while not stop.is_set():
            version = newest
            try:
                data = subject.origin.read("file.flac", 0, len(contents[version]), version)
            except ChangedError:
                changed += 1
            else:
                good += 1
                assert data == contents[version]
        return good, changed

    change(1)
    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read) for _ in range(4)]
        for round_ in range(2, 40):
            change(round_)
            time.sleep(rng.random() * 0.03)
        stop.set()
        results = [done.result() for done in reading]
    assert sum(good for good, _ in results) > 0
    assert sum(changed for _, changed in results) > 0


def test_known_handles_of_what_has_moved(subject: NfsSubject) -> None:
    """The path decides: what was there before is still there elsewhere, and its handle is known."""
    subject.put("a/b/1.flac", b"old")
    (entry,) = [file for folder in subject.origin.list() for file in folder.files]
    (subject.path / "a").rename(subject.path / "z")
    assert subject.origin.stat("a/b/1.flac") is None
    with pytest.raises(GoneError):
        subject.origin.read("a/b/1.flac", 0, 3, "")
    subject.put("a/b/1.flac", b"new")
    assert subject.origin.read("a/b/1.flac", 0, 3, "") == b"new"
    moved = subject.origin.stat("z/b/1.flac")
    assert moved is not None
    assert (moved.inode, moved.version) == (entry.inode, entry.version)
    (subject.path / "a/b/1.flac").unlink()
    (subject.path / "a/b").rmdir()
    assert subject.origin.stat("a/b/1.flac") is None
    assert [folder.path for folder in subject.origin.list()] == ["", "a", "z", "z/b"]


# Faults


def test_restarted_between_reads(subject: NfsSubject, server: GaneshaServer) -> None:
    subject.put("a/file.flac", LARGE)
    (entry,) = [file for folder in subject.origin.list() for file in folder.files]
    server.kill()
    for action in (
        subject.origin.check,
        lambda: subject.origin.read(entry.path, 0, 10, entry.version),
        lambda: subject.origin.stat(entry.path),
        lambda: list(subject.origin.list()),
    ):
        with pytest.raises(UnreachableError) as caught:
            action()
        assert caught.value.retryable
    server.start()
    assert subject.origin.read(entry.path, 5, 3_000_000, entry.version) == LARGE[5:3_000_000]
    server.kill()
    server.start()
    # Nobody asked while it was away: the idle connections are dead, and nothing of that is seen.
    assert subject.origin.read(entry.path, 5, 15, entry.version) == LARGE[5:15]
    subject.origin.check()


def test_retried_over_a_restart(server: GaneshaServer, tmp_path: Path) -> None:
    """As the daemon opens it, a reader sees nothing of a server that is back soon."""
    plain = NfsSubject(server, tmp_path.name)
    plain.put("file.flac", LARGE)
    origin = registry.open_origin(server.settings(tmp_path.name))
    (entry,) = [file for folder in origin.list() for file in folder.files]
    server.kill()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(origin.read, "file.flac", 0, len(LARGE), entry.version)
        server.start()
        assert reading.result(20) == LARGE
    origin.close()
    plain.origin.close()


def test_killed_in_the_middle_of_reads(subject: NfsSubject, server: GaneshaServer) -> None:
    subject.put("a/file.flac", LARGE)
    (entry,) = [file for folder in subject.origin.list() for file in folder.files]
    failures: list[UnreachableError] = []
    stop = threading.Event()
    reads = [0] * 8

    def read(number: int) -> None:
        rng = random.Random(number)
        while not stop.is_set():
            start = rng.randrange(len(LARGE) - 1_500_000)
            try:
                assert (
                    subject.origin.read(entry.path, start, start + 1_500_000, entry.version)
                    == LARGE[start : start + 1_500_000]
                )
                reads[number] += 1
            except UnreachableError as error:
                failures.append(error)
                stop.wait(0.01)

    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read, number) for number in range(8)]
        try:
            for _ in range(2):
                _wait(lambda: min(reads) > 0)
                server.kill()
                _wait(lambda: len(failures) > 0)
                server.start()
                reads[:] = [0] * 8
                _wait(lambda: min(reads) > 0)
                failures.clear()
        finally:
            stop.set()
        for done in reading:
            done.result()


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_paused(subject: NfsSubject, server: GaneshaServer) -> None:
    """Known connections wait for an answer, new ones are even accepted: all fail in time, and nothing stays behind."""
    subject.put("file.flac", LARGE)
    (entry,) = [file for folder in subject.origin.list() for file in folder.files]
    threads = threading.active_count()

    def read(_: int) -> float:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"does not answer within 1 s"):
            subject.origin.read(entry.path, 0, 2_000_000, entry.version)
        return time.monotonic() - started

    server.pause()
    try:
        with ThreadPoolExecutor(40) as pool:  # more than there are connections
            waited_s = list(pool.map(read, range(40)))
        started = time.monotonic()
        with pytest.raises(UnreachableError):
            list(subject.origin.list())
        waited_s.append(time.monotonic() - started)
    finally:
        server.resume()
    assert max(waited_s) < 2 * SHORT_S + 1  # one for a connection, one for the answer
    assert threading.active_count() == threads
    assert subject.origin.read(entry.path, 0, 2_000_000, entry.version) == LARGE[:2_000_000]
    subject.origin.check()


def test_a_line_that_is_cut(server: GaneshaServer, tmp_path: Path) -> None:
    """In the middle of an answer, again and again: the range comes whole or not at all, and then it comes."""
    plain = NfsSubject(server, tmp_path.name)
    plain.put("file.flac", LARGE)
    with CountingProxy(server.port) as proxy:
        origin = open_origin(msgspec.structs.replace(server.settings(tmp_path.name), port=proxy.port))
        (entry,) = [file for folder in origin.list() for file in folder.files]
        for after_bytes in (1, 100, 100_000, 1_048_700, 2_900_000):
            proxy.cut()
            proxy.refuse()
            with pytest.raises(UnreachableError):
                origin.read("file.flac", 0, len(LARGE), entry.version)
            proxy.resume()
            proxy.cut_after(after_bytes)
            with pytest.raises(UnreachableError):
                origin.read("file.flac", 0, len(LARGE), entry.version)
            assert origin.read("file.flac", 0, len(LARGE), entry.version) == LARGE
            proxy.cut()  # a connection that is idle: nobody notices
            assert origin.read("file.flac", 0, len(LARGE), entry.version) == LARGE
        origin.close()
    plain.origin.close()


def test_close_ends_what_is_under_way(server: GaneshaServer, tmp_path: Path) -> None:
    subject = NfsSubject(server, tmp_path.name, server.settings(tmp_path.name, timeout_s=60))
    subject.put("file.flac", b"1")
    subject.origin.check()
    server.pause()
    try:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(subject.origin.read, "file.flac", 0, 1, "")
            time.sleep(0.05)  # closing before the call is sent ends it too
            subject.origin.close()
            with pytest.raises(UnreachableError):
                reading.result(10)
    finally:
        server.resume()
    with pytest.raises(UnreachableError, match="is closed"):
        subject.origin.check()


# Cost


def test_round_trips(server: GaneshaServer, tmp_path: Path) -> None:
    plain = NfsSubject(server, tmp_path.name)
    for number in range(1, 5):
        plain.put(f"Artist/Album/Disc/{number}.flac", b"12345")
    first, second, third, fourth = [entry for folder in plain.origin.list() for entry in folder.files]
    with CountingProxy(server.port) as proxy:
        origin = open_origin(msgspec.structs.replace(server.settings(tmp_path.name), port=proxy.port))

        def cost(action: Callable[[], object]) -> int:
            proxy.reset()
            action()
            return proxy.snapshot().turns

        assert cost(lambda: origin.stat(first.path)) == 1 + 5  # the server's limits, then name after name
        assert cost(lambda: origin.stat(second.path)) == 1  # every name on the way at once
        assert cost(lambda: origin.read(third.path, 0, 5, third.version)) == 2  # find it, read it
        assert cost(lambda: origin.read(third.path, 1, 4, third.version)) == 1
        assert cost(lambda: origin.read(second.path, 1, 4, second.version)) == 1  # known from stat
        assert cost(lambda: origin.read(second.path, 0, 5, "")) == 2
        assert cost(lambda: list(origin.list())) == 1 + 4  # the root is proven; each folder is one page
        assert cost(lambda: origin.read(fourth.path, 0, 5, fourth.version)) == 1  # known from the listing
        origin.close()
    plain.origin.close()


def test_many_threads_and_nothing_left(server: GaneshaServer, tmp_path: Path) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    subject = NfsSubject(server, tmp_path.name)
    data = {f"{number}/file.flac": random.Random(number).randbytes(700_000) for number in range(8)}
    for path, content in data.items():
        subject.put(path, content)
    versions = {entry.path: entry.version for folder in subject.origin.list() for entry in folder.files}

    def read(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(30):
            path = rng.choice(sorted(data))
            start = rng.randrange(700_000)
            stop = rng.randrange(start, 700_001)
            assert subject.origin.read(path, start, stop, versions[path]) == data[path][start:stop]

    with ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(read, seed) for seed in range(32)]:
            done.result()
    assert len(os.listdir("/proc/self/fd")) > descriptors
    subject.origin.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() == threads


def test_throughput(subject: NfsSubject, record_testsuite_property: Callable[[str, object], None]) -> None:
    """For the record: megabytes a second, and files a second of a listing."""
    size = 64 << 20
    subject.put("large.flac", os.urandom(size))
    for number in range(2000):
        (subject.path / f"{number}.flac").touch()
    started = time.monotonic()
    (root,) = subject.origin.list()
    record_testsuite_property("listed_per_s", round(len(root.files) / (time.monotonic() - started)))
    version = next(entry.version for entry in root.files if entry.path == "large.flac")
    for name, step in (
        ("sequential_mb_per_s", 4 << 20),
        ("blocks_256k_mb_per_s", 1 << 18),
        ("blocks_64k_mb_per_s", 1 << 16),
    ):
        offsets = range(0, size, step)
        started = time.monotonic()
        for start in offsets:
            assert len(subject.origin.read("large.flac", start, start + step, version)) == step
        record_testsuite_property(name, round(size / 1e6 / (time.monotonic() - started)))
