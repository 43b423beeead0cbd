"""The sftp origin against a real OpenSSH server: the suite, what it lists, what it reads, and what that costs."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.origins.contract import Folder
from musicfs.origins.registry import open_origin as open_origin_of_any_kind
from musicfs.origins.sftp import SftpOrigin, open_sftp_origin
from musicfs.testing.origin_suite import OriginSuite, Subject
from musicfs.testing.proxy import CountingProxy
from tests.origins.subjects import FolderSubject
from tests.servers.sshd import Sshd

DELAY_S = 0.025  # each way

Open = Callable[..., SftpOrigin]


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def folder(sshd: Sshd, tmp_path: Path) -> Path:
    """A folder of the server's, empty."""
    folder = sshd.root / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def open_origin(sshd: Sshd, folder: Path) -> Iterator[Open]:
    """Opens origins on the folder, with other settings as keywords; all are closed."""
    opened: list[SftpOrigin] = []

    def open_and_remember(**changes: object) -> SftpOrigin:
        settings = sshd.settings(**({"path": folder} | changes))  # type: ignore[arg-type]  # keywords by name
        opened.append(open_sftp_origin(settings, anchor=b"", debounce_s=0.05))
        return opened[-1]

    yield open_and_remember
    for origin in opened:
        origin.close()


@pytest.fixture
def proxy(sshd: Sshd) -> Iterator[CountingProxy]:
    """The same server, far away."""
    with CountingProxy(sshd.port, delay_s=DELAY_S) as proxy:
        sshd.trust_port(proxy.port)
        yield proxy


class TestSftp(OriginSuite):
    @pytest.fixture(autouse=True)
    def _use(self, sshd: Sshd) -> None:
        self.sshd = sshd

    def open_subject(self, tmp_path: Path) -> Subject:
        folder = self.sshd.root / tmp_path.name
        origin = open_sftp_origin(self.sshd.settings(path=folder), anchor=b"", debounce_s=0.05)
        return FolderSubject(folder, origin)


class TestSftpAsConfigured(OriginSuite):
    """From the registry, in its wrappers; the configured path is a symbolic link."""

    @pytest.fixture(autouse=True)
    def _use(self, sshd: Sshd) -> None:
        self.sshd = sshd

    def open_subject(self, tmp_path: Path) -> Subject:
        real = self.sshd.root / f"{tmp_path.name} real"
        link = self.sshd.root / tmp_path.name
        real.mkdir()
        link.symlink_to(real.name)
        return FolderSubject(link, open_origin_of_any_kind(self.sshd.settings(path=link)))


