"""Writes the full-text index.

The sequence of the catalog's last change that is in the index is kept in a document of the index itself, so a crash at any
moment leaves the last commit, and what is not in it is known.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
import tantivy

from musicfs.errors import StoreError
from musicfs.index.documents import Document
from musicfs.index.entries import TrackEntries
from musicfs.index.guarding import tantivy_errors
from musicfs.index.schema import (
    ABOUT_ID,
    About,
    about_entry,
    build_schema,
    read_about,
    register_tokenizers,
)
from musicfs.index.segments import META, check_file, list_files, read_layout

logger = logging.getLogger(__name__)

_LOCK = "keeper.lock"
_IN_USE = "in-use"  # is there while a writer is open: found at the start, the last one did not end as it should
_HEAP_BYTES = 30_000_000  # what is added is kept in memory up to this size; tantivy's least is 15 MB a thread
_CHECKED_BYTES = 256 << 20  # checksums of more than this are looked at only after an unclean end


class IndexWriter:
    """The one writer of an index. Use it from one thread; :func:`open_writer` makes it.

    What is put or removed counts from the next commit on. After an error nothing since the last commit is kept: begin
    again from ``sequence``.
    """

    def __init__(self, path: Path, identity: str, lock_fd: int) -> None:
        """``lock_fd`` is held locked, and closed in the end."""
        self._path = path
        self._identity = identity
        self._lock_fd = lock_fd
        self._schema = build_schema()
        self._entries = TrackEntries()
        self._writer: tantivy.IndexWriter | None = None
        self._index, self._about = self._open_or_begin()

    @property
    def sequence(self) -> int:
        """Of the last commit; -1 if there was none."""
        return self._about.sequence

    @property
    def is_complete(self) -> bool:
        """Whether all of the catalog has been in it once."""
        return self._about.is_complete

    def add(self, object_id: int, document: Document) -> None:
        """Add a track that is not in the index. StoreError, DiskFullError."""
        entry = self._entry(object_id, document)
        with self._writing() as writer:
            writer.add_document(entry)

    def put(self, object_id: int, document: Document) -> None:
        """Add a track, or replace it. Takes 1 KB of memory until the next commit. StoreError, DiskFullError."""
        entry = self._entry(object_id, document)
        with self._writing() as writer:
            writer.delete_documents_by_term("id", object_id)
            writer.add_document(entry)

    def _entry(self, object_id: int, document: Document) -> tantivy.Document:
        if object_id == ABOUT_ID:
            raise ValueError("no track has the id 0")
        return self._entries.entry(object_id, document)

    def remove(self, object_id: int) -> None:
        """Remove a track, if it is there. StoreError, DiskFullError."""
        if object_id == ABOUT_ID:
            raise ValueError("no track has the id 0")
        with self._writing() as writer:
            writer.delete_documents_by_term("id", object_id)

    def commit(self, sequence: int, *, complete: bool = True) -> None:
        """Make durable what was put and removed, and show it to readers. Takes some 10 ms. StoreError, DiskFullError."""
        about = msgspec.structs.replace(self._about, sequence=sequence, is_complete=complete)
        with self._writing() as writer:
            writer.delete_documents_by_term("id", ABOUT_ID)
            writer.add_document(about_entry(about))
            writer.commit()
        self._about = about

    def rest(self) -> None:
        """Give memory and threads back; the next change takes them again. What is not committed is lost.

        Blocks until segments that are being merged are.
        """
        writer, self._writer = self._writer, None
        self._entries = TrackEntries()
        if writer is not None:
            with tantivy_errors(f"the search index {self._path} cannot be written", self._path):
                writer.wait_merging_threads()

    def close(self) -> None:
        """End. What is not committed is lost. A thread of tantivy may delete files it needs no more for a moment yet."""
        if self._lock_fd < 0:
            return
        try:
            self.rest()
            with contextlib.suppress(FileNotFoundError):
                (self._path / _IN_USE).unlink()
        finally:
            os.close(self._lock_fd)
            self._lock_fd = -1

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tantivy.IndexWriter]:
        """tantivy's writer; it is given up when it fails, for it never recovers."""
        if self._lock_fd < 0:
            raise ValueError("the index writer is closed")
        try:
            with tantivy_errors(f"the search index {self._path} cannot be written", self._path):
                if self._writer is None:
                    self._writer = self._index.writer(_HEAP_BYTES, 1)
                yield self._writer
        except BaseException:
            self._writer = None
            raise

    def _open_or_begin(self) -> tuple[tantivy.Index, About]:
        was_in_use = (self._path / _IN_USE).exists()
        (self._path / _IN_USE).touch()
        if (self._path / META).exists():
            try:
                return self._open(is_thorough=was_in_use)
            except (StoreError, FileNotFoundError) as error:
                logger.info("the search index %s is begun anew: %s", self._path, error)
        return self._begin()

    def _open(self, *, is_thorough: bool) -> tuple[tantivy.Index, About]:
        listing = list_files(self._path)
        is_thorough = is_thorough or sum(listing.files.values()) <= _CHECKED_BYTES
        for name in listing.files:
            check_file(self._path / name, is_thorough=is_thorough)
        with tantivy_errors("it cannot be opened"):
            index = tantivy.Index.open(str(self._path))
            register_tokenizers(index)
            about = read_about(index.searcher(), self._schema)
        if about.layout != listing.layout:
            raise StoreError("its schema is damaged")
        if not about.is_current:
            raise StoreError("it was written by another version")
        if about.identity != self._identity:
            raise StoreError("it is of another catalog")
        self._drop_leftovers(listing.files)
        return index, about

    def _drop_leftovers(self, known: Collection[str]) -> None:
        """Remove what a killed writer wrote for a commit that never was: the next one may give its files the same names."""
        kept = {META, _LOCK, _IN_USE, *known}
        for entry in list(os.scandir(self._path)):
            if entry.is_file(follow_symlinks=False) and entry.name not in kept and not entry.name.startswith("."):
                os.unlink(entry.path)

    def _begin(self) -> tuple[tantivy.Index, About]:
        """An empty index; the list of the segments goes first, so that nobody looks for them."""
        (self._path / META).unlink(missing_ok=True)
        for entry in list(os.scandir(self._path)):
            if entry.is_file(follow_symlinks=False) and entry.name not in {_LOCK, _IN_USE}:
                os.unlink(entry.path)
        with tantivy_errors(f"the search index {self._path} cannot be written", self._path):
            index = tantivy.Index(self._schema, str(self._path))
            register_tokenizers(index)
            layout = read_layout(self._path)
        return index, About(identity=self._identity, sequence=-1, is_complete=False, layout=layout)


def open_writer(path: str, identity: str) -> IndexWriter:
    """Open the index in the folder ``path`` for the catalog ``identity``, or begin it.

    An index that is missing, damaged, of another schema or another catalog is begun anew: its ``sequence`` is -1. Reads
    the whole index if it is small or was not closed, to check it. StoreError if another process has it open; DiskFullError.
    """
    folder = Path(path)
    with tantivy_errors(f"the search index {path} cannot be opened"):
        folder.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return IndexWriter(folder, identity, lock_fd)
        except BlockingIOError as error:
            os.close(lock_fd)
            raise StoreError(f"another process writes the search index {path}") from error
        except BaseException:
            os.close(lock_fd)
            raise
