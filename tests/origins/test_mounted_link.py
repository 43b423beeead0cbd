from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.errors import ChangedError, DeniedError, GoneError, OriginError, UnreachableError
from musicfs.model import Entry
from musicfs.origins import mounted_link
from musicfs.origins.contract import Folder
from musicfs.origins.mounted import MountedOrigin
from musicfs.origins.mounted_link import (
    LENGTHS,
    PART_BYTES,
    Data,
    Done,
    Link,
    LinkError,
    Read,
    Ready,
    pack_error,
    pack_folder,
    pack_text,
    reply_decoder,
    request_decoder,
    unpack_error,
    unpack_folder,
    unpack_text,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
NAMES = ANY_TEXT.map(lambda name: name.replace("/", ""))
SIZES = st.integers(0, (1 << 63) - 1)


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    path = "/".join(draw(st.lists(NAMES.filter(bool), max_size=3)))
    prefix = path + "/" if path else ""
    entries = st.builds(
        Entry, NAMES.map(lambda name: prefix + name), SIZES, st.integers(-(1 << 62), 1 << 62), ANY_TEXT, SIZES, SIZES
    )
    return Folder(
        path,
        tuple(draw(st.lists(entries, max_size=4))),
        tuple(draw(st.lists(st.tuples(NAMES, ANY_TEXT), max_size=2))),
        complete=draw(st.booleans()),
        device=draw(SIZES),
    )


@given(ANY_TEXT)
def test_any_text_comes_through(text: str) -> None:
    assert unpack_text(pack_text(text)) == text


@given(folders())
def test_any_folder_comes_through(folder: Folder) -> None:
    packed = reply_decoder.decode(msgspec.msgpack.encode(pack_folder(7, folder)))
    assert isinstance(packed, mounted_link.FolderFound)
    assert packed.number == 7
    assert unpack_folder(packed) == folder


@pytest.mark.parametrize("kind", [OriginError, UnreachableError, DeniedError, GoneError, ChangedError])
@given(text=ANY_TEXT, remedy=ANY_TEXT)
def test_errors_come_through(kind: type[OriginError], text: str, remedy: str) -> None:
    packed = reply_decoder.decode(msgspec.msgpack.encode(pack_error(7, kind(text, remedy=remedy))))
    assert isinstance(packed, mounted_link.Failed)
    error = unpack_error(packed)
    assert (type(error), str(error), error.remedy) == (kind, text, remedy)


def test_an_error_of_a_class_of_its_own_travels_as_what_it_is_one_of() -> None:
    class StrangeError(GoneError):
        pass

    assert type(unpack_error(pack_error(1, StrangeError("x")))) is GoneError


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    one, other = (Link(end, send_timeout_s=0.2) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_frames_and_their_data(ends: tuple[Link, Link]) -> None:
    one, other = ends
    data = bytes(range(256)) * (PART_BYTES // 256)

    def send() -> None:
        for number in range(3):
            one.send(Data(number, last=True), data[: len(data) - number])

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(3):
        frame = other.receive()
        assert frame is not None
        assert reply_decoder.decode(frame[0]) == Data(number, last=True)
        assert frame[1] == data[: len(data) - number]
    sender.join()
    other.send(Read(1, b"p", -1, 1 << 60, b""))
    frame = one.receive()
    assert frame is not None
    assert request_decoder.decode(frame[0]) == Read(1, b"p", -1, 1 << 60, b"")
    one.hang_up()
    assert other.receive() is None
    with pytest.raises(LinkError):
        other.send(Ready())


def test_a_side_that_reads_nothing_holds_up_the_other_for_a_while_only(ends: tuple[Link, Link]) -> None:
    one, _other = ends
    with pytest.raises(LinkError, match="reads nothing"):
        for _ in range(100):
            one.send(Data(1, last=True), bytes(PART_BYTES))


@given(
    st.binary(max_size=64)
    | st.builds(lambda a, b, c: struct.pack("<II", a % 64, b % 64) + c, *[SIZES] * 2, st.binary())
)
def test_any_bytes_are_frames_or_an_end_or_an_error_of_the_link(received: bytes) -> None:
    ours, theirs = socket.socketpair()
    link = Link(ours, send_timeout_s=1)
    with theirs:
        theirs.sendall(received)
    try:
        while (frame := link.receive()) is not None:
            reply_decoder.decode(frame[0])
    except (LinkError, msgspec.MsgspecError):
        pass
    finally:
        link.close()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | SIZES | st.binary(max_size=4) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=7),
    max_leaves=12,
)
FILE = st.tuples(st.binary(max_size=3), SIZES, SIZES, st.binary(max_size=3), SIZES, SIZES)
FIELDS = JUNK | FILE | st.lists(FILE, max_size=2) | st.sampled_from(["GoneError", "KeyError", b"\xff", True, 1])


@given(
    st.sampled_from(["ready", "anchor", "busy", "done", "file", "folder", "data", "failed"]),
    st.lists(FIELDS, max_size=7),
)
def test_any_message_is_understood_or_a_value_error(tag: str, fields: list[object]) -> None:
    try:
        match reply_decoder.decode(msgspec.msgpack.encode([tag, 1, *fields])):
            case mounted_link.FileFound() as found:
                assert isinstance(mounted_link.unpack_file(found.file), Entry)
            case mounted_link.FolderFound() as found:
                assert isinstance(unpack_folder(found), Folder)
            case mounted_link.Failed() as failed:
                assert isinstance(unpack_error(failed), OriginError)
    except ValueError:  # what the parent takes for nonsense; msgspec's errors are ValueErrors too
        pass


# Says the first file's bytes to its start, and the second's to whatever it is asked; its last argument is the socket.
CHATTERBOX = """
import socket, sys
end = socket.socket(fileno=int(sys.argv[3]))
for path in sys.argv[1:3]:
    end.recv(1 << 20)
    end.sendall(open(path, "rb").read())
end.recv(1 << 20)
"""


def frame(message: object, data: bytes = b"") -> bytes:
    head = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    return LENGTHS.pack(len(head), len(data)) + head + data


NESTED = b"\x91" * 100_000 + b"\xc0"
GARBAGE = [
    b"Traceback (most recent call last):",
    b"\xff" * 100,
    LENGTHS.pack(5, PART_BYTES + 1),
    frame(b"\xc1"),
    frame(NESTED),
    frame(b"\x93\xa4done\x01" + NESTED),
    frame(b"\xdd\xff\xff\xff\xff"),
    frame(["strange", 1]),
    frame(["done", "one"]),
    frame(["folder", 1]),
]
NO_ANSWERS = [
    *GARBAGE,
    frame(["failed", 1, "KeyboardInterrupt", b"x", b""]),
    frame(["failed", 1, "GoneError", b"\xff", b""]),
    frame(["folder", 1, b"\xff", [], [], True, 0]),
    frame(["folder", 1, b"", [[b"\xff", 1, 1, b"", 0, 0]], [], True, 0]),
    frame(["file", 1, [b"\xff", 1, 1, b"", 0, 0]]),
    frame(Data(1, last=False), b"123") + frame(Data(1, last=True), b"4"),
    frame(Data(1, last=False), b"123") + frame(Done(1)),
]
CALLS: dict[str, Callable[[MountedOrigin], object]] = {
    "read": lambda origin: origin.read("a", 0, 3, ""),
    "stat": lambda origin: origin.stat("a"),
    "list": lambda origin: next(origin.list()),
}


def chatterbox(folder: Path, first: bytes, then: bytes) -> MountedOrigin:
    for name, said in (("first", first), ("then", then)):
        (folder / name).write_bytes(said)
    command = (sys.executable, "-S", "-c", CHATTERBOX, str(folder / "first"), str(folder / "then"))
    return MountedOrigin("nas", folder, timeout_s=5, command=command)


@pytest.mark.parametrize("said", range(len(GARBAGE)))
def test_a_child_that_begins_with_nonsense(tmp_path: Path, said: int) -> None:
    with contextlib.closing(chatterbox(tmp_path, GARBAGE[said], b"")) as origin:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="nas"):
                origin.check()
        until_none_is_left(origin)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", range(len(NO_ANSWERS)))
def test_a_child_that_answers_nonsense(tmp_path: Path, said: int, call: str) -> None:
    with contextlib.closing(chatterbox(tmp_path, frame(Ready()), NO_ANSWERS[said])) as origin:
        with pytest.raises(UnreachableError, match=r"nonsense|frame of|ended"):
            CALLS[call](origin)
        until_none_is_left(origin)


def test_a_child_that_answers_what_makes_sense(tmp_path: Path) -> None:
    """So that the tests above show something."""
    for call, said in (("read", frame(Data(1, last=True), b"123")), ("stat", frame(Done(1)))):
        with contextlib.closing(chatterbox(tmp_path, frame(Ready()), said)) as origin:
            assert CALLS[call](origin) in {b"123", None}


def until_none_is_left(origin: MountedOrigin) -> None:
    deadline = time.monotonic() + 20
    while origin.pids:
        assert time.monotonic() < deadline, "a child that talks nonsense lives on"
        time.sleep(0.005)
