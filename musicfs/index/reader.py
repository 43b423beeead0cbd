"""Reads the full-text index, which another process may write, replace or remove meanwhile."""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import tantivy

from musicfs.errors import IndexNotReadyError, StoreError
from musicfs.index.compiling import Compiler, all_of
from musicfs.index.fields import KINDS, Kind
from musicfs.index.finding import Found, Hit, Sort
from musicfs.index.guarding import tantivy_errors
from musicfs.index.ranking import tiers
from musicfs.index.schema import build_schema, read_about
from musicfs.index.segments import check_file, list_files, version_of
from musicfs.index.syntax import Query

_CHECKED_BYTES = 1 << 20  # larger files are checked by their writer; here it would take too long
_ATTEMPTS = 5  # to look at files while a writer replaces them


T = TypeVar("T")


class _View(NamedTuple):
    """The index as it was at one moment."""

    searcher: tantivy.Searcher
    version: int
    files: dict[str, int]  # name -> size in bytes


class IndexReader:
    """A :class:`musicfs.index.finding.Finder` for the index in a folder. Safe from any thread; opens nothing until asked."""

    def __init__(self, path: str, on_damage: Callable[[StoreError], None] | None = None) -> None:
        """``on_damage`` is called, on the thread that asked, when the index turns out to be damaged."""
        self._path = Path(path)
        self._on_damage = on_damage
        self._schema = build_schema()
        self._lock = threading.Lock()
        self._view: _View | None = None
        self._checked: dict[str, int] = {}
        self._index: tantivy.Index | None = None

    @property
    def version(self) -> int:
        """See Finder."""
        return version_of(self._path)

    def search(self, query: Query, *, now_ns: int, limit: int, offset: int = 0, sort: Sort | None = None) -> Found:
        """See Finder. ValueError for a field that has no order."""
        if sort is not None and KINDS.get(sort.field, Kind.TEXT) in {Kind.TEXT, Kind.KEYWORD}:
            raise ValueError(f"nothing can be sorted by {sort.field}")
        return self._guarded(lambda view: self._search(view.searcher, query, now_ns, limit, offset, sort))

    def ids(self, query: Query, *, now_ns: int) -> array[int]:
        """The object ids of all matches, in no order. Errors as of ``search``."""
        return self._guarded(lambda view: self._ids(view.searcher, query, now_ns))

    def close(self) -> None:
        """Let go of the files; what is asked afterwards opens them again."""
        with self._lock:
            self._view = self._index = None
            self._checked = {}

    def _guarded(self, ask: Callable[[_View], T]) -> T:
        try:
            with tantivy_errors(f"the search index {self._path} cannot be read"):
                return ask(self._current())
        except IndexNotReadyError:
            raise
        except StoreError as error:
            self.close()
            if self._on_damage is not None:
                self._on_damage(error)
            raise

    def _current(self) -> _View:
        """The index as it is now."""
        with self._lock:
            version = self.version
            if version == 0:
                self._view = None
                raise self._not_ready()
            if self._view is None or self._view.version != version:
                self._view = self._open()
            else:
                self._require_whole(self._view)
            return self._view

    def _open(self) -> _View:
        """Open what is there, once its files are known to be whole."""
        for _ in range(_ATTEMPTS):
            version = self.version
            try:
                listing = list_files(self._path)
                for name, size in listing.files.items():
                    if self._checked.get(name) != size:
                        check_file(self._path / name, is_thorough=size <= _CHECKED_BYTES)
                searcher = self._searcher(listing.layout)
            except (StoreError, ValueError, OSError):
                self._index = None
                if self.version != version:  # files went while they were looked at
                    continue
                if version == 0:
                    break
                raise
            if self.version == version:
                self._checked = listing.files
                return _View(searcher, version, listing.files)
        raise self._not_ready()

    def _searcher(self, layout: int) -> tantivy.Searcher:
        if self._index is None:
            # It comes with a watcher, whose thread opens the files once more on its own time, some ms at most, even though
            # the next line turns it off (``file_watcher.rs`` of tantivy): what is cut just then, nobody here can notice.
            self._index = tantivy.Index.open(str(self._path))
            self._index.config_reader("manual")
        self._index.reload()
        searcher = self._index.searcher()
        if searcher.num_docs == 0:  # begun, and nothing is in it
            raise self._not_ready()
        about = read_about(searcher, self._schema)
        if not (about.is_complete and about.is_current):
            raise self._not_ready()
        if about.layout != layout:
            raise StoreError("its schema is damaged")
        return searcher

    def _require_whole(self, view: _View) -> None:
        """StoreError if a file in use was cut short: to read what is gone would end the process."""
        for name, size in view.files.items():
            try:
                found = os.stat(self._path / name).st_size
            except FileNotFoundError:
                continue  # its contents stay as long as it is open
            if found < size:
                raise StoreError(f"{self._path / name} was cut short")

    def _not_ready(self) -> IndexNotReadyError:
        return IndexNotReadyError("the search index is being built", remedy="try again in a moment")

    def _search(
        self, searcher: tantivy.Searcher, query: Query, now_ns: int, limit: int, offset: int, sort: Sort | None
    ) -> Found:
        compiler = Compiler(searcher, self._schema, now_ns)
        compiled = compiler.compile(query)
        if sort is not None:
            return _sorted(searcher, self._schema, compiled, sort, limit, offset)
        better = tiers(query, compiler)
        hits: list[Hit] = []
        total, wanted = 0, offset + limit
        for rank in range(len(better) + 1):
            asked = all_of([compiled, *better[rank : rank + 1]])
            ids, count = _first(searcher, compiler.all_but(asked, better[:rank]), wanted - len(hits))
            hits += [Hit(object_id, float(len(better) - rank)) for object_id in ids]
            total += count
            if len(hits) >= wanted and rank < len(better):
                total = _count(searcher, compiled)
                break
        return Found(tuple(hits[offset:]), total)

    def _ids(self, searcher: tantivy.Searcher, query: Query, now_ns: int) -> array[int]:
        compiled = Compiler(searcher, self._schema, now_ns).compile(query)
        addresses = [address for _, address in searcher.search(compiled, max(1, searcher.num_docs), count=False).hits]
        return array("q", _ids_of(searcher, addresses))


