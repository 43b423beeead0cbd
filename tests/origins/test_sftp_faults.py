"""The sftp origin while its server is killed, paused, cut off, or no ssh server at all."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from musicfs.errors import GoneError, OriginError, UnreachableError
from musicfs.origins.sftp import SftpOrigin, open_sftp_origin
from musicfs.testing.proxy import CountingProxy
from tests.servers.sshd import Sshd

TIMEOUT_S = 2.0
SLACK_S = 3.0  # machines are busy
SIZE_BYTES = 8_000_000
DATA = random.Random(1).randbytes(SIZE_BYTES)


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    server = Sshd()
    (server.root / "large.flac").write_bytes(DATA)
    server.start()
    yield server
    server.resume()
    server.stop()


@pytest.fixture
def proxy(sshd: Sshd) -> Iterator[CountingProxy]:
    with CountingProxy(sshd.port, bytes_per_s=20_000_000) as proxy:
        sshd.trust_port(proxy.port)
        yield proxy


@contextlib.contextmanager
def opened(sshd: Sshd, **changes: object) -> Iterator[SftpOrigin]:
    settings = sshd.settings(**({"timeout_s": TIMEOUT_S} | changes))  # type: ignore[arg-type]  # keywords by name
    origin = open_sftp_origin(settings, anchor=b"", debounce_s=0.05)
    try:
        yield origin
    finally:
        origin.close()


def _read_all(origin: SftpOrigin) -> None:
    entry = origin.stat("large.flac")
    assert entry is not None
    assert origin.read("large.flac", 0, SIZE_BYTES, entry.version) == DATA


def _seconds_until_unreachable(ask: Callable[[], object]) -> float:
    start = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        ask()
    assert caught.value.retryable
    assert "sftp" in str(caught.value)
    assert caught.value.remedy
    return time.monotonic() - start


def test_killed_between_reads(sshd: Sshd) -> None:
    with opened(sshd) as origin:
        _read_all(origin)
        for _ in range(2):
            sshd.kill()
            for ask in (lambda: _read_all(origin), origin.check, lambda: list(origin.list())):
                assert _seconds_until_unreachable(ask) < TIMEOUT_S + SLACK_S
            sshd.start()
            _read_all(origin)


def test_killed_in_the_middle_of_a_read(sshd: Sshd, proxy: CountingProxy) -> None:
    with opened(sshd, port=proxy.port) as origin, ThreadPoolExecutor(1) as pool:
        origin.check()
        proxy.reset()
        reading = pool.submit(_read_all, origin)
        deadline = time.monotonic() + 10
        while proxy.snapshot().to_client_bytes < SIZE_BYTES // 10:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        sshd.kill()
        assert _seconds_until_unreachable(reading.result) < TIMEOUT_S + SLACK_S
        sshd.start()
        _read_all(origin)


@pytest.mark.parametrize("n_bytes", [1, 1000, 2_000_000, 7_999_999])
def test_cut_in_the_middle_of_a_read(sshd: Sshd, proxy: CountingProxy, n_bytes: int) -> None:
    with opened(sshd, port=proxy.port) as origin:
        _read_all(origin)
        proxy.cut_after(n_bytes)
        assert _seconds_until_unreachable(lambda: _read_all(origin)) < TIMEOUT_S + SLACK_S
        _read_all(origin)
        assert proxy.snapshot().connections == 2


def test_cut_at_any_byte_of_the_greeting_and_login(sshd: Sshd, proxy: CountingProxy) -> None:
    """A line that breaks is never taken for a refusal: that would not be tried again."""
    with opened(sshd, port=proxy.port) as origin:
        origin.check()
    whole = proxy.snapshot().to_client_bytes
    for n_bytes in range(1, whole, max(whole // 60, 1)):
        with opened(sshd, port=proxy.port) as origin:
            proxy.cut_after(n_bytes)
            with contextlib.suppress(UnreachableError):
                origin.check()
            proxy.resume()


def test_cut_in_the_middle_of_a_listing(sshd: Sshd, proxy: CountingProxy) -> None:
    for number in range(300):
        (sshd.root / f"{number:03d}").mkdir()
    with opened(sshd, port=proxy.port) as origin:
        listing = origin.list()
        next(listing)
        proxy.cut_after(10_000)
        with pytest.raises(UnreachableError):
            list(listing)
        assert len(list(origin.list())) == 301


def test_only_the_sftp_process_dies(sshd: Sshd) -> None:
    with opened(sshd) as origin:
        _read_all(origin)
        sshd.kill_sessions()
        with contextlib.suppress(UnreachableError):
            _read_all(origin)  # it may not have heard of it
        _read_all(origin)


def test_paused(sshd: Sshd) -> None:
    with opened(sshd) as origin, opened(sshd, origin_id="sftp-fresh") as fresh:
        _read_all(origin)
        sshd.pause()
        for ask in (lambda: _read_all(origin), origin.check, lambda: list(origin.list()), fresh.check):
            assert _seconds_until_unreachable(ask) < TIMEOUT_S + SLACK_S
        sshd.resume()
        _read_all(origin)
        _read_all(fresh)


def test_stalled_in_the_middle_of_a_read(sshd: Sshd, proxy: CountingProxy) -> None:
    """The time counts from the last answer, not from the beginning of a read."""
    with opened(sshd, port=proxy.port) as origin, ThreadPoolExecutor(1) as pool:
        origin.check()
        proxy.reset()
        reading = pool.submit(_read_all, origin)
        while proxy.snapshot().to_client_bytes < SIZE_BYTES // 10:
            time.sleep(0.001)
        proxy.stall()
        assert _seconds_until_unreachable(reading.result) < TIMEOUT_S + SLACK_S
        proxy.resume()
        _read_all(origin)


def test_a_read_that_takes_longer_than_the_timeout_but_never_pauses(sshd: Sshd) -> None:
    with CountingProxy(sshd.port, bytes_per_s=4_000_000) as slow:
        sshd.trust_port(slow.port)
        with opened(sshd, port=slow.port, timeout_s=1.0) as origin:
            start = time.monotonic()
            _read_all(origin)
            assert time.monotonic() - start > 1.5


def test_many_who_wait_for_a_connection_make_one(sshd: Sshd, proxy: CountingProxy) -> None:
    proxy.stall()
    with opened(sshd, port=proxy.port) as origin, ThreadPoolExecutor(32) as pool:
        asking = [pool.submit(origin.stat, "large.flac") for _ in range(32)]
        for each in asking:
            _seconds_until_unreachable(each.result)
        proxy.resume()
        assert proxy.snapshot().connections == 1
        list(pool.map(_read_all, [origin] * 4))
        assert proxy.snapshot().connections == 2


def test_closed_while_a_call_waits(sshd: Sshd) -> None:
    with opened(sshd, timeout_s=60) as origin, ThreadPoolExecutor(2) as pool:
        origin.check()
        sshd.pause()
        asks: list[Callable[[], object]] = [origin.check, lambda: list(origin.list())]
        waiting = [pool.submit(ask) for ask in asks]
        time.sleep(0.1)
        start = time.monotonic()
        origin.close()
        for each in waiting:
            with pytest.raises(UnreachableError):
                each.result(timeout=SLACK_S)
        assert time.monotonic() - start < SLACK_S


def test_a_fifo_in_the_place_of_a_file(sshd: Sshd) -> None:
    """The server hangs in opening it: this is noticed once, and not tried again."""
    path = sshd.root / "file.flac"
    path.write_bytes(b"1")
    with opened(sshd, timeout_s=1.0) as origin:
        entry = origin.stat("file.flac")
        assert entry is not None
        path.unlink()
        os.mkfifo(path)
        try:
            _seconds_until_unreachable(lambda: origin.read("file.flac", 0, 1, entry.version))
            for _ in range(2):
                with pytest.raises(GoneError):
                    origin.read("file.flac", 0, 1, entry.version)
            _read_all(origin)
        finally:
            os.close(os.open(path, os.O_RDWR))  # whoever hangs in it goes on
        path.unlink()
        path.write_bytes(b"2")
        assert origin.read("file.flac", 0, 1, "") == b"2"


def test_failed_connections_leave_nothing(sshd: Sshd, proxy: CountingProxy) -> None:
    with opened(sshd) as origin:
        origin.check()  # what is made once in a process is made now

    def held() -> tuple[list[str], int]:
        others = set(threading.enumerate()) - known
        return [thread.name for thread in others], len(os.listdir("/proc/self/fd"))

    known = set(threading.enumerate())
    before = held()
    proxy.stall()
    with opened(sshd, port=proxy.port, timeout_s=0.3) as origin:
        for _ in range(3):
            _seconds_until_unreachable(origin.check)
    with opened(sshd, port=proxy.port, timeout_s=60) as origin, ThreadPoolExecutor(1) as pool:
        checking = pool.submit(origin.check)
        while proxy.live < 4:  # the line is stalled: it still carries those that were given up
            time.sleep(0.001)
        origin.close()  # in the middle of connecting
        with pytest.raises(UnreachableError):
            checking.result(SLACK_S)
    proxy.cut()
    deadline = time.monotonic() + 10
    while held() != before:
        assert time.monotonic() < deadline, (before, held())
        time.sleep(0.01)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 4096])
def test_no_ssh_server(sshd: Sshd, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    connection.sendall(greeting)

        connections: list[socket.socket] = []
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with opened(sshd, port=listener.getsockname()[1], timeout_s=1.0) as origin:
                start = time.monotonic()
                with pytest.raises(OriginError):
                    origin.check()
                assert time.monotonic() - start < 1.0 + SLACK_S
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in connections:
                connection.close()


def test_nobody_listens(sshd: Sshd) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with opened(sshd, port=unused.getsockname()[1]) as origin:
            _seconds_until_unreachable(origin.check)
    with opened(sshd, host="nowhere.invalid") as origin:
        _seconds_until_unreachable(origin.check)
