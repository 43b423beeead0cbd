"""The checksum of Ogg pages (RFC 3533, 6, "CRC_checksum"): polynomial 0x04C11DB7, starting from 0, highest bit first.

That is zlib's CRC-32 with the bits of every byte, and of the result, in the other order, and without its inversions at the
start and at the end; so zlib does the work.
"""

from __future__ import annotations

import functools
import zlib
from array import array

from musicfs.formats.oggpages import MAX_PAGE_BYTES

SEQUENCE_AT, CHECKSUM_AT, CHECKSUM_STOP = 18, 22, 26
_INVERTED = 0xFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_POLYNOMIAL = 0x04C11DB7
_MASK = 0xFFFFFFFF


def checksum(page: bytes) -> int:
    """The checksum of a whole page, whatever its checksum field holds."""
    head = page[:CHECKSUM_AT] + bytes(4)
    crc = zlib.crc32(head.translate(_REVERSED), _INVERTED)
    return _from_zlib(zlib.crc32(page[CHECKSUM_STOP:].translate(_REVERSED), crc))


def checksum_change(sequence_change: int, page_bytes: int) -> int:
    """By what (exclusive or) the checksum of a page changes when its sequence number changes by ``sequence_change`` (dito).

    The CRC is linear: it changes by that of a page which is zero but for the change. No payload is needed for this, and
    hardly any time: the change is a polynomial of few terms, and what it is to be multiplied by is known for every distance.
    """
    powers, overflows = _tables()
    distance = page_bytes - SEQUENCE_AT - 1  # of its first byte from the page's last one
    result = 0
    while sequence_change:
        factor, power = sequence_change & 0xFF, powers[distance]
        while factor:
            if factor & 1:
                result ^= power
            power <<= 1
            factor >>= 1
        distance -= 1
        sequence_change >>= 8
    return result & _MASK ^ overflows[result >> 32]


@functools.cache
def _tables() -> tuple[array[int], tuple[int, ...]]:
    """x to the power of 8n + 32 for every n that a page has room for, and of what n stands for times x^32; all modulo the
    polynomial. Takes some 20 ms, and 256 KB.
    """
    overflows = []
    for number in range(256):
        value = number << 24
        for _ in range(8):
            value = value << 1 & _MASK ^ (_POLYNOMIAL if value >> 31 else 0)
        overflows.append(value)
    powers = array("I", [_POLYNOMIAL])
    power = _POLYNOMIAL
    for _ in range(MAX_PAGE_BYTES):
        power = power << 8 & _MASK ^ overflows[power >> 24]
        powers.append(power)
    return powers, tuple(overflows)


def _from_zlib(crc: int) -> int:
    return int.from_bytes((crc ^ _INVERTED).to_bytes(4, "big").translate(_REVERSED), "little")
