"""The keeper's content cache: the store, its upkeep, what clients may do with it, and what scans leave in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from musicfs.clock import Clock
from musicfs.config.settings import Settings
from musicfs.content.keys import Source, content_of
from musicfs.content.origins import Access
from musicfs.content.scanned import ScannedParts
from musicfs.daemon.cache_control import CacheControl
from musicfs.daemon.delta import DeltaSync
from musicfs.daemon.delta_verify import DeltaVerification
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.opening import Tallies, access_of, enabled_origins
from musicfs.daemon.pins import Pins
from musicfs.daemon.plays import PlayCounts
from musicfs.daemon.reading import Reading, content_limit_bytes, open_content_store
from musicfs.daemon.upkeep import Upkeep
from musicfs.events import EventBus
from musicfs.library.reading import Revisions
from musicfs.model import Entry
from musicfs.origins.contract import Origin
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content
from musicfs.store.state import open_state


class Cache:
    """Built once a keeper; without a content store most of it does nothing."""

    def __init__(
        self, settings: Settings, catalog: Catalog, clock: Clock, events: EventBus, tallies: Tallies | None = None
    ) -> None:
        """Opens the user's state and the content store, which the mount process has prepared. Raises StoreError."""
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._tallies = tallies
        self._access = {one.id: access_of(one) for one in enabled_origins(settings)}
        self.state = open_state(settings.state_dir)
        self._store = open_content_store(settings, prepare=False)
        self.plays = PlayCounts(self.state)
        self.files = LibraryFiles(catalog, self._access.get, self.plays.of)
        self._pins = Pins(self.files, self.state, clock)
        self._upkeep: Upkeep | None = None
        self._scanned: ScannedParts | None = None
        self._delta: DeltaSync | None = None
        self._verification: DeltaVerification | None = None
        limit_bytes = content_limit_bytes(settings)
        if self._store is not None:
            edges = int(settings.cache.edge_cache_gb * (1 << 30))
            self._upkeep = Upkeep(self._store, limit_bytes, edges, self._pins.keys, clock, events)
            self._scanned = ScannedParts(self._store)
            if settings.cache.delta != "off":
                verify = settings.cache.delta_verify
                self._delta = DeltaSync(
                    catalog, self._access.get, self._store, self._upkeep, settings.cache.delta, verify=verify
                )
        self.control = CacheControl(
            self.files,
            self._pins,
            self._store,
            self._upkeep,
            self._open_reading,
            limit_bytes,
            clock,
            lambda: self._delta.saved_bytes if self._delta is not None else 0,
        )

    @property
    def revisions(self) -> Revisions | None:
        """What scans ask about changed files; None if these are read as if they were new."""
        return self._delta

    def verify_adopted(
        self, origin: Callable[[str], Origin | None], activity: Callable[[], object], on_wrong: Callable[[int], None]
    ) -> None:
        """Compare what was adopted from now on; see :class:`~musicfs.daemon.delta_verify.DeltaVerification`."""
        if self._store is not None and self._upkeep is not None and self._settings.cache.delta_verify:
            self._verification = DeltaVerification(self._store, self._upkeep, origin, activity, on_wrong, self._clock)
            self._verification.start()

    def start(self) -> None:
        """Begin the upkeep."""
        if self._upkeep is not None:
            self._upkeep.start()

    def note_complete(self, content: Content) -> None:
        """The mount has all of a content."""
        if self._upkeep is not None:
            self._upkeep.note_complete(content)

    def keep_scanned(self, origin_id: str, entry: Entry, start: int, data: bytes) -> None:
        """A scan has read a part of a file: what makes whole blocks need not be fetched again. Does not block."""
        access = self._access.get(origin_id)
        if self._scanned is not None and access is not None and access.keep:
            source = Source(origin_id, entry.path, entry.version, entry.size)
            self._scanned.add(content_of(source, stable_version=access.stable_version), start, data)

    def access(self, origin_id: str) -> Access | None:
        """How the files of an origin are read; None for one that is not in use."""
        return self._access.get(origin_id)

    def cached_bytes(self, content: Content) -> int:
        """How much of a content is stored. Raises StoreError."""
        return self._store.coverage(content).cached_bytes if self._store is not None else 0

    def forget_contents(self, contents: Collection[Content]) -> int:
        """Remove contents that nobody needs, but for what is pinned, when there is time; how many bytes that will be."""
        upkeep = self._upkeep
        if upkeep is None or not contents:
            return 0
        pinned = self._pins.keys()
        sizes = {one.key: upkeep.removable_bytes(one, None) for one in contents if one.key not in pinned}
        keys = [key for key, size in sizes.items() if size]
        upkeep.begin(lambda chunks: chunks.clear(keys, None))
        return sum(sizes.values())

    def _open_reading(self) -> Reading:
        return Reading(
            self._settings,
            self._catalog,
            self._store,
            contextlib.nullcontext,
            self._clock,
            self.note_complete,
            self._tallies,
        )

    def close(self) -> None:
        """End everything and close the store and the state; blocks some seconds at most."""
        self.control.close()
        if self._verification is not None:
            self._verification.close()
        ended = self._upkeep is None or self._upkeep.close()
        if self._scanned is not None:
            self._scanned.close()
        if self._store is not None and ended:  # unmapping it under a thread that writes would be a crash
            self._store.close()
        self.state.close()
