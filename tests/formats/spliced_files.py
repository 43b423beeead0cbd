"""What a spliced file is compared with: programs that know nothing of MusicFS, and Ogg pages read the slow way."""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mutagen._util import cdata

from musicfs.errors import FormatError
from musicfs.formats.plans import Edit, Plan
from musicfs.formats.spliced import Spliced, SplicedSource
from musicfs.formats.splicing import splice
from musicfs.model import Tags
from tests.formats.reading import CountingSource, read_bytes


def spliced(data: bytes, name: str, edit: Edit) -> tuple[Plan, bytes]:
    """The plan, and the whole file it makes."""
    source = CountingSource(data)
    plan = splice(source, name, edit)
    made = SplicedSource(plan, source)
    assert made.size == plan.size
    return plan, made.read(0, made.size)


def edited(data: bytes, name: str, edit: Edit) -> bytes:
    """The file with all of the edit, and nothing else, read back by the reader."""
    plan, made = spliced(data, name, edit)
    assert not plan.unfit
    assert read_bytes(made, name).tags == overlaid(read_bytes(data, name).tags, edit)
    return made


def overlaid(own: Tags, edit: Edit) -> dict[str, tuple[str, ...]]:
    """An edit over a file's own tags."""
    return {field: values for field, values in {**own, **edit.fields}.items() if values}


def assert_read_in_parts(data: bytes, plan: Plan, whole: bytes, choice: random.Random, count: int = 60) -> None:
    """Reads of any part, in any order and in sequence, give slices of the whole."""
    made = Spliced(plan)
    for index in range(count):
        if index % 20 == 0:
            made = Spliced(plan)
        start = choice.randrange(len(whole))
        stop = min(len(whole), start + choice.choice((1, 3, 30, 500, 5000, 131072)))
        assert filled(made, data, start, stop) == whole[start:stop], (start, stop)
    for size in (4096, 70_001):
        made = Spliced(plan)
        starts = range(0, len(whole), size)
        assert b"".join(filled(made, data, at, min(at + size, len(whole))) for at in starts) == whole


def filled(made: Spliced, data: bytes, start: int, stop: int) -> bytes:
    buffer = bytearray(stop - start)

    def read(low: int, high: int) -> bytes:
        assert 0 <= low < high <= len(data)
        return data[low:high]

    made.fill(memoryview(buffer), start, read)
    return bytes(buffer)


def try_splice(data: bytes, name: str, edit: Edit) -> tuple[Plan, bytes] | None:
    """None where the file is not understood; no other exception passes."""
    try:
        return spliced(data, name, edit)
    except FormatError:
        return None


def run(*command: str | Path) -> str:
    done = subprocess.run([str(one) for one in command], capture_output=True, check=False, text=True, errors="replace")
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def audio_hashes(path: Path) -> tuple[str, str]:
    """Of the decoded samples, and of the packets as they are."""
    head = ("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a")
    return run(*head, "-f", "md5", "-"), run(*head, "-c", "copy", "-f", "hash", "-")


@dataclass(frozen=True, slots=True)
class OggPage:
    start: int
    flags: int
    granule: int
    serial: int
    sequence: int
    checksum_is_right: bool
    lacing: bytes
    payload: bytes


@cache
def _crc_table() -> tuple[int, ...]:
    """RFC 3533, 6: bit by bit."""
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return tuple(table)


def slow_checksum(page: bytes) -> int:
    table, crc = _crc_table(), 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc = (crc << 8 ^ table[crc >> 24 ^ byte]) & 0xFFFFFFFF
    return crc


def mutagen_checksum(page: bytes) -> bytes:
    """The four bytes of the checksum, the way mutagen computes it."""
    data = page[:22] + bytes(4) + page[26:]
    crc = ~zlib.crc32(data.translate(cdata.bitswap), -1) & 0xFFFFFFFF
    return struct.pack(">I", crc).translate(cdata.bitswap)


def with_checksum(page: bytes) -> bytes:
    return page[:22] + mutagen_checksum(page) + page[26:]


def ogg_pages_of(data: bytes) -> Iterator[OggPage]:
    at = 0
    while at < len(data):
        capture, version, flags, granule, serial, sequence, _, count = struct.unpack_from("<4sBBqIIIB", data, at)
        assert (capture, version) == (b"OggS", 0), at
        lacing = data[at + 27 : at + 27 + count]
        stop = at + 27 + count + sum(lacing)
        payload = data[at + 27 + count : stop]
        right = mutagen_checksum(data[at:stop]) == data[at + 22 : at + 26]
        yield OggPage(at, flags, granule, serial, sequence, right, lacing, payload)
        at = stop


def renumbered(data: bytes, start: int, serial: int, shift: int) -> bytes:
    """The file from ``start`` on with the stream's pages renumbered and their checksums computed anew."""
    out = []
    for page in ogg_pages_of(data[start:]):
        whole = bytearray(data[start + page.start : start + page.start + 27 + len(page.lacing) + len(page.payload)])
        if page.serial == serial:
            struct.pack_into("<I", whole, 18, (page.sequence + shift) & 0xFFFFFFFF)
        out.append(with_checksum(bytes(whole)) if page.serial == serial else bytes(whole))
    return b"".join(out)
