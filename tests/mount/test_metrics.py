"""Metrics, events and webhooks of a live mount, read as their users do: by Prometheus, gRPC, a web server, a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from musicfs.api.client import Client
from musicfs.config.settings import OriginSettings
from musicfs.errors import MusicFSError
from musicfs.events import Event, EventType
from tests.daemon.test_metrics import DIST, expressions
from tests.faults.living import accept_originals, album, track, wait_for
from tests.mounting import Mounted, Place, musicfs_command
from tests.servers.prometheus import PrometheusServer
from tests.servers.receiver import DROP, Receiver

MountLibrary = Callable[..., Mounted]
_KILLED = r"the keeper ended with status -9"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Two albums."""
    root = tmp_path / "origin"
    for name in ("One", "Two"):
        album(root, name, 3)
    return root


def cached(root: Path) -> Place:
    return Place(root, OriginSettings(id="o", path=str(root), cache="on"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def settings(port: int) -> str:
    """Metrics there, and every read a request: a track that follows would be in the kernel's cache already."""
    return f'[prefetch]\nnext_track = false\n\n[metrics]\naddress = "127.0.0.1:{port}"\n'


def control(mounted: Mounted) -> Client:
    (socket_path,) = Path(mounted.environment["XDG_RUNTIME_DIR"]).rglob("*.sock")
    return Client(str(socket_path))


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], PrometheusServer]]:
    servers: list[PrometheusServer] = []

    def start(port: int) -> PrometheusServer:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        server = PrometheusServer(folder, f"127.0.0.1:{port}", DIST / "prometheus" / "musicfs.rules.yml")
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


def test_prometheus_follows_a_mount_through_the_death_of_its_keeper(
    mount_library: MountLibrary, library: Path, prometheus: Callable[[int], PrometheusServer]
) -> None:
    port = free_port()
    mounted = mount_library({"o": cached(library)}, settings(port))
    files = sorted(mounted.point.rglob("*.flac"))
    assert len(files) == 6
    for file in files:
        file.read_bytes()
    server = prometheus(port)
    reads = 'sum(musicfs_fuse_ops_total{op="read"})'
    wait_for("reads in Prometheus", lambda: (server.value(reads) or 0) >= 6, 30)
    assert server.value("up") == 1
    assert server.value("musicfs_tracks") == 6
    assert server.value('musicfs_origin_health{origin="o"}') == 1
    assert server.value("musicfs_cache_misses_total") or server.value("musicfs_cache_hits_total")
    assert server.value('musicfs_origin_requests_total{origin="o", operation="read", process="mount"}')
    wait_for("bytes", lambda: server.value("musicfs_fuse_read_bytes_total") == sum(map(_size, files)), 10)

    mounted.allow_log(_KILLED)
    before = server.value(reads)
    os.kill(mounted.status()["keeper_pid"], signal.SIGKILL)
    wait_for("the next keeper in Prometheus", lambda: server.value("musicfs_keeper_restarts_total") == 1, 30)
    wait_for("the mount's counts from the next keeper", lambda: server.value(reads) is not None, 30)
    os.listdir(mounted.point)
    assert (server.value(reads) or 0) >= (before or 1)
    resets = server.query("resets(musicfs_fuse_ops_total[5m]) > 0")
    assert resets == [], "the mount's counters began anew"

    for text in expressions(json.loads((DIST / "grafana" / "musicfs.json").read_text(encoding="utf-8"))):
        if "label_values" not in text and "musicfs" in text:
            server.query(text.replace("$__rate_interval", "1m").replace("$instance", ".*"))
    groups = server.ask("rules")["groups"]
    assert [rule["health"] for group in groups for rule in group["rules"]].count("ok") >= 6
    assert not [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]


def _size(path: Path) -> int:
    return path.stat().st_size


def test_every_name_of_the_dashboard_and_the_alerts_is_in_a_scrape(mount_library: MountLibrary, library: Path) -> None:
    port = free_port()
    receiver = Receiver()
    receiver.start()
    try:
        hook = f'[[webhooks]]\nurl = "{receiver.url}"\n'
        mounted = mount_library({"o": cached(library)}, settings(port) + hook)
        for file in mounted.point.rglob("*.flac"):
            file.read_bytes()
        wait_for("the reads", lambda: scrape(port).get(("musicfs_fuse_ops_total", frozenset({("op", "read")})), 0) >= 6)
        names = {name for name, _ in scrape(port)}
        dashboard = json.loads((DIST / "grafana" / "musicfs.json").read_text(encoding="utf-8"))
        rules = (DIST / "prometheus" / "musicfs.rules.yml").read_text(encoding="utf-8")
        used = {
            name
            for text in [*expressions(dashboard), *(line for line in rules.splitlines() if "expr:" in line)]
            for name in re.findall(r"\bmusicfs_[a-z0-9_]+\b", text)
        }
        # What is there only while something runs or has failed.
        assert used - names <= {
            "musicfs_work_done", "musicfs_work_expected", "musicfs_origin_errors_total",
            "musicfs_certificate_expiry_timestamp_seconds",
        }  # fmt: skip
        with control(mounted) as client:
            told = {sample.name for family in parse(client.metrics()) for sample in family.samples}
        assert told >= names
    finally:
        mounted.close()
        receiver.stop()


