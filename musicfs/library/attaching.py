"""Keeping overlays with their files: through rescans, moves, mirrors, and files that go and come back.

An overlay knows its files by where they lie, and by their audio. A file that was seen to move takes its overlay along;
else a file that is at an overlay's place has it, whatever it is now. A file elsewhere gets it when it is a copy on another
origin (the same audio, the same own tags), or when the overlay's own files are all gone and it is the only file with that
audio that has no overlay, of those that came since the overlay did. What finds no file is kept.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from musicfs.library.correcting import Corrector
from musicfs.library.overlays import tags_digest
from musicfs.library.rendering import Renderer
from musicfs.store.catalog import Catalog
from musicfs.store.corrections import content_version
from musicfs.store.overlays import Anchor, Anchoring, Overlay
from musicfs.store.records import ObjectRecord, unpack_facts, unpack_stored
from musicfs.store.state import State
from musicfs.store.transaction import WriteTransaction

_OBJECTS_AT_ONCE = 5000  # in one snapshot
_FAILURES_MAX = 3  # files of one origin that are tried in vain at a time


class Attachments:
    """Told of every file that a scan writes or removes, in its transaction; what takes longer is done by :meth:`settle`."""

    def __init__(self, catalog: Catalog, state: State, corrector: Corrector, renderer: Renderer) -> None:
        self._catalog = catalog
        self._state = state
        self._corrector = corrector
        self._renderer = renderer
        self._lock = threading.Lock()  # of what follows
        self._unrendered: dict[int, None] = {}
        self._lost: dict[int, None] = {}  # overlays some of whose files are gone
        self._claimed: dict[int, None] = {}  # overlays that a file was found for, which may not be the only one
        self._reread: dict[int, tuple[int, int]] = {}  # overlays whose file has other audio or tags now

    @property
    def any(self) -> bool:
        """False while there is no overlay at all, and nothing to be told."""
        return bool(self._state.count_overlays())

    @property
    def waiting(self) -> bool:
        """True if there is something to :meth:`settle`."""
        return bool(self._unrendered or self._lost or self._reread)

    # While a scan writes.

    def follow(self, tx: WriteTransaction, object_id: int, before: ObjectRecord | None) -> None:
        """A file was written: a new one, or one that changed or moved, which was ``before``."""
        record = tx.object(object_id)
        if record is None:
            return
        anchor = self._anchor(tx, record)
        correction = tx.correction(object_id)
        overlay: Overlay | None = None
        if before is not None and (before.folder, before.name) != (record.folder, record.name):
            overlay = self._taken_along(self._anchor(tx, before), anchor)
        overlay = overlay or self._state.overlay_at(*anchor) or self._by_audio(tx, anchor, object_id, record)
        if overlay is None:
            if correction is not None:
                tx.remove_correction(object_id)
            return
        self._note_content(overlay, anchor, record)
        is_rendered = correction is not None and correction.overlay == overlay.id
        if is_rendered and correction is not None and correction.base == content_version(record):
            return
        rendered = self._renderer.unrendered(object_id, record, overlay)
        if correction is not None:
            later = max(correction.changed_ns, rendered.correction.changed_ns)
            rendered = msgspec.structs.replace(
                rendered, correction=msgspec.structs.replace(rendered.correction, changed_ns=later)
            )
        tx.put_correction(object_id, rendered.correction)
        if rendered.correction.pending:
            with self._lock:
                self._unrendered[object_id] = None

    def _anchor(self, tx: WriteTransaction, record: ObjectRecord) -> Anchor:
        folder = tx.folder(record.folder)
        path = (folder.path + b"/" if folder.path else b"") + record.name
        return self._corrector.files.origin_id(folder.origin), path

    def _taken_along(self, before: Anchor, anchor: Anchor) -> Overlay | None:
        """The overlay of a file that moved; its new place may have been that of another's, which is held from here on."""
        overlay = self._state.overlay_at(*before)
        if overlay is None:
            return None
        anchors = tuple(anchor if one == before else one for one in overlay.anchors)
        return self._state.reanchor((Anchoring(overlay.id, anchors),)).overlays[0]

    def _note_content(self, overlay: Overlay, anchor: Anchor, record: ObjectRecord) -> None:
        """What an overlay is found again by follows the first of its files."""
        facts = unpack_facts(record.facts) if anchor == overlay.anchors[0] else None
        if facts is not None and facts.audio_id:
            seen = facts.audio_id, tags_digest(facts.tags)
            if seen != (overlay.audio_id, overlay.own_digest):
                with self._lock:
                    self._reread[overlay.id] = seen

    def _by_audio(self, tx: WriteTransaction, anchor: Anchor, object_id: int, record: ObjectRecord) -> Overlay | None:
        """The overlay of the same track on another origin; a file that may be an overlay's lost one is noted."""
        stored = unpack_stored(record.facts)
        audio_id = stored.audio_id if stored is not None else 0
        overlays = self._state.overlays_of_audio(audio_id) if audio_id else []
        facts = unpack_facts(record.facts) if overlays else None
        digest = tags_digest(facts.tags) if facts is not None else 0
        for overlay in overlays:
            origins = {origin_id for origin_id, _ in overlay.anchors}
            if digest and overlay.own_digest == digest and origins and anchor[0] not in origins:
                return self._state.reanchor((Anchoring(overlay.id, (*overlay.anchors, anchor)),)).overlays[0]
            tx.put_claim(audio_id, object_id)
            with self._lock:
                self._claimed[overlay.id] = None
        return None

    def leave(self, tx: WriteTransaction, object_ids: Iterable[int]) -> None:
        """Files are about to be forgotten. Their overlays stay at their places, in case they come back there."""
        for object_id in object_ids:
            correction = tx.correction(object_id)
            if correction is not None:
                with self._lock:
                    self._lost[correction.overlay] = None

    def end_scan(self) -> None:
        """All files of a listing are written, and those that are gone removed."""
        with self._lock:
            self._lost.update(self._claimed)
            self._claimed.clear()

    # Afterwards.

    def recall(self) -> None:
        """What was to be settled before a restart: overlays that some file may be of."""
        found = (
            one.id for audio_id in self._catalog.claimed_audio() for one in self._state.overlays_of_audio(audio_id)
        )
        lost = dict.fromkeys(found)
        with self._lock:
            self._lost.update(lost)

    def settle(self) -> None:
        """Serve what was attached, and look for the files of overlays that lost theirs. Blocks on origins."""
        with self._lock:
            unrendered, lost, reread = list(self._unrendered), list(self._lost), dict(self._reread)
            self._unrendered.clear()
            self._lost.clear()
            self._reread.clear()
        self._learn_contents(reread)
        for overlay_id in lost:
            overlay = self._state.overlay(overlay_id)
            if overlay is None or not (overlay.fields or overlay.cover):
                continue
            if self._is_listed(overlay):
                unrendered += self._reattach(overlay)
            else:
                with self._lock:
                    self._claimed[overlay_id] = None
        self._corrector.refresh(unrendered)

    def _is_listed(self, overlay: Overlay) -> bool:
        """False while the catalog, being new, may not have found its files yet."""
        known = self._catalog.origins()
        return all(known[origin_id].last_listing_ns for origin_id, _ in overlay.anchors if origin_id in known)

    def _learn_contents(self, reread: Mapping[int, tuple[int, int]]) -> None:
        found = []
        for overlay_id, seen in reread.items():
            overlay = self._state.overlay(overlay_id)
            if overlay is not None:
                found.append(Anchoring(overlay_id, overlay.anchors, *seen))
        if found:
            self._state.reanchor(found)

    def render_pending(self, origin_ids: frozenset[str]) -> None:
        """Try again what could not be done while these origins were away."""
        found = []
        pending = [object_id for object_id, one in self._catalog.corrections() if one.pending]
        for object_id in pending:
            anchor = self._corrector.files.anchor(object_id)
            if anchor is not None and anchor[0] in origin_ids:
                found.append(object_id)
        self._corrector.refresh(found)

    def retry_pending(self) -> None:
        """Try again what could not be read; of an origin that still cannot, a few files only. Blocks on origins."""
        self._corrector.has_pending = False
        pending = [object_id for object_id, one in self._catalog.corrections() if one.pending]
        random.shuffle(pending)  # some that can never be read must not stand before the others
        failures: Counter[str] = Counter()
        for object_id in pending:
            anchor = self._corrector.files.anchor(object_id)
            if anchor is None or failures[anchor[0]] >= _FAILURES_MAX:
                continue
            self._corrector.refresh((object_id,))
            correction = self._catalog.correction(object_id)
            failures[anchor[0]] += correction is not None and correction.pending
        if failures.total():
            self._corrector.has_pending = True

    def _living(self, overlay: Overlay) -> list[int]:
        found = (self._corrector.files.at(anchor) for anchor in overlay.anchors)
        return [object_id for object_id in found if object_id is not None]

    def _unclaimed(self, audio_id: int) -> list[int]:
        """All files with this audio that have no overlay, by a look at every file: some 10 us each, for what is rare."""
        found: list[int] = []
        after = 0
        while objects := self._catalog.objects_from(after, _OBJECTS_AT_ONCE):
            after = objects[-1][0] + 1
            for object_id, record in objects:
                facts = unpack_stored(record.facts)
                if facts is not None and facts.audio_id == audio_id and self._catalog.correction(object_id) is None:
                    found.append(object_id)
        return found

    def _reattach(self, overlay: Overlay) -> list[int]:
        """Give a lost overlay to the one file that it can be of; the objects that have it by that."""
        if not overlay.audio_id or self._living(overlay):
            return []
        with self._catalog.writing, WriteTransaction(self._catalog) as tx:
            claims = tx.take_claims(overlay.audio_id)
        # Files that were there before the overlay was made no claim: they count all the same.
        is_only = len(claims) == 1 and self._unclaimed(overlay.audio_id) == claims
        anchor = self._corrector.files.anchor(claims[0]) if is_only else None
        if anchor is None:
            return []
        self._state.reanchor((Anchoring(overlay.id, (anchor,)),))
        return [claims[0]]
