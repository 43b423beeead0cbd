"""The metrics of one keeper: collected when they are asked for, and served."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from musicfs.api.validity import validity_of
from musicfs.config.addresses import Address, parse_address
from musicfs.config.settings import DEFAULT_METRICS_ADDRESS, Settings
from musicfs.daemon.crashes import crashes_folder, list_crashes
from musicfs.daemon.link import Start
from musicfs.daemon.metrics.observed import Observed, Told, WebhookCount, disks
from musicfs.daemon.metrics.processes import KEEPER, MOUNT, Processes
from musicfs.daemon.opening import Tallies
from musicfs.daemon.reading import index_path
from musicfs.daemon.scan_counts import ScanCounts
from musicfs.errors import ConfigError
from musicfs.events import EventBus
from musicfs.library.indexing import Indexer

if TYPE_CHECKING:
    from prometheus_client import Metric

    from musicfs.daemon.metrics.http import MetricsServer

log = logging.getLogger(__name__)


class Metrics:
    """Built once a keeper; :meth:`text` may be called from any thread."""

    def __init__(
        self,
        start: Start,
        told: Told,
        scans: ScanCounts,
        indexer: Indexer,
        tallies: Tallies,
        events: EventBus,
        webhooks: Callable[[], Mapping[str, WebhookCount]],
    ) -> None:
        self._settings: Settings = start.settings
        self._start = start
        self._told = told
        self._scans = scans
        self._indexer = indexer
        self._tallies = tallies
        self._events = events
        self._webhooks = webhooks
        self._started_s = time.time()
        self._processes = Processes(start.mount_pid, os.getpid())
        self._server: MetricsServer | None = None

    @property
    def address(self) -> Address | None:
        """Where scrapes are answered; None if nowhere."""
        return None if self._server is None else self._server.address

    def start(self) -> None:
        """Answer scrapes, where the configuration says so and the address can be had; without, the mount works on."""
        text = self._settings.metrics.address
        if not text:
            return
        from musicfs.daemon.metrics.http import MetricsServer

        server = MetricsServer(parse_address(text), self.text)
        try:
            server.start()
        except OSError as error:
            is_default = text == DEFAULT_METRICS_ADDRESS
            say = log.warning if is_default else log.error
            say('no metrics at %s: %s; set address in [metrics], "" for none', text, error.strerror or error)
            return
        self._server = server
        log.info("metrics at http://%s/metrics", text)

    def close(self) -> None:
        """Answer no more. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as they are now, and the content type of the text: OpenMetrics if ``accept`` asks for that."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self.observed))
        return encode(registry), content_type

    def observed(self) -> Observed:
        """What there is to tell now. Raises StoreError."""
        settings = self._settings
        return Observed(
            status=self._told.status(),
            origins=self._told.origins(),
            counters=self._told.counters,
            keeper_started_s=self._started_s,
            mount_started_s=self._start.started_ns / 1e9,
            keeper_hangs=self._start.hangs,
            asked=self._tallies.snapshot(),
            scans=self._scans.snapshot(),
            usage=self._processes.usage(),
            disks=disks({"cache": settings.cache_dir, "state": settings.state_dir}),
            events=self._events.published,
            webhooks=self._webhooks(),
            index_in_step=not self._indexer.trouble,
            index_behind=self._indexer.behind,
            index_bytes=_size_of(index_path(settings)),
            crashes_s=_last_crashes(settings.state_dir),
            certificate_stop_s=_expiry(settings.grpc.tls_cert),
        )


class _Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, observe: Callable[[], Observed]) -> None:
        self._observe = observe

    def collect(self) -> Iterator[Metric]:
        from musicfs.daemon.metrics.families import families

        return families(self._observe())


def _last_crashes(state_dir: str) -> dict[str, float]:
    """When each process has last left a report; 0 for never."""
    found = {MOUNT: 0.0, KEEPER: 0.0}
    for report in list_crashes(crashes_folder(state_dir)):
        if report.process in found:
            found[report.process] = max(found[report.process], report.time_ns / 1e9)
    return found


def _expiry(certificate: str) -> float | None:
    """None also for a file that cannot be read: whoever listens with it complains."""
    if not certificate:
        return None
    try:
        return validity_of(certificate).stop_s
    except (ConfigError, OSError):
        return None


def _size_of(folder: str) -> int:
    """What the files of a folder take on disk; 0 without the folder."""
    size_bytes = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                size_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:  # the index replaces its files
        return size_bytes
    return size_bytes
