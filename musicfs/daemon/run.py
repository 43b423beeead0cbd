"""The mount process: open the catalog, mount, serve; start the keeper beside it; end in order.

Threads: llfuse's workers, driven from the main thread; ``signals``, which waits for SIGTERM and SIGHUP; ``supervisor``, which
owns the keeper and receives from it; ``replay``, which tells the kernel what to forget; those of ``content``, which fetch and
keep; and ``push``, which fills the kernel's cache with the next track. The main thread sits in llfuse and
is woken by SIGINT only: llfuse's own handler for it ends the loop, and the other threads use it for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import threading
from collections import deque
from typing import IO, TYPE_CHECKING

import msgspec

from musicfs.clock import SystemClock
from musicfs.config.settings import Settings
from musicfs.daemon import logs
from musicfs.daemon.counting import CountersReport
from musicfs.daemon.link import (
    Completed,
    HealthReport,
    IndexDamaged,
    Look,
    Message,
    Replayed,
    Rescan,
    Stale,
    Stop,
)
from musicfs.daemon.listeners import Listeners
from musicfs.daemon.reading import Reading, content_path, index_path, open_content_store
from musicfs.daemon.supervisor import Supervisor
from musicfs.errors import AlreadyRunningError, MusicFSError, StoreError
from musicfs.mount.mountpoint import MountPoint, check_allow_other, unmount
from musicfs.mount.operations import Operations, Presentation, released
from musicfs.mount.pushing import Pusher
from musicfs.mount.session import Session, handlers_paused, interrupt, invalidate, invalidate_folders
from musicfs.store.catalog import Catalog, prepare
from musicfs.store.chunks_schema import Content
from musicfs.store.environment import is_damage, mark_clean, note_damage
from musicfs.store.pages import RESTING_BYTES, trim_pages
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.successions import Successions

if TYPE_CHECKING:
    from musicfs.vfs.searches import Searches

log = logging.getLogger(__name__)

_ROUND_S = 1.0
_STALE_KEPT = 1000
_AT_REST_S = 30.0
_HANDLED = frozenset((signal.SIGTERM, signal.SIGHUP))
_ALL = frozenset((signal.SIGINT, *_HANDLED))


def run_foreground(settings: Settings, ready_fd: int | None) -> int:
    """Mount, serve until unmounted or told to stop, and clean up; the exit code.

    One line of JSON goes to ``ready_fd`` when the mount answers, and the descriptor is closed. Raises MountError and
    StoreError before that point.
    """
    logs.set_up(settings.logging.level, "mount")
    for folder in (settings.cache_dir, settings.state_dir):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {folder} cannot be made: {error.strerror}", remedy="check cache_dir and state_dir"
            ) from error
    with (
        _only_user(settings.cache_dir, "musicfs", "cache", "its own --cache-dir"),
        _only_user(settings.state_dir, "mount", "state", "a state_dir of its own in its configuration"),
    ):
        return _MountProcess(settings, ready_fd).run()


def _only_user(folder: str, name: str, noun: str, remedy: str) -> IO[str]:
    """Hold the lock on a folder, with our pid beside it; AlreadyRunningError with the holder's pid otherwise."""
    pid_path = os.path.join(folder, f"{name}.pid")
    try:
        lock = open(os.path.join(folder, f"{name}.lock"), "a")  # noqa: SIM115 # held until the process ends
    except OSError as error:
        raise StoreError(
            f"the {noun} {folder} cannot be written: {error.strerror}", remedy=f"check {noun}_dir and its permissions"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        pid = _read_pid(pid_path)
        raise AlreadyRunningError(
            f"another MusicFS (pid {pid or 'unknown'}) uses the {noun} {folder}",
            pid=pid,
            remedy=f"stop it with 'musicfs shutdown', or give this one {remedy}",
        ) from None
    try:
        with open(pid_path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:  # a full disk must not keep the library from being served
        log.warning("%s cannot be written: %s", pid_path, error.strerror)
    return lock


def _read_pid(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return 0


class _MountProcess:
    """The parts of the mount process."""

    def __init__(self, settings: Settings, ready_fd: int | None) -> None:
        self._settings = settings
        self._ready_fd = ready_fd
        self._clock = SystemClock()
        self._started_ns = self._clock.time_ns()
        self._main = threading.main_thread()
        self._ending = threading.Event()
        self._grown = threading.Event()
        self._stop_lock = threading.Lock()
        self._drain_timer: threading.Timer | None = None
        self._stale: deque[int] = deque(maxlen=_STALE_KEPT)
        self._sequence = 0
        self._damaged = False
        self._index_damaged = threading.Event()
        self._successions: Successions | None = None
        self._listeners: Listeners | None = None

    def run(self) -> int:
        """From the check of the mount point to the last clean-up."""
        settings = self._settings
        if settings.mount.allow_other:
            check_allow_other()
        mount_point = self._mount_point = MountPoint(settings.mount_point, settings.cache_dir)
        catalog_path = os.path.join(settings.cache_dir, "catalog")
        prepare(catalog_path)
        self._catalog = Catalog(catalog_path, readonly=True)
        self._sequence = self._catalog.last_change()
        self._content = open_content_store(settings, prepare=True)
        self._reading = Reading(settings, self._catalog, self._content, released, self._clock, self._on_complete)
        if settings.prefetch.learn:
            self._successions = Successions(os.path.join(settings.cache_dir, "successions"), self._clock)
        self._nodes = Nodes(
            self._catalog,
            self._reading.sources,
            settings.cache.metadata_cache_mb << 20,
            self._on_stale,
            show_hidden=settings.tree.show_hidden,
            open_searches=self._open_searches,
            successions=self._successions,
        )
        self._supervisor = Supervisor(settings, os.getpid(), self._started_ns, self._clock, self._on_message)
        if settings.collections.plays:
            self._listeners = Listeners(self._catalog, self._clock, self._supervisor.send)
        self._pusher = Pusher(self._nodes)
        self._operations = Operations(
            self._nodes,
            self._presentation(),
            self._announce,
            self._on_damage,
            self._pusher.push if settings.prefetch.push else lambda _: None,
            self._listeners.listening if self._listeners is not None else None,
        )
        self._counting = CountersReport(self._operations, self._reading, self._supervisor, self._clock)
        # Threads inherit the mask: signals reach the signals thread, and SIGINT the main thread alone. Python's own
        # handler would raise KeyboardInterrupt wherever the end happens to be when one more SIGINT comes.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
        session = Session(
            self._operations, mount_point.path, allow_other=settings.mount.allow_other, workers=self._reading.workers
        )
        try:
            mount_point.cover()
            threading.Thread(target=self._wait_for_signals, name="signals", daemon=True).start()
            replay = threading.Thread(target=self._replay, name="replay", daemon=True)
            replay.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            session.serve()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
            self._begin_end()
            self._pusher.close()
            session.close()
            self._reading.close()
            mount_point.uncover()
        keeper_ended = self._supervisor.stop()
        replay.join(5)
        self._catalog.close()
        if self._content is not None:
            self._content.close()
        if keeper_ended:
            with contextlib.suppress(OSError):  # a full disk: the next start looks closer, that is all
                mark_clean(catalog_path)
                if self._content is not None:
                    mark_clean(content_path(settings))
        self._call_off_deadline()
        log.info("unmounted %s", mount_point.path)
        return 0

    def _presentation(self) -> Presentation:
        mount, prefetch = self._settings.mount, self._settings.prefetch
        uid = mount.uid if mount.uid >= 0 else os.getuid()
        gid = mount.gid if mount.gid >= 0 else os.getgid()
        return Presentation(uid, gid, mount.umask, mount.xattrs, prefetch.next_track_at if prefetch.next_track else 0.0)

    def _open_searches(self) -> Searches:
        """Somebody searches for the first time: what that takes is loaded now, and not when the mount starts."""
        with released():  # some 50 ms, in which others are answered
            from musicfs.index.reader import IndexReader
            from musicfs.vfs.searches import Searches

        finder = IndexReader(index_path(self._settings), self._on_index_damage)
        return Searches(self._catalog, finder, self._settings.tree.names, released, self._clock)

    def _announce(self) -> None:
        """The kernel has said hello: whoever waits may look, and the keeper may start."""
        if self._ready_fd is not None:
            os.write(self._ready_fd, msgspec.json.encode({"ready": True, "pid": os.getpid()}) + b"\n")
            os.close(self._ready_fd)
            self._ready_fd = None
        self._supervisor.start()

    # Messages and the change log.

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Look):
            self._grown.set()
        elif isinstance(message, HealthReport):
            self._reading.set_health(message.health)
        elif isinstance(message, Stop):
            self._stop(message.timeout_s if message.graceful else 0.0)

    def _on_complete(self, content: Content) -> None:
        """All of a file is here: the keeper cuts it into chunks."""
        self._supervisor.send(Completed(content.key, content.size))

    def _on_damage(self, error: Exception) -> None:
        """Serve what can be read; the next start will rebuild the rest."""
        if not self._damaged:
            self._damaged = True
            note_damage(self._catalog.path)
            log.error("the catalog is damaged: %s; it is rebuilt when you unmount and mount again", error)

    def _on_stale(self, object_id: int) -> None:
        """Called from a handler: note it, and let the replay thread send it, which may have to wait for the keeper."""
        self._stale.append(object_id)
        self._grown.set()

    def _on_index_damage(self, _error: StoreError) -> None:
        """Called by who searches: the replay thread says it on."""
        self._index_damaged.set()
        self._grown.set()

    def _report_found(self) -> None:
        """Tell the keeper what must be read or built anew."""
        if self._index_damaged.is_set():
            self._index_damaged.clear()
            self._supervisor.send(IndexDamaged())
        for object_id in {self._stale.popleft() for _ in range(len(self._stale))}:
            self._supervisor.send(Stale(object_id))

    def _replay(self) -> None:
        """Follow the change log: drop our lists, then what the kernel holds."""
        while not self._ending.is_set():
            has_grown = self._grown.wait(_ROUND_S)
            self._look_at_listeners()
            self._counting.look()
            if not has_grown:
                self._rest()
                continue
            self._grown.clear()
            for sequence, entries in self._changes():
                if any(op == ChangeOp.SWAP for op, _, _, _ in entries):
                    self._follow_swap()
                with handlers_paused():
                    self._nodes.forget_listings({inode for _, _, _, inode in entries} | {p for _, p, _, _ in entries})
                invalidate(entries)
                self._sequence = sequence
            self._supervisor.send(Replayed(self._sequence))
            self._report_found()

    def _look_at_listeners(self) -> None:
        if self._listeners is None:
            return
        try:
            self._listeners.look()
        except Exception as error:  # see _changes
            if not is_damage(error):
                raise
            self._on_damage(error)

    def _changes(self) -> list[tuple[int, list[tuple[int, int, bytes, int]]]]:
        try:
            return self._catalog.changes_after(self._sequence)
        except Exception as error:  # what cannot be understood must not end the thread that the next changes need
            if not is_damage(error):
                raise
            self._on_damage(error)
            return []

    def _follow_swap(self) -> None:
        with handlers_paused():
            names = [name for name, _, _ in self._nodes.listing(ROOT_INODE)]
            self._nodes.reopen()
            names += [name for name, _, _ in self._nodes.listing(ROOT_INODE)]
        invalidate_folders((ROOT_INODE, name) for name in dict.fromkeys(names))

    def _rest(self) -> None:
        """What is done about once a second while no change comes: keep our memory small."""
        if self._successions is not None:
            self._successions.save()
        self._nodes.rest()
        limit_bytes = self._settings.cache.metadata_cache_mb << 20
        trim_pages(self._catalog.path, limit_bytes if self._counting.idle_s < _AT_REST_S else RESTING_BYTES)

    # The end.

    def _wait_for_signals(self) -> None:
        while True:
            number = signal.sigwait(_HANDLED)
            if number == signal.SIGTERM:
                self._stop(self._settings.mount.drain_timeout_s)
            else:
                self._supervisor.send(Rescan())

    def _stop(self, drain_s: float) -> None:
        """End llfuse's loop; requests in flight get ``drain_s``, then the process goes without them."""
        with self._stop_lock:
            if self._drain_timer is not None:
                return
            self._drain_timer = threading.Timer(drain_s + 5.0, self._give_up)
            self._drain_timer.daemon = True
            self._drain_timer.start()
        threading.Thread(target=interrupt, args=(self._main, self._ending), name="interrupt", daemon=True).start()

    def _begin_end(self) -> None:
        self._ending.set()
        self._grown.set()

    def _call_off_deadline(self) -> None:
        with self._stop_lock:
            if self._drain_timer is not None:
                self._drain_timer.cancel()

    def _give_up(self) -> None:
        """The drain is over its time: go without the requests that hang."""
        log.warning("requests did not end in time; unmounting without them")
        try:
            unmount(self._settings.mount_point)
            self._mount_point.uncover()
        except (MusicFSError, OSError) as error:
            log.error("%s", error)
        os._exit(1)
