"""Files whose bytes are like no others: a piece of another file, or of another place in it, is noticed."""

from __future__ import annotations

import random
import wave
from pathlib import Path

from tests.mounting import Mounted

FOLDERS = "[tree]\nfolders = true\n"  # the origin's own layout: a file's path in the mount is its path at the origin


def make_noise(path: Path, size_bytes: int, seed: int) -> Path:
    """A WAV file of at least ``size_bytes`` of noise; returns its path. The folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(random.Random(seed).randbytes(-(-size_bytes // 4) * 4))
    return path


def read_range(path: Path, start: int, size: int) -> bytes:
    """Up to ``size`` bytes from ``start`` on, without a buffer of Python's own."""
    with path.open("rb", buffering=0) as stream:
        stream.seek(start)
        parts = bytearray()
        while len(parts) < size and (data := stream.read(size - len(parts))):
            parts += data
        return bytes(parts)


def count_entries(point: Path) -> int:
    """Files and folders of a mount."""
    return sum(1 for _ in point.rglob("*"))


def check_same(mounted: Mounted, root: Path) -> None:
    """Every file below ``root`` is in the mount, at the same place, with the same bytes."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            served = mounted.point / path.relative_to(root)
            assert served.read_bytes() == path.read_bytes(), served
