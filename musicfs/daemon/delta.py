"""Files that changed while an older version of them is stored: what both versions share is adopted, and not fetched again.

Scans ask :class:`DeltaSync` about every known file that changed. The comparison itself is pure
(:mod:`musicfs.content.delta`); here is what it needs: both versions' structure, what is stored, and the writing.

Threads: those of a remote reading; what is written to the store, its upkeep thread writes.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Sequence
from typing import Literal

from musicfs.content.delta import AdoptionPlan, confirm, plan_adoption, stored_audio_suffices
from musicfs.content.keys import Source, content_of
from musicfs.content.origins import Access
from musicfs.content.ranges import Range, subtract, within
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import FormatError, MusicFSError
from musicfs.formats import HeadTail, NeedRange, Segment, find_segments, stream_identity
from musicfs.model import Entry, Facts
from musicfs.store.catalog import Catalog
from musicfs.store.chunks import ChunkStore, StoredContent
from musicfs.store.chunks_schema import Adopted, Content, Reuse
from musicfs.store.chunks_upkeep import ChunkUpkeep
from musicfs.store.records import ObjectKind, unpack_stored

log = logging.getLogger(__name__)

Mode = Literal["auto", "probe"]

_ADOPTED_WITHIN_S = 10.0  # else it goes on in the background, and who reads meanwhile fetches
_HEAD_BYTES_MIN, _HEAD_BYTES_MAX = 512, 8192
_HEAD_BYTES_MORE = 256  # than the old version's tags took: most edits change a word


class _StoredSource:
    """A stored version as a file to be parsed; NeedRange for what is not stored."""

    def __init__(self, stored: StoredContent) -> None:
        self._stored = stored

    @property
    def size(self) -> int:
        return self._stored.size

    def read(self, start: int, stop: int) -> bytes:
        data = self.get(start, stop)
        if data is None:
            raise NeedRange(start, stop, stop)
        return data

    def get(self, start: int, stop: int) -> bytes | None:
        """The bytes, or None if they are not all stored."""
        if not 0 <= start <= stop <= self._stored.size:
            return None
        data = bytearray(stop - start)
        with memoryview(data) as view:
            return None if self._stored.read_into(view, start) else bytes(data)


class Revision:
    """One changed file; keeps :class:`musicfs.library.reading.Revision`."""

    def __init__(
        self,
        source: Source,
        object_id: int,
        contents: tuple[Content, Content],
        old: _StoredSource,
        segments: Sequence[Segment],
        identity: bytes,
        stored: Sequence[Range],
        adopt: Callable[[Content, Sequence[Reuse], Sequence[tuple[int, bytes]], Adopted], None],
    ) -> None:
        """``source`` is the new version's, ``contents`` are the old one and the new one; the rest is the old one's.

        ``identity`` is what the new version must have in common, empty if probes are enough.
        """
        self._source = source
        self._object_id = object_id
        self._before, self._after = contents
        self._old = old
        self._segments = segments
        self._identity = identity
        self._stored = stored
        self._adopt = adopt
        self._plan: AdoptionPlan | None = None

    @property
    def head_bytes(self) -> int:
        large = min(segment.start for segment in self._segments)
        return min(max(large + _HEAD_BYTES_MORE, _HEAD_BYTES_MIN), _HEAD_BYTES_MAX)

    def plan(self, source: HeadTail, facts: Facts) -> Sequence[Range]:
        try:
            if self._identity and stream_identity(source, facts.layout) != self._identity:
                return ()
            segments = find_segments(source, facts.layout, facts.pictures)
        except (NeedRange, FormatError):
            return ()
        held = [(start, start + len(data)) for start, data in source.pieces]
        choose = random.SystemRandom()
        self._plan = plan_adoption(source.size, self._segments, segments, self._stored, held, choose)
        return self._plan.wanted if self._plan is not None else ()

    def adopt(self, source: HeadTail) -> None:
        if self._plan is None:
            return
        shared = confirm(self._plan, source.pieces, self._old.get)
        if not shared:
            log.info("%r in origin %s has other audio than before", self._source.path, self._source.origin_id)
            return
        ranges = tuple(part for one in shared for part in one.ranges)
        rest = subtract([(0, source.size)], ranges)
        parts = [(start, bytes(data)) for start, data in within(source.pieces, rest)]
        old_key = self._before.key
        reuses = [Reuse(start, stop, old_key, start - one.offset) for one in shared for start, stop in one.ranges]
        self._adopt(self._after, reuses, parts, self._note(ranges))

    def _note(self, ranges: tuple[Range, ...]) -> Adopted:
        key, source = self._after.key, self._source
        path = os.fsencode(source.path)
        return Adopted(key, source.size, source.origin_id, path, source.version, self._object_id, ranges)


class DeltaSync:
    """Knows of changed files what of their last version is stored; keeps :class:`musicfs.library.reading.Revisions`."""

    def __init__(
        self,
        catalog: Catalog,
        access: Callable[[str], Access | None],
        store: ChunkStore,
        upkeep: Upkeep,
        mode: Mode,
        *,
        verify: bool = True,
    ) -> None:
        """``mode`` is the setting ``delta``: only FLAC whose STREAMINFO is as it was, or whatever probes allow.

        With ``verify`` what is adopted is noted, to be compared in full some time.
        """
        self._catalog = catalog
        self._access = access
        self._store = store
        self._upkeep = upkeep
        self._mode = mode
        self._verify = verify
        self.saved_bytes = 0  # since the start

    def begin(self, origin_id: str, object_id: int, entry: Entry) -> Revision | None:
        """The changed file's comparison, or None where nothing can come of it. Reads the catalog and the store."""
        access = self._access(origin_id)
        located = self._catalog.locate(object_id)
        if access is None or not access.keep or located is None or located[2].kind != ObjectKind.AUDIO:
            return None
        _, path, record = located
        facts = unpack_stored(record.facts)
        if facts is None or (self._mode == "auto" and facts.layout.container != "flac"):
            return None
        source = Source(origin_id, entry.path, entry.version, entry.size)
        before = Source(origin_id, os.fsdecode(path), record.version.decode(), record.size)
        old, new = (content_of(one, stable_version=access.stable_version) for one in (before, source))
        stored = self._store.open(old)
        known = subtract([(0, old.size)], stored.missing(0, old.size))
        old_source = _StoredSource(stored)
        try:
            segments = find_segments(old_source, facts.layout, facts.pictures)
            identity = stream_identity(old_source, facts.layout) if self._mode == "auto" else b""
        except (NeedRange, FormatError):
            return None
        if old.key == new.key or not stored_audio_suffices(segments, known) or (self._mode == "auto" and not identity):
            return None
        return Revision(source, object_id, (old, new), old_source, segments, identity, known, self._adopt)

    def _adopt(
        self, content: Content, reuses: Sequence[Reuse], parts: Sequence[tuple[int, bytes]], note: Adopted
    ) -> None:
        def adopt(upkeep: ChunkUpkeep) -> None:
            self._upkeep.breathe()  # of many changed files, each with much to copy
            if self._verify:
                upkeep.note_adopted(note)  # first: whatever is adopted is compared some time
            self.saved_bytes += upkeep.adopt(content, reuses)
            upkeep.put_parts(content, parts)

        task = self._upkeep.begin(adopt)
        if not task.wait(_ADOPTED_WITHIN_S):
            return
        try:
            task.result()
        except MusicFSError as error:
            log.info("what did not change of %r is fetched again: %s", note.path, error)