def test_what_is_read_is_counted_and_the_same_by_status(mount_library: MountLibrary, library: Path) -> None:
    port = free_port()
    mounted = mount_library({"o": library}, settings(port))
    (first, *_) = sorted(mounted.point.rglob("*.flac"))
    data = first.read_bytes()

    def counted() -> dict[str, float]:
        return {
            dict(labels)["op"]: value
            for (name, labels), value in scrape(port).items()
            if name == "musicfs_fuse_ops_total"
        }

    wait_for("the read", lambda: counted().get("read"))
    ops = counted()
    assert ops["open"] == ops["release"] == 1 and ops["lookup"] >= 3 and ops["readdir"] >= 3
    found = scrape(port)
    assert found["musicfs_fuse_read_bytes_total", frozenset()] == len(data)
    assert mounted.status()["fuse_ops_total"] == sum(counted().values())
    buckets = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in found.items()
        if name == "musicfs_fuse_latency_seconds_bucket" and dict(labels)["op"] == "lookup"
    ]
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)
    assert max(value for _, value in buckets) == ops["lookup"]


class Listener:
    """``musicfs --json events`` beside a mount."""

    def __init__(self, mounted: Mounted, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*musicfs_command(), "--config", str(mounted.folder / "config.toml"), "--json", "events", *arguments],
            env=mounted.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._events: queue.Queue[dict[str, object]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def next(self, timeout_s: float) -> dict[str, object] | None:
        """The next event; None if none comes in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_files_that_come_change_and_go_are_told_to_terminals_and_webhooks(
    mount_library: MountLibrary, library: Path
) -> None:
    receiver = Receiver()
    receiver.start()
    hook = f'[[webhooks]]\nurl = "{receiver.url}"\nevents = ["file_added", "file_modified", "file_removed"]\n'
    mounted = mount_library({"o": library}, hook)

    def told() -> list[tuple[object, object]]:
        return [(one["type"], one["path"]) for delivery in receiver.deliveries for one in delivery.events]

    try:
        wait_for("the first scan", lambda: len(told()) >= 6)
        assert {kind for kind, _ in told()} == {"file_added"}
        assert {Path(str(path)).name for _, path in told()} == {file.name for file in mounted.point.rglob("*.flac")}
        del receiver.deliveries[:]
        listener = Listener(mounted, "--type", "file_added", "--type", "file_removed", "--origin", "o")
        try:
            new = track(library, "Three/1.mp3", title="New", album="Three")
            wait_for("the new file", lambda: len(told()) >= 1)
            assert told()[0] == ("file_added", "/A/Three [MP3]/01 - New.mp3")
            new.unlink()
            wait_for("its removal", lambda: ("file_removed", told()[0][1]) in told())
            event = _first_added(listener, library)
            assert event["origin_id"] == "o"
            assert str(event["path"]).startswith("/A/Three [MP3]/")
            described = mounted.command("--json", "metadata", "get", str(event["path"]))
            assert described.returncode == 0, (event, described.stderr)
            assert f'"file_id": {event["file_id"]}' in json.dumps(json.loads(described.stdout))
        finally:
            listener.close()
    finally:
        accept_originals(mounted)
        mounted.close()
        receiver.stop()


def test_files_that_change_are_told_with_what_has_changed(
    mount_library: MountLibrary, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a webhook whose address is a secret keeps it."""
    receiver = Receiver(503, DROP)
    receiver.start()
    monkeypatch.setenv("HOOK_URL", receiver.url)
    hook = '[logging]\nlevel = "debug"\n\n[[webhooks]]\nurl = "env:HOOK_URL"\nevents = ["file_modified"]\n'
    mounted = mount_library({"o": library}, hook)

    def told() -> dict[str, dict[str, str]]:
        """By path, what has changed."""
        return {one["path"]: one["details"] for delivery in receiver.deliveries for one in delivery.events}

    file = next(library.rglob("*.flac"))
    shown = "/" + str(next(one.virtual for one in mounted.files() if one.origin == file).relative_to(mounted.point))
    try:
        with control(mounted) as client:
            stream = client.events([EventType.FILE_MODIFIED])
            heard: queue.Queue[Event] = queue.Queue()
            threading.Thread(target=_listen, args=(stream, heard), daemon=True).start()
            event = None
            while event is None:  # the listener may need a while to begin
                os.utime(file)
                with contextlib.suppress(queue.Empty):
                    event = heard.get(timeout=3.0)
            assert (event.type, event.origin_id, event.path) == (EventType.FILE_MODIFIED, "o", shown)
            assert (event.details["change"], event.details["origin_path"]) == (
                "content",
                str(file.relative_to(library)),
            )
            assert event.file_id
            moved = file.with_name(f"moved-{file.name}")
            file.rename(moved)
            wait_for("the move", lambda: told().get(shown, {}).get("change") == "moved", 30)
            assert told()[shown]["origin_path"] == str(moved.relative_to(library))
        assert receiver.deliveries[0].body == receiver.deliveries[1].body, "it was tried again"
        status = mounted.command("--json", "status").stdout + mounted.command("config", "show").stdout
        assert "HOOK_URL" in status
        for text in (mounted.log, status, mounted.command("doctor").stdout):
            assert "=hidden" not in text
        assert "it answers 503" in mounted.log
    finally:
        accept_originals(mounted)
        mounted.close()
        receiver.stop()


def _listen(events: Iterator[Event], heard: queue.Queue[Event]) -> None:
    with contextlib.suppress(MusicFSError):  # the mount ends
        for event in events:
            heard.put(event)


def _first_added(listener: Listener, library: Path) -> dict[str, object]:
    """Add files until the listener hears of one: it may need a while to begin."""
    for number in range(1, 20):
        track(library, f"Three/{number}.mp3", title=f"Newer {number}", album="Three", track=str(number))
        event = listener.next(3.0)
        if event is not None and event["type"] == "file_added" and "Newer" in str(event["path"]):
            return event
    raise AssertionError("the listener hears nothing")
