"""Webhooks against a real web server that is well, flaky, slow, dead, and back again."""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from musicfs.config.settings import EventName, WebhookSettings
from musicfs.daemon.metrics.observed import WebhookCount
from musicfs.daemon.webhooks import RETRY_DELAYS_S, Target, Webhook, Webhooks, target_of
from musicfs.errors import ConfigError
from musicfs.events import EventBus, EventType, FileNews
from tests.faults.living import wait_for
from tests.servers.receiver import DROP, HANG, Receiver

SECRET = "a secret made for these tests"


class Hasty:
    """A clock on which nobody waits between attempts; :attr:`pauses` says for how long they would have."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def time_ns(self) -> int:
        return 1_700_000_000_123_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.pauses.append(timeout_s)
        return event.is_set()


class Setting:
    """A bus, one webhook, and its receiver."""

    def __init__(self, *script: int, receiver: Receiver | None = None, **settings: object) -> None:
        self.receiver = receiver or Receiver(*script)
        if receiver is None:
            self.receiver.start()
        self.clock = Hasty()
        self.bus = EventBus(self.clock.time_ns)
        given: dict[str, object] = {"url": self.receiver.url, "timeout_s": 5.0} | settings
        self.webhooks = Webhooks([WebhookSettings(**given)], "den", self.bus, self.clock)  # type: ignore[arg-type] # as given
        self.webhooks.start()

    @property
    def count(self) -> WebhookCount:
        return self.webhooks.counts()["webhook-1"]

    def wait_for_count(self, count: WebhookCount) -> None:
        wait_for(f"{count}", lambda: self.count == count, 20)

    def close(self) -> None:
        self.bus.close()
        self.webhooks.close()
        self.receiver.stop()


MakeSetting = Callable[..., Setting]


@pytest.fixture
def make() -> Iterator[MakeSetting]:
    made: list[Setting] = []

    def make_one(*script: int, receiver: Receiver | None = None, **settings: object) -> Setting:
        made.append(Setting(*script, receiver=receiver, **settings))
        return made[-1]

    yield make_one
    for one in made:
        one.close()


def test_an_event_comes_signed(make: MakeSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    setting = make(secret="env:HOOK_SECRET")
    setting.bus.publish(EventType.ORIGIN_HEALTH_CHANGED, origin_id="nas", health="unhealthy", path="A/\udcff")
    (delivery,) = setting.receiver.wait_for(1)
    expected = hmac.new(SECRET.encode(), delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["X-MusicFS-Signature"] == f"sha256={expected}"
    assert delivery.headers["X-MusicFS-Timestamp"] == "1700000000"
    assert delivery.headers["Content-Type"] == "application/json"
    assert delivery.path == "/hook?token=hidden"
    content = delivery.content
    assert delivery.headers["X-MusicFS-Delivery"] == content["id"]
    assert (content["instance"], content["time_ms"]) == ("den", 1_700_000_000_123)
    assert content["events"] == [
        {
            "type": "origin_health_changed",
            "time_ms": 1_700_000_000_123,
            "origin_id": "nas",
            "path": "A/\\xff",
            "file_id": 0,
            "details": {"health": "unhealthy"},
        }
    ]
    setting.wait_for_count(WebhookCount(delivered=1))


def test_without_a_secret_nothing_is_signed(make: MakeSetting) -> None:
    setting = make()
    setting.bus.publish(EventType.SYNC_STARTED)
    (delivery,) = setting.receiver.wait_for(1)
    assert "X-MusicFS-Signature" not in delivery.headers


def test_only_what_was_asked_for_is_told(make: MakeSetting) -> None:
    wanted: tuple[EventName, ...] = ("sync_completed", "file_added")
    setting = make(events=wanted, origins=("nas",))
    setting.bus.publish(EventType.SYNC_STARTED, origin_id="nas")
    setting.bus.publish(EventType.SYNC_COMPLETED, origin_id="usb")
    setting.bus.publish(EventType.SYNC_COMPLETED, origin_id="nas")
    (delivery,) = setting.receiver.wait_for(1)
    assert [(one["type"], one["origin_id"]) for one in delivery.events] == [("sync_completed", "nas")]


def test_what_happens_at_once_goes_in_few_requests(make: MakeSetting) -> None:
    setting = make()
    setting.bus.publish_each(EventType.FILE_ADDED, "nas", range(1000), lambda number: FileNews(f"/{number}", number))
    setting.wait_for_count(WebhookCount(delivered=1000))
    assert len(setting.receiver.deliveries) <= 11
    assert [one["file_id"] for each in setting.receiver.deliveries for one in each.events] == list(range(1000))


def test_what_fails_is_sent_again_as_it_was(make: MakeSetting) -> None:
    setting = make(500, DROP, 503, 429)
    setting.bus.publish(EventType.SYNC_STARTED, origin_id="nas")
    setting.wait_for_count(WebhookCount(delivered=1))
    deliveries = setting.receiver.wait_for(5)
    assert len({delivery.body for delivery in deliveries}) == 1
    assert len({delivery.headers["X-MusicFS-Delivery"] for delivery in deliveries}) == 1
    assert setting.clock.pauses == [0.5, 2.0, 10.0, 30.0]


@pytest.mark.expects_log("webhook-1 .* takes no events: it answers 400")
def test_what_is_refused_is_not_sent_again(make: MakeSetting) -> None:
    setting = make(400)
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.wait_for_count(WebhookCount(failed=1))
    setting.bus.publish(EventType.SYNC_COMPLETED)
    setting.wait_for_count(WebhookCount(delivered=1, failed=1))
    assert [one.events[0]["type"] for one in setting.receiver.deliveries] == ["sync_started", "sync_completed"]
    assert setting.clock.pauses == []


@pytest.mark.expects_log("it answers 302")
def test_a_redirect_is_not_followed(make: MakeSetting) -> None:
    elsewhere = Receiver()
    elsewhere.start()
    try:
        setting = make(302)
        setting.receiver.location = elsewhere.url
        setting.bus.publish(EventType.SYNC_STARTED)
        setting.wait_for_count(WebhookCount(failed=1))
        assert elsewhere.deliveries == []
    finally:
        elsewhere.stop()


def test_a_receiver_that_hangs_costs_its_own_deadline(make: MakeSetting) -> None:
    setting = make(HANG, timeout_s=0.3)
    begun = time.monotonic()
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.wait_for_count(WebhookCount(delivered=1))
    assert 0.3 <= time.monotonic() - begun < 10
    assert setting.clock.pauses == [0.5]


def test_an_answer_that_drips_does_not_outlast_the_deadline(make: MakeSetting) -> None:
    """Every byte comes within the timeout of the socket, the whole never."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            settings = WebhookSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.4)
            clock = Hasty()
            bus = EventBus(clock.time_ns)
            webhooks = Webhooks([settings], "den", bus, clock)
            webhooks.start()
            bus.publish(EventType.SYNC_STARTED)
            thread.join(10)
            assert not thread.is_alive(), "the request is still waited for"
        finally:
            stop.set()
            webhooks.close()


