"""An origin on a filesystem of this machine: a folder, read through system calls.

Paths are bytes on the way to the kernel and UTF-8 with surrogate escapes outside, whatever the locale. Regular files are
served, and links to regular files whose real path stays inside the root; nothing else is ever opened. ``version`` is size
and mtime in microseconds (SMB and NFS show one file with different precision), so it is equal wherever the share is seen;
an edit in place that puts the mtime back shows in ``Entry.ctime_ns`` alone. Calls block as long as the filesystem does.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError, OriginError
from musicfs.model import Entry
from musicfs.origins.anchor import Anchor
from musicfs.origins.contract import Caps, Change, Folder, RangeCost, Watch
from musicfs.origins.failures import changed, changed_meanwhile, gone, gone_folder, no_bytes
from musicfs.origins.local_listing import LocalListing, make_entry, make_version, resolve_link
from musicfs.origins.oserrors import names_nothing, origin_error
from musicfs.origins.paths import encode_path, is_entered, is_path, is_served, shows_file, shows_folder
from musicfs.origins.selection import Selection

# O_NONBLOCK: a FIFO that took a file's place must not hold the reader until somebody writes to it.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

CAPS = Caps(parallel=8, range_cost=RangeCost.FREE, stable_version=False, slow_stat=False, case_sensitive=True)


class LocalOrigin:
    """A folder as an :class:`~musicfs.origins.contract.Origin`, with every optional power. Constructing it does no I/O."""

    def __init__(
        self,
        origin_id: str,
        path: str | bytes,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        anchor: bytes = b"",
        watch_limit: int = 100_000,
        debounce_s: float = 0.3,
    ) -> None:
        """``path`` is absolute; ``anchor`` what :meth:`anchor` returned in an earlier life. Raises ConfigError."""
        self._id = origin_id
        self._root = os.path.normpath(os.fsencode(path))
        if not self._root.startswith(b"/"):
            raise ConfigError(f"origin {origin_id!r}: the path {os.fsdecode(path)!r} is not absolute")
        self._selection = Selection(include, exclude)
        self._anchor = Anchor(origin_id, self._root, anchor)
        self._watch_limit = watch_limit
        self._debounce_s = debounce_s

    @property
    def id(self) -> str:
        return self._id

    @property
    def caps(self) -> Caps:
        return CAPS

    def check(self) -> None:
        """Prove that the root and every known submount are there, and that the root can be listed."""
        self._anchor.prove(below=True)
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError as error:
            raise origin_error(error, self._id, "") from error

    def list(self, prefix: str = "") -> Iterator[Folder]:
        self._anchor.prove(prefix, below=True)
        if prefix and not (is_path(prefix) and is_entered(self._selection, prefix)):
            raise gone_folder(self._id, prefix)
        yield from LocalListing(self._id, self._root, self._selection, self._anchor).run(prefix)

    def stat(self, path: str) -> Entry | None:
        if not (is_path(path) and is_served(self._selection, path)):
            return None
        try:
            status = os.lstat(self.local_path(path))
            if os.path.realpath(self._parent(path)) != self._real_parent(path):
                return None  # a folder on the way is a link: nothing below it is served
        except OSError as error:
            if not names_nothing(error):
                raise origin_error(error, self._id, path) from error
            self._anchor.prove(path)
            return None
        if stat.S_ISREG(status.st_mode):
            return make_entry(path, status)
        if stat.S_ISLNK(status.st_mode):
            target = resolve_link(self.local_path(path), os.path.realpath(self._root))
            if isinstance(target, os.stat_result):
                return make_entry(path, target)
            if target.unknown is not None:
                raise origin_error(target.unknown, self._id, path) from target.unknown
            self._anchor.prove(path)
        return None

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        descriptor = self.open_local(path, version)
        try:
            before = os.fstat(descriptor)
            if not 0 <= start <= stop or stop > before.st_size:
                raise no_bytes(self._id, path, start, stop, before.st_size)
            data = _read_exactly(descriptor, start, stop)
            after = os.fstat(descriptor)
        except OSError as error:
            raise origin_error(error, self._id, path) from error
        finally:
            os.close(descriptor)
        if data is None or make_version(before) != make_version(after):
            raise changed_meanwhile(self._id, path)
        return data

    def local_path(self, path: str) -> bytes:
        return self._root + b"/" + encode_path(path)

    def open_local(self, path: str, version: str) -> int:
        if not is_path(path):
            raise gone(self._id, path)
        full = self.local_path(path)
        try:
            if not stat.S_ISREG(os.stat(full).st_mode):
                raise gone(self._id, path)
            descriptor = os.open(full, _OPEN_FLAGS)
        except OSError as error:
            if not names_nothing(error):
                raise origin_error(error, self._id, path) from error
            self._anchor.prove(path)
            raise gone(self._id, path) from error
        try:
            self._approve(descriptor, path, version)
        except OSError as error:
            os.close(descriptor)
            raise origin_error(error, self._id, path) from error
        except OriginError:
            os.close(descriptor)
            raise
        return descriptor

    def anchor(self) -> bytes:
        return self._anchor.dump()

    def watch(self, on_change: Callable[[Change], None]) -> Watch:
        from musicfs.origins.local_watch import LocalWatch  # the mount process never watches

        watch = LocalWatch(
            self._root,
            on_change,
            serves_file=functools.partial(shows_file, self._selection),
            enters_folder=functools.partial(shows_folder, self._selection),
            watch_limit=self._watch_limit,
            debounce_s=self._debounce_s,
        )
        watch.start()
        return watch

    def close(self) -> None:
        """Nothing is held between calls."""

    def _approve(self, descriptor: int, path: str, version: str) -> None:
        """Raise unless the open file is regular, inside the root, not reached through a linked folder, and of ``version``."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise gone(self._id, path)
        opened = os.readlink(b"/proc/self/fd/%d" % descriptor)
        if opened != self.local_path(path):
            real_root = os.path.realpath(self._root)
            inside = opened.startswith(real_root.rstrip(b"/") + b"/")
            if not inside or os.path.realpath(self._parent(path)) != self._real_parent(path):
                raise gone(self._id, path)
        if version and make_version(status) != version:
            raise changed(self._id, path)

    def _parent(self, path: str) -> bytes:
        return os.path.dirname(self.local_path(path))

    def _real_parent(self, path: str) -> bytes:
        return os.path.normpath(os.path.join(os.path.realpath(self._root), encode_path(os.path.dirname(path))))


def open_local_origin(settings: OriginSettings, *, anchor: bytes, debounce_s: float) -> LocalOrigin:
    """A :class:`LocalOrigin` as the configuration describes it."""
    return LocalOrigin(
        settings.id,
        settings.path,
        include=settings.include,
        exclude=settings.exclude,
        anchor=anchor,
        watch_limit=settings.watch_limit if settings.watch else 0,
        debounce_s=debounce_s,
    )


def _read_exactly(descriptor: int, start: int, stop: int) -> bytes | None:
    """The bytes ``[start, stop)``; None when the file ends before. The kernel moves 2 GiB at most in one call."""
    parts = []
    while start < stop:
        part = os.pread(descriptor, stop - start, start)
        if not part:
            return None
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
