"""The checksum of Ogg pages (RFC 3533, 6, "CRC_checksum"): polynomial 0x04C11DB7, starting from 0, highest bit first.

That is zlib's CRC-32 with the bits of every byte, and of the result, in the other order, and without its inversions at the
start and at the end; so zlib does the work.
"""

from __future__ import annotations

import zlib

from musicfs.formats.oggpages import MAX_PAGE_BYTES

SEQUENCE_AT, CHECKSUM_AT, CHECKSUM_STOP = 18, 22, 26
_INVERTED = 0xFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ZEROS = memoryview(bytes(MAX_PAGE_BYTES))


def checksum(page: bytes) -> int:
    """The checksum of a whole page, whatever its checksum field holds."""
    head = page[:CHECKSUM_AT] + bytes(4)
    crc = zlib.crc32(head.translate(_REVERSED), _INVERTED)
    return _from_zlib(zlib.crc32(page[CHECKSUM_STOP:].translate(_REVERSED), crc))


def checksum_change(sequence_change: int, page_bytes: int) -> int:
    """By what (exclusive or) the checksum of a page changes when its sequence number changes by ``sequence_change`` (dito).

    The CRC is linear: it changes by that of a page which is zero but for the change. No payload is needed for this.
    """
    crc = zlib.crc32(sequence_change.to_bytes(4, "little").translate(_REVERSED), _INVERTED)
    return _from_zlib(zlib.crc32(_ZEROS[: page_bytes - CHECKSUM_AT], crc))


def _from_zlib(crc: int) -> int:
    return int.from_bytes((crc ^ _INVERTED).to_bytes(4, "big").translate(_REVERSED), "little")