def test_a_dead_receiver_is_one_warning_and_holds_up_nobody(
    make: MakeSetting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "musicfs")
    setting = make()
    setting.receiver.stop()
    begun = time.monotonic()
    for number in range(25_000):
        setting.bus.publish(EventType.FILE_ACCESSED, file_id=number + 1)
    assert time.monotonic() - begun < 5
    wait_for("300 failures", lambda: setting.count.failed >= 300, 20)
    setting.receiver.start()
    wait_for("all to be accounted for", lambda: sum(msgspec.structs.astuple(setting.count)) >= 25_000, 60)
    count = setting.count
    setting.bus.publish(EventType.SYNC_COMPLETED)
    setting.wait_for_count(WebhookCount(count.delivered + 1, count.failed, count.lost))
    assert count.lost > 0 and count.delivered > 0
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1 and "takes no events: Connection refused" in said[0], said
    assert "hidden" not in caplog.text
    assert any("takes events again" in record.getMessage() for record in caplog.records)
    assert setting.clock.pauses[: len(RETRY_DELAYS_S)] == list(RETRY_DELAYS_S)


def test_a_slow_receiver_is_told_of_the_gap(make: MakeSetting) -> None:
    setting = make(HANG, timeout_s=2.0)
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.receiver.wait_for(1)
    for number in range(10_050):
        setting.bus.publish(EventType.FILE_ACCESSED, file_id=number + 1)
    deliveries = setting.receiver.wait_for(3)
    gap = deliveries[2].events[0]
    assert (gap["type"], gap["details"]) == ("gap", {"lost": "50"})
    assert deliveries[2].events[1]["file_id"] == 51
    setting.wait_for_count(WebhookCount(delivered=10_001, lost=50))