def test_opening_neither_connects_nor_imports_what_connects() -> None:
    script = (
        "import sys, threading\n"
        "from musicfs.config.settings import OriginSettings\n"
        "from musicfs.origins.registry import open_origin\n"
        "origin = open_origin(OriginSettings(id='far', origin_type='sftp', host='192.0.2.1', path='/music'))\n"
        "assert not {'asyncssh', 'asyncio'} & set(sys.modules)\n"
        "assert threading.active_count() == 1\n"
        "origin.close()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# Listing


def _listed(origin: SftpOrigin, prefix: str = "") -> dict[str, Folder]:
    return {folder.path: folder for folder in origin.list(prefix)}


def test_links_and_special_files(folder: Path, open_origin: Open) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "file.flac").write_bytes(b"inside")
    (folder.parent / f"{folder.name} outside.flac").write_bytes(b"outside")
    (folder / "z inside.flac").symlink_to("a/file.flac")
    (folder / "absolute.flac").symlink_to(folder / "a" / "file.flac")
    (folder / "outside.flac").symlink_to(f"../{folder.name} outside.flac")
    (folder / "broken.flac").symlink_to("nowhere")
    (folder / "loop.flac").symlink_to("loop.flac")
    (folder / "folder").symlink_to("a")
    (folder / "up").symlink_to(".")
    os.mkfifo(folder / "fifo.flac")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "s"))
        origin = open_origin()
        listed = _listed(origin)
    assert set(listed) == {"", "a"}
    root = listed[""]
    assert root.complete
    assert [entry.path for entry in root.files] == ["absolute.flac", "z inside.flac"]
    assert dict(root.skipped) == {
        "outside.flac": "a link that leaves the origin",
        "broken.flac": "a broken link",
        "loop.flac": "a broken link",
        "folder": "a link to a folder",
        "up": "a link that leaves the origin",  # to its root, which is not inside
        "fifo.flac": "a FIFO",
        "s": "a socket",
    }
    for entry in root.files:
        assert origin.stat(entry.path) == entry
        assert origin.read(entry.path, 0, 6, entry.version) == b"inside"
    inside = listed["a"].files[0]
    for path in (*dict(root.skipped), "folder/file.flac", "up/a/file.flac"):
        assert origin.stat(path) is None, path
        with pytest.raises(GoneError):
            origin.read(path, 0, 1, "")
    for path in ("folder/file.flac", "outside.flac"):
        with pytest.raises(GoneError):  # also when a listing had seen a file there
            origin.read(path, 0, 1, inside.version)
    with pytest.raises(GoneError):
        list(origin.list("folder"))


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["unreadable", "not searchable"])
def test_a_folder_without_permission_is_incomplete(folder: Path, open_origin: Open, mode: int) -> None:
    for name in ("closed", "open"):
        (folder / name).mkdir()
        (folder / name / "file.flac").write_bytes(b"1")
    (folder / "closed").chmod(mode)
    listed = _listed(open_origin())
    (folder / "closed").chmod(0o755)
    assert not listed["closed"].complete
    assert listed["closed"].skipped
    assert listed["open"].complete
    assert len(listed["open"].files) == 1
    assert listed[""].complete


def test_a_file_without_permission_is_denied(folder: Path, open_origin: Open) -> None:
    (folder / "file.flac").write_bytes(b"1")
    (folder / "file.flac").chmod(0)
    origin = open_origin()
    entry = origin.stat("file.flac")
    assert entry is not None
    with pytest.raises(DeniedError, match=r"file\.flac"):
        origin.read("file.flac", 0, 1, entry.version)


def test_globs_and_junk(folder: Path, open_origin: Open) -> None:
    for path in ("Music/a.flac", "Music/b.txt", "Podcasts/c.flac", "@eaDir/d.flac", "Music/.DS_Store"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"1")
    origin = open_origin(include=("*.flac",), exclude=("Podcasts/**",))
    listed = _listed(origin)
    assert [entry.path for each in listed.values() for entry in each.files] == ["Music/a.flac"]
    assert "@eaDir" not in listed
    for path in ("Music/b.txt", "Podcasts/c.flac", "@eaDir/d.flac", "Music/.DS_Store"):
        assert origin.stat(path) is None
    with pytest.raises(GoneError):
        list(origin.list("@eaDir"))


@pytest.mark.parametrize("path", ["nowhere", "file"])
def test_a_root_that_is_no_folder_proves_nothing_gone(folder: Path, open_origin: Open, path: str) -> None:
    (folder / "file").write_bytes(b"1")
    origin = open_origin(path=folder / path)
    asks: list[Callable[[], object]] = [
        origin.check,
        lambda: list(origin.list()),
        lambda: list(origin.list("a")),
        lambda: origin.stat("a.flac"),
        lambda: origin.read("a.flac", 0, 1, ""),
        lambda: origin.read("a.flac", 0, 1, "1-1"),
    ]
    for ask in asks:
        with pytest.raises(UnreachableError, match=str(folder / path)) as caught:
            ask()
        assert caught.value.remedy


def test_a_root_that_may_not_be_read_is_denied(folder: Path, open_origin: Open) -> None:
    folder.chmod(0)
    try:
        for ask in (open_origin().check, lambda: list(open_origin().list())):
            with pytest.raises(DeniedError):
                ask()
    finally:
        folder.chmod(0o755)


def test_a_relative_path_begins_where_the_login_does(sshd: Sshd, open_origin: Open) -> None:
    home = Path(os.path.expanduser(f"~{sshd.user}"))
    start = home if home.is_dir() else Path("/")  # where sshd begins if there is no such folder
    origin = open_origin(path=os.path.relpath(sshd.root, start))
    origin.check()
    assert next(origin.list()).path == ""