def _total(found: tantivy.SearchResult) -> int:
    return int(found.count)  # type: ignore[attr-defined]  # tantivy's type hints leave it out


def _ids_of(searcher: tantivy.Searcher, addresses: list[tantivy.DocAddress]) -> list[int]:
    return cast("list[int]", searcher.fast_field_values("id", addresses))


def _count(searcher: tantivy.Searcher, query: tantivy.Query) -> int:
    return _total(searcher.search(query, 1))


def _first(searcher: tantivy.Searcher, query: tantivy.Query, limit: int) -> tuple[Sequence[int], int]:
    """The lowest ids, ``limit`` at most, and how many there are in all."""
    found = searcher.search(query, max(1, limit), order_by_field="id", order=tantivy.Order.Asc)
    return [int(object_id) for object_id, _ in found.hits[: max(0, limit)]], _total(found)


def _sorted(
    searcher: tantivy.Searcher, schema: tantivy.Schema, query: tantivy.Query, sort: Sort, limit: int, offset: int
) -> Found:
    """The matches by a column; those that are equal in the order of their ids."""
    wanted = offset + limit
    order = tantivy.Order.Desc if sort.is_descending else tantivy.Order.Asc
    found = searcher.search(query, max(1, wanted), order_by_field=sort.field, order=order)
    keys = [key for key, _ in found.hits]
    ids = _ids_of(searcher, [address for _, address in found.hits])
    if _total(found) > len(keys) and wanted > 0:
        last = keys[-1]
        better = keys.index(last)
        ids = [*ids[:better], *_tied(searcher, schema, query, sort.field, last, wanted - better)]
    ordered: list[int] = []
    start = 0
    for index in range(1, len(keys) + 1):
        if index == len(keys) or keys[index] != keys[start]:
            ordered += sorted(ids[start:index])
            start = index
    return Found(tuple(Hit(object_id) for object_id in ordered[offset:wanted]), _total(found))


def _tied(
    searcher: tantivy.Searcher, schema: tantivy.Schema, query: tantivy.Query, field: str, key: float | None, limit: int
) -> list[int]:
    """The lowest ids of matches whose first number in a column is ``key``."""
    if key is None:
        none = tantivy.Query.exists_query(field)
        return list(_first(searcher, Compiler.all_but(query, [none]), limit)[0])
    kind = tantivy.FieldType.Float if isinstance(key, float) else tantivy.FieldType.Integer
    equal = all_of([query, tantivy.Query.range_query(schema, field, kind, key, key)])
    tried = limit
    while True:  # of a track with several numbers, another may be equal
        found = searcher.search(equal, tried, order_by_field="id", order=tantivy.Order.Asc)
        firsts = searcher.fast_field_values(field, [address for _, address in found.hits])
        ids = [int(one) for (one, _), first in zip(found.hits, firsts, strict=True) if first == key]
        if len(ids) >= limit or len(found.hits) == _total(found):
            return ids[:limit]
        tried *= 4
