"""What scans do to files, told to whoever listens: ids when something is committed, the rest when a listener asks."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from functools import partial

import msgspec

from musicfs.events import EventBus, EventType, FileNews
from musicfs.store.catalog import Catalog
from musicfs.store.records import ObjectRecord


class FileEvents:
    """Used by the publisher, on the thread that writes."""

    def __init__(self, catalog: Catalog, events: EventBus) -> None:
        self._catalog = catalog
        self._events = events

    def written(
        self,
        origin: int,
        objects: Sequence[tuple[int, ObjectRecord | None, ObjectRecord | None]],
        returned: Container[int] = (),
    ) -> None:
        """Files of an origin were committed: (id, as it was before, as it is now), None before for a new one.

        Those of ``returned`` were deleted.
        """
        kinds: dict[str, list[int]] = {"added": [], "content": [], "moved": []}
        for object_id, before, now in objects:
            kinds[_kind(before, now)].append(object_id)
        origin_id = self._origin_id(origin)

        def added(object_id: int) -> FileNews | None:
            return self._news(object_id, **({"returned": "true"} if object_id in returned else {}))

        self._events.publish_each(EventType.FILE_ADDED, origin_id, kinds["added"], added)
        for change in ("content", "moved"):
            describe = partial(self._news, change=change)
            self._events.publish_each(EventType.FILE_MODIFIED, origin_id, kinds[change], describe)

    def leaving(self, objects: Sequence[int]) -> Mapping[int, FileNews]:
        """What there will be to tell of files that are about to be removed; empty if nobody wants to know."""
        if not self._events.wants(EventType.FILE_REMOVED):
            return {}
        found = {object_id: self._news(object_id) for object_id in objects}
        return {object_id: news for object_id, news in found.items() if news is not None}

    def removed(
        self, objects: Mapping[int, Sequence[int]], news: Mapping[int, FileNews], trashed: Container[int]
    ) -> None:
        """Files were removed: origin number -> ids. ``news`` is what :meth:`leaving` said; ``trashed`` moved to the trash."""

        def describe(object_id: int) -> FileNews | None:
            found = news.get(object_id)
            if found is None or object_id not in trashed:
                return found
            return msgspec.structs.replace(found, details={**found.details, "trashed": "true"})

        for origin, gone in objects.items():
            self._events.publish_each(EventType.FILE_REMOVED, self._origin_id(origin), gone, describe)

    def _origin_id(self, number: int) -> str:
        return next((one for one, record in self._catalog.origins().items() if record.number == number), "")

    def _news(self, object_id: int, **further: str) -> FileNews | None:
        """None for a file that has gone meanwhile."""
        located = self._catalog.locate(object_id)
        if located is None:
            return None
        track = self._catalog.track_of(object_id)
        inode = self._catalog.place_of(track[0])
        path = self._catalog.path_of(inode) if inode else None
        details = {"origin_path": os.fsdecode(located[1]), **further}
        if len(track) > 1:
            details["sources"] = str(len(track))  # files that are this track, on all origins
        return FileNews(os.fsdecode(path or b""), track[0], details)


def _kind(before: ObjectRecord | None, now: ObjectRecord | None) -> str:
    if before is None or now is None:
        return "added"
    return "content" if (before.folder, before.name) == (now.folder, now.name) else "moved"
