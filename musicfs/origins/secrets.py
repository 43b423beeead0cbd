"""Secrets of an origin, looked up when a server asks for them: what is not there is a refusal, not a broken configuration."""

from __future__ import annotations

from typing import Literal

from musicfs.config.secrets import Secret, lookup_secret
from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.origins.failures import no_secret


def find_secret(settings: OriginSettings, key: Literal["password", "key_passphrase"]) -> Secret:
    """The secret that the setting ``key`` refers to; empty, and false, if it refers to none. May wait for a keyring's user.

    Raises DeniedError, which names the setting and never what was found.
    """
    try:
        return lookup_secret(getattr(settings, key))
    except ConfigError as error:
        raise no_secret(settings.id, error, key) from error
