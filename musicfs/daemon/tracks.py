"""Tracks of the library as clients name them, and all that is known of their tags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from musicfs.api.metadata import Cover, Served, TrackMetadata
from musicfs.clock import Clock
from musicfs.daemon.library_files import LibraryFiles, spellings
from musicfs.daemon.track_index import Known, TrackIndex
from musicfs.errors import ConfigError, NotFoundError
from musicfs.index.parser import parse
from musicfs.library.overlays import effective_tags
from musicfs.model import Tags, Technical
from musicfs.store.catalog import Catalog
from musicfs.store.corrections import NO_COVER, OWN_COVER, Correction, is_spliced
from musicfs.store.overlays import Anchor
from musicfs.store.records import TRASH_ORIGIN, Node, NodeKind, ObjectKind, ObjectRecord, unpack_facts
from musicfs.store.state import State
from musicfs.store.trashed import original_anchor
from musicfs.vfs.paths import files_at, find, find_former

_COVERS = {OWN_COVER: Cover.OWN, NO_COVER: Cover.REMOVED}
# What an import may know a track by.
MATCH_FIELDS = ("mb_track_id", "mb_recording_id", "isrc")
ORIGIN_ID = "origin_id"
ORIGIN_PATH = "origin_path"


class Tracks:
    """Looks tracks up in the catalog, at the time of asking. Safe from any thread."""

    def __init__(
        self, catalog: Catalog, state: State, files: LibraryFiles, roots: Mapping[str, str], clock: Clock
    ) -> None:
        """``roots`` are the folders of this machine that origins stand for, by origin id."""
        self._catalog = catalog
        self._state = state
        self._files = files
        self._clock = clock
        self.index = TrackIndex(catalog, lambda: self.below(()), self.effective, clock)
        self._roots = {
            spelling: origin_id
            for origin_id, root in roots.items()
            for spelling in (os.path.normpath(root), os.path.realpath(root))
        }

    def is_track(self, object_id: int) -> bool:
        """Whether this is a file with tags, or one that is named so."""
        record = self._catalog.object(object_id)
        return record is not None and record.kind != ObjectKind.SIDECAR

    def lookup(self, path: str, file_id: int) -> int:
        """The served file of the one track that is named. NotFoundError if there is none."""
        if not path:
            if not self.is_track(file_id):
                raise NotFoundError(f"there is no track with the id {file_id}")
            return self._catalog.track_of(file_id)[0]
        object_id = self._track_at(self._node(path))
        if object_id is None:
            raise NotFoundError(
                f"{path!r} is no track", remedy="give a track's path, or a folder where that is allowed"
            )
        return object_id

    def selecting(self, query: str, now_ns: int) -> Callable[[int], bool]:
        """What says whether a track matches; an empty query is all of them. ConfigError, with the column, for a bad one."""
        if not query:
            return lambda _: True
        selection = self._files.selection(parse(query), now_ns)
        ids = {record.number: origin_id for origin_id, record in self._catalog.origins().items()}

        def matches(object_id: int) -> bool:
            return selection.selects(self._catalog, ids, object_id, lambda: self._catalog.track_of(object_id))

        return matches

    def _track_at(self, node: Node) -> int | None:
        """The object if an audio file is placed there; not a cover that is a part of one."""
        if node.kind != NodeKind.OBJECT or node.start or not self.is_track(node.ref):
            return None
        return self._catalog.track_of(node.ref)[0]

    def below(self, paths: Sequence[str]) -> Iterator[int]:
        """The served files of the tracks at and below these paths (none: all), each once. NotFoundError at the first."""
        return self._iterate([self._node(path) for path in paths or ("/",)])

    def _node(self, path: str) -> Node:
        """What is at a path, or was until an edit named it otherwise: an import that is run again has the names of then."""
        for candidate in spellings(path):
            node = find(self._catalog, candidate) or find_former(self._catalog, candidate, self._clock.time_ns())
            if node is not None:
                return node
        raise NotFoundError(f"there is no {path!r} in the mount", remedy="give a path from the root of the mount")

    def _iterate(self, nodes: Sequence[Node]) -> Iterator[int]:
        seen: set[int] = set()
        for root in nodes:
            for node in files_at(self._catalog, root):
                object_id = self._track_at(node)
                if object_id is not None and object_id not in seen:
                    seen.add(object_id)
                    yield object_id

    def metadata(self, object_id: int) -> TrackMetadata:
        """All that is known of one track; NotFoundError if it has gone."""
        located = self._catalog.locate(object_id)
        if located is None:
            raise NotFoundError(f"there is no track with the id {object_id}")
        number, path, record = located
        origin_id, path = original_anchor(path) if number == TRASH_ORIGIN else (self._origin_id(number), path)
        facts = unpack_facts(record.facts)
        own: Tags = facts.tags if facts is not None else {}
        overlay = self._state.overlay_at(origin_id, path)
        fields = overlay.fields if overlay is not None else {}
        correction = self._catalog.correction(object_id)
        served, reason = served_as(record, correction)
        return TrackMetadata(
            file_id=object_id,
            path=self.path_of(object_id),
            origin_id=origin_id,
            origin_path=os.fsdecode(path),
            format=facts.format if facts is not None else record.name.rpartition(b".")[2].decode("ascii", "replace"),
            technical=facts.technical if facts is not None else Technical(),
            own=own,
            effective=effective_tags(own, fields),
            overlay=fields,
            cover=_COVERS.get(overlay.cover, Cover.SET) if overlay is not None else Cover.OWN,
            served=served,
            reason=reason,
            unfit=correction.unfit if correction is not None else {},
            changed_ms=overlay.changed_ns // 1_000_000 if overlay is not None else 0,
            author=overlay.author if overlay is not None else "",
        )

    def held(self) -> Iterator[TrackMetadata]:
        """Corrections that say something, and whose files are all gone; not those of deleted tracks, which the trash has."""
        for overlay in self._state.overlays():
            is_empty = not overlay.fields and overlay.cover == OWN_COVER
            if is_empty or any(map(self._is_known, overlay.anchors)):
                continue
            origin_id, path = overlay.anchors[0] if overlay.anchors else ("", b"")
            yield TrackMetadata(
                file_id=0,
                path="",
                origin_id=origin_id,
                origin_path=os.fsdecode(path),
                format="",
                technical=Technical(),
                own={},
                effective={},
                overlay=overlay.fields,
                cover=_COVERS.get(overlay.cover, Cover.SET),
                served=Served.PENDING,
                reason="its file is gone",
                changed_ms=overlay.changed_ns // 1_000_000,
                author=overlay.author,
            )

    def _is_known(self, anchor: Anchor) -> bool:
        return self._files.object_at(*anchor) is not None or bool(self._files.deleted_at(*anchor))

    def path_of(self, object_id: int) -> str:
        """Where a track is in the tree; empty if it is not there."""
        inode = self._catalog.place_of(object_id)
        path = self._catalog.path_of(inode) if inode else None
        return os.fsdecode(path) if path is not None else ""

    def effective(self, object_id: int) -> Tags:
        """The tags as they read, from the catalog alone."""
        record = self._catalog.served(object_id)
        facts = unpack_facts(record.facts) if record is not None else None
        return facts.tags if facts is not None else {}

    def _origin_id(self, number: int) -> str:
        return next((one for one, record in self._catalog.origins().items() if record.number == number), "")

    def finder(self) -> Callable[[Mapping[str, str]], int]:
        """What finds a track by what an import knows of it; ConfigError or NotFoundError where that is not exactly one.

        Tags are looked at as they are when a field is first asked for, and again with every find.
        """
        known: Known = {}

        def find_by(match: Mapping[str, str]) -> int:
            nonlocal known
            if ORIGIN_PATH in match:
                path, origin_id = match[ORIGIN_PATH], match.get(ORIGIN_ID, "")
                match = {field: value for field, value in match.items() if field not in (ORIGIN_PATH, ORIGIN_ID)}
                file = self._at_origin_path(path, origin_id)
                if file is not None:
                    return file
                if not match:
                    raise NotFoundError(f"{origin_id or 'no origin'} has {'no ' if origin_id else ''}{path!r}")
            unknown = [field for field in match if field not in MATCH_FIELDS]
            if unknown or not match:
                raise ConfigError(f"tracks cannot be found by {', '.join(unknown) or 'nothing'}",
                                  remedy=f"use {', '.join(MATCH_FIELDS)}")  # fmt: skip
            if not known.keys() >= match.keys():
                known = self.index.look_at({*known, *match})
            found = self.index.find(known, match)
            what = ", ".join(f"{field} {value}" for field, value in match.items())
            if not found:
                raise NotFoundError(f"no track has {what}")
            if len(found) > 1:
                raise ConfigError(f"{len(found)} tracks have {what}", remedy="name the one by its path")
            return found.pop()

        return find_by

    def _at_origin_path(self, path: str, origin_id: str) -> int | None:
        """The track whose original lies at this path of the machine, or (relative) of an origin; of one origin, if named."""
        for place, raw in self._places(path, origin_id):
            file = self._files.object_at(place, raw)
            if file is not None and self.is_track(file):
                return self._catalog.track_of(file)[0]
        return None

    def _places(self, path: str, origin_id: str) -> Iterator[tuple[str, bytes]]:
        """Where such a path may lead: origins, and paths below their roots."""
        for raw in spellings(path):
            if not raw.startswith(b"/"):
                yield from ((one, raw) for one in self._catalog.origins() if origin_id in ("", one))
                continue
            for root, one in self._roots.items():
                base = os.fsencode(root).rstrip(b"/") + b"/"
                if origin_id in ("", one) and raw.startswith(base):
                    yield one, raw[len(base) :]


def served_as(record: ObjectRecord, correction: Correction | None) -> tuple[Served, str]:
    """How the bytes of the file with this record of its own are served, and why so if not as they should."""
    if correction is None or not (correction.changes_bytes or correction.reason):
        return Served.ORIGINAL, ""
    if is_spliced(record, correction):
        return Served.CORRECTED, ""
    if correction.pending:
        return Served.PENDING, correction.reason or "its bytes are not looked at yet"
    return (Served.PLAIN, correction.reason) if correction.reason else (Served.ORIGINAL, "")
