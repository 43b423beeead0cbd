"""Webhooks: what they refer to can be had, and leads somewhere. Nothing is sent, and no secret shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from musicfs.cli.doctor.finding import Examination, Finding, Level, fail, ok, warn
from musicfs.cli.doctor.secrets import check_reference
from musicfs.config.addresses import Address
from musicfs.config.settings import WebhookSettings
from musicfs.errors import ConfigError

_CHECK = "webhooks"


def webhooks(examination: Examination) -> Iterator[Finding]:
    """Every secret is there, and every address is one to which a secret can go."""
    for number, webhook in enumerate(examination.settings.webhooks, 1):
        yield from _webhook(f"webhook {number}", webhook, examination.environment)


def _webhook(place: str, webhook: WebhookSettings, environment: Mapping[str, str]) -> Iterator[Finding]:
    from musicfs.daemon.webhooks import is_reference, target_of

    is_secret = is_reference(webhook.url)
    references = {"url": webhook.url if is_secret else "", "secret": webhook.secret}
    found = [check_reference(f"{place}: {key}", one, environment) for key, one in references.items() if one]
    yield from found
    if any(finding.level is not Level.OK for finding in found):
        return
    try:
        target = target_of(webhook, environment)
    except ConfigError as error:
        yield fail(_CHECK, f"{place}: {error}", error.remedy)
        return
    if is_secret and not target.is_tls and not Address(target.host, target.port or 0).is_loopback:
        yield warn(
            _CHECK,
            f"{place}: its address is a secret, and {target.address} sends it readable by others on the way",
            "use https, or a secret that signs and an address that need not be one",
        )
    else:
        yield ok(_CHECK, f"{place}: {target.address}")
