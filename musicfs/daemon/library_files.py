"""Files of the tree by the names that users give, with where their content lies."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from musicfs.content.keys import Source, content_of
from musicfs.content.origins import Access
from musicfs.errors import NotFoundError
from musicfs.index.syntax import Query
from musicfs.library.track_query import PlaysOf, Selection, never_played
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content
from musicfs.store.records import TRASH_ORIGIN, Node, NodeKind, ObjectRecord
from musicfs.store.trashed import iterate_trashed, original_anchor, read_trashed, read_trashed_at, trash_path
from musicfs.vfs.paths import files_at, find

_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")  # as musicfs.api.wire shows bytes that are not UTF-8


class LibraryFile(msgspec.Struct, frozen=True):
    """A file of the tree: its virtual path, where it lies, how it is read, and the same track at other places."""

    path: bytes
    source: Source
    access: Access
    object_id: int
    others: tuple[LibraryFile, ...] = ()

    @property
    def content(self) -> Content:
        """What its content is stored as."""
        return content_of(self.source, stable_version=self.access.stable_version)


class LibraryFiles:
    """Looks files up in the catalog, at the time of asking. Safe from any thread."""

    def __init__(
        self, catalog: Catalog, access: Callable[[str], Access | None], plays_of: PlaysOf = never_played
    ) -> None:
        """``access`` says how the files of an origin are read; None for an origin that is not in use."""
        self._catalog = catalog
        self._plays_of = plays_of
        self._access = access

    @property
    def sequence(self) -> int:
        """Grows with every change of the tree."""
        return self._catalog.last_change()

    def selection(self, query: Query, now_ns: int) -> Selection:
        """What a query selects of the library, with ages counted from one moment."""
        return Selection(query, now_ns, self._plays_of)

    def resolve(self, path: str) -> bytes:
        """A virtual path as the tree has it, with one slash before each name. NotFoundError if there is no such thing.

        Bytes that are not UTF-8 may be given as ``\\xNN``.
        """
        for candidate in spellings(path):
            if find(self._catalog, candidate) is not None:
                return normal(candidate)
        raise NotFoundError(f"there is no {path!r} in the mount", remedy="give a path from the root of the mount")

    def below(
        self, paths: Sequence[bytes], origin_id: str = "", selection: Selection | None = None
    ) -> Iterator[LibraryFile]:
        """The files at and below virtual paths, each once, of one origin or (empty id) of all. NotFoundError for no path.

        With a selection only tracks that it selects.
        """
        roots = []
        for path in paths:
            node = find(self._catalog, path)
            if node is None:
                raise NotFoundError(f"there is no {os.fsdecode(path)!r} in the mount")
            roots.append(node)
        return self._iterate(roots, origin_id, selection)

    def _iterate(self, roots: Sequence[Node], origin_id: str, selection: Selection | None) -> Iterator[LibraryFile]:
        ids = {record.number: found for found, record in self._catalog.origins().items()}
        seen: set[int] = set()  # paths may overlap, and views show a file again
        for root in roots:
            for node in files_at(self._catalog, root):
                if node.ref in seen:
                    continue
                seen.add(node.ref)
                sources = partial(self._catalog.sources_of, node.inode, node.ref)
                if selection is not None and node.kind == NodeKind.TRASHED:
                    continue  # nothing finds what is deleted
                if selection is not None and not selection.selects(self._catalog, ids, node.ref, sources):
                    continue
                file = self._file(ids, node.ref)
                if file is not None and origin_id in ("", file.source.origin_id):
                    others = tuple(other for ref in sources()[1:] if (other := self._file(ids, ref)) is not None)
                    path = self._catalog.path_of(node.inode) or b""
                    yield msgspec.structs.replace(file, path=path, others=others)

    def select(self, files: Iterable[LibraryFile], selection: Selection) -> Iterator[LibraryFile]:
        """Those of these files that are tracks and selected."""
        ids = {record.number: found for found, record in self._catalog.origins().items()}
        for file in files:
            sources = [file.object_id, *(other.object_id for other in file.others)]
            if selection.selects(self._catalog, ids, file.object_id, partial(list, sources)):
                yield file

    def of_origin(self, origin_id: str) -> Iterator[LibraryFile]:
        """Every file of an origin, whether it is in the tree or not."""
        record = self._catalog.origins().get(origin_id)
        if record is None:
            return
        ids = {record.number: origin_id}
        for folder_id, _ in self._catalog.folders_under(record.number, b""):
            for object_id, _ in self._catalog.files_of(folder_id).values():
                file = self._file(ids, object_id)
                if file is not None:
                    yield file

    def at_origin(self, origin_id: str, path: bytes) -> LibraryFile | None:
        """The file of an origin at this path there, or None."""
        object_id = self.object_at(origin_id, path)
        ids = {record.number: origin_id for record in (self._catalog.origins().get(origin_id),) if record is not None}
        return self._file(ids, object_id) if object_id is not None else None

    def deleted_at(self, origin_id: str, path: bytes) -> list[LibraryFile]:
        """The deleted tracks, restored or not, that were the file of an origin at this path there."""
        with self._catalog.snapshot() as txn:
            found = read_trashed_at(txn, self._catalog.tables, (origin_id, path))
        return [file for object_id, _ in found if (file := self._file({}, object_id)) is not None]

    def deleted_below(self, paths: Collection[bytes]) -> Iterator[tuple[bytes, LibraryFile]]:
        """(the path, file) of each deleted track that was at or below one of these virtual paths; looks at all the trash."""
        with self._catalog.snapshot() as txn:
            found = [
                (path, object_id)
                for object_id, trashed in iterate_trashed(txn, self._catalog.tables)
                for path in _at_and_above(trashed.virtual_path)
                if path in paths
            ]
        for path, object_id in found:
            file = self._file({}, object_id)
            if file is not None:
                yield path, file

    def of_object(self, object_id: int) -> LibraryFile | None:
        """The file with this id, and where else the track it is of lies; None if it is gone or its origin not in use."""
        ids = {record.number: found for found, record in self._catalog.origins().items()}
        file = self._file(ids, object_id)
        others = (self._file(ids, other) for other in self._catalog.track_of(object_id) if other != object_id)
        return (
            None
            if file is None
            else msgspec.structs.replace(file, others=tuple(other for other in others if other is not None))
        )

    def object_at(self, origin_id: str, path: bytes) -> int | None:
        """The id of what an origin has at this path there, or None."""
        return self._catalog.object_at(origin_id, path)

    def _file(self, ids: dict[int, str], object_id: int) -> LibraryFile | None:
        located = self._catalog.locate(object_id) or self._locate_deleted(object_id)
        if located is None:
            return None
        number, path, record = located
        is_gone = number == TRASH_ORIGIN
        origin_id, path = original_anchor(path) if is_gone else (ids.get(number, ""), path)
        access = self._access(origin_id)
        if access is None:
            return None
        source = Source(origin_id, os.fsdecode(path), record.version.decode(), record.size, is_gone=is_gone)
        return LibraryFile(b"", source, access, object_id)

    def _locate_deleted(self, object_id: int) -> tuple[int, bytes, ObjectRecord] | None:
        """A deleted track as :meth:`Catalog.locate` tells of one that is restored."""
        with self._catalog.snapshot() as txn:
            trashed = read_trashed(txn, self._catalog.tables, object_id)
        return None if trashed is None else (TRASH_ORIGIN, trash_path(trashed.anchor), trashed.record)


def _at_and_above(path: bytes) -> Iterator[bytes]:
    yield path
    while len(path) > 1:
        path = path.rpartition(b"/")[0] or b"/"
        yield path


def spellings(path: str) -> tuple[bytes, ...]:
    """What a path may mean: as it is written, and with ``\\xNN`` for bytes that are not UTF-8."""
    raw = os.fsencode(path)
    return tuple(dict.fromkeys((raw, _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), raw))))


def normal(path: bytes) -> bytes:
    """A virtual path with one slash before each name and none at the end."""
    return b"/" + b"/".join(part for part in path.split(b"/") if part not in {b"", b"."})
