"""The messages of SFTP: what is packed, and that nothing a server may send is misread."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.origins.sftp_messages import (
    DEFAULT_READ_BYTES,
    MAX_READ_BYTES,
    NO_LIMIT,
    Attrs,
    Kind,
    Limits,
    MalformedError,
    StatusError,
    pack_init,
    pack_on_string,
    pack_open,
    pack_read,
    parse_answer,
    parse_limits,
    parse_version,
)


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def test_requests() -> None:
    """Byte for byte as the draft draws them."""
    assert pack_init() == bytes.fromhex("00000005 01 00000003")
    assert pack_on_string(Kind.STAT, 7, b"/a") == bytes.fromhex("0000000b 11 00000007 00000002 2f61")
    assert pack_open(8, b"/a") == bytes.fromhex("00000013 03 00000008 00000002 2f61 00000001 00000000")
    assert pack_read(9, b"h", 1 << 32, 5) == bytes.fromhex("00000016 05 00000009 00000001 68 0000000100000000 00000005")


@given(
    size=st.integers(0, (1 << 64) - 1),
    mode=st.integers(0, (1 << 32) - 1),
    mtime_s=st.integers(0, (1 << 32) - 1),
    names=st.lists(st.binary(max_size=20), max_size=5),
    said=st.integers(0, 15),
)
def test_attributes_in_a_list_of_names(size: int, mode: int, mtime_s: int, names: list[bytes], said: int) -> None:
    attrs = struct.pack(">I", said | 0x8000_0000)
    attrs += struct.pack(">Q", size) if said & 1 else b""
    attrs += struct.pack(">II", 1000, 1000) if said & 2 else b""
    attrs += struct.pack(">I", mode) if said & 4 else b""
    attrs += struct.pack(">II", 1, mtime_s) if said & 8 else b""
    attrs += struct.pack(">I", 1) + _string(b"x@example") + _string(b"value")
    message = struct.pack(">I", len(names)) + b"".join(_string(name) + _string(b"-rw-") + attrs for name in names)
    expected = Attrs(size if said & 1 else -1, mode if said & 4 else -1, mtime_s if said & 8 else -1)
    assert parse_answer(Kind.NAME, memoryview(message)) == [(name, expected) for name in names]
    assert expected.complete == (said & 13 == 13)


@given(kind=st.sampled_from([*Kind, 0, 99, 255]), message=st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_one_of_two_errors(kind: int, message: bytes) -> None:
    with contextlib.suppress(StatusError, MalformedError):
        parse_answer(kind, memoryview(message))
    with contextlib.suppress(MalformedError):
        parse_version(message)
    with contextlib.suppress(MalformedError):
        parse_limits(message)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((262_144, 261_120, 261_120, 1019), Limits(261_120, 1019)),  # OpenSSH 9.2
        ((262_144, 0, 0, 0), Limits(261_120, NO_LIMIT)),
        ((34_000, 0, 0, 0), Limits(32_976, NO_LIMIT)),
        ((1000, 1000, 0, 0), Limits(DEFAULT_READ_BYTES, NO_LIMIT)),
        ((1 << 30, 1 << 30, 0, 5), Limits(MAX_READ_BYTES, 5)),
    ],
)
def test_limits(limits: tuple[int, int, int, int], expected: Limits) -> None:
    assert parse_limits(struct.pack(">4Q", *limits)) == expected


def test_version() -> None:
    message = bytes((Kind.VERSION,)) + struct.pack(">I", 3) + _string(b"limits@openssh.com") + _string(b"1")
    assert parse_version(message) == {b"limits@openssh.com"}
    for wrong in (b"", message[:-1], bytes((Kind.VERSION,)) + struct.pack(">I", 2), b"\x65" + message[1:]):
        with pytest.raises(MalformedError):
            parse_version(wrong)


def test_a_status_says_what_it_is() -> None:
    for code, names_nothing, is_denied, is_end in (
        (1, 0, 0, 1),
        (2, 1, 0, 0),
        (3, 0, 1, 0),
        (4, 0, 0, 0),
        (5, 1, 0, 0),
    ):
        with pytest.raises(StatusError, match="why") as caught:
            parse_answer(Kind.STATUS, memoryview(struct.pack(">I", code) + _string(b"why") + _string(b"")))
        error = caught.value
        assert (error.names_nothing, error.is_denied, error.is_end) == (names_nothing, is_denied, is_end)
    assert parse_answer(Kind.STATUS, memoryview(struct.pack(">I", 0))) == b""
