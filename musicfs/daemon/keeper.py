"""``python -m musicfs.daemon.keeper FD``: the process that scans, watches, writes the catalog and answers clients.

Threads: ``link`` (main) reads from the mount process; ``scan`` owns the catalog's writing side; ``content`` is the content
store's upkeep; ``health-ID`` probes an origin; the control server and the watchers have theirs. When the link closes,
everything ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from musicfs.api.server import ControlServer
from musicfs.clock import Clock, SystemClock
from musicfs.config.settings import Settings
from musicfs.daemon.cache import Cache
from musicfs.daemon.control import KeeperBackend
from musicfs.daemon.corrections import Corrections
from musicfs.daemon.covers import Covers
from musicfs.daemon.crashes import CrashReports, crashes_folder
from musicfs.daemon.deriving import bring_up_to_date, forget_unconfigured, priorities_of, tree_builder
from musicfs.daemon.health import HealthMonitor, threshold_of
from musicfs.daemon.inbox import Inbox
from musicfs.daemon.link import (
    Accessed,
    Completed,
    Counters,
    HealthReport,
    IndexDamaged,
    Link,
    Look,
    Replayed,
    Rescan,
    Stale,
    Start,
    Up,
)
from musicfs.daemon.logs import Logs, plan_logs
from musicfs.daemon.opening import Tallies, enabled_origins
from musicfs.daemon.orders import Orders
from musicfs.daemon.origin_states import open_states
from musicfs.daemon.plays import Plays
from musicfs.daemon.reporting import Reporting
from musicfs.daemon.scanning import OriginState, Request, ScanService
from musicfs.daemon.searching import Searching
from musicfs.daemon.service_control import ServiceControl
from musicfs.daemon.serving import serve_control
from musicfs.daemon.trash import Trashing
from musicfs.errors import MusicFSError
from musicfs.events import EventBus, EventType
from musicfs.library.indexing import Indexer
from musicfs.library.news import FileEvents
from musicfs.library.pool import WorkerPool
from musicfs.library.publish import Publisher
from musicfs.library.scan import Scanner
from musicfs.model import Health
from musicfs.origins.contract import Origin
from musicfs.store.catalog import Catalog
from musicfs.store.chunks_schema import Content
from musicfs.store.environment import is_damage, note_damage
from musicfs.store.pages import RESTING_BYTES, trim_heap, trim_pages
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.generation import rerank

log = logging.getLogger(__name__)

_END_TIMEOUT_S = 5.0
_NICE = 5  # the mount process comes first
_READER_CHECK_S = 10.0
_CONNECTIONS = {Health.HEALTHY: EventType.ORIGIN_CONNECTED, Health.UNHEALTHY: EventType.ORIGIN_DISCONNECTED}


class Keeper:
    """The parts of the keeper and how they hang together."""

    def __init__(self, start: Start, link: Link, clock: Clock, orders: Orders) -> None:
        self._orders = orders
        self._settings: Settings = start.settings
        self._start = start
        self._link = link
        self._inbox = Inbox(link)
        self._clock = clock
        self._ended = threading.Event()
        self._origins: dict[int, Origin] = {}
        self._service: ScanService | None = None
        self._corrections: Corrections | None = None
        self._events = EventBus(clock.time_ns)
        self._tallies = Tallies()

    def run(self) -> None:
        """Work until the mount process closes the link."""
        settings = self._settings
        with open(os.path.join(settings.cache_dir, "keeper.lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the last keeper may still be on its way out
            catalog = Catalog(os.path.join(settings.cache_dir, "catalog"), readonly=False)
            cache = Cache(settings, catalog, self._clock, self._events, self._tallies)
            searching = Searching(settings, catalog, cache.state, cache.plays.of, self._clock, self._look, self._fail)
            plays = Plays(catalog, cache.plays, self._events, self._clock, self._fail, searching.indexer.wake)
            pool = WorkerPool(settings.scan.workers or os.cpu_count() or 1, self._clock)
            editing_pool = WorkerPool(1, self._clock)
            try:
                self._work(catalog, cache, plays, searching, pool, editing_pool)
            finally:
                self._ended.set()
                pool.close()
                editing_pool.close()
                plays.close()
                has_ended = searching.close()
                cache.close()
                if not has_ended:
                    os._exit(0)  # it is at a large segment, which nobody will miss; the catalog must stay mapped
                catalog.close()

    def _work(
        self,
        catalog: Catalog,
        cache: Cache,
        plays: Plays,
        searching: Searching,
        pool: WorkerPool,
        editing_pool: WorkerPool,
    ) -> None:
        settings = self._settings
        states = open_states(settings, catalog, self._origins, self._tallies)
        monitor = self._monitor(states)
        covers = Covers(self._origins, pool, cache.state.image)
        builder = tree_builder(settings, covers, self._clock, fresh=False)
        priorities = partial(priorities_of, states, monitor)

        def look() -> None:
            self._look()
            searching.indexer.wake()

        corrections = self._corrector(
            catalog, cache, Covers(self._origins, editing_pool, cache.state.image), priorities, look
        )

        def committed() -> None:
            look()
            corrections.wake()

        trashing = Trashing(settings, catalog, cache, corrections, self._events, self._clock, self._fail)
        publisher = Publisher(
            catalog, builder, self._clock, priorities, committed, covers, corrections.attachments,
            FileEvents(catalog, self._events), trashing.bin,
        )  # fmt: skip
        forget_unconfigured(settings, catalog, publisher)
        swapped = bring_up_to_date(settings, catalog, builder, covers, self._clock, priorities())
        if swapped:
            look()
        scanner = Scanner(
            publisher, pool, self._clock, settings.scan.mass_delete_guard, cache.keep_scanned, cache.revisions
        )
        service = ScanService(
            states, scanner, publisher, monitor, lambda: rerank(catalog, builder, priorities(), look, covers),
            self._events, self._clock,
        )  # fmt: skip
        if swapped:
            service.drop_old_tree_later()
        backend = KeeperBackend(
            self._start, states, service, monitor, cache.control, corrections.control, searching.control,
            searching.collections, trashing, self._events, catalog, self._clock, self._link.send, searching.indexer,
            ServiceControl(self._orders.reloads, cache.state),
        )  # fmt: skip
        reporting = Reporting(
            self._start, backend, service.counts, searching.indexer, self._tallies, self._events, self._clock,
            self._link.send,
        )  # fmt: skip
        backend.metrics_source = reporting.metrics
        scanning = threading.Thread(target=self._scan, args=(service,), name="scan", daemon=True)
        housekeeping = threading.Thread(
            target=self._keep_house, args=(catalog, service), name="housekeeping", daemon=True
        )
        self._service = service
        for state in states:
            monitor.watch_over(state, settings.health.check_interval_secs, settings.health.timeout_ms / 1000)
        for started in (cache, corrections, trashing, plays, searching, reporting):
            started.start()
        self._corrections = corrections
        numbers = {state.id: state.number for state in states}
        cache.verify_adopted(
            lambda origin_id: self._origins.get(numbers.get(origin_id, -1)),
            lambda: (cache.control.fetched_bytes(backend.counters), service.progress.read if service.progress else 0),
            lambda object_id: self._drop_pages(catalog, object_id),
        )
        scanning.start()
        housekeeping.start()
        server = serve_control(self._settings, backend, backend.note_troubles)
        self._orders.on_unmounting = partial(_note_unmounting, backend, server)
        look()
        self._link.send(Up())
        try:
            self._listen(service, backend, catalog, cache, plays, searching.indexer, trashing)
        finally:
            self._ended.set()
            for part in (reporting, self._events, monitor, corrections, trashing):
                part.close()
            service.stop()
            if server is not None:
                server.close(0.2)
            _join(scanning, housekeeping)

    def _corrector(
        self,
        catalog: Catalog,
        cache: Cache,
        covers: Covers,
        priorities: Callable[[], Mapping[int, int]],
        on_commit: Callable[[], object],
    ) -> Corrections:
        """What clients change does not wait for a scan: ``covers`` and the builder of the tree are its own."""
        return Corrections(
            catalog,
            cache.state,
            cache.files,
            cache.control.reading,
            tree_builder(self._settings, covers, self._clock, fresh=False),
            priorities,
            on_commit,
            covers,
            self._events,
            self._clock,
            {one.id: one.path for one in enabled_origins(self._settings) if one.origin_type == "local"},
            self._settings.tree.old_names_s,
            self._fail,
        )

    def _monitor(self, states: Sequence[OriginState]) -> HealthMonitor:
        health = self._settings.health
        thresholds = {one.settings.id: threshold_of(health, one.settings.origin_type) for one in states}
        return HealthMonitor(thresholds, self._clock, self._follow_health)

    def _follow_health(self, monitor: HealthMonitor, origin_id: str, after: Health) -> None:
        """Tell the mount; what happened while an origin was away is found by a listing once it is back."""
        self._link.send(HealthReport(monitor.health()))
        verdict = monitor.verdict(origin_id)
        self._events.publish(
            EventType.ORIGIN_HEALTH_CHANGED, origin_id=origin_id, health=after.value, message=verdict.message
        )
        if after in _CONNECTIONS:
            self._events.publish(_CONNECTIONS[after], origin_id=origin_id)
        if self._corrections is not None and after is Health.HEALTHY:
            self._corrections.note_health((origin_id,))
        service = self._service
        if service is not None:
            service.request_rerank()
        if service is not None and after is Health.HEALTHY and not service.is_scanning(origin_id):
            service.request(Request(origin_id))

    def _look(self) -> None:
        """Have the mount look at the change log."""
        self._link.send(Look())

    def _scan(self, service: ScanService) -> None:
        try:
            service.run()
        except Exception as error:  # without its writer the keeper is useless
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A service has failed: end, and be started anew."""
        if not _report_damage(error, self._settings.cache_dir):
            self._orders.crashes.report(error)
            log.error("a service failed", exc_info=error)
        os._exit(1)

    def _keep_house(self, catalog: Catalog, service: ScanService) -> None:
        """Free the slots of readers that died, and give memory back, at rest nearly all mapped pages."""
        limit_bytes = self._settings.cache.metadata_cache_mb << 20
        while not self._clock.wait(self._ended, _READER_CHECK_S):
            catalog.env.reader_check()
            trim_pages(catalog.path, limit_bytes if service.busy else RESTING_BYTES)
            trim_heap()

    def _listen(
        self,
        service: ScanService,
        backend: KeeperBackend,
        catalog: Catalog,
        cache: Cache,
        plays: Plays,
        indexer: Indexer,
        trashing: Trashing,
    ) -> None:
        while (message := self._inbox.receive()) is not None:
            match message:
                case Replayed():
                    service.note_replayed(message.sequence)
                case Counters():
                    backend.counters = message
                case Rescan():
                    trashing.look_again()
                    for origin in self._settings.origins:
                        service.request(Request(origin.id))
                case Completed():
                    cache.note_complete(Content(message.key, message.size))
                case Accessed():
                    plays.note(message)
                case IndexDamaged():
                    indexer.begin_anew("the mount could not read it")
                case Stale():
                    self._look_again(service, catalog, message.object_id)
                case _ if not self._orders.follow(message, backend.status):
                    log.warning("unexpected message from the mount process: %r", message)

    def _drop_pages(self, catalog: Catalog, object_id: int) -> None:
        """Have the kernel forget an object's bytes: what was served of it was wrong."""
        with WriteTransaction(catalog) as tx:
            tx.note_content(object_id)
        self._link.send(Look())

    def _look_again(self, service: ScanService, catalog: Catalog, object_id: int) -> None:
        located = catalog.locate(object_id)
        if located is None:
            return
        number, path, _ = located
        for origin_id, record in catalog.origins().items():
            if record.number == number:
                service.request(Request(origin_id, os.fsdecode(path.rpartition(b"/")[0]), recursive=False))


