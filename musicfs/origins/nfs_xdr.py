"""XDR, the notation of ONC RPC messages (RFC 4506), as far as NFS version 3 needs it. Pure."""

from __future__ import annotations

import struct

_UINT = struct.Struct(">I")
_HYPER = struct.Struct(">Q")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class XdrError(ValueError):
    """The message ends too early, or a length in it is absurd."""


def uint(value: int) -> bytes:
    return _UINT.pack(value)


def hyper(value: int) -> bytes:
    return _HYPER.pack(value)


def opaque(value: bytes) -> bytes:
    """Variable-length bytes, padded to four (RFC 4506, section 4.10)."""
    return _UINT.pack(len(value)) + value + _PADDING[len(value) % 4]


class Reader:
    """Takes one value after the other from a message. Everything raises XdrError where the message ends before the value."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def uint(self) -> int:
        value: int = self.unpack(_UINT)[0]
        return value

    def hyper(self) -> int:
        value: int = self.unpack(_HYPER)[0]
        return value

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Several numbers at once."""
        try:
            values = layout.unpack_from(self._data, self._at)
        except struct.error as error:
            raise XdrError(f"the message ends at byte {len(self._data)}") from error
        self._at += layout.size
        return values

    def fixed(self, size: int) -> bytes:
        """``size`` bytes, a multiple of four."""
        return bytes(self._take(size, size))

    def opaque(self) -> bytes:
        return bytes(self.view())

    def view(self) -> memoryview:
        """Variable-length bytes, not copied."""
        size = self.uint()
        return self._take(size, size + -size % 4)

    def _take(self, size: int, padded: int) -> memoryview:
        at = self._at
        if at + padded > len(self._data):
            raise XdrError(f"{padded} bytes at {at} in a message of {len(self._data)}")
        self._at = at + padded
        return self._data[at : at + size]
