"""Files that are not what the catalog says of them: an origin is listed anew, and nothing is changed by what is found.

A rescan finds the same, and puts it right; this says whether one is due.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from musicfs.library.checkup import Issue, IssueKind
from musicfs.library.plan import digest, plan_folder
from musicfs.origins.contract import Folder, Origin
from musicfs.store.catalog import Catalog
from musicfs.store.records import FolderRecord
from musicfs.store.survey import folders_from, names_after

_FOLDERS, _FILES = 200, 1000


class Drift:
    """Compares one origin, whose files have ``number`` in the catalog, with the catalog."""

    def __init__(self, catalog: Catalog, number: int, origin: Origin) -> None:
        self._catalog = catalog
        self._number = number
        self._origin = origin
        self._seen = bytearray()  # by folder id, 1 for those that were listed
        self._is_complete = True

    def issues(self) -> Iterator[Issue | None]:
        """What has changed, appeared or gone; None after every folder. Raises OriginError when it cannot be listed."""
        for folder in self._origin.list(""):
            yield from self._listed(folder)
            yield None
        if self._is_complete:
            yield from self._gone()

    def _listed(self, folder: Folder) -> Iterator[Issue]:
        self._is_complete &= folder.complete
        path = os.fsencode(folder.path)
        known = self._catalog.folder(self._number, path)
        if known is None:
            if folder.files:
                yield self._issue(path, "a folder that has not been scanned", len(folder.files))
            return
        folder_id, seen = known
        self._mark(folder_id)
        if seen == digest(folder):
            return
        plan = plan_folder(folder, self._catalog.files_of(folder_id))
        for name, entry, object_id in plan.read:
            record = self._catalog.object(object_id) if object_id else None
            if record is None:
                detail = "not scanned yet"
            elif record.size != entry.size:
                detail = f"changed since it was scanned: {entry.size} bytes, {record.size} then"
            else:
                detail = "changed since it was scanned"
            yield self._issue(_join(path, name), detail)
        for name, _ in plan.gone:
            yield self._issue(_join(path, name), "gone since it was scanned")

    def _gone(self) -> Iterator[Issue | None]:
        """Folders that the catalog has files of, and that were not listed."""
        start = 0
        while batch := folders_from(self._catalog, start, _FOLDERS):
            for folder_id, record in batch:
                if record.origin == self._number and not self._is_marked(folder_id):
                    yield from self._gone_folder(folder_id, record)
            start = batch[-1][0] + 1
            yield None

    def _gone_folder(self, folder_id: int, record: FolderRecord) -> Iterator[Issue]:
        count = 0
        name = b""
        while batch := names_after(self._catalog, folder_id, name, _FILES):
            count += len(batch)
            name = batch[-1]
        if count:
            yield self._issue(record.path, "the folder is gone since it was scanned", count)

    def _issue(self, path: bytes, detail: str, files: int = 1) -> Issue:
        return Issue(IssueKind.DRIFTED, self._number, (path,), detail, files)

    def _mark(self, folder_id: int) -> None:
        if folder_id >= len(self._seen):
            self._seen.extend(bytes(folder_id + 1 - len(self._seen)))
        self._seen[folder_id] = 1

    def _is_marked(self, folder_id: int) -> bool:
        return folder_id < len(self._seen) and bool(self._seen[folder_id])


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
