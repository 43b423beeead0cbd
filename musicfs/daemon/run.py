"""The mount process: open the catalog, mount, serve; start the keeper beside it; end in order.

Threads: llfuse's workers, driven from the main thread; ``signals``, which waits for signals; ``supervisor``, which
owns the keeper and receives from it; ``replay``, which tells the kernel what to forget; ``reload``, which applies other
settings; ``keeper-watch``, which sees that the keeper answers; ``watchdog``, which tells systemd that we do; those of
``content``, which fetch and keep; and ``push``, which fills the kernel's cache with the next track. The main thread sits in
llfuse until ``interrupt`` makes it leave.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from musicfs.clock import SystemClock
from musicfs.config.settings import Settings
from musicfs.daemon import signals
from musicfs.daemon.counting import CountersReport
from musicfs.daemon.crashes import CrashReports, crashes_folder
from musicfs.daemon.ending import Ending
from musicfs.daemon.following import Following
from musicfs.daemon.keeper_watch import KeeperWatch
from musicfs.daemon.link import (
    Completed,
    Dump,
    HealthReport,
    Look,
    Message,
    Ping,
    Reload,
    Relog,
    Rescan,
    StatusText,
    Stop,
)
from musicfs.daemon.liveness import Liveness, MountProbe
from musicfs.daemon.locks import hold_folder
from musicfs.daemon.logs import Logs, plan_logs
from musicfs.daemon.notify import Notifier
from musicfs.daemon.playing import Playing
from musicfs.daemon.reading import Reading, content_limit_bytes, content_path, index_path, open_content_store
from musicfs.daemon.reloading import Reloading
from musicfs.daemon.status_line import StatusLine
from musicfs.daemon.supervisor import Supervisor
from musicfs.errors import MusicFSError
from musicfs.mount.layers import unmount
from musicfs.mount.mountpoint import MountPoint, check_allow_other
from musicfs.mount.operations import Operations, Presentation, released
from musicfs.mount.session import Session, handlers_paused
from musicfs.mount.tracing import Tracing
from musicfs.store.catalog import Catalog, prepare
from musicfs.store.chunks_schema import Content
from musicfs.store.environment import is_damage, mark_clean, note_damage
from musicfs.store.pages import RESTING_BYTES, trim_pages
from musicfs.vfs.nodes import Nodes

if TYPE_CHECKING:
    from musicfs.config.load import Loaded
    from musicfs.daemon.reload import ReloadPlan
    from musicfs.store.chunks import ChunkStore
    from musicfs.vfs.searches import Searches

log = logging.getLogger(__name__)

_AT_REST_S = 30.0
_KEEPER_UP_S = 60.0  # for a tree that is made anew, of some million tracks


def run_foreground(settings: Settings, ready_fd: int | None, read_again: Callable[[], Loaded] | None = None) -> int:
    """Mount, serve until unmounted or told to stop, and clean up; the exit code.

    One line of JSON goes to ``ready_fd`` when the mount answers, and the descriptor is closed: who has one is in the
    background. ``read_again`` reads the configuration like the first time. Raises MountError and StoreError before that.
    """
    notifier = Notifier.take(os.environ, os.getpid())
    logs = Logs("mount")
    logs.apply(plan_logs(settings, in_background=ready_fd is not None))
    crashes = CrashReports(crashes_folder(settings.state_dir), "mount")
    with (
        hold_folder(settings.cache_dir, "musicfs", "cache", "its own --cache-dir"),
        hold_folder(settings.state_dir, "mount", "state", "a state_dir of its own in its configuration"),
    ):
        crashes.arm()
        try:
            return _MountProcess(settings, ready_fd, read_again, notifier, logs).run()
        except MusicFSError:
            raise
        except Exception as error:  # who called says it in a sentence: what happened is kept here
            crashes.report(error)
            raise
        finally:
            crashes.disarm()


class _MountProcess:
    """The parts of the mount process."""

    def __init__(
        self,
        settings: Settings,
        ready_fd: int | None,
        read_again: Callable[[], Loaded] | None,
        notifier: Notifier,
        logs: Logs,
    ) -> None:
        self._settings = settings
        self._ready_fd = ready_fd
        self._read_again = read_again
        self._notifier = notifier
        self._logs = logs
        self._log_setup = plan_logs(settings, in_background=ready_fd is not None)
        self._clock = SystemClock()
        self._started_ns = self._clock.time_ns()
        self._ending = Ending(self._begin_end, self._leave)
        self._damaged = False
        self._content: ChunkStore | None = None
        self._store_limit_bytes = 0

    def run(self) -> int:
        """From the check of the mount point to the last clean-up."""
        settings = self._settings
        if settings.mount.allow_other:
            check_allow_other()
        mount_point = self._mount_point = MountPoint(settings.mount_point, settings.cache_dir)
        catalog_path = os.path.join(settings.cache_dir, "catalog")
        prepare(catalog_path)
        self._catalog = Catalog(catalog_path, readonly=True)
        self._open_store(settings)
        self._reading = Reading(settings, self._catalog, self._content, released, self._clock, self._on_complete)
        self._nodes = Nodes(
            self._catalog,
            self._reading.sources,
            settings.cache.metadata_cache_mb << 20,
            self._on_stale,
            show_hidden=settings.tree.show_hidden,
            open_searches=self._open_searches,
        )
        self._supervisor = Supervisor(
            settings,
            os.getpid(),
            self._started_ns,
            self._clock,
            self._on_message,
            logs=self._log_setup,
            wants_status=self._notifier.is_heard,
        )
        self._following = Following(
            self._catalog, self._nodes, self._supervisor.send, self._on_damage, self._pulse, self._ending.loop_ended
        )
        self._operations = Operations(self._nodes, self._presentation(), self._announce, self._on_damage)
        self._playing = Playing(
            settings.cache_dir, self._nodes, self._operations, self._catalog, self._clock, self._supervisor.send
        )
        self._playing.follow(settings)
        self._counting = CountersReport(self._operations, self._reading, self._supervisor, self._clock)
        self._tracing = Tracing(self._operations)
        self._tracing.set_rate(settings.logging.trace_sample_rate)
        self._make_watches(mount_point.path)
        signals.block()
        session = self._mount(mount_point)
        try:
            mount_point.cover()
            self._reloading = self._make_reloading()
            self._take_signals()
            self._following.start()
            session.serve()
        finally:
            self._end()
            session.close()
            self._reading.close()
            mount_point.uncover()
        keeper_ended = self._supervisor.stop()
        self._following.join(5)
        self._catalog.close()
        if self._content is not None:
            self._content.close()
        if keeper_ended:
            with contextlib.suppress(OSError):  # a full disk: the next start looks closer, that is all
                mark_clean(catalog_path)
                if self._content is not None:
                    mark_clean(content_path(settings))
        self._ending.call_off()
        log.info("unmounted %s", mount_point.path)
        return 0

    def _mount(self, mount_point: MountPoint) -> Session:
        mount_point.admit()
        return Session(
            self._operations,
            mount_point.stage,
            allow_other=self._settings.mount.allow_other,
            workers=self._reading.workers,
            on_broken=lambda: self._ending.begin(0.0),
        )

    def _make_watches(self, mount_point: str) -> None:
        self._watch = KeeperWatch(self._supervisor, self._supervisor.replace_hung, self._clock)
        self._line = StatusLine(self._notifier, mount_point, lambda: self._watch.silent_s)
        self._liveness = Liveness(self._notifier, MountProbe(mount_point), lambda: self._watch.silent_s, self._clock)

    def _presentation(self) -> Presentation:
        mount = self._settings.mount
        uid = mount.uid if mount.uid >= 0 else os.getuid()
        gid = mount.gid if mount.gid >= 0 else os.getgid()
        return Presentation(uid, gid, mount.umask, mount.xattrs)

    def _open_searches(self) -> Searches:
        """Somebody searches for the first time: what that takes is loaded now, and not when the mount starts."""
        with released():  # some 50 ms, in which others are answered
            from musicfs.index.reader import IndexReader
            from musicfs.vfs.searches import Searches

        finder = IndexReader(index_path(self._settings), self._following.note_index_damage)
        return Searches(self._catalog, finder, self._settings.tree.names, released, self._clock)

    def _announce(self) -> None:
        """The kernel has said hello: whoever waits may look, and the keeper may start."""
        if self._ready_fd is not None:
            os.write(self._ready_fd, msgspec.json.encode({"ready": True, "pid": os.getpid()}) + b"\n")
            os.close(self._ready_fd)
            self._ready_fd = None
        self._notifier.ready(self._line.text)
        self._supervisor.start()
        self._watch.start()
        self._liveness.start()

    # Other settings.

    def _make_reloading(self) -> Reloading:
        reloading = Reloading(
            self._settings,
            self._read_again,
            lambda: self._store_limit_bytes,
            self._apply,
            self._supervisor.send,
            on_signal=lambda: self._supervisor.send(Rescan()),
            on_trouble=self._line.set_trouble,
            around=lambda: self._notifier.reloading(lambda: self._line.text),
        )
        reloading.start()
        return reloading

    def _apply(self, plan: ReloadPlan) -> None:
        """Follow other settings while we serve. Called on the thread that reloads."""
        from musicfs.daemon.reload import Takes

        settings, takes = plan.settings, plan.takes
        self._log_setup = plan_logs(settings, in_background=self._log_setup.in_background)
        if takes & Takes.LOG:
            self._logs.apply(self._log_setup)
        if takes & Takes.READING:
            self._open_store(settings)
        with handlers_paused():
            if takes & Takes.READING:
                self._reading.follow(settings, self._content)
            self._nodes.follow(self._reading.sources, settings.cache.metadata_cache_mb << 20)
            self._tracing.set_rate(settings.logging.trace_sample_rate)
            self._nodes.show(hidden=settings.tree.show_hidden)
            self._playing.follow(settings)
        self._settings = settings
        self._supervisor.follow(settings, self._log_setup, restart=bool(takes & Takes.KEEPER))
        if takes & Takes.LOG and not takes & Takes.KEEPER:
            self._supervisor.send(Relog(self._log_setup))
        if takes & Takes.KEEPER and not self._supervisor.wait_until_up(_KEEPER_UP_S):
            log.warning("no keeper works with the new settings yet, after %.0f s", _KEEPER_UP_S)

    def _open_store(self, settings: Settings) -> None:
        """Open the content store once something is to be kept: it stays open."""
        if self._content is None:
            self._content = open_content_store(settings, prepare=True)
            self._store_limit_bytes = content_limit_bytes(settings) if self._content is not None else 0

    # Messages and the change log.

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Look):
            self._following.wake()
        elif isinstance(message, HealthReport):
            self._reading.set_health(message.health)
        elif isinstance(message, Ping):
            self._watch.note_answer()
        elif isinstance(message, StatusText):
            self._line.hear(message.text)
        elif isinstance(message, Reload):
            self._reloading.ask(message.number)
        elif isinstance(message, Stop):
            self._ending.begin(message.timeout_s if message.graceful else 0.0)

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
        self._following.note_stale(object_id)

    def _pulse(self, has_grown: bool) -> None:
        self._line.look()
        self._look_at_listeners()
        self._counting.look()
        if not has_grown:
            self._rest()

    def _look_at_listeners(self) -> None:
        try:
            self._playing.look()
        except Exception as error:  # it must not end the thread that the next changes need
            if not is_damage(error):
                raise
            self._on_damage(error)

    def _rest(self) -> None:
        """What is done about once a second while no change comes: keep our memory small."""
        self._playing.rest()
        self._nodes.rest()
        self._reading.close_unused(self._operations.oldest_file, self._operations.next_handle)
        limit_bytes = self._settings.cache.metadata_cache_mb << 20
        trim_pages(self._catalog.path, limit_bytes if self._counting.idle_s < _AT_REST_S else RESTING_BYTES)

    # The end.

    def _take_signals(self) -> None:
        signals.Signals(
            on_end=lambda: self._ending.begin(self._settings.mount.drain_timeout_s),
            on_again=self._ending.hurry,
            on_reload=self._reloading.ask,
            on_dump=self._dump,
        ).start()

    def _dump(self) -> None:
        from musicfs.daemon.dumping import dump, new_dump_path

        path = new_dump_path(self._settings.state_dir)
        dump("mount", self._counting.counters(), path)
        self._supervisor.send(Dump(path))

    def _begin_end(self) -> None:
        self._line.end()
        self._notifier.stopping("Waiting for requests in flight")
        self._supervisor.note_unmounting()

    def _end(self) -> None:
        """Nobody need be told any more that we live, nor interrupt llfuse, nor see what it does not answer."""
        self._line.end()
        self._notifier.stopping("Unmounting")
        self._supervisor.note_unmounting()  # somebody else may have unmounted it
        self._watch.close()
        self._liveness.close()
        self._ending.loop_ended.set()
        self._following.wake()
        self._playing.close()
        self._mount_point.lower()

    def _leave(self) -> None:
        unmount(self._settings.mount_point)
        self._mount_point.uncover()
