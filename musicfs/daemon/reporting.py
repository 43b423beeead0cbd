"""What the keeper tells others unasked, or when they scrape: webhooks, metrics, the line for systemd."""

from __future__ import annotations

from collections.abc import Callable

from musicfs.clock import Clock
from musicfs.daemon.link import Message, Start
from musicfs.daemon.metrics.observed import Told
from musicfs.daemon.metrics.service import Metrics
from musicfs.daemon.opening import Tallies
from musicfs.daemon.scan_counts import ScanCounts
from musicfs.daemon.status_line import StatusTeller
from musicfs.daemon.webhooks import Webhooks
from musicfs.events import EventBus
from musicfs.library.indexing import Indexer


class Reporting:
    """Built once a keeper."""

    def __init__(
        self,
        start: Start,
        told: Told,
        scans: ScanCounts,
        indexer: Indexer,
        tallies: Tallies,
        events: EventBus,
        clock: Clock,
        tell_mount: Callable[[Message], object],
    ) -> None:
        """``told`` knows how the mount is doing."""
        settings = start.settings
        self._webhooks = Webhooks(settings.webhooks, settings.instance, events, clock)
        self.metrics = Metrics(start, told, scans, indexer, tallies, events, self._webhooks.counts)
        self._status = StatusTeller(told.status, tell_mount, clock, is_wanted=start.wants_status)

    def start(self) -> None:
        """Begin to tell, and answer scrapes."""
        self._webhooks.start()
        self.metrics.start()
        self._status.start()

    def close(self) -> None:
        """Tell nobody any more; blocks a second for each webhook at most."""
        self._status.close()
        self.metrics.close()
        self._webhooks.close()
