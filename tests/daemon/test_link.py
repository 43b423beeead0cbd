"""The link: whatever the other side does, a message comes whole or the link is over."""

from __future__ import annotations

import socket
import struct
import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.config.settings import OriginSettings, Settings
from musicfs.daemon.link import Counters, Link, Look, Message, Replayed, Rescan, Stale, Start, Stop

_SETTINGS = Settings(mount_point="/m", origins=(OriginSettings(id="o", path="/music"),))
MESSAGES: tuple[Message, ...] = (
    Start(_SETTINGS, 1, 2, 3), Counters(1, 2), Replayed(2**63), Stale(7), Rescan(), Look(), Stop(True, 30.0),
)  # fmt: skip


def _pair() -> tuple[Link, Link]:
    ours, theirs = socket.socketpair()
    return Link(ours), Link(theirs)


def _raw() -> tuple[socket.socket, Link]:
    ours, theirs = socket.socketpair()
    return ours, Link(theirs)


def test_messages_arrive_as_they_were_sent() -> None:
    one, other = _pair()
    for message in MESSAGES:
        assert one.send(message)
        assert other.receive() == message
        assert other.send(message)
        assert one.receive() == message
    one.close()
    assert other.receive() is None
    assert not other.send(Look())
    other.close()
    other.close()


def test_a_frame_may_come_in_any_pieces() -> None:
    body = b"".join(_frame(message) for message in MESSAGES)
    for step in (1, 3, 7, 1000):
        raw, link = _raw()

        def feed(raw: socket.socket = raw, step: int = step) -> None:
            for start in range(0, len(body), step):
                raw.sendall(body[start : start + step])

        feeder = threading.Thread(target=feed)
        feeder.start()
        assert [link.receive() for _ in MESSAGES] == list(MESSAGES)
        feeder.join()
        raw.close()
        assert link.receive() is None
        link.close()


def _frame(message: Message) -> bytes:
    body = msgspec.msgpack.encode(message)
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 10])
def test_half_a_frame_is_the_end(cut: int) -> None:
    raw, link = _raw()
    raw.sendall(_frame(MESSAGES[0])[:cut])
    raw.close()
    assert link.receive() is None
    link.close()


@pytest.mark.parametrize("length", [(4 << 20) + 1, 1 << 31, (1 << 32) - 1])
def test_an_oversized_frame_is_refused_without_reading_it(length: int) -> None:
    raw, link = _raw()
    raw.sendall(struct.pack("<I", length) + b"x" * 100)
    assert link.receive() is None
    raw.close()
    link.close()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_noise_is_never_an_exception(noise: bytes, framed: bool) -> None:
    raw, link = _raw()
    raw.sendall(struct.pack("<I", len(noise)) + noise if framed else noise)
    raw.close()
    while (message := link.receive()) is not None:
        assert isinstance(message, Message)
    link.close()


def test_close_wakes_a_blocked_receiver() -> None:
    one, other = _pair()
    answers: list[Message | None] = []
    receiver = threading.Thread(target=lambda: answers.append(one.receive()))
    receiver.start()
    one.close()
    receiver.join(5)
    assert answers == [None]
    assert other.receive() is None
    other.close()


def test_frames_of_many_threads_do_not_mix() -> None:
    one, other = _pair()

    def send(number: int) -> None:
        for count in range(200):
            assert one.send(Counters(number, count))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    received = [other.receive() for _ in range(800)]
    for thread in threads:
        thread.join()
    for number in range(4):
        mine = [
            message.served for message in received if isinstance(message, Counters) and message.open_files == number
        ]
        assert mine == list(range(200))
    one.close()
    other.close()


def test_a_peer_that_does_not_read_ends_the_link_instead_of_holding_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfs.daemon.link._SEND_TIMEOUT_S", 1)
    one, other = _pair()
    sent = 0
    while one.send(MESSAGES[0]):
        sent += 1
    assert sent > 10
    assert not one.send(Look()), "half a frame may have gone: nothing can follow"
    got = 0
    while other.receive() is not None:
        got += 1
    assert got == sent
    one.close()
    other.close()
