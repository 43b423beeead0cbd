"""The SMB origin when the server dies, hangs, is far away, or has its files changed under it."""

from __future__ import annotations

import gc
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ChangedError, GoneError, OriginError, UnreachableError
from musicfs.origins.smb import SmbOrigin, open_smb_origin
from musicfs.origins.smb_messages import credits_of, echo, list_folder, read_file
from musicfs.testing.proxy import CountingProxy
from tests.servers.samba import USER, SambaServer

MIB = 1 << 20
TIMEOUT_S = 0.5
MARGIN_S = 3.0  # a loaded machine; what is held here is that it ends at all, and long before the library's own 60 s
DELAY_S = 0.025

Opener = Callable[..., SmbOrigin]


@pytest.fixture(scope="module")
def server() -> Iterator[SambaServer]:
    server = SambaServer()
    server.reveal_password()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def folder(server: SambaServer, tmp_path: Path) -> Path:
    """A folder of the share for one test."""
    folder = server.root / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def open_origin(server: SambaServer, folder: Path) -> Iterator[Opener]:
    """Open an origin on the test's folder: ``open_origin(port=, timeout_s=)``."""
    opened: list[SmbOrigin] = []

    def open_and_remember(*, port: int = 0, timeout_s: float = 5.0) -> SmbOrigin:
        settings: OriginSettings = server.settings(path=folder.name, port=port, timeout_s=timeout_s)
        opened.append(open_smb_origin(settings, anchor=b"", debounce_s=0.3))
        return opened[-1]

    yield open_and_remember
    for origin in opened:
        origin.close()


# Outages


def test_killed_and_restarted_between_calls(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "file.flac").write_bytes(b"12345")
    origin = open_origin()
    version = _version(origin, "file.flac")
    assert origin.read("file.flac", 0, 5, version) == b"12345"
    server.kill()
    try:
        for call in _calls(origin):
            with pytest.raises(UnreachableError):
                call()
    finally:
        server.start()
    origin.check()
    assert origin.read("file.flac", 0, 5, version) == b"12345"
    assert _version(origin, "file.flac") == version


