"""Watching a local origin: inotify events become changes of folders.

One thread per watch does everything: it adds watches a slice at a time, reads events between slices, and reports. So no
event waits for a long walk, and a slow ``on_change`` costs at worst an overflow, after which everything is walked anew.

Nothing is lost to the race between a folder and its watch: a folder that appears is reported with all below it, and
reported again once its watch stands. Folders beyond the limit, and whole origins where inotify sees nothing (network
filesystems) or is not to be had, are named by :attr:`LocalWatch.unwatched`. A link to a file is reported when the link
changes; what happens to its target is reported in the target's folder only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable

from musicfs.clock import Clock, SystemClock
from musicfs.config.mounts import Mount, is_network_filesystem, read_mounts
from musicfs.origins import inotify
from musicfs.origins.contract import Change
from musicfs.origins.debounce import Debouncer
from musicfs.origins.inotify import EventSource, InotifyEvent
from musicfs.origins.oserrors import is_absent, is_denied
from musicfs.origins.watch_tree import WatchedFolder, WatchTree

LATENCY_S = 1.0  # a folder that never becomes quiet is reported this often
ROOT_RETRY_S = 2.0  # how often a root that went away is looked for
CLOSE_TIMEOUT_S = 10.0
_SLICE = 256  # folders armed between two looks at the events
_MAX_UNWATCHED = 10_000  # more separate folders than this are polled as one: the whole origin


class LocalWatch:
    """A running :class:`~musicfs.origins.contract.Watch`; begins with :meth:`start`."""

    def __init__(
        self,
        root: bytes,
        on_change: Callable[[Change], None],
        *,
        serves_file: Callable[[str], bool] = lambda _path: True,
        enters_folder: Callable[[str], bool] = lambda _path: True,
        watch_limit: int = 100_000,
        debounce_s: float = 0.3,
        open_source: Callable[[], EventSource] = inotify.Inotify,
        clock: Clock | None = None,
    ) -> None:
        self._root = root
        self._on_change = on_change
        self._serves_file = serves_file
        self._enters_folder = enters_folder
        self._limit = watch_limit
        self._open_source = open_source
        self._clock = clock or SystemClock()
        self._debouncer = Debouncer(min(debounce_s, LATENCY_S), LATENCY_S)
        self._thread = threading.Thread(target=self._run, name="musicfs-watch", daemon=True)
        self._lock = threading.Lock()  # guards the four below, which other threads see
        self._source: EventSource | None = None
        self._unwatched: set[str] = set()
        self._closing = False
        self._ended = False
        self._armed = threading.Event()
        # The rest belongs to the thread.
        self._tree = WatchTree()
        self._to_arm: list[tuple[WatchedFolder | None, bytes]] = [(None, b"")]
        self._walking_all = True  # the walk under way covers the whole origin, so its folders are not reported singly
        self._root_retry_at: float | None = None
        self._mounts: tuple[Mount, ...] = ()

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def wait_armed(self, timeout_s: float) -> bool:
        return self._armed.wait(timeout_s) and not self._ended

    @property
    def unwatched(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(self._unwatched))

    @property
    def complete(self) -> bool:
        with self._lock:
            return not self._unwatched

    def close(self) -> None:
        with self._lock:
            self._closing = self._ended = True
            if self._source is not None:
                self._source.wake()
        # A filesystem that hangs holds the thread in the kernel: it is left behind, and says nothing more.
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        """The thread. However it ends, the origin is unwatched from then on."""
        try:
            if self._limit <= 0 or is_network_filesystem(self._root):
                self._give_up()
                return
            try:
                source = self._open_source()
            except OSError:  # no inotify here, or this user's instances are used up
                self._give_up()
                return
            with self._lock:
                self._source = source
            self._loop(source)
        except BaseException:
            self._give_up()
            self._ended = True
            raise  # on_change failed: threading.excepthook shows it
        finally:
            self._armed.set()
            with self._lock:
                if self._source is not None:
                    self._source.close()
                self._source = None

    def _give_up(self) -> None:
        with self._lock:
            self._unwatched = {""}

    def _now_watched(self) -> None:
        with self._lock:
            self._unwatched.clear()

    def _loop(self, source: EventSource) -> None:
        self._mounts = self._relevant_mounts()
        while not self._closing:
            for _ in range(_SLICE):
                if not self._to_arm:
                    break
                self._arm(source, *self._to_arm.pop())
            if not self._to_arm:
                self._walked()
            for event in source.read(self._patience()):
                self._handle(source, event)
            if self._root_retry_at is not None and self._clock.monotonic() >= self._root_retry_at:
                self._root_retry_at = None
                self._begin_walk()
            for change in self._debouncer.take_due(self._clock.monotonic()):
                if self._closing:
                    return
                self._on_change(change)

    def _patience(self) -> float | None:
        """How long to wait for events."""
        if self._to_arm:
            return 0
        times = [time for time in (self._debouncer.next_due(), self._root_retry_at) if time is not None]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    # Adding watches

    def _walk_all(self, source: EventSource) -> None:
        """Begin from nothing: events were lost, or other filesystems are below the root now."""
        self._note("", recursive=True)
        if self._tree.root is not None:
            self._drop(source, self._tree.root)
        self._begin_walk()

    def _begin_walk(self) -> None:
        self._to_arm = [(None, b"")]
        self._walking_all = True

    def _walked(self) -> None:
        if self._walking_all:
            self._walking_all = False
            if self._armed.is_set() and self._tree.root is not None:
                self._note("", recursive=True)  # what happened between a folder's listing and its watch
        self._armed.set()

    def _arm(self, source: EventSource, parent: WatchedFolder | None, name: bytes) -> None:
        """Watch one folder and queue those in it."""
        if parent is not None and not self._tree.holds(parent):
            return
        relative = self._join(parent, name)
        if len(self._tree) >= self._limit:
            self._poll_instead(relative)
            return
        full = self._full(relative)
        try:
            watch = source.add(full)
            twin = self._tree.get(watch)
            if twin is not None and self._tree.path(twin) != relative and _same_folder(self._full_of(twin), full):
                self._poll_instead(relative)  # mounted twice: the kernel reports one inode under one number
                return
            folder = self._tree.attach(watch, parent, name)
            if parent is None:
                self._now_watched()
            with os.scandir(full) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            self._not_armed(error, relative)
            return
        for inner in sorted(names, reverse=True):
            if self._enters_folder(_text(self._join(folder, inner))):
                self._to_arm.append((folder, inner))
        if not self._walking_all:
            self._note(_text(relative))

    def _not_armed(self, error: OSError, relative: bytes) -> None:
        if not relative:
            self._give_up()
            self._root_retry_at = self._clock.monotonic() + ROOT_RETRY_S
        elif is_absent(error) or is_denied(error) or error.errno == errno.ELOOP:
            return  # gone again, or unreadable: its parent reports when that changes
        else:
            if error.errno in {errno.ENOSPC, errno.ENOMEM}:
                self._limit = len(self._tree)  # the system's own limit: ask again only when some have been freed
            self._poll_instead(relative)

    def _poll_instead(self, relative: bytes) -> None:
        path = _text(relative)
        with self._lock:
            if not any(folder in self._unwatched for folder in _with_ancestors(path)):
                self._unwatched.add(path)
            if len(self._unwatched) > _MAX_UNWATCHED:
                self._unwatched = {""}

    # Events

    def _handle(self, source: EventSource, event: InotifyEvent) -> None:
        if event.mask & inotify.OVERFLOW:
            self._walk_all(source)
        elif event.mask & inotify.MOUNTS:
            if (mounts := self._relevant_mounts()) != self._mounts:
                self._mounts = mounts
                self._walk_all(source)
        elif (folder := self._tree.get(event.watch)) is None:
            return  # of a watch that was dropped while the event was on its way
        elif not event.name:
            self._handle_self(source, folder, event.mask)
        elif event.mask & inotify.ISDIR:
            self._handle_folder(source, folder, event)
        elif self._serves_file(_text(self._join(folder, event.name))):
            self._note(_text(self._tree.path(folder)))

    def _handle_self(self, source: EventSource, folder: WatchedFolder, mask: int) -> None:
        """Something happened to a watched folder itself; what its parent does not report as well."""
        is_root = folder is self._tree.root
        if mask & (inotify.IGNORED | inotify.UNMOUNT) or (is_root and mask & (inotify.MOVE_SELF | inotify.DELETE_SELF)):
            self._note(_text(self._tree.path(folder)), recursive=True)
            self._drop(source, folder)
            if is_root:
                self._walk_all(source)
        elif mask & inotify.ATTRIB:
            self._note(_text(self._tree.path(folder)), recursive=True)  # its permissions hide or show what is below

    def _handle_folder(self, source: EventSource, parent: WatchedFolder, event: InotifyEvent) -> None:
        relative = self._join(parent, event.name)
        if not self._enters_folder(_text(relative)):
            return
        child = self._tree.child(parent, event.name)
        if child is not None and not event.mask & inotify.ATTRIB:
            self._drop(source, child)
            child = None
        if child is None and event.mask & (inotify.CREATE | inotify.MOVED_TO | inotify.ATTRIB):
            self._to_arm.append((parent, event.name))
        self._note(_text(relative), recursive=True)

    def _drop(self, source: EventSource, folder: WatchedFolder) -> None:
        for watch in self._tree.drop(folder):
            source.remove(watch)

    def _note(self, path: str, *, recursive: bool = False) -> None:
        self._debouncer.add(path, self._clock.monotonic(), recursive=recursive)

    # Paths

    def _join(self, parent: WatchedFolder | None, name: bytes) -> bytes:
        above = self._tree.path(parent) if parent is not None else b""
        return above + b"/" + name if above else name

    def _full(self, relative: bytes) -> bytes:
        # The root may be a link, which a watch does not follow: a dot behind it is always a folder.
        return self._root + b"/" + (relative or b".")

    def _full_of(self, folder: WatchedFolder) -> bytes:
        return self._full(self._tree.path(folder))

    def _relevant_mounts(self) -> tuple[Mount, ...]:
        """The mounts on the way to the root and below it."""
        with contextlib.suppress(OSError):
            root = os.path.realpath(self._root)
            return tuple(mount for mount in read_mounts() if _related(mount.point, root))
        return ()


def _related(point: bytes, root: bytes) -> bool:
    return (root + b"/").startswith(point.rstrip(b"/") + b"/") or point.startswith(root.rstrip(b"/") + b"/")


def _same_folder(one: bytes, other: bytes) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _with_ancestors(path: str) -> list[str]:
    found = [path]
    while path:
        path = path.rpartition("/")[0]
        found.append(path)
    return found
