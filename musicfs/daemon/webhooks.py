"""Telling others over HTTP what happens: one POST with the events that wait, signed, and tried again when it fails.

The body is JSON: ``id`` of the delivery, ``instance``, ``time_ms`` when it was made, and ``events``, up to a hundred of them,
each as ``musicfs --json events`` prints it. ``X-MusicFS-Signature`` is ``sha256=`` and the HMAC-SHA256 (RFC 2104) of the body
with the webhook's secret, in hexadecimal. A delivery that is tried again has the same body, so a receiver can tell it by its
id.

Threads: ``webhook-N``, one for each, so that a receiver that is dead or slow holds up nobody else: of what it does not take,
the oldest is lost, and a gap says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import logging
import os
import re
import socket
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence

import msgspec

from musicfs import __version__
from musicfs.api.wire import wire_text
from musicfs.clock import Clock
from musicfs.config.secrets import lookup_secret
from musicfs.config.settings import WebhookSettings
from musicfs.daemon.metrics.observed import WebhookCount
from musicfs.errors import ConfigError, StoreError
from musicfs.events import Event, EventBus, EventType, Subscription

log = logging.getLogger(__name__)

RETRY_DELAYS_S = (0.5, 2.0, 10.0, 30.0, 60.0, 120.0, 240.0)  # then a delivery is given up
_EVENTS_MAX = 100  # of one delivery
_WAITING_MAX = 10_000
_IDLE_S = 60.0
_END_S = 1.0
_ANSWER_BYTES = 64 * 1024  # of an answer, which nobody looks at
_TOO_MANY = 429
_REFERENCES = ("env:", "file:", "keyring:")
_ODD = re.compile(r"[\x00-\x20\x7f]")  # of what http.client refuses in a host
_SIGNATURE = "X-MusicFS-Signature"
_TIMESTAMP = "X-MusicFS-Timestamp"
_DELIVERY = "X-MusicFS-Delivery"


class _TryAgainError(Exception):
    """It may work later. The text says what happened, without what could be secret."""


class _RefusedError(Exception):
    """It will not."""


class Target(msgspec.Struct, frozen=True):
    """Where to send, and what to sign with."""

    is_tls: bool
    host: str
    port: int | None
    path: str  # with the query
    secret: bytes
    timeout_s: float

    @property
    def address(self) -> str:
        """What may be shown: the path can hold a token."""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}{port}"


def is_reference(url: str) -> bool:
    """Whether the url of a webhook is not there but kept as a secret."""
    return url.startswith(_REFERENCES)


def target_of(settings: WebhookSettings, environment: Mapping[str, str] = os.environ) -> Target:
    """Look up what the settings refer to. Raises ConfigError, which shows no secret; may wait for the keyring's user."""
    url = lookup_secret(settings.url, environment).reveal() if is_reference(settings.url) else settings.url
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urllib.parse.SplitResult("", "", "", "", ""), None, None
    if parts.scheme not in ("http", "https") or not host or _ODD.search(host) or parts.username is not None:
        raise ConfigError(
            "the address of a webhook is not http://HOST/... or https://HOST/...",
            remedy="give it without a user's name; a secret signs what is sent",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    quoted = urllib.parse.quote(path, safe="/?&=%:@!$'()*+,;~-._")
    secret = lookup_secret(settings.secret, environment).reveal().encode()
    return Target(parts.scheme == "https", host, port, quoted, secret, settings.timeout_s)


def signature(secret: bytes, body: bytes) -> str:
    """The value of ``X-MusicFS-Signature``."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


class Post:
    """One request, with a deadline for all of it. :meth:`cancel` ends it from another thread."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection = self._connect()
        self._socket: socket.socket | None = None
        self._is_late = False

    def _connect(self) -> http.client.HTTPConnection:
        target = self._target
        if not target.is_tls:
            return http.client.HTTPConnection(target.host, target.port, timeout=target.timeout_s)
        import ssl

        return http.client.HTTPSConnection(
            target.host, target.port, timeout=target.timeout_s, context=ssl.create_default_context()
        )

    def send(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """The status of the answer and its reason. Raises OSError, http.client.HTTPException. Follows no redirect."""
        deadline = threading.Timer(self._target.timeout_s, self._expire)
        deadline.daemon = True
        deadline.start()
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._connection.request("POST", self._target.path, body, headers)
            answer = self._connection.getresponse()
            answer.read(_ANSWER_BYTES)
            return answer.status, answer.reason
        except (OSError, http.client.HTTPException) as error:
            if self._is_late:
                raise TimeoutError(f"no answer within {self._target.timeout_s:g} s") from error
            raise
        finally:
            deadline.cancel()
            self._connection.close()

    def _expire(self) -> None:
        self._is_late = True
        self.cancel()

    def cancel(self) -> None:
        """End it: whoever is in :meth:`send` gets an error, as soon as it is connected."""
        sock = self._socket or self._connection.sock  # the connection lets go of it before the answer is read
        if sock is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                sock.shutdown(socket.SHUT_RDWR)


class Webhook:
    """One receiver, served by a thread from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        name: str,
        settings: WebhookSettings,
        instance: str,
        subscription: Subscription,
        clock: Clock,
        find: Callable[[WebhookSettings], Target] = target_of,
    ) -> None:
        self.name = name
        self._settings = settings
        self._instance = instance
        self._subscription = subscription
        self._clock = clock
        self._find = find
        self._target: Target | None = None
        self._delivered = 0
        self._failed = 0
        self._is_failing = False
        self._ended = threading.Event()
        self._post: Post | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def count(self) -> WebhookCount:
        """What has become of events so far."""
        return WebhookCount(self._delivered, self._failed, self._subscription.lost)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, without what still waits; blocks a second at most."""
        self._ended.set()
        self._subscription.close()
        post = self._post
        if post is not None:
            post.cancel()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._target = self._find(self._settings)
        except ConfigError as error:
            log.error("%s is told nothing: %s; %s", self.name, error, error.remedy)
            self._subscription.close()
            return
        while not self._ended.is_set():
            try:
                events = self._take()
            except StoreError as error:  # what there is to tell of a file is in the catalog
                log.warning("%s: events are lost: %s", self.name, error)
                self._clock.wait(self._ended, 1.0)
                continue
            if events:
                self._deliver(events)

    def _take(self) -> list[Event]:
        """What waits, a hundred at most; waits for the first."""
        first = self._subscription.wait(_IDLE_S)
        events = [first] if first is not None else []
        while events and len(events) < _EVENTS_MAX and (event := self._subscription.wait(0.0)) is not None:
            events.append(event)
        return events

    def _deliver(self, events: Sequence[Event]) -> None:
        """Send until it is taken, refused, or given up. What fails is said once, until something is taken again."""
        assert self._target is not None
        number = sum(event.type is not EventType.GAP for event in events)
        delivery = uuid.uuid4().hex
        body = self._body(delivery, events)
        try:
            self._send(self._target, delivery, body)
        except (_TryAgainError, _RefusedError) as error:
            self._failed += number
            if not self._is_failing and not self._ended.is_set():
                log.warning("%s (%s) takes no events: %s", self.name, self._target.address, error)
            self._is_failing = True
            return
        self._delivered += number
        if self._is_failing:
            log.info("%s (%s) takes events again", self.name, self._target.address)
        self._is_failing = False

    def _body(self, delivery: str, events: Sequence[Event]) -> bytes:
        return msgspec.json.encode(
            {
                "id": delivery,
                "instance": self._instance,
                "time_ms": self._clock.time_ns() // 1_000_000,
                "events": [_plain(event) for event in events],
            }
        )

    def _send(self, target: Target, delivery: str, body: bytes) -> None:
        """Try, and try again. Raises what the last attempt has ended with."""
        for delay_s in RETRY_DELAYS_S:
            try:
                self._send_once(target, delivery, body)
                return
            except _TryAgainError as error:
                log.debug("%s: %s; again in %g s", self.name, error, delay_s)
                if self._clock.wait(self._ended, delay_s):
                    raise
        self._send_once(target, delivery, body)

    def _send_once(self, target: Target, delivery: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"MusicFS/{__version__}",
            _DELIVERY: delivery,
            _TIMESTAMP: str(self._clock.time_ns() // 1_000_000_000),
        }
        if target.secret:
            headers[_SIGNATURE] = signature(target.secret, body)
        self._post = post = Post(target)
        try:
            if self._ended.is_set():  # close() may have looked for a post just before there was one
                raise _TryAgainError("the daemon is ending")
            status, reason = post.send(body, headers)
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last: no name of a host
            raise _TryAgainError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
        finally:
            self._post = None
        if 200 <= status < 300:
            return
        words = f"it answers {status} {reason}".rstrip()
        raise (_TryAgainError if status >= 500 or status == _TOO_MANY else _RefusedError)(words)


def _plain(event: Event) -> dict[str, object]:
    """An event as JSON takes it: bytes of a name that are not UTF-8 become ``\\xNN``."""
    return {
        "type": event.type.value,
        "time_ms": event.time_ms,
        "origin_id": wire_text(event.origin_id),
        "path": wire_text(event.path),
        "file_id": event.file_id,
        "details": {wire_text(name): wire_text(value) for name, value in event.details.items()},
    }


class Webhooks:
    """All that are configured."""

    def __init__(self, settings: Sequence[WebhookSettings], instance: str, events: EventBus, clock: Clock) -> None:
        self._webhooks = [
            Webhook(
                f"webhook-{number}",
                one,
                instance,
                events.subscribe(tuple(map(EventType, one.events)), one.origins, _WAITING_MAX),
                clock,
            )
            for number, one in enumerate(settings, 1)
        ]

    def start(self) -> None:
        """Begin to tell."""
        for webhook in self._webhooks:
            webhook.start()

    def counts(self) -> dict[str, WebhookCount]:
        """What has become of events, by webhook in the order of the configuration."""
        return {webhook.name: webhook.count for webhook in self._webhooks}

    def close(self) -> None:
        """End them all; blocks a second for each at most."""
        for webhook in self._webhooks:
            webhook.close()
