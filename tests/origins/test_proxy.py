"""The proxy that tests of remote origins trust: distance, rate, counts and faults are what they claim to be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from musicfs.testing.proxy import CountingProxy

DELAY_S = 0.025
TIMEOUT_S = 10.0
MIB = 1 << 20


class Server:
    """Answers ``b"N\\n"`` with N bytes and ends a connection when its client does; keeps what else it is sent as lengths."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    connection.sendall(bytes(int(line)))
            except OSError:
                return  # the client, or the proxy on its behalf, went away

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT_S)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


Through = Callable[..., CountingProxy]


@pytest.fixture
def through(server: Server) -> Iterator[Through]:
    made: list[CountingProxy] = []

    def make(delay_s: float = 0.0, bytes_per_s: int = 0) -> CountingProxy:
        made.append(CountingProxy(server.port, delay_s=delay_s, bytes_per_s=bytes_per_s))
        made[-1].start()
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def connect(proxy: CountingProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S)


def receive(connection: socket.socket, size: int) -> int:
    """How many of ``size`` bytes come before the end."""
    got = 0
    while got < size:
        data = connection.recv(min(MIB, size - got))
        if not data:
            break
        got += len(data)
    return got


def ask(connection: socket.socket, size: int) -> float:
    """Ask for bytes and await them; the seconds it took."""
    began = time.monotonic()
    connection.sendall(b"%d\n" % size)
    assert receive(connection, size) == size
    return time.monotonic() - began


def test_an_answer_takes_a_round_trip_and_an_opening_another(through: Through) -> None:
    proxy = through(DELAY_S)
    with connect(proxy) as client:
        assert ask(client, 1) >= 4 * DELAY_S
        assert min(ask(client, 1) for _ in range(3)) >= 2 * DELAY_S
    counts = proxy.snapshot()
    assert (counts.connections, counts.turns) == (1, 4)
    assert (counts.to_server_bytes, counts.to_client_bytes) == (8, 4)


def test_the_delay_does_not_brake(through: Through) -> None:
    proxy = through(DELAY_S)
    with connect(proxy) as client:
        ask(client, 1)
        took_s = ask(client, 32 * MIB)
    # A window of 1 MiB per round trip would take 1.6 s, and one of 64 KiB 25 s.
    assert 2 * DELAY_S <= took_s < 1.0


def test_requests_sent_together_are_one_turn(through: Through) -> None:
    proxy = through(DELAY_S)
    with connect(proxy) as client:
        ask(client, 1)
        proxy.reset()
        for _ in range(10):
            client.sendall(b"1000\n")
        assert receive(client, 10_000) == 10_000
        assert proxy.snapshot().turns == 1
        ask(client, 1)
        counts = proxy.snapshot()
    assert (counts.turns, counts.connections, counts.to_client_bytes) == (2, 0, 10_001)


def test_a_line_has_a_rate_that_connections_share(through: Through) -> None:
    proxy = through(bytes_per_s=4 * MIB)
    clients = [connect(proxy) for _ in range(4)]
    began = time.monotonic()
    for client in clients:
        client.sendall(b"%d\n" % (MIB // 2))
    finished = []
    for client in clients:
        assert receive(client, MIB // 2) == MIB // 2
        finished.append(time.monotonic() - began)
        client.close()
    assert 0.45 <= finished[-1] < 2.0  # 2 MiB at 4 MiB/s
    assert finished[0] > finished[-1] / 2  # one does not wait for the others' end


def test_a_stream_through_a_distant_narrow_line(through: Through) -> None:
    proxy = through(DELAY_S, bytes_per_s=8 * MIB)
    with connect(proxy) as client:
        took_s = ask(client, 4 * MIB)
    assert 0.5 <= took_s < 2.0


def test_both_ends_may_end_alone(through: Through) -> None:
    with connect(through(DELAY_S)) as client:
        client.sendall(b"5\n7\n")
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 100) == 12


def test_refused(through: Through) -> None:
    proxy = through()
    old = connect(proxy)
    ask(old, 1)
    proxy.refuse()
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        ask(client, 1)
    ask(old, 1)
    proxy.resume()
    with connect(proxy) as client:
        ask(client, 1)
    assert (proxy.snapshot().refused, proxy.snapshot().connections) == (1, 2)
    old.close()


def test_a_dead_server_refuses(through: Through, server: Server) -> None:
    proxy = CountingProxy(1)  # nobody listens there
    with proxy:
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            receive(client, 1)
        assert (proxy.snapshot().refused, proxy.snapshot().connections) == (1, 0)


def test_cut(through: Through) -> None:
    proxy = through(DELAY_S)
    with connect(proxy) as client:
        ask(client, 1)
        assert proxy.live == 1
        client.sendall(b"1000\n")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            receive(client, 1000)
        assert proxy.live == 0
    with connect(proxy) as client:
        ask(client, 1)


def test_cut_after_some_bytes(through: Through) -> None:
    proxy = through()
    with connect(proxy) as client:
        ask(client, 10)
        proxy.cut_after(700_000)
        client.sendall(b"3000000\n")
        assert receive(client, 700_000) == 700_000
        with pytest.raises(ConnectionResetError):
            receive(client, 1)
    with connect(proxy) as client:
        ask(client, 3_000_000)
    assert proxy.snapshot().to_client_bytes == 3_700_010


def test_stalled(through: Through) -> None:
    proxy = through(DELAY_S)
    with connect(proxy) as old:
        ask(old, 1)
        proxy.stall()
        with connect(proxy) as new:
            for client in (old, new):
                client.sendall(b"10\n")
                client.settimeout(4 * DELAY_S)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(TIMEOUT_S)
            proxy.resume()
            for client in (old, new):
                assert receive(client, 10) == 10


def test_it_carries_much(through: Through) -> None:
    proxy = through(DELAY_S)
    size = 256 * MIB
    with connect(proxy) as client:
        ask(client, 1)
        assert proxy.snapshot().to_client_bytes == 1
        ask(client, size)
    assert proxy.snapshot().to_client_bytes == size + 1


def test_close_ends_everything(server: Server) -> None:
    proxy = CountingProxy(server.port)
    proxy.start()
    client = connect(proxy)
    ask(client, 1)
    proxy.close()
    proxy.close()
    with client, pytest.raises(ConnectionResetError):
        ask(client, 1)