def _note_unmounting(backend: KeeperBackend, server: ControlServer | None) -> None:
    """What clients ask says so from now on."""
    backend.note_unmounting()
    if server is not None:
        server.note_shutdown()


def _join(scanning: threading.Thread, housekeeping: threading.Thread) -> None:
    scanning.join(_END_TIMEOUT_S)
    housekeeping.join(_END_TIMEOUT_S)
    if scanning.is_alive():
        log.warning("the scan did not stop within %.0f s", _END_TIMEOUT_S)
        os._exit(0)  # a listing hangs in the kernel; what is committed is committed


def main(descriptor: int) -> int:
    """Read the start message from the link and work; 0 when the link was closed in order."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the mount process decides; its end is ours
    os.nice(_NICE)
    link = Link(socket.socket(fileno=descriptor))
    start = link.receive()
    if not isinstance(start, Start):
        return 1
    logs = Logs("keeper")
    logs.apply(start.logs or plan_logs(start.settings, in_background=False))
    crashes = CrashReports(crashes_folder(start.settings.state_dir), "keeper")
    crashes.arm()
    try:
        Keeper(start, link, SystemClock(), Orders(link, logs, crashes)).run()
    except MusicFSError as error:
        log.error("%s%s", error, f" ({error.remedy})" if error.remedy else "")
        return 1
    except Exception as error:
        if not _report_damage(error, start.settings.cache_dir):
            raise
        return 1
    crashes.disarm()
    return 0


def _report_damage(error: Exception, cache_dir: str) -> bool:
    """Have a damaged catalog rebuilt by the next mount: this one has it mapped. False if ``error`` is something else."""
    if not is_damage(error):
        return False
    note_damage(os.path.join(cache_dir, "catalog"))
    log.error("the catalog is damaged: %s; it is rebuilt when you unmount and mount again", error)
    return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