def test_killed_while_reading(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    data = random.Random(1).randbytes(32 * MIB)
    (folder / "large.flac").write_bytes(data)
    origin = open_origin()
    version = _version(origin, "large.flac")
    stop = threading.Event()
    failures: list[UnreachableError] = []

    def read() -> int:
        count = 0
        while not stop.is_set():
            try:
                assert origin.read("large.flac", 0, len(data), version) == data
                count += 1
            except UnreachableError as error:
                failures.append(error)
                stop.wait(0.05)
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for _ in range(3):
                stop.wait(0.3)
                server.kill()
                server.start()
            stop.wait(0.3)
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert failures
    assert origin.read("large.flac", 0, len(data), version) == data


def test_a_server_that_hangs(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "file.flac").write_bytes(b"1")
    (folder / "large.flac").write_bytes(bytes(16 * MIB))
    fresh, used = open_origin(timeout_s=TIMEOUT_S), open_origin(timeout_s=TIMEOUT_S)
    assert used.read("below/file.flac", 0, 1, "") == b"1"
    listing = used.list()
    assert isinstance(listing, Generator)
    next(listing)
    server.pause()
    try:
        calls: list[Callable[[], object]] = [
            *_calls(used),
            *_calls(fresh),
            lambda: used.read("large.flac", 0, 16 * MIB, ""),
        ]
        for call in calls:
            began = time.monotonic()
            with pytest.raises(UnreachableError):
                call()
            assert time.monotonic() - began < TIMEOUT_S + MARGIN_S
    finally:
        server.resume()
    listing.close()
    for origin in (fresh, used):
        origin.check()
        assert origin.read("below/file.flac", 0, 1, "") == b"1"


def test_many_callers_of_a_server_that_hangs(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    """One of them connects, and all hear of the failure: they do not queue up for a timeout each."""
    origin = open_origin(timeout_s=TIMEOUT_S)
    server.pause()
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(origin.check) for _ in range(16)]:
                with pytest.raises(UnreachableError):
                    done.result()
        assert time.monotonic() - began < 2 * TIMEOUT_S + MARGIN_S
    finally:
        server.resume()
    origin.check()


def test_close_while_the_server_hangs(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    origin = open_origin(timeout_s=30.0)
    origin.check()
    server.pause()
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(origin.check)
            time.sleep(0.1)  # it waits for its answer by now; if not yet, it is told that the origin is closed
            origin.close()
            with pytest.raises(UnreachableError):
                waiting.result(MARGIN_S)
    finally:
        server.resume()


def test_a_port_where_nothing_or_something_else_listens(server: SambaServer, open_origin: Opener) -> None:
    with CountingProxy(server.port) as proxy:
        closed_port = proxy.port
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 cannot be reached: Connection refused"):
        open_origin(port=closed_port).check()
    with CountingProxy(server.port) as proxy:
        proxy.refuse()
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
            open_origin(port=proxy.port).check()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\x04\xffSMB",
        b"\0\0\0\x40" + bytes(64),
        b"\0\0\0\x40\xfeSMB" + b"\xff" * 60,
    ],
)
def test_something_else_listens(answer: bytes, open_origin: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        serving = pool.submit(serve)
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
            open_origin(port=listener.getsockname()[1], timeout_s=TIMEOUT_S).check()
        serving.result()


def test_a_line_that_breaks_inside_an_answer(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    data = random.Random(2).randbytes(8 * MIB)
    (folder / "file.flac").write_bytes(data)
    with CountingProxy(server.port) as proxy:
        origin = open_origin(port=proxy.port)
        version = _version(origin, "file.flac")
        for n_bytes in (1, 100, 70_000, 3 * MIB):
            origin.check()
            proxy.cut_after(n_bytes)
            with pytest.raises(UnreachableError):
                origin.read("file.flac", 0, len(data), version)
            assert origin.read("file.flac", 0, len(data), version) == data


# Files that change


def test_a_file_replaced_after_it_was_read(folder: Path, open_origin: Opener) -> None:
    path = folder / "file.flac"
    path.write_bytes(b"old")
    origin = open_origin()
    old = _version(origin, "file.flac")
    assert origin.read("file.flac", 0, 3, old) == b"old"
    (folder / "new").write_bytes(b"newer")
    (folder / "new").replace(path)
    with pytest.raises(ChangedError):
        origin.read("file.flac", 0, 3, old)
    assert origin.read("file.flac", 0, 5, _version(origin, "file.flac")) == b"newer"
    assert origin.read("file.flac", 0, 5, "") == b"newer"


def test_a_file_truncated_grown_and_removed_after_it_was_read(folder: Path, open_origin: Opener) -> None:
    path = folder / "file.flac"
    path.write_bytes(b"12345")
    origin = open_origin()
    version = _version(origin, "file.flac")
    assert origin.read("file.flac", 0, 5, version) == b"12345"
    os.truncate(path, 2)
    for asked in (version, ""):
        with pytest.raises(ChangedError):
            origin.read("file.flac", 0, 5, asked)
    with path.open("ab") as file:
        file.write(b"67890")
    assert origin.read("file.flac", 0, 7, "") == b"1267890"
    path.unlink()
    for asked in (version, ""):
        with pytest.raises(GoneError):
            origin.read("file.flac", 0, 1, asked)


@pytest.mark.parametrize("how", ["rewritten", "truncated", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_read(how: str, server: SambaServer, folder: Path, open_origin: Opener) -> None:
    """The change happens while the last parts have not even been asked for: bytes of two versions are never mixed."""
    path = folder / "file.flac"
    old = bytes(64 * MIB)
    path.write_bytes(old)
    os.utime(path, (1e9, 1e9))
    with CountingProxy(server.port, bytes_per_s=64 * MIB) as proxy, ThreadPoolExecutor(1) as pool:
        origin = open_origin(port=proxy.port)
        version = _version(origin, "file.flac")
        proxy.reset()
        reading = pool.submit(origin.read, "file.flac", 0, len(old), version)
        while proxy.snapshot().to_client_bytes < 4 * MIB and not reading.done():
            time.sleep(0.001)
        assert not reading.done()
        if how == "rewritten":
            with path.open("r+b") as file:
                file.write(b"\1" * len(old))
        elif how == "truncated":
            os.truncate(path, 10 * MIB)
        elif how == "replaced":
            (folder / "new").write_bytes(b"\1" * len(old))
            (folder / "new").replace(path)
        else:
            path.unlink()
        expected = GoneError if how == "removed" else ChangedError
        with pytest.raises(expected):
            reading.result()
        with pytest.raises(expected):
            origin.read("file.flac", 0, 1, version)


# Many at once


def test_many_threads_and_many_files(folder: Path, open_origin: Opener) -> None:
    files = {f"{number}.flac": random.Random(number).randbytes(200_000) for number in range(100)}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    origin = open_origin(timeout_s=20.0)
    versions = {entry.path: entry.version for listed in origin.list() for entry in listed.files}

    def read(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(30):
            name = rng.choice(sorted(files))
            start = rng.randrange(200_000)
            stop = rng.randrange(start, 200_001)
            assert origin.read(name, start, stop, versions[name]) == files[name][start:stop]

    with ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(read, seed) for seed in range(32)]:
            done.result()


def test_many_callers_make_few_connections(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    with CountingProxy(server.port, delay_s=DELAY_S) as proxy:
        origin = open_origin(port=proxy.port)
        with ThreadPoolExecutor(32) as pool:
            for done in [pool.submit(origin.check) for _ in range(64)]:
                done.result()
        assert proxy.snapshot().connections == 1


# Round trips


def test_round_trips(server: SambaServer, folder: Path, open_origin: Opener) -> None:
    for number in range(12):
        (folder / f"album {number}").mkdir()
        (folder / f"album {number}" / "1.flac").write_bytes(bytes(300_000))
    (folder / "long.flac").write_bytes(bytes(6 * MIB))

    with CountingProxy(server.port, delay_s=DELAY_S) as proxy:
        origin = open_origin(port=proxy.port)

        def turns(call: Callable[[], object]) -> int:
            proxy.reset()
            call()
            return proxy.snapshot().turns

        assert turns(origin.check) <= 6  # negotiate, two for the logon, enter the share, the check itself
        assert turns(lambda: origin.stat("album 1/1.flac")) == 1
        assert turns(lambda: origin.read("album 1/1.flac", 0, 65_536, "")) == 1
        assert turns(lambda: origin.read("album 1/1.flac", 65_536, 131_072, "")) == 1
        assert turns(lambda: next(origin.list("album 2"))) == 1
        assert turns(lambda: list(origin.list())) == 2  # the root, and then all albums
        assert turns(lambda: origin.read("long.flac", 0, 6 * MIB, "")) == 1


# Leaks


def test_close_leaves_nothing(server: SambaServer, folder: Path) -> None:
    (folder / "file.flac").write_bytes(bytes(3 * MIB))
    settings = server.settings(path=folder.name)
    gc.collect()
    threads, descriptors = set(threading.enumerate()), _descriptors()
    for _ in range(3):
        origin = open_smb_origin(settings, anchor=b"", debounce_s=0.3)
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(origin.read, "file.flac", 0, 3 * MIB, "") for _ in range(16)]:
                done.result()
        listing = origin.list()
        assert isinstance(listing, Generator)
        next(listing)
        origin.close()
        listing.close()
        with pytest.raises(UnreachableError, match="closed"):
            origin.check()
    for name in ("wrong share", "wrong password"):
        broken = (
            server.settings(share="nowhere") if name == "wrong share" else server.settings(username=USER, password="")
        )
        origin = open_smb_origin(broken, anchor=b"", debounce_s=0.3)
        with pytest.raises(OriginError):
            origin.check()
        origin.close()
    assert set(threading.enumerate()) == threads
    assert _descriptors() == descriptors


def test_a_quiet_connection_is_asked_whether_it_lives(
    server: SambaServer, folder: Path, open_origin: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicfs.origins.smb_pool.PING_AFTER_S", 0.0)
    monkeypatch.setattr("musicfs.origins.smb_pool.PING_INTERVAL_S", 0.05)
    with CountingProxy(server.port) as proxy:
        origin = open_origin(port=proxy.port, timeout_s=TIMEOUT_S)
        origin.check()
        proxy.reset()
        deadline = time.monotonic() + 10.0
        while not proxy.snapshot().turns and time.monotonic() < deadline:
            time.sleep(0.05)
        assert proxy.snapshot().turns
        proxy.stall()
        while proxy.live and time.monotonic() < deadline:  # given up while nobody waits for it
            time.sleep(0.05)
            if not origin._pool._connections[0].alive:
                break
        proxy.resume()
        origin.check()


def test_credits() -> None:
    sizes = {1: 1, 65_536: 1, 65_537: 2, MIB: 16, MIB + 1: 17}
    for size_bytes, charge in sizes.items():
        assert credits_of(read_file(0, size_bytes)) == charge
        assert credits_of(list_folder(size_bytes)) == charge
    assert credits_of(echo()) == 1


def _version(origin: SmbOrigin, path: str) -> str:
    entry = origin.stat(path)
    assert entry is not None
    return entry.version


def _calls(origin: SmbOrigin) -> list[Callable[[], object]]:
    return [
        origin.check,
        lambda: list(origin.list()),
        lambda: origin.stat("below/file.flac"),
        lambda: origin.read("below/file.flac", 0, 1, ""),
        lambda: origin.read("file.flac", 0, 1, ""),
    ]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
