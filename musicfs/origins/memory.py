"""An origin in memory, for tests and for plugins that make their files up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

import msgspec

from musicfs.errors import ChangedError, GoneError, OriginError
from musicfs.model import Entry
from musicfs.origins.contract import Caps, Change, Folder, RangeCost

# The first file's mtime, 2001-09-09; each change adds a second, so that tests are the same every day.
_EPOCH_NS = 1_000_000_000 * 1_000_000_000

CAPS = Caps(parallel=64, range_cost=RangeCost.FREE, stable_version=True, slow_stat=False, case_sensitive=True)


class _File(msgspec.Struct, frozen=True):
    entry: Entry
    data: bytes


class MemoryOrigin:
    """Files that its own methods add and remove, from any thread. A listing shows the state at its first item."""

    def __init__(self, origin_id: str, files: Mapping[str, bytes] | None = None, *, caps: Caps = CAPS) -> None:
        self._id = origin_id
        self._caps = caps
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._revision = 0
        self._failure: OriginError | None = None
        for path, data in (files or {}).items():
            self.put(path, data)

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return self._caps

    def put(self, path: str, data: bytes, *, mtime_ns: int | None = None) -> Entry:
        """Add or replace a file: a new version, at a new mtime if none is given."""
        if not all(component not in {"", ".", ".."} for component in path.split("/")):
            raise ValueError(f"not a path of a file: {path!r}")
        with self._lock:
            self._revision += 1
            time_ns = _EPOCH_NS + self._revision * 1_000_000_000 if mtime_ns is None else mtime_ns
            entry = Entry(path, len(data), time_ns, f"r{self._revision}")
            self._files[path] = _File(entry, data)
        self._changed(path)
        return entry

    def remove(self, path: str) -> None:
        """Delete the file ``path``, or all files below the folder ``path``; GoneError if there is neither."""
        with self._lock:
            doomed = [name for name in self._files if name == path or name.startswith(path + "/")]
            if not doomed:
                raise self._gone(path)
            for name in doomed:
                del self._files[name]
        for name in doomed:
            self._changed(name)

    def move(self, old: str, new: str) -> None:
        """Rename a file; its version and mtime stay."""
        with self._lock:
            if old not in self._files:
                raise self._gone(old)
            file = self._files.pop(old)
            self._files[new] = _File(msgspec.structs.replace(file.entry, path=new), file.data)
        self._changed(old)
        self._changed(new)

    def fail_with(self, error: OriginError | None) -> None:
        """Make every operation raise ``error`` from now on; None ends that."""
        with self._lock:
            self._failure = error

    def check(self) -> None:
        with self._lock:
            self._raise_failure()

    def list(self, prefix: str = "") -> Iterator[Folder]:
        with self._lock:
            self._raise_failure()
            entries = [file.entry for file in self._files.values() if _is_below(file.entry.path, prefix)]
        if prefix and not entries:
            raise self._gone(prefix)
        folders: dict[str, list[Entry]] = {prefix: []}
        for entry in entries:
            folder = entry.path.rpartition("/")[0]
            folders.setdefault(folder, []).append(entry)
            while folder != prefix:
                folder = folder.rpartition("/")[0]
                folders.setdefault(folder, [])
        for folder in sorted(folders, key=_listing_order):
            self.check()
            yield Folder(folder, tuple(sorted(folders[folder], key=lambda entry: _listing_order(entry.path))))

    def stat(self, path: str) -> Entry | None:
        with self._lock:
            self._raise_failure()
            file = self._files.get(path)
        return file.entry if file is not None else None

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        with self._lock:
            self._raise_failure()
            file = self._files.get(path)
        if file is None:
            raise self._gone(path)
        if version not in {"", file.entry.version}:
            raise ChangedError(f"origin {self._id!r}: {path!r} is not the version it was")
        if not 0 <= start <= stop <= len(file.data):
            raise ChangedError(f"origin {self._id!r}: {path!r} has no bytes {start} to {stop}")
        return file.data[start:stop]

    def close(self) -> None:
        """Nothing is held."""

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _gone(self, path: str) -> GoneError:
        return GoneError(f"origin {self._id!r}: {path!r} is not there")

    def _changed(self, path: str) -> None:
        """A hook for what watches; called without the lock."""


class WatchableMemoryOrigin(MemoryOrigin):
    """A memory origin that reports its changes, at once and in the thread that made them."""

    def __init__(self, origin_id: str, files: Mapping[str, bytes] | None = None, *, caps: Caps = CAPS) -> None:
        self._watches: tuple[MemoryWatch, ...] = ()
        super().__init__(origin_id, files, caps=caps)

    def watch(self, on_change: Callable[[Change], None]) -> MemoryWatch:
        watch = MemoryWatch(on_change)
        self._watches = (*(each for each in self._watches if not each.closed), watch)
        return watch

    def _changed(self, path: str) -> None:
        for watch in self._watches:
            watch.report(Change(path.rpartition("/")[0]))


class MemoryWatch:
    """A running watch of a :class:`WatchableMemoryOrigin`. ``unwatched`` may be set, to play a limit of the system."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self.closed = False
        self.unwatched: tuple[str, ...] = ()

    def wait_armed(self, timeout_s: float) -> bool:
        return not self.closed

    @property
    def complete(self) -> bool:
        return not self.unwatched

    def report(self, change: Change) -> None:
        """Tell the watcher about ``change``, unless the watch is closed."""
        if not self.closed:
            self._on_change(change)

    def close(self) -> None:
        self.closed = True


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + "/")


def _listing_order(path: str) -> list[bytes]:
    """Sorts parents before children and siblings by their bytes: component by component, as ``/`` is not the first byte."""
    return [component.encode("utf-8", "surrogateescape") for component in path.split("/")] if path else []
