"""Covers of remote files: fetched through the origin, never while the catalog is being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musicfs.daemon.covers import Covers
from musicfs.errors import UnreachableError
from musicfs.library.publish import Publisher
from musicfs.library.scan import Scanner
from musicfs.origins.contract import Origin
from musicfs.origins.memory import MemoryOrigin
from musicfs.origins.wrappers.wrapper import Wrapper
from musicfs.store.records import NodeKind
from musicfs.store.transaction import WriteTransaction
from musicfs.testing.audio import make_audio
from musicfs.testing.images import make_jpeg, make_png
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import View
from tests.library.collection import TEMPLATE, Collection
from tests.library.test_scan_remote import CAPS

JPEG = b"\xff\xd8\xff"


class Watched(Wrapper):
    """Knows what was read, and whether the catalog was being written meanwhile."""

    def __init__(self, inner: Origin) -> None:
        super().__init__(inner)
        self.writing = 0
        self.reads: list[tuple[str, int, int]] = []
        self.read_while_writing: list[str] = []
        self.dead = False

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        self.reads.append((path, start, stop))
        if self.writing:
            self.read_while_writing.append(path)
        if self.dead and version == "":
            raise UnreachableError("no route to host")
        return super().read(path, start, stop, version)


Collect = Callable[[dict[str, bytes]], tuple[Collection, Watched]]


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collect]:
    made: list[Collection] = []

    def make(files: dict[str, bytes]) -> tuple[Collection, Watched]:
        origin = Watched(MemoryOrigin("memory", files, caps=CAPS))
        begin, end = WriteTransaction.__init__, WriteTransaction.__exit__

        def noted_begin(self: WriteTransaction, *arguments: object, **options: object) -> None:
            begin(self, *arguments, **options)  # type: ignore[arg-type] # passed through
            origin.writing += 1

        def noted_end(self: WriteTransaction, *arguments: object) -> None:
            end(self, *arguments)  # type: ignore[arg-type] # passed through
            origin.writing -= 1

        monkeypatch.setattr(WriteTransaction, "__init__", noted_begin)
        monkeypatch.setattr(WriteTransaction, "__exit__", noted_end)
        one = Collection(tmp_path / "catalog", origin)
        made.append(one)
        covers = Covers({1: origin}, one.pool, lambda _: None)
        tree = TreeBuilder(
            (View(0, "", TEMPLATE, folders=False, names="posix"),), TreeOptions(), one.clock, covers.make
        )
        one.publisher = Publisher(
            one.catalog, tree, one.clock, lambda: {1: 100}, lambda: one.commits.append(one.shown()), covers
        )
        one.scanner = Scanner(one.publisher, one.pool, one.clock, 20)
        return one, origin

    yield make
    for one in made:
        one.close()


def track(tmp_path: Path, kind: str, album: str, picture: bytes | None = None, title: str = "T") -> bytes:
    path = make_audio(tmp_path / f"{album}.{kind}", kind, tags={"title": title, "album": album}, picture=picture)
    return path.read_bytes()


def cover(collection: Collection, album: str) -> tuple[int, bytes]:
    """(kind of node, the cover's bytes as far as they are the catalog's own)."""
    folder = collection.catalog.lookup(1, album.encode())
    assert folder is not None
    node = collection.catalog.lookup(folder.inode, b"cover.jpg")
    assert node is not None
    return node.kind, (collection.catalog.blob(node.ref) or b"") if node.kind == NodeKind.BLOB else b""


def test_pictures_of_every_kind_become_covers(collect: Collect, tmp_path: Path) -> None:
    files = {
        "flac/1.flac": track(tmp_path, "flac", "Flac", make_png(1)),
        "ogg/1.ogg": track(tmp_path, "ogg", "Ogg", make_png(2) + bytes(300_000)),
        "opus/1.opus": track(tmp_path, "opus", "Opus", make_jpeg("navy")),
        "file/1.mp3": track(tmp_path, "mp3", "File"),
        "file/folder.png": make_png(3),
        "range/1.mp3": track(tmp_path, "mp3", "Range", make_jpeg("teal")),
    }
    collection, origin = collect(files)
    collection.scan()
    for album in ("Flac", "Ogg", "Opus", "File"):
        kind, data = cover(collection, album)
        assert kind == NodeKind.BLOB and data.startswith(JPEG), album
    assert cover(collection, "Range")[0] == NodeKind.OBJECT  # a range of the file: nothing is fetched
    assert not origin.read_while_writing
    # Once for the tags and once for the picture, however many tracks of a batch share it.
    assert max(sum(path == one for path, _, _ in origin.reads) for one in files) <= 4


def test_the_best_picture_is_fetched_and_the_others_are_not(collect: Collect, tmp_path: Path) -> None:
    files = {f"A/{n}.flac": track(tmp_path, "flac", "A", make_png(n), title=str(n)) for n in range(1, 6)}
    collection, origin = collect(files)
    collection.scan()
    assert cover(collection, "A")[1].startswith(JPEG)
    assert len(origin.reads) == 5 + 1


def test_a_damaged_picture_makes_room_for_the_next(collect: Collect, tmp_path: Path) -> None:
    broken = make_png(1)[:40] + bytes(200)
    files = {
        "A/1.flac": track(tmp_path, "flac", "A", broken, title="1"),
        "A/2.flac": track(tmp_path, "flac", "A", make_png(2), title="2"),
    }
    collection, _ = collect(files)
    collection.scan()
    assert cover(collection, "A")[1].startswith(JPEG)


def test_an_outage_costs_the_cover_and_not_the_music(collect: Collect, tmp_path: Path) -> None:
    collection, origin = collect({"A/1.flac": track(tmp_path, "flac", "A", make_png(1))})
    origin.dead = True
    collection.scan()
    assert collection.shown() == ["A/T.flac"]
    assert len(collection.commits) == 1
