"""The token's file: made once, kept, and of no use where others can read it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from musicfs.api.tokens import credentials, load_or_make_token, load_token, shown_token, token_path
from musicfs.errors import ConfigError


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token"
    before = os.umask(0)
    try:
        token = load_or_make_token(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(token) == 43 and token.isascii()
    assert load_or_make_token(str(path)) == load_token(str(path)) == token
    assert os.listdir(path.parent) == ["token"]
    assert load_or_make_token(str(tmp_path / "another")) != token


def test_two_at_once_agree(tmp_path: Path) -> None:
    path, found = str(tmp_path / "token"), []
    threads = [threading.Thread(target=lambda: found.append(load_or_make_token(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8 and len(set(found)) == 1
    assert os.listdir(tmp_path) == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
def test_one_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    token = load_or_make_token(str(path))
    path.chmod(mode)
    with pytest.raises(ConfigError, match="read by others") as caught:
        load_or_make_token(str(path))
    assert "chmod 600" in caught.value.remedy
    assert token not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"short\n", b"x" * 5000, "schlüssel-der-lang-ist".encode(), b"two words of a text"]
)
def test_what_is_no_token(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no token"):
        load_token(str(path))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in (".", "pipe"):
        with pytest.raises(ConfigError, match="is not a file"):
            load_token(str(tmp_path / name))
    (tmp_path / "link").symlink_to("nowhere")
    for attempt in (load_token, load_or_make_token):
        with pytest.raises(ConfigError, match="No such file"):
            attempt(str(tmp_path / "link"))


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="no token can be made"):
        load_or_make_token(str(tmp_path / "file" / "token"))


def test_where_it_is() -> None:
    assert token_path("", "/state") == "/state/token"
    assert token_path("/run/secret", "/state") == "/run/secret"


def test_what_is_shown_is_what_is_read() -> None:
    [(key, value)] = credentials("abc")
    assert key == "authorization"
    assert shown_token(value) == "abc"
    assert credentials("") == ()
    assert [shown_token(text) for text in ("", "abc", "Basic abc", "Bearer")] == ["", "", "", ""]
