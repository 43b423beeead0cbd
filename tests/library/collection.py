"""A catalog, a tree and a scanner around one origin, and files that are FLAC just enough to be read."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musicfs.events import EventBus
from musicfs.library.news import FileEvents
from musicfs.library.pool import WorkerPool
from musicfs.library.publish import Publisher
from musicfs.library.scan import Outcome, Scanner
from musicfs.origins.contract import Folder, Origin
from musicfs.origins.wrappers.wrapper import Wrapper
from musicfs.store import catalog as catalogs
from musicfs.store.catalog import Catalog
from musicfs.store.records import NodeKind, OriginRecord
from musicfs.store.schema import ROOT_INODE
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import View
from tests.vfs.world import Ticking, fake_cover

TEMPLATE = "$album/<$disc->$title.$format"


def flac(**tags: str) -> bytes:
    """A FLAC file of no audio worth hearing: STREAMINFO (RFC 9639, 8.2), a Vorbis comment (8.6), and some bytes."""
    comments = [f"{field.upper().replace('DISC', 'DISCNUMBER')}={value}".encode() for field, value in tags.items()]
    body = struct.pack("<I", 0) + struct.pack("<I", len(comments))
    body += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + (44100 << 44 | 1 << 41 | 15 << 36 | 441_000).to_bytes(8)
    info += hashlib.md5(body, usedforsecurity=False).digest()  # stands for that of the samples
    return b"fLaC" + b"\0" + len(info).to_bytes(3) + info + b"\x84" + len(body).to_bytes(3) + body + bytes(100)


class Collection:
    """One origin, scanned into a catalog of its own."""

    def __init__(self, path: Path, origin: Origin, *, workers: int = 1, guard_percent: int = 20) -> None:
        catalogs.prepare(str(path))
        self.origin = origin
        self.clock = Ticking()
        self.catalog = Catalog(str(path), readonly=False, durable=False)
        view = View(0, "", TEMPLATE, folders=False, names="posix")
        tree = TreeBuilder((view,), TreeOptions(), self.clock, fake_cover)
        self.commits: list[list[str]] = []
        self.events = EventBus(self.clock.time_ns)
        self.publisher = Publisher(
            self.catalog,
            tree,
            self.clock,
            lambda: {1: 100},
            lambda: self.commits.append(self.shown()),
            news=FileEvents(self.catalog, self.events),
        )
        self.pool = WorkerPool(workers, self.clock)
        self.scanner = Scanner(self.publisher, self.pool, self.clock, guard_percent)
        with WriteTransaction(self.catalog) as tx:
            tx.put_origin(origin.id, OriginRecord(tx.new_origin_number(), "test", "/"))

    def close(self) -> None:
        self.pool.close()
        self.catalog.close()

    @property
    def record(self) -> OriginRecord:
        return self.catalog.origins()[self.origin.id]

    def scan(self, prefix: str = "", **options: Any) -> Outcome:
        self.clock.now_ns += 10**9
        return self.scanner.scan(self.origin, self.record, prefix, **options)

    def shown(self) -> list[str]:
        """Every file's virtual path."""
        return sorted(self._below(ROOT_INODE, ""))

    def _below(self, folder: int, path: str) -> Iterator[str]:
        for raw, inode, kind in self.catalog.list_folder(folder):
            name = path + raw.decode("utf-8", "surrogateescape")
            if kind == NodeKind.FOLDER:
                yield from self._below(inode, name + "/")
            else:
                yield name

    def ids(self) -> dict[str, int]:
        """Object id of every path in the origin."""
        found = {}
        for folder_id, path in self.catalog.folders_under(1, b""):
            for name, (object_id, _) in self.catalog.files_of(folder_id).items():
                found[(path + b"/" + name if path else name).decode("utf-8", "surrogateescape")] = object_id
        return found


class Hiding(Wrapper):
    """An origin that is not allowed to show what lies in some of its folders."""

    hidden: frozenset[str] = frozenset()

    def list(self, prefix: str = "") -> Iterator[Folder]:
        for folder in self._inner.list(prefix):
            if folder.path in self.hidden:
                yield Folder(folder.path, (), (("", "permission denied"),), complete=False)
            elif not any(folder.path.startswith(hidden + "/") for hidden in self.hidden):
                yield folder