def test_closing_does_not_wait_for_a_receiver(make: MakeSetting) -> None:
    setting = make(HANG, timeout_s=30.0)
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.receiver.wait_for(1)
    begun = time.monotonic()
    setting.webhooks.close()
    assert time.monotonic() - begun < 0.9, "it ended by itself, and was not waited for in vain"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that its own key has signed, and the key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with path.open("a") as both:
        both.write(Path(f"{path}.crt").read_text())
    return path


@pytest.mark.expects_log("takes no events: .*(CERTIFICATE_VERIFY_FAILED|certificate verify failed)")
@pytest.mark.parametrize("is_trusted", [True, False])
def test_certificates_are_checked(certificate: Path, is_trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = Receiver(tls=context)
    receiver.start()
    clock = Hasty()
    bus = EventBus(clock.time_ns)
    webhook = Webhook("webhook-1", WebhookSettings(url=receiver.url), "den", bus.subscribe(), clock)
    webhook.start()
    try:
        bus.publish(EventType.SYNC_STARTED)
        wait_for("an attempt", lambda: webhook.count.delivered or webhook.count.failed, 20)
        assert (webhook.count.delivered, len(receiver.deliveries)) == ((1, 1) if is_trusted else (0, 0))
    finally:
        webhook.close()
        receiver.stop()


@pytest.mark.expects_log("webhook-1 is told nothing: the environment variable NO_SUCH_SECRET is not set")
def test_a_secret_that_is_not_there_turns_the_webhook_off(make: MakeSetting) -> None:
    setting = make(secret="env:NO_SUCH_SECRET")
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.webhooks.close()
    assert setting.receiver.deliveries == []


def test_the_address_can_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://[::1]:8443/a b/ü?token=t%20u\n")
    target = target_of(WebhookSettings(url="env:HOOK"))
    assert (target.is_tls, target.host, target.port, target.address) == (True, "::1", 8443, "https://[::1]:8443")
    assert target.path == "/a%20b/%C3%BC?token=t%20u"


def test_a_secret_address_is_in_no_log_whatever_happens(
    make: MakeSetting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = Receiver(404, 302, 503, DROP, HANG, 200)
    receiver.start()
    receiver.location = f"{receiver.url}&again"
    monkeypatch.setenv("HOOK", receiver.url)
    setting = make(receiver=receiver, url="env:HOOK", timeout_s=1.0)
    for count in (WebhookCount(0, 1), WebhookCount(0, 2), WebhookCount(1, 2)):
        setting.bus.publish(EventType.SYNC_STARTED)
        setting.wait_for_count(count)
    assert {delivery.path for delivery in receiver.deliveries} == {"/hook?token=hidden"}
    assert len(receiver.deliveries) == 6
    receiver.stop()
    setting.bus.publish(EventType.SYNC_STARTED)
    setting.wait_for_count(WebhookCount(1, 3))
    assert "takes no events" in caplog.text and "it answers 503" in caplog.text
    assert "hidden" not in caplog.text
    assert "hidden" not in "".join(str(record.exc_info) for record in caplog.records)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:hidden/", "http://no-such-host.invalid/hidden", "http://[hidden/", "hidden", "http://a\x00b/hidden",
            f"http://{'x' * 70}.invalid/hidden", "http://127.0.0.1:1/hidden\r\nX: y", "http://127.0.0.1:99999/hidden"],
)  # fmt: skip
def test_a_secret_address_that_cannot_be_used_is_not_shown_either(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    setting = WebhookSettings(url="file:/nonexistent", timeout_s=1.0)
    clock = Hasty()
    bus = EventBus(clock.time_ns)

    def find(settings: WebhookSettings) -> Target:
        return target_of(msgspec.structs.replace(settings, url="env:HOOK"), {"HOOK": url})

    webhook = Webhook("webhook-1", setting, "den", bus.subscribe(), clock, find)
    webhook.start()
    try:
        bus.publish(EventType.SYNC_STARTED)
        wait_for("an attempt", lambda: webhook.count.failed or "is told nothing" in caplog.text, 20)
    finally:
        webhook.close()
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("url", ["", "ftp://host/", "http:///path", "http://host:port/", "https://me:word@host/"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", url)
    with pytest.raises(ConfigError) as refused:
        target_of(WebhookSettings(url="env:HOOK"))
    assert "word" not in str(refused.value) + refused.value.remedy
