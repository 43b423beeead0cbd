"""The secrets that origins refer to can be had. None is ever shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn
from musicfs.config.secrets import lookup_secret
from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError

_KEYS = ("password", "access_key_id", "secret_access_key", "key_passphrase")
_TIMEOUT_S = 3.0  # a keyring may ask its user to unlock it


def references(origin: OriginSettings) -> list[tuple[str, str]]:
    """(key, reference) of the secrets that an origin names."""
    found = ((key, str(getattr(origin, key))) for key in _KEYS)
    return [(key, reference) for key, reference in found if reference]


def secrets(examination: Examination) -> Iterator[Finding]:
    """Every reference of an origin in use leads to a secret."""
    for origin in examination.settings.origins:
        for key, reference in references(origin) if origin.enabled else ():
            yield check_reference(f"{origin.id}: {key}", reference, examination.environment)


def check_reference(place: str, reference: str, environment: Mapping[str, str]) -> Finding:
    """Whether ``reference`` leads to a secret. Blocks for three seconds at most."""
    errors: list[ConfigError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            lookup_secret(reference, environment)
        except ConfigError as error:
            errors.append(error)
        done.set()

    threading.Thread(target=look_up, name="secret", daemon=True).start()
    if not done.wait(_TIMEOUT_S):
        return warn("secrets", f"{place}: {reference} does not answer", "unlock the keyring")
    if not errors:
        return ok("secrets", f"{place}: found in {reference}")
    # The daemon may have been started with variables that are not set here.
    judge = warn if reference.startswith("env:") else fail
    return judge("secrets", f"{place}: {errors[0]}", errors[0].remedy)
