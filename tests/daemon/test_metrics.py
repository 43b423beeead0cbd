"""Metrics by themselves: their names, what the processes use, and the server that answers scrapes."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse

from musicfs.config.addresses import Address
from musicfs.config.settings import GrpcSettings, MetricsSettings, Settings
from musicfs.daemon.link import Counters, Start
from musicfs.daemon.metrics import service as metrics_service
from musicfs.daemon.metrics.families import families
from musicfs.daemon.metrics.http import MetricsServer
from musicfs.daemon.metrics.observed import Disk, Observed, WebhookCount, disks
from musicfs.daemon.metrics.processes import KEEPER, MOUNT, WORKERS, Processes, Usage
from musicfs.daemon.metrics.service import Metrics
from musicfs.daemon.opening import Tallies
from musicfs.daemon.scan_counts import ScanCount, ScanCounts
from musicfs.events import EVENT_TYPES, EventBus
from musicfs.library.indexing import Indexer
from musicfs.mount.counting import FUSE_BOUNDS_S, FUSE_BUCKETS, FUSE_OPERATIONS, FuseCounts, FuseOperation
from musicfs.origins.wrappers.trace import Tally
from musicfs.origins.wrappers.wrapper import Operation
from tests.api.backend import ORIGINS, STATUS
from tests.api.network import make_certificate

DIST = Path(__file__).parent.parent.parent / "dist"


def counters() -> Counters:
    """What a mount might say."""
    counts = FuseCounts()
    for operation in range(len(FUSE_OPERATIONS)):
        counts.note(operation, 10_000 * (operation + 1))
    counts.errors[6] = 2
    tally = Tally()
    tally.note(Operation.READ, 0.05, size_bytes=1000)
    tally.note(Operation.READ, 3.0, error="UnreachableError")
    return Counters(
        open_files=3, served=12, hits=90, misses=10, fetched_bytes=5, read_bytes=77, fuse=counts.snapshot(),
        origins={"nas": dict(tally.snapshot())},
    )  # fmt: skip


def observed(**changes: Any) -> Observed:
    """Something of everything."""
    tally = Tally()
    tally.note(Operation.CHECK, 0.001)
    seen = Observed(
        status=STATUS,
        origins=ORIGINS,
        counters=counters(),
        keeper_started_s=1.7e9,
        mount_started_s=1.6e9,
        keeper_hangs=1,
        asked={"nas": tally.snapshot()},
        scans={"nas": ScanCount(completed=2, added=7, last_changed=7, last_s=1.5)},
        usage={name: Usage(1, 1.5, 100 << 20, 20 << 20, 5, 30) for name in (MOUNT, KEEPER, WORKERS)},
        disks={"cache": Disk(1 << 30, 10 << 30)},
        events={kind.value: number for number, kind in enumerate(EVENT_TYPES)},
        webhooks={"webhook-1": WebhookCount(5, 1, 0)},
        index_behind=3,
        crashes_s={MOUNT: 0.0, KEEPER: 1.65e9},
        certificate_stop_s=1.9e9,
    )
    return msgspec.structs.replace(seen, **changes)


class Collector:
    """Metrics of what is given."""

    def __init__(self, seen: Observed) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        return families(self._seen)


def written(seen: Observed) -> str:
    """The text of all metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(seen))
    return generate_latest(registry).decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_the_promised_names_are_there() -> None:
    found = samples(written(observed()))

    def value(metric: str, /, **labels: str) -> float:
        return found[metric, frozenset(labels.items())]

    assert value("musicfs_fuse_ops_total", op="read") == 1
    assert value("musicfs_fuse_latency_seconds_count", op="read") == 1
    assert value("musicfs_fuse_latency_seconds_sum", op="read") == pytest.approx(70e-6)
    assert value("musicfs_fuse_errors_total", op="read") == 2
    assert (value("musicfs_cache_hits_total"), value("musicfs_cache_misses_total")) == (90, 10)
    assert value("musicfs_cache_size_bytes") == STATUS.cache.used_bytes
    assert (value("musicfs_origin_health", origin="nas"), value("musicfs_origin_health", origin="usb")) == (1, 0)
    assert value("musicfs_sync_files_changed", origin="nas") == 7
    assert value("musicfs_tracks") == STATUS.tracks
    assert value(
        "musicfs_origin_errors_total", origin="nas", operation="read", process="mount", error="UnreachableError"
    )
    assert value("musicfs_origin_read_bytes_total", origin="nas", process="mount") == 1000
    assert value("musicfs_origin_requests_total", origin="nas", operation="check", process="keeper") == 1
    assert value("musicfs_keeper_restarts_total") == STATUS.keeper_restarts
    assert value("musicfs_keeper_hangs_total") == 1
    assert value("musicfs_build_info", version=STATUS.version, name=STATUS.instance) == 1
    assert value("musicfs_mount_state", state="syncing") == 1
    assert value("musicfs_process_cpu_seconds_total", process="workers") == 1.5
    assert value("musicfs_events_total", type="sync_started") > 0
    assert value("musicfs_webhook_events_total", webhook="webhook-1", outcome="failed") == 1
    assert value("musicfs_cache_evictions_total") == STATUS.cache.evictions
    assert value("musicfs_cache_evicted_bytes_total") == STATUS.cache.evicted_bytes
    assert value("musicfs_index_behind") == 3
    crashed = [value("musicfs_last_crash_timestamp_seconds", process=process) for process in (MOUNT, KEEPER)]
    assert crashed == [0, 1.65e9]
    assert value("musicfs_certificate_expiry_timestamp_seconds") == 1.9e9


