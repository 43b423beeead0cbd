"""Files on their way into the content store because a client asked for them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

from musicfs.api.backend import PrefetchProgress
from musicfs.daemon.library_files import LibraryFile
from musicfs.daemon.reading import Reading
from musicfs.errors import MusicFSError, StoreError

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 20
_WRITTEN_EVERY_BYTES = 16 << 20  # so that nothing is dropped before it is written
_WRITTEN_S = 30.0


class Prefetch:
    """Reads files through to their end, one after the other, on a thread of its own from :meth:`start` to :meth:`stop`.

    ``progress`` is replaced while that goes on.
    """

    def __init__(self, files: Iterator[LibraryFile], reading: Reading) -> None:
        """``files`` are looked up on the thread."""
        self._files = files
        self._reading = reading
        self._done = threading.Event()
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self.progress = PrefetchProgress()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Block until all has been tried; False after ``timeout_s``. Raises what ended it early."""
        done = self._done.wait(timeout_s)
        if done and self._error is not None:
            raise self._error
        return done

    def stop(self, timeout_s: float = 0.0) -> None:
        """End after the read it is at; waits for that, ``timeout_s`` at most."""
        self._stopping.set()
        if timeout_s and self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._fetch_all(list(self._files))
        except Exception as error:  # carried over to who waits, whatever it is
            self._error = error
        finally:
            self._done.set()

    def _fetch_all(self, files: list[LibraryFile]) -> None:
        completed = failed = fetched = 0

        def note(path: bytes = b"") -> None:
            self.progress = PrefetchProgress(
                current_path=os.fsdecode(path),
                completed=completed,
                total=len(files),
                failed=failed,
                fetched_bytes=fetched,
            )

        for file in files:
            if self._stopping.is_set():
                return
            note(file.path)
            try:
                fetched += self._fetch(file)
                completed += 1
            except MusicFSError as error:
                log.info("%r was not fetched: %s", file.source.path, error)
                failed += 1
        note()

    def _fetch(self, file: LibraryFile) -> int:
        """Read a file through; how many of its bytes were not here before. StoreError if it is not all here afterwards."""
        sources, keeping, size = self._reading.sources, self._reading.keeping, file.source.size
        if file.access.direct or keeping is None:
            return 0
        reader = sources.open(file.source, 0, size, tuple(other.source for other in file.others))
        before = sources.cached_bytes(file.source)
        if before == size:
            return 0
        sources.forget_recent(file.content)
        for start in range(0, size, _READ_BYTES):
            reader.read(start, min(start + _READ_BYTES, size))
            if self._stopping.is_set():
                return 0
            if start % _WRITTEN_EVERY_BYTES == 0:
                keeping.wait_written(_WRITTEN_S)
        keeping.wait_written(_WRITTEN_S)
        if sources.cached_bytes(file.source) < size:
            raise StoreError("the content store has no room for it", remedy="raise cache.content_cache_gb")
        return size - before
