"""What is wrong with the music itself: unreadable and tagless files, duplicates, split albums, albums without a cover.

All of it is in the catalog: one pass over the facts, folder by folder, and one over the folders of the tree. No origin is
asked for anything (:mod:`musicfs.library.drift` does that), and memory does not grow with the library, but for the files
of a single folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

import msgspec

from musicfs.library.albums import AlbumPieces
from musicfs.library.repeats import Repeats
from musicfs.model import FIELDS
from musicfs.store.catalog import Catalog
from musicfs.store.corrections import Correction, is_spliced
from musicfs.store.records import FolderRecord, ObjectKind, ObjectRecord, StoredTags, decode_object, tag
from musicfs.store.survey import (
    Glance,
    StoredFile,
    count_objects,
    files_from,
    folders_without,
    glance_at,
    glance_at_facts,
    problems_from,
)

_FILES, _PROBLEMS, _DIRECTORIES = 1000, 1000, 2000  # looked at by one snapshot
_SHOWN_COPIES = 10
_NAMING = frozenset(FIELDS[name] for name in ("title", "artist", "album", "album_artist"))
_COVER_NAME = b"cover.jpg"
_MIX = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1


class IssueKind(StrEnum):
    """What may be wrong with music, in the order in which it is looked for."""

    UNREADABLE = "unreadable"
    NO_TAGS = "no_tags"
    SPLIT_ALBUM = "split_album"
    DUPLICATE = "duplicate"
    NO_COVER = "no_cover"
    DRIFTED = "drifted"
    HELD = "held"


class Issue(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong.

    ``paths`` lie in the origin with the number ``origin``; 0 stands for the mount, whose paths begin with a slash. ``files``
    are concerned; of many, not all have their path here.
    """

    kind: IssueKind
    origin: int
    paths: tuple[bytes, ...]
    detail: str = ""
    files: int = 1


