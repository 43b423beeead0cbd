"""Origins under test, with their other side."""

from __future__ import annotations

import os
from pathlib import Path

from musicfs.origins.contract import Origin
from musicfs.origins.local import LocalOrigin
from musicfs.origins.memory import MemoryOrigin


class FolderSubject:
    """A folder on disk. Every write gets an mtime of its own, so that versions differ however fast writes follow."""

    def __init__(self, folder: Path, origin: Origin | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = os.fsencode(folder)
        self.origin: Origin = origin or LocalOrigin("disk", str(folder), debounce_s=0.05)
        self._mtime_ns = 1_500_000_000_000_000_000

    def put(self, path: str, data: bytes) -> None:
        full = self.full(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)
        self._mtime_ns += 1_000_000_000
        os.utime(full, ns=(self._mtime_ns, self._mtime_ns))

    def remove(self, path: str) -> None:
        os.unlink(self.full(path))

    def full(self, path: str) -> bytes:
        return self.folder + b"/" + path.encode("utf-8", "surrogateescape")


class MemorySubject:
    """An origin in memory, with whatever is around it."""

    def __init__(self, memory: MemoryOrigin, origin: Origin | None = None) -> None:
        self.memory = memory
        self.origin: Origin = origin or memory

    def put(self, path: str, data: bytes) -> None:
        self.memory.put(path, data)

    def remove(self, path: str) -> None:
        self.memory.remove(path)
