"""From a file of an origin to an open reader: in place where it lies on this machine, else through the content store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from musicfs.clock import Clock, SystemClock
from musicfs.content.buffers import Buffers
from musicfs.content.cached import PROOF_AFTER_BYTES, CachedReader, Circumstances, NothingStored
from musicfs.content.failover import FailoverReader
from musicfs.content.fetch import Fetcher, Stored, Wanted
from musicfs.content.keeping import Blocks, Keeping
from musicfs.content.keys import Source, content_of
from musicfs.content.origins import Access, ReadableOrigins
from musicfs.content.patience import Places
from musicfs.content.proof import Proofs
from musicfs.content.ranking import Ranking
from musicfs.content.readers import LocalReader, Reader, Waiting
from musicfs.errors import NotFoundError, UnreachableError
from musicfs.origins.contract import LocalPaths
from musicfs.store.chunks_schema import Content, Coverage, block_count


class ContentStore(Protocol):
    """The reading side of the content store."""

    def open(self, content: Content) -> Stored:
        """What is there of a content, now and later."""
        ...

    def coverage(self, content: Content) -> Coverage:
        """How much is there. Raises StoreError."""
        ...


class ReadCounts(msgspec.Struct, frozen=True):
    """Reads of content that comes over a network, since the start."""

    hits: int  # that needed no origin
    misses: int
    fetched_bytes: int


class Manners(msgspec.Struct, frozen=True):
    """How origins that are not of this machine are read."""

    threads: int = 32  # that fetch
    memory_bytes: int = 48 << 20  # for what was just fetched
    places: int = 80  # handlers that may wait for origins at once, where others have no say in it
    timeout_s: float = 30.0  # for one read
    probable: bool = True  # sources that agree in size and probes may replace each other in the middle of a read


class Sources:
    """Opens ranges of origins' files."""

    def __init__(
        self,
        origins: ReadableOrigins,
        waiting: Waiting,
        *,
        store: ContentStore | None = None,
        keeping: Keeping | None = None,
        clock: Clock | None = None,
        manners: Manners | None = None,
        ranking: Ranking | None = None,
        places: Places | None = None,
    ) -> None:
        """``store`` and ``keeping`` are the two sides of the content store, or None to keep nothing; ``ranking`` puts
        sources of equal bytes in order. ``places`` are shared with others whose readers wait on the same threads.
        """
        manners = manners or Manners()
        self._origins = origins
        self._waiting = waiting
        self._store = store
        self._keeping = keeping
        self._buffers = Buffers()
        self.fetcher = Fetcher(
            origins,
            self._keep,
            clock or SystemClock(),
            threads=manners.threads,
            memory_bytes=manners.memory_bytes,
            equal=self._equal,
            ranking=ranking or Ranking({}),
            stored=store.open if store is not None else lambda _: None,
        )
        self.proofs = Proofs(origins, probable=manners.probable)
        self._circumstances = Circumstances(
            self.fetcher, self.proofs, waiting, places or Places(manners.places), manners.timeout_s
        )

    def open(self, source: Source, start: int, size: int, others: tuple[Source, ...] = ()) -> Reader:
        """A reader for ``size`` bytes from ``start`` of that version. ``others`` are the same track elsewhere: one of them
        steps in when ``source`` fails, if it is known by then to hold the same bytes.

        Blocks for opening a file of this machine; raises OriginError.
        """
        if source.is_gone:
            return self._open_remembered(source, start, size)
        access = self._access(source.origin_id)
        if access.direct:
            return self._open_direct(source, start, size, others)
        wanted, stored = self._look_up(source, others, access)
        return CachedReader(wanted, stored, start, size, self._circumstances)

    def _look_up(self, source: Source, others: tuple[Source, ...], access: Access) -> tuple[Wanted, Stored]:
        """The content of a file, and what the store has of it."""
        content = content_of(source, stable_version=access.stable_version)
        stored: Stored = NothingStored()
        if access.keep and self._store is not None and self._keeping is not None:
            stored = self._store.open(content)
            self._keeping.touch(content)
        return Wanted(content, source, others), stored

    def prefetch(self, source: Source, others: tuple[Source, ...] = ()) -> bool:
        """Have all of a file fetched in the background, as far as it is not here. Does not block, promises nothing.

        False for a file of this machine, which needs no fetching, and for one that is gone, which has none.
        """
        if source.is_gone:
            return False
        access = self._access(source.origin_id)
        if not access.direct:
            wanted, stored = self._look_up(source, others, access)
            CachedReader(wanted, stored, 0, source.size, self._circumstances).fetch_ahead(0, source.size)
        return not access.direct

    @property
    def counts(self) -> ReadCounts:
        """What was read so far."""
        return ReadCounts(self._circumstances.hits, self._circumstances.misses, self.fetcher.fetched_bytes)

    def cached_bytes(self, source: Source) -> int:
        """How many bytes of the file can be read without its origin; 0 for what is read in place."""
        access = self._origins.access(source.origin_id)
        if access is None or access.direct or self._store is None:
            return 0
        return self._store.coverage(content_of(source, stable_version=access.stable_version)).cached_bytes

    def forget_recent(self, content: Content) -> None:
        """Drop what is in memory of a content: what is read from there is not handed to the store again."""
        self.fetcher.recent.forget(content.key, block_count(content.size))

    def _keep(self, content: Content, blocks: Blocks) -> None:
        if self._keeping is not None:
            self._keeping.keep(content, blocks)

    def retire(self) -> None:
        """End what is fetched: who waits for it gets an error. What keeps it goes on: others may share it."""
        self.fetcher.close()
        self.proofs.close()

    def close(self) -> None:
        """The same, and end what keeps it. Blocks for what is to be written, some seconds at most."""
        self.retire()
        if self._keeping is not None:
            self._keeping.close()

    def _access(self, origin_id: str) -> Access:
        access = self._origins.access(origin_id)
        if access is None:
            raise NotFoundError(f"origin {origin_id!r} is not configured", remedy="see 'musicfs config show'")
        return access

    def _equal(self, wanted: Wanted) -> Sequence[Source]:
        """Every source that may serve a content."""
        return (wanted.source, *self.proofs.equal(wanted.source, wanted.others)) if wanted.others else (wanted.source,)

    def _open_remembered(self, source: Source, start: int, size: int) -> Reader:
        """A reader of a deleted file. OriginError if nothing of it can be stored, as of one that was read in place."""
        from musicfs.content.remembered import RememberedReader, not_kept  # late: most mounts never open one

        access = self._origins.access(source.origin_id)
        if access is None or not access.keep or self._store is None or self._keeping is None:
            raise not_kept(source)
        content = content_of(source, stable_version=access.stable_version)
        self._keeping.touch(content)
        return RememberedReader(source, self._store.open(content), start, size, self._buffers)

    def _open_direct(self, source: Source, start: int, size: int, others: tuple[Source, ...]) -> Reader:
        origin = self._origins.get(source.origin_id)
        assert isinstance(origin, LocalPaths), source.origin_id
        try:
            with self._waiting():
                descriptor = origin.open_local(source.path, source.version)
        except UnreachableError:
            self._origins.forget(source.origin_id)
            raise
        reader = LocalReader(descriptor, start, size, self._waiting, self._buffers)
        if not others:
            return reader

        def fallback() -> Reader | None:
            equal = self.proofs.equal(source, others)
            return self.open(equal[0], start, size, tuple(equal[1:])) if equal else None

        def on_read(read_bytes: int) -> None:
            if read_bytes > PROOF_AFTER_BYTES:
                self.proofs.begin(source, others)

        return FailoverReader(reader, fallback, on_read)
