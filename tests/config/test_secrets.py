"""Secrets are found where the settings say, and errors never show them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musicfs.config.secrets import lookup_secret
from musicfs.errors import ConfigError


def test_nothing_is_asked_for() -> None:
    assert lookup_secret("").reveal() == ""


def test_environment() -> None:
    assert lookup_secret("env:KEY", {"KEY": "a b"}).reveal() == "a b"
    with pytest.raises(ConfigError, match="KEY is not set"):
        lookup_secret("env:KEY", {})


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("pässword \r\n", encoding="utf-8")
    path.chmod(0o600)
    assert lookup_secret(f"file:{path}").reveal() == "pässword "
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="read by others") as caught:
        lookup_secret(f"file:{path}")
    assert "pässword" not in f"{caught.value}{caught.value.remedy}"
    with pytest.raises(ConfigError, match="No such file"):
        lookup_secret(f"file:{path}.missing")
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not UTF-8"):
        lookup_secret(f"file:{path}")


def test_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Kept(KeyringBackend):
        priority = 1.0

        def get_password(self, service: str, username: str) -> str | None:
            return "hidden" if (service, username) == ("nas", "me/too") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    keyring.set_keyring(Kept())  # type: ignore[no-untyped-call] # its base class is not typed
    assert lookup_secret("keyring:nas/me/too").reveal() == "hidden"
    with pytest.raises(ConfigError, match="nothing for you at nas"):
        lookup_secret("keyring:nas/you")
    monkeypatch.setitem(sys.modules, "keyring", None)  # None hides a module
    with pytest.raises(ConfigError) as caught:
        lookup_secret("keyring:nas/me")
    assert "musicfs[keyring]" in caught.value.remedy
