"""The metrics by name: what each one means, and where its numbers come from.

Names and units follow https://prometheus.io/docs/practices/naming/. What the README, the dashboard and the alerts in
``dist/`` use is held against these by tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from musicfs.api.backend import MountState
from musicfs.daemon.link import Counters
from musicfs.daemon.metrics.observed import Observed
from musicfs.daemon.metrics.processes import KEEPER, MOUNT
from musicfs.model import Health
from musicfs.mount.counting import FUSE_BOUNDS_S, FUSE_OPERATIONS
from musicfs.origins.wrappers.trace import LATENCY_BOUNDS_S, OperationCount
from musicfs.origins.wrappers.wrapper import Operation

_HEALTH = {Health.HEALTHY: 1.0, Health.DEGRADED: 0.5, Health.UNHEALTHY: 0.0, Health.UNKNOWN: -1.0}

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]
Asked = Mapping[str, Mapping[Operation, OperationCount]]


def families(seen: Observed) -> Iterator[Metric]:
    """Every metric. What the mount counts is left out until it has said so: a counter must not begin at zero again."""
    yield from _instance(seen)
    if seen.counters.fuse:
        yield from _requests(seen.counters)
    yield from _cache(seen)
    yield from _origins(seen)
    yield from _asked({MOUNT: seen.counters.origins, KEEPER: seen.asked})
    yield from _scans(seen)
    yield from _library(seen)
    yield from _processes(seen)
    yield from _events(seen)


def _counter(name: str, words: str, labels: Sequence[str], samples: Samples) -> Metric:
    """``name`` ends with ``_total`` when it is written."""
    family = CounterMetricFamily(name, words, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _gauge(name: str, words: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _one(number: float) -> Samples:
    return [((), number)]


def _histogram(
    name: str,
    words: str,
    labels: Sequence[str],
    bounds_s: Sequence[float],
    samples: Iterable[tuple[Labels, Sequence[int], float]],
) -> Metric:
    """A sample is (labels, how many lie in each bucket and beyond the last, sum in seconds)."""
    family = HistogramMetricFamily(name, words, labels=labels)
    names = [*map(floatToGoString, bounds_s), "+Inf"]
    for values, buckets, sum_s in samples:
        family.add_metric(values, list(zip(names, accumulate(buckets), strict=True)), sum_s)
    return family


def _instance(seen: Observed) -> Iterator[Metric]:
    status = seen.status
    yield _gauge(
        "musicfs_build_info",
        "Always 1; the version and the name of the instance.",
        ("version", "name"),
        [((status.version, status.instance), 1)],
    )
    yield _gauge(
        "musicfs_start_time_seconds",
        "When the process was started, in seconds since 1970 UTC.",
        ("process",),
        [((MOUNT,), seen.mount_started_s), ((KEEPER,), seen.keeper_started_s)],
    )
    yield _counter("musicfs_keeper_restarts", "Keepers that have ended unasked.", (), _one(status.keeper_restarts))
    yield _counter(
        "musicfs_keeper_hangs", "Keepers that were ended because they did not answer.", (), _one(seen.keeper_hangs)
    )
    yield _gauge(
        "musicfs_last_crash_timestamp_seconds",
        "When the process has last left a report of a crash, in seconds since 1970 UTC; 0: none is there.",
        ("process",),
        [((process,), moment_s) for process, moment_s in seen.crashes_s.items()],
    )
    if seen.certificate_stop_s is not None:
        yield _gauge(
            "musicfs_certificate_expiry_timestamp_seconds",
            "When the certificate of the control interface expires, in seconds since 1970 UTC.",
            (),
            _one(seen.certificate_stop_s),
        )
    yield _gauge(
        "musicfs_mount_state",
        "1 for the state that the mount is in.",
        ("state",),
        [((state.value,), float(state is status.state)) for state in MountState if state is not MountState.UNKNOWN],
    )


def _requests(counters: Counters) -> Iterator[Metric]:
    operations = dict(zip(FUSE_OPERATIONS, counters.fuse, strict=True))
    yield _counter(
        "musicfs_fuse_ops",
        "Requests of the kernel.",
        ("op",),
        [((name,), operation.calls) for name, operation in operations.items()],
    )
    yield _histogram(
        "musicfs_fuse_latency_seconds",
        "How long requests of the kernel took.",
        ("op",),
        FUSE_BOUNDS_S,
        [((name,), operation.buckets, operation.total_ns / 1e9) for name, operation in operations.items()],
    )
    yield _counter(
        "musicfs_fuse_errors",
        "Requests of the kernel that were answered with EIO.",
        ("op",),
        [((name,), operation.errors) for name, operation in operations.items()],
    )
    yield _counter("musicfs_fuse_read_bytes", "Bytes read through the mount.", (), _one(counters.read_bytes))
    yield _gauge("musicfs_open_files", "Open files in the mount.", (), _one(counters.open_files))
    yield _counter("musicfs_cache_hits", "Reads of cached origins that needed no origin.", (), _one(counters.hits))
    yield _counter(
        "musicfs_cache_misses", "Reads of cached origins that had to wait for one.", (), _one(counters.misses)
    )
    yield _counter(
        "musicfs_cache_dropped_bytes",
        "Bytes that were fetched and not kept, for want of time or room.",
        (),
        _one(counters.dropped_bytes),
    )


def _cache(seen: Observed) -> Iterator[Metric]:
    cache = seen.status.cache
    yield _gauge("musicfs_cache_size_bytes", "Content that is kept on disk.", (), _one(cache.used_bytes))
    yield _gauge("musicfs_cache_limit_bytes", "How much content may be kept.", (), _one(cache.limit_bytes))
    yield _gauge(
        "musicfs_cache_tier_size_bytes",
        "What is kept on disk: first and last parts of files, other content, the catalog, the search index.",
        ("tier",),
        [
            (("edges",), cache.edge_bytes),
            (("main",), cache.used_bytes - cache.edge_bytes),
            (("metadata",), cache.metadata_bytes),
            (("index",), seen.index_bytes),
        ],
    )
    yield _gauge("musicfs_cache_chunks", "Chunks that contents are made of.", (), _one(cache.chunk_count))
    yield _gauge("musicfs_cache_chunks_unique", "Chunks that are stored.", (), _one(cache.chunks_unique))
    yield _gauge("musicfs_cache_files", "Files of which something is kept.", (), _one(cache.contents))
    yield _gauge("musicfs_cache_files_complete", "Files of which all is kept.", (), _one(cache.contents_complete))
    yield _gauge("musicfs_cache_pins", "What is pinned.", (), _one(cache.pins))
    yield _gauge(
        "musicfs_cache_damaged_chunks",
        "Chunks that were found damaged, and count as missing.",
        (),
        _one(cache.damaged),
    )
    yield _counter(
        "musicfs_cache_saved_bytes",
        "Bytes of changed files that were taken over and not fetched again.",
        (),
        _one(cache.saved_bytes),
    )
    yield _counter("musicfs_cache_evictions", "How often room was made.", (), _one(cache.evictions))
    yield _counter(
        "musicfs_cache_evicted_bytes", "Bytes that were removed to make room.", (), _one(cache.evicted_bytes)
    )


def _origins(seen: Observed) -> Iterator[Metric]:
    origins = seen.origins
    yield _gauge(
        "musicfs_origin_health",
        "1 healthy, 0.5 degraded, 0 unhealthy, -1 not known yet.",
        ("origin",),
        [((one.id,), _HEALTH[one.health]) for one in origins],
    )
    yield _gauge(
        "musicfs_origin_files",
        "Files of the origin that are in the library.",
        ("origin",),
        [((one.id,), one.files_count) for one in origins],
    )
    yield _gauge(
        "musicfs_origin_size_bytes",
        "Size of these files.",
        ("origin",),
        [((one.id,), one.total_size_bytes) for one in origins],
    )
    yield _gauge(
        "musicfs_origin_held_removals",
        "Missing files whose removal waits for a confirmation.",
        ("origin",),
        [((one.id,), one.held_removals) for one in origins],
    )
    yield _gauge(
        "musicfs_origin_last_scan_timestamp_seconds",
        "When the last complete listing ended, in seconds since 1970 UTC; 0: never.",
        ("origin",),
        [((one.id,), one.last_scan_ms / 1000) for one in origins],
    )


def _asked(processes: Mapping[str, Asked]) -> Iterator[Metric]:
    """What was asked of origins; a health check is one too."""
    rows = [
        ((origin_id, operation.value, process), count)
        for process, asked in processes.items()
        for origin_id, operations in asked.items()
        for operation, count in operations.items()
    ]
    labels = ("origin", "operation", "process")
    yield _counter(
        "musicfs_origin_requests", "Calls to the origin.", labels, [(values, count.calls) for values, count in rows]
    )
    yield _counter(
        "musicfs_origin_errors",
        "Calls to the origin that failed, by the kind of error.",
        (*labels, "error"),
        [((*values, error), number) for values, count in rows for error, number in count.errors.items()],
    )
    yield _counter(
        "musicfs_origin_read_bytes",
        "Bytes read from the origin by calls; what is read in place, from a local disk, is not.",
        ("origin", "process"),
        [
            ((values[0], values[2]), count.size_bytes)
            for values, count in rows
            if values[1] == Operation.READ.value
        ],
    )  # fmt: skip
    yield _histogram(
        "musicfs_origin_latency_seconds",
        "How long calls to the origin took.",
        labels,
        LATENCY_BOUNDS_S,
        [(values, count.latencies, count.total_s) for values, count in rows],
    )


def _scans(seen: Observed) -> Iterator[Metric]:
    scans = [((origin_id,), scan) for origin_id, scan in seen.scans.items()]
    yield _gauge(
        "musicfs_sync_files_changed",
        "Files that the last scan found new, changed or gone.",
        ("origin",),
        [(origin, scan.last_changed) for origin, scan in scans],
    )
    yield _counter(
        "musicfs_sync_files",
        "Files that scans found new, changed or gone.",
        ("origin", "change"),
        [
            ((*origin, change), number)
            for origin, scan in scans
            for change, number in (("added", scan.added), ("modified", scan.modified), ("removed", scan.removed))
        ],
    )
    yield _counter(
        "musicfs_sync_runs",
        "Scans of the origin, or of folders of it.",
        ("origin", "outcome"),
        [
            ((*origin, outcome), number)
            for origin, scan in scans
            for outcome, number in (("completed", scan.completed), ("failed", scan.failed))
        ],
    )
    yield _gauge(
        "musicfs_sync_duration_seconds",
        "How long the last scan took.",
        ("origin",),
        [(origin, scan.last_s) for origin, scan in scans],
    )
    yield _gauge(
        "musicfs_work_done",
        "How much is done of what runs in the background now.",
        ("work",),
        [((work.name,), work.done) for work in seen.status.work],
    )
    yield _gauge(
        "musicfs_work_expected",
        "How much of it there is; 0: not known.",
        ("work",),
        [((work.name,), work.total) for work in seen.status.work],
    )


def _library(seen: Observed) -> Iterator[Metric]:
    status = seen.status
    yield _gauge("musicfs_tracks", "Tracks in the library.", (), _one(status.tracks))
    yield _gauge(
        "musicfs_files", "Files in the library, with those that are no tracks.", (), _one(status.files_indexed)
    )
    yield _gauge(
        "musicfs_unreadable_files", "Audio files whose tags cannot be read.", (), _one(status.problems)
    )  # fmt: skip
    yield _gauge(
        "musicfs_index_in_step",
        "1 if the search index follows the library, 0 if something keeps it from that.",
        (),
        _one(float(seen.index_in_step)),
    )
    yield _gauge(
        "musicfs_index_behind",
        "Writes to the library that the search index does not have yet.",
        (),
        _one(seen.index_behind),
    )


def _processes(seen: Observed) -> Iterator[Metric]:
    usage = [((name,), one) for name, one in seen.usage.items()]
    label = ("process",)
    yield _gauge("musicfs_processes", "Live processes.", label, [(name, one.processes) for name, one in usage])
    yield _counter("musicfs_process_cpu_seconds", "CPU time.", label, [(name, one.cpu_s) for name, one in usage])
    yield _gauge(
        "musicfs_process_resident_memory_bytes",
        "Resident memory, with mapped files, which the kernel takes back when it needs room.",
        label,
        [(name, one.resident_bytes) for name, one in usage],
    )
    yield _gauge(
        "musicfs_process_anonymous_memory_bytes",
        "Resident memory without mapped files.",
        label,
        [(name, one.anonymous_bytes) for name, one in usage],
    )
    yield _gauge("musicfs_process_threads", "Threads.", label, [(name, one.threads) for name, one in usage])
    yield _gauge(
        "musicfs_process_open_fds", "Open descriptors.", label, [(name, one.open_files) for name, one in usage]
    )
    yield _gauge(
        "musicfs_disk_free_bytes",
        "Free space on the disk that the cache, or the state, lies on.",
        ("directory",),
        [((name,), disk.free_bytes) for name, disk in seen.disks.items()],
    )
    yield _gauge(
        "musicfs_disk_size_bytes",
        "Size of that disk.",
        ("directory",),
        [((name,), disk.size_bytes) for name, disk in seen.disks.items()],
    )


def _events(seen: Observed) -> Iterator[Metric]:
    yield _counter(
        "musicfs_events",
        "Events, by their type.",
        ("type",),
        [((name,), number) for name, number in seen.events.items()],
    )
    yield _counter(
        "musicfs_webhook_events",
        "Events for webhooks: delivered, failed, or lost because too many waited.",
        ("webhook", "outcome"),
        [
            ((name, outcome), number)
            for name, one in seen.webhooks.items()
            for outcome, number in (("delivered", one.delivered), ("failed", one.failed), ("lost", one.lost))
        ],
    )