# Reading


def test_a_replaced_file_is_one_version_or_the_other(folder: Path, open_origin: Open) -> None:
    """An open file is the old version as long as it is open, and never taken for the new one."""
    path = folder / "file.flac"
    path.write_bytes(b"old" * 100)
    origin = open_origin()
    old = origin.stat("file.flac")
    assert old is not None
    assert origin.read("file.flac", 0, 3, old.version) == b"old"
    (folder / "new").write_bytes(b"new" * 200)
    (folder / "new").rename(path)
    assert origin.read("file.flac", 3, 6, old.version) == b"old"
    new = origin.stat("file.flac")
    assert new is not None
    assert origin.read("file.flac", 0, 600, new.version) == b"new" * 200
    assert origin.read("file.flac", 0, 3, "") == b"new"


def test_an_edit_in_place_is_seen_through_an_open_file(folder: Path, open_origin: Open) -> None:
    path = folder / "file.flac"
    path.write_bytes(b"a" * 1000)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    origin = open_origin()
    entry = origin.stat("file.flac")
    assert entry is not None
    assert origin.read("file.flac", 0, 1000, entry.version) == b"a" * 1000
    with path.open("r+b") as file:
        file.write(b"b")
    with pytest.raises(ChangedError):
        origin.read("file.flac", 500, 510, entry.version)
    os.truncate(path, 10)
    with pytest.raises(ChangedError):
        origin.read("file.flac", 500, 510, entry.version)
    assert origin.read("file.flac", 0, 10, "") == b"b" + b"a" * 9