def test_before_the_mount_has_said_anything_its_counts_are_not_zero_but_absent() -> None:
    names = {name for name, _ in samples(written(observed(counters=Counters(0, 0))))}
    assert not {name for name in names if name.startswith(("musicfs_fuse", "musicfs_cache_hits", "musicfs_open"))}
    assert "musicfs_tracks" in names


def test_both_formats_can_be_read_back_by_strict_parsers() -> None:
    from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(observed()))
    text = generate_open_metrics(registry).decode()  # type: ignore[no-untyped-call] # as the package has it
    assert len(list(parse_open_metrics(text))) > 40  # type: ignore[no-untyped-call] # as the package has it


def test_promtool_finds_nothing_wrong() -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "install the package prometheus (dist/test does)"
    text = written(observed())
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    rules = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(DIST / "prometheus" / "musicfs.rules.yml")],
        text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert rules.returncode == 0, rules.stdout + rules.stderr


# Series from 1970 on, a sample a minute; then which of the alerts fire, and when.
_ALERTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'musicfs_last_crash_timestamp_seconds{{process="keeper"}}', values: '0x59 3600x120'}}
      - {{series: 'musicfs_last_crash_timestamp_seconds{{process="mount"}}', values: '0x180'}}
      - {{series: 'musicfs_certificate_expiry_timestamp_seconds', values: '1212000x180'}}
      - {{series: 'musicfs_index_behind{{name="stuck"}}', values: '0x19 5x160'}}
      - {{series: 'musicfs_index_behind{{name="busy"}}', values: '0 3 9 0 2 0 1 0 0 7 0x170'}}
      - {{series: 'musicfs_webhook_events_total{{webhook="webhook-1", outcome="failed"}}', values: '0x59 4x120'}}
      - {{series: 'musicfs_webhook_events_total{{webhook="webhook-1", outcome="delivered"}}', values: '0+9x180'}}
    alert_rule_test:
{expected}
"""
_WAIT = ("MusicFSIndexDoesNotCatchUp", "name: stuck")
_EXPIRES = ("MusicFSCertificateExpires", "")
_UNTOLD = ("MusicFSWebhookFails", "webhook: webhook-1")
_CRASHED = ("MusicFSCrashed", "process: keeper")
_FIRING = {"20m": set[tuple[str, str]](), "61m": {_EXPIRES, _UNTOLD, _CRASHED}, "82m": {_EXPIRES, _UNTOLD, _WAIT}}


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "install the package prometheus (dist/test does)"
    # Without what they say to people, which would have to be written here once more.
    rules = (DIST / "prometheus" / "musicfs.rules.yml").read_text(encoding="utf-8")
    bare = re.sub(r"^ +(annotations|summary|description):.*\n", "", rules, flags=re.MULTILINE)
    (tmp_path / "rules.yml").write_text(bare, encoding="utf-8")
    expected = []
    for moment, firing in _FIRING.items():
        for name, labels in (_WAIT, _EXPIRES, _UNTOLD, _CRASHED):
            alerts = f"[exp_labels: {{severity: warning, {labels}}}]" if (name, labels) in firing else "[]"
            expected.append(f"      - {{eval_time: {moment}, alertname: {name}, exp_alerts: {alerts}}}")
    file = tmp_path / "alerts.yml"
    file.write_text(_ALERTS.format(rules=tmp_path / "rules.yml", expected="\n".join(expected)), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


_NAME = re.compile(r"\bmusicfs_[a-z0-9_]+\b")


def expressions(value: object) -> Iterator[str]:
    """Every expression of a dashboard."""
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key in ("expr", "query") and isinstance(text, str))
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def test_dashboard_and_alerts_use_names_that_are_there() -> None:
    names = {name for name, _ in samples(written(observed()))}
    dashboard = json.loads((DIST / "grafana" / "musicfs.json").read_text(encoding="utf-8"))
    rules = (DIST / "prometheus" / "musicfs.rules.yml").read_text(encoding="utf-8")
    used = {name for text in expressions(dashboard) for name in _NAME.findall(text)}
    used |= {name for line in rules.splitlines() if "expr:" in line for name in _NAME.findall(line)}
    assert len(used) > 30
    assert used <= names, used - names
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


# How requests are counted.


@pytest.mark.parametrize("took_ns", [0, 1, 4095, 4096, 4097, 10_000, (1 << 34) - 1, 1 << 34, 1 << 40, (1 << 63) - 1])
def test_a_request_is_counted_between_its_bounds(took_ns: int) -> None:
    counts = FuseCounts()
    counts.note(6, took_ns)
    read = counts.snapshot()[6]
    bucket = read.buckets.index(1)
    assert (read.calls, read.total_ns, len(read.buckets)) == (1, took_ns, FUSE_BUCKETS)
    if bucket > 0:
        assert took_ns / 1e9 >= FUSE_BOUNDS_S[bucket - 1]
    if bucket < FUSE_BUCKETS - 1:
        assert took_ns / 1e9 < FUSE_BOUNDS_S[bucket]
    assert (counts.requests, counts.activity) == (1, 1)


def test_monitors_that_look_at_free_space_are_no_activity() -> None:
    counts = FuseCounts()
    counts.note(FUSE_OPERATIONS.index("statfs"), 5000)
    assert (counts.requests, counts.activity) == (1, 0)
    empty = FuseOperation((0,) * FUSE_BUCKETS, 0, 0)
    assert [one == empty for one in counts.snapshot()].count(False) == 1


# What processes use.


def test_what_processes_use() -> None:
    spender = (
        "import sys\nwhile (line := sys.stdin.readline()):\n for n in range(3_000_000): pass\n print(line, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", spender], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        child.stdout.readline()
        processes = Processes(mount_pid=os.getpid(), keeper_pid=os.getpid())
        usage = processes.usage()
        assert usage[MOUNT].resident_bytes > usage[MOUNT].anonymous_bytes > 1 << 20
        assert usage[MOUNT].threads >= 1 and usage[MOUNT].open_files > 3 and usage[MOUNT].cpu_s > 0
        before = usage[WORKERS]
        assert before.processes >= 1 and before.cpu_s > 0
        child.stdin.close()
        child.wait(20)
    after = processes.usage()[WORKERS]
    assert after.processes == before.processes - 1
    assert after.cpu_s >= before.cpu_s, "a counter fell"


def test_a_process_that_has_ended_uses_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(20)
    assert Processes(child.pid, child.pid).usage()[KEEPER] == Usage()


def test_disks_that_cannot_be_asked_are_left_out(tmp_path: Path) -> None:
    found = disks({"here": str(tmp_path), "nowhere": str(tmp_path / "nowhere")})
    assert set(found) == {"here"} and 0 <= found["here"].free_bytes <= found["here"].size_bytes


# The server.


def get(address: Address, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read()
    finally:
        connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], tuple[bytes, str]]], MetricsServer]]:
    servers: list[MetricsServer] = []

    def start(answer: Callable[[str], tuple[bytes, str]], host: str = "127.0.0.1") -> MetricsServer:
        server = MetricsServer(Address(host, 0), answer)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


Serve = Callable[..., MetricsServer]


def test_metrics_are_at_one_address_and_nothing_else_is(serve: Serve) -> None:
    server = serve(lambda accept: (accept.encode(), "text/plain"))
    assert get(server.address, Accept="this") == (200, "text/plain", b"this")
    assert get(server.address, "/metrics?name=x")[0] == 200
    assert get(server.address, method="HEAD")[::2] == (200, b"")
    assert get(server.address, "/")[0] == 404
    assert get(server.address, "/metrics/../../etc/passwd")[0] == 404
    assert get(server.address, method="POST")[0] == 501
    server.close()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        get(server.address)


def test_it_listens_on_ipv6_too(serve: Serve) -> None:
    server = serve(lambda _: (b"six", "text/plain"), "::1")
    assert get(server.address)[2] == b"six"


@pytest.mark.expects_log("the metrics cannot be collected")
def test_what_fails_is_an_error_for_the_scraper_too(serve: Serve) -> None:
    def fail(_accept: str) -> tuple[bytes, str]:
        raise RuntimeError("no secret words")

    status, _, body = get(serve(fail).address)
    assert status == 500 and b"secret" not in body


def test_who_hangs_in_a_request_takes_one_place_and_too_many_are_turned_away(serve: Serve) -> None:
    server = serve(lambda _: (b"here", "text/plain"))
    where = (server.address.host, server.address.port)
    waiting = [socket.create_connection(where, timeout=10) for _ in range(3)]
    try:
        assert get(server.address)[2] == b"here"
        waiting.append(socket.create_connection(where, timeout=10))
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            for _ in range(50):  # the fourth place is taken as soon as the server has looked
                get(server.address)
        for one in waiting:
            one.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert get(server.address)[2] == b"here"
                break
            except (ConnectionError, http.client.HTTPException):
                assert time.monotonic() < deadline
    finally:
        for one in waiting:
            one.close()


class Told:
    """Knows what a keeper knows."""

    def __init__(self) -> None:
        self.counters = counters()

    def status(self) -> Any:
        return STATUS

    def origins(self) -> Any:
        return ORIGINS


def service(tmp_path: Path, address: str, **changes: Any) -> Metrics:
    metrics = MetricsSettings(address=address)
    settings = Settings(cache_dir=str(tmp_path), state_dir=str(tmp_path), metrics=metrics, **changes)
    start = Start(settings, os.getpid(), time.time_ns(), 0)
    return Metrics(
        start,
        Told(),
        ScanCounts(),
        cast("Indexer", SimpleNamespace(trouble="", behind=0)),
        Tallies(),
        EventBus(time.time_ns),
        dict,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_a_scrape_gets_the_format_that_it_asks_for(tmp_path: Path) -> None:
    metrics = service(tmp_path, f"127.0.0.1:{free_port()}")
    metrics.start()
    try:
        assert metrics.address is not None
        status, content_type, body = get(metrics.address)
        assert status == 200 and content_type.startswith("text/plain; version=")
        assert ("musicfs_tracks", frozenset()) in samples(body.decode())
        _, content_type, body = get(metrics.address, Accept="application/openmetrics-text; version=1.0.0")
        assert content_type.startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
    finally:
        metrics.close()


def test_without_an_address_nobody_listens(tmp_path: Path) -> None:
    metrics = service(tmp_path, "")
    metrics.start()
    assert metrics.address is None
    assert "musicfs_tracks" in metrics.text()[0].decode()


def test_an_address_in_use_is_said_and_the_keeper_works_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = service(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}")
        metrics.start()
        metrics.close()
    (record,) = [record for record in caplog.records if record.name.startswith("musicfs")]
    assert record.levelname == "ERROR" and "Address already in use" in record.getMessage()
    assert threading.active_count() < 50


def test_the_default_address_in_use_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asked for it, and the second of two mounts never has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(metrics_service, "DEFAULT_METRICS_ADDRESS", address)
        metrics = service(tmp_path, address)
        metrics.start()
        metrics.close()
    (record,) = [record for record in caplog.records if record.name.startswith("musicfs")]
    assert record.levelname == "WARNING" and address in record.getMessage() and "[metrics]" in record.getMessage()
    assert "musicfs_tracks" in metrics.text()[0].decode(), "over gRPC they are there"


def test_crashes_and_certificates_are_found_where_they_are(tmp_path: Path) -> None:
    def gauges(**changes: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return samples(service(tmp_path, "", **changes).text()[0].decode())

    crashed = ("musicfs_last_crash_timestamp_seconds", frozenset({("process", "mount")}))
    expires = ("musicfs_certificate_expiry_timestamp_seconds", frozenset[tuple[str, str]]())
    assert gauges()[crashed] == 0 and expires not in gauges()
    (tmp_path / "crashes").mkdir()
    for moment_s in (1_700_000_000, 1_600_000_000):
        report = tmp_path / "crashes" / f"mount-{moment_s}-1.txt"
        report.write_text("x")
        os.utime(report, (moment_s, moment_s))
    assert gauges()[crashed] == 1_700_000_000
    made = make_certificate(tmp_path, days=3)
    grpc = GrpcSettings(tls_cert=str(made.path), tls_key=str(made.key_path))
    assert gauges(grpc=grpc)[expires] == pytest.approx(time.time() + 3 * 86_400, abs=60)
    made.path.write_text("nonsense")
    assert expires not in gauges(grpc=grpc)