class Checkup:
    """One look at the library. ``done`` of ``total`` files have been looked at; both are for another thread to read."""

    def __init__(self, catalog: Catalog, kinds: Collection[IssueKind], origin: int, spill_folder: str) -> None:
        """``origin`` is the number of the only one that matters, or 0; what is too much for memory goes to a folder."""
        self._catalog = catalog
        self._kinds = frozenset(kinds)
        self._splits = IssueKind.SPLIT_ALBUM in self._kinds
        self._repeats = IssueKind.DUPLICATE in self._kinds
        self._tagless = IssueKind.NO_TAGS in self._kinds
        self._origin = origin
        self._spill_folder = spill_folder
        self.done = 0
        self.total = count_objects(catalog)

    def issues(self) -> Iterator[Issue | None]:
        """What is wrong, in no order; None now and then, some milliseconds apart. OSError if the disk is full."""
        if IssueKind.UNREADABLE in self._kinds:
            yield from self._unreadable()
        if self._kinds & {IssueKind.NO_TAGS, IssueKind.SPLIT_ALBUM, IssueKind.DUPLICATE, IssueKind.DRIFTED}:
            repeats = Repeats(self._spill_folder)
            try:
                yield from self._facts(repeats)
                yield from self._duplicates(repeats)
            finally:
                repeats.close()
        self.done = self.total
        if IssueKind.NO_COVER in self._kinds:
            yield from self._coverless()

    def _unreadable(self) -> Iterator[Issue | None]:
        start = 0
        while batch := problems_from(self._catalog, start, _PROBLEMS):
            for object_id, reason in batch:
                located = self._catalog.locate(object_id)
                if located is not None and self._origin in (0, located[0]):
                    yield Issue(IssueKind.UNREADABLE, located[0], (located[1],), reason)
            start = batch[-1][0] + 1
            yield None

    # The facts, folder by folder.

    def _facts(self, repeats: Repeats) -> Iterator[Issue | None]:
        place: bytes | None = b""
        folder: FolderRecord | None = None
        albums = AlbumPieces()
        while place is not None:
            batch, place = files_from(self._catalog, place, _FILES, self._origin)
            for file in batch:
                if file.folder is not folder and (folder is None or _place(file.folder) != _place(folder)):
                    yield from _split(folder, albums)
                    folder, albums = file.folder, AlbumPieces()
                issues = self._file(file, albums, repeats)
                if issues:
                    yield from issues
            self.done += len(batch)
            yield None
        yield from _split(folder, albums)

    def _file(self, file: StoredFile, albums: AlbumPieces, repeats: Repeats) -> Sequence[Issue]:
        folder, object_id, record, correction = file
        glance = glance_at(record)
        if glance.kind == ObjectKind.SIDECAR:
            return ()
        issues = []
        if correction is not None and IssueKind.DRIFTED in self._kinds:
            reason = _why_uncorrected(decode_object(record), correction)
            if reason:
                detail = f"its corrected tags are not in what is served: {reason}"
                issues.append(Issue(IssueKind.DRIFTED, folder.origin, (_path(folder, glance),), detail))
        facts = glance.facts
        if facts is None:
            return issues  # among the unreadable ones
        tags = facts.tags if correction is None else _as_read(facts.tags, correction)
        if self._splits:
            albums.add(tags)
        if self._repeats and facts.audio_id:
            repeats.add((facts.audio_id + folder.origin * _MIX) & _MASK, object_id)  # within one origin
        if self._tagless and _NAMING.isdisjoint(tags):
            issues.append(Issue(IssueKind.NO_TAGS, folder.origin, (_path(folder, glance),)))
        return issues

    def _duplicates(self, repeats: Repeats) -> Iterator[Issue | None]:
        for group in repeats.groups():
            if group is None:
                yield None
                continue
            located = [found for one in group[:_SHOWN_COPIES] if (found := self._catalog.locate(one)) is not None]
            if len(located) > 1:
                paths = tuple(path for _, path, _ in located)
                yield Issue(IssueKind.DUPLICATE, located[0][0], paths, files=len(group))

    # The tree.

    def _coverless(self) -> Iterator[Issue | None]:
        start: int | None = 0
        while start is not None:
            found, start = folders_without(self._catalog, _COVER_NAME, start, _DIRECTORIES)
            for bare in found:
                path = self._catalog.path_of(bare.inode)
                if path is not None and self._is_album(bare.object_id):
                    yield Issue(IssueKind.NO_COVER, 0, (path,))
            yield None

    def _is_album(self, object_id: int) -> bool:
        """Whether a track names an album, and lies in the origin that matters: what has no tags needs no cover."""
        record = self._catalog.served(object_id)
        facts = glance_at_facts(record.facts) if record is not None else None
        if facts is None or not tag(facts.tags, FIELDS["album"]):
            return False
        located = self._catalog.locate(object_id) if self._origin else None
        return not self._origin or (located is not None and located[0] == self._origin)


def _path(folder: FolderRecord, glance: Glance) -> bytes:
    return (folder.path + b"/" if folder.path else b"") + glance.name


def _place(folder: FolderRecord) -> tuple[int, bytes]:
    """What makes it the same, also when a scan has listed it anew between two batches."""
    return folder.origin, folder.path


def _split(folder: FolderRecord | None, albums: AlbumPieces) -> Iterator[Issue]:
    if folder is not None:
        for tracks, difference in albums.split():
            yield Issue(IssueKind.SPLIT_ALBUM, folder.origin, (folder.path,), difference, tracks)


def _as_read(own: StoredTags, correction: Correction) -> StoredTags:
    """The tags with what is corrected on top."""
    if not correction.tags:
        return own
    return {field: values for field, values in {**own, **correction.tags}.items() if values}


def _why_uncorrected(record: ObjectRecord, correction: Correction) -> str:
    """Why the corrections are not in the bytes that are served; empty if they are, need not be, or will be in a moment."""
    if not correction.changes_bytes or correction.pending or is_spliced(record, correction):
        return ""
    return correction.reason or ("the file has changed since they were put there" if correction.mark else "")