def test_versions_are_never_mixed(folder: Path, open_origin: Open) -> None:
    """While a writer replaces and edits the file, every read is of a single state of it."""
    path, size = folder / "file.flac", 1_000_000
    stop = threading.Event()

    def write() -> None:
        mtime_s = 1_600_000_000
        while not stop.is_set():
            for replace in (True, False):
                mtime_s += 1
                target = folder / "new" if replace else path
                with target.open("wb" if replace else "r+b") as file:
                    os.utime(file.fileno(), (mtime_s, mtime_s))
                    for _ in range(10):
                        file.write(bytes([mtime_s % 256]) * (size // 10))
                    file.flush()
                    os.utime(file.fileno(), (mtime_s, mtime_s))
                if replace:
                    target.rename(path)
                time.sleep(0.005)

    path.write_bytes(b"\0" * size)
    origin = open_origin()
    good = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        deadline = time.monotonic() + 20
        try:
            while good < 20:
                assert time.monotonic() < deadline
                entry = origin.stat("file.flac")
                assert entry is not None
                try:
                    data = origin.read("file.flac", 0, entry.size, entry.version)
                except ChangedError:
                    continue
                assert data == data[:1] * entry.size
                good += 1
        finally:
            stop.set()
        writing.result()


def test_more_files_than_are_kept_open(
    sshd: Sshd, folder: Path, open_origin: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicfs.origins import sftp_handles

    monkeypatch.setattr(sftp_handles, "IDLE_S", 2.0)
    for number in range(200):
        (folder / f"{number:03d}").write_bytes(b"%03d" % number)
    origin = open_origin()
    versions = {entry.path: entry.version for entry in next(origin.list()).files}
    with ThreadPoolExecutor(32) as pool:
        for _ in range(3):
            read = list(pool.map(lambda path: origin.read(path, 0, 3, versions[path]), versions))
            assert read == [path.encode() for path in versions]
    origin.stat("000")
    assert 0 < len(sshd.open_files(folder)) <= sftp_handles.MAX_OPEN_FILES
    time_limit = time.monotonic() + 20
    while sshd.open_files(folder):  # nobody reads any more
        assert time.monotonic() < time_limit
        time.sleep(0.05)
    assert origin.read("000", 0, 3, versions["000"]) == b"000"


def test_many_threads_share_one_connection(folder: Path, open_origin: Open, proxy: CountingProxy) -> None:
    data = random.Random(1).randbytes(4_000_000)
    (folder / "large.flac").write_bytes(data)
    origin = open_origin(port=proxy.port)

    def read(seed: int) -> None:
        rng = random.Random(seed)
        entry = origin.stat("large.flac")
        assert entry is not None
        for _ in range(10):
            start = rng.randrange(len(data))
            stop = min(len(data), start + rng.randrange(500_000))
            assert origin.read("large.flac", start, stop, entry.version) == data[start:stop]

    with ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(read, seed) for seed in range(32)]:
            done.result()
    assert proxy.snapshot().connections == 1


# What it costs


def test_round_trips(folder: Path, open_origin: Open, proxy: CountingProxy) -> None:
    (folder / "a").mkdir()
    for name in ("one", "two"):
        (folder / "a" / name).write_bytes(random.Random(1).randbytes(3_000_000))
    origin = open_origin(port=proxy.port)
    versions = {entry.path: entry.version for each in origin.list() for entry in each.files}

    def turns(ask: Callable[[], object]) -> int:
        origin.stat("a/one")  # the answers to what nobody waited for, like closing a folder, are in when this is
        proxy.reset()
        ask()
        return proxy.snapshot().turns

    assert turns(lambda: origin.read("a/one", 0, 262_144, versions["a/one"])) == 2
    assert turns(lambda: origin.read("a/one", 262_144, 524_288, versions["a/one"])) == 1
    assert turns(lambda: origin.read("a/two", 0, 1000, "")) == 3
    assert turns(lambda: origin.read("a/two", 0, 1000, versions["a/two"])) == 1
    assert turns(lambda: origin.stat("a/one")) == 1
    assert turns(lambda: origin.stat("a/missing")) == 2


def test_a_walk_over_many_folders_does_not_wait_for_each(folder: Path, open_origin: Open, proxy: CountingProxy) -> None:
    paths = [f"{outer:02d}/{inner:02d}" for outer in range(20) for inner in range(20)]
    for path in paths:
        (folder / path).mkdir(parents=True)
        (folder / path / "file.flac").write_bytes(b"1")
    origin = open_origin(port=proxy.port)
    origin.check()
    proxy.reset()
    listed = list(origin.list())
    assert [each.path for each in listed] == sorted(["", *(f"{outer:02d}" for outer in range(20)), *paths])
    assert sum(len(each.files) for each in listed) == 400
    assert proxy.snapshot().turns <= 60  # one by one it would be 842
    proxy.reset()
    next(origin.list("00"))
    assert proxy.snapshot().turns <= 2  # a single folder costs a single folder


def test_a_listing_that_is_slow_to_be_read_stays_bounded(
    folder: Path, open_origin: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicfs.origins import sftp_listing

    for number in range(100):
        (folder / f"{number:02d}").mkdir()
        for name in range(5):
            (folder / f"{number:02d}" / f"{name}").write_bytes(b"")
    monkeypatch.setattr(sftp_listing, "MAX_ENTRIES_AHEAD", 30)
    monkeypatch.setattr(sftp_listing, "MAX_FOLDERS_AT_ONCE", 4)
    assert [each.path for each in open_origin().list()] == ["", *(f"{number:02d}" for number in range(100))]


def test_nothing_is_left_after_close(folder: Path, open_origin: Open, sshd: Sshd) -> None:
    (folder / "file.flac").write_bytes(b"1")
    open_origin().check()  # what is made once in a process is made now

    def held() -> tuple[list[str], int]:
        others = set(threading.enumerate()) - known
        return [thread.name for thread in others], len(os.listdir("/proc/self/fd"))

    time_limit = time.monotonic() + 10
    known = set(threading.enumerate())
    before = held()
    for _ in range(3):
        origin = open_origin()
        listing = origin.list()
        next(listing)
        assert origin.read("file.flac", 0, 1, "") == b"1"
        origin.close()
        with pytest.raises(UnreachableError):
            origin.read("file.flac", 0, 1, "")
        with pytest.raises(OriginError):
            list(listing)
    while held() != before:  # a pool's threads end just after it says so
        assert time.monotonic() < time_limit, (before, held())
        time.sleep(0.01)
