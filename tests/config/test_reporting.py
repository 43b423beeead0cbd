"""[metrics] and [[webhooks]]: what is wrong with them is said with its line, and shows nothing that may be secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicfs.config.load import read
from musicfs.config.show import show

ORIGIN = '[[origins]]\nid = "nas"\npath = "/srv/music"\n'


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(ORIGIN + text, encoding="utf-8")
    found = read(str(path), environment={"HOME": str(folder)}, flags={}, on_disk=False).problems
    return [str(problem).removeprefix(f"{folder}/config.toml:") for problem in found]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[metrics]\naddress = ""',
        '[metrics]\naddress = "[::1]:9000"',
        '[metrics]\naddress = "localhost:9000"',
        '[metrics]\naddress = "0.0.0.0:9000"\nallow_remote = true',
        '[[webhooks]]\nurl = "http://192.168.1.7:8123/api/webhook/x"\nsecret = "env:S"\nevents = ["file_added"]',
        '[[webhooks]]\nurl = "env:HOOK"\norigins = ["nas"]',
        '[[webhooks]]\nurl = "https://[fd00::1]/x"',
    ],
)
def test_what_can_be_written(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == []
    found = read(str(tmp_path / "config.toml"), environment={"HOME": str(tmp_path)}, flags={}, on_disk=False)
    shown = tmp_path / "shown.toml"
    shown.write_text(show(found), encoding="utf-8")
    again = read(str(shown), environment={"HOME": str(tmp_path)}, flags={}, on_disk=False)
    assert (again.settings.metrics, again.settings.webhooks) == (found.settings.metrics, found.settings.webhooks)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[metrics]\naddress = "50053"', 5, "is not HOST:PORT"),
        ('[metrics]\naddress = "0.0.0.0:50053"', 5, "there is no password"),
        ('[metrics]\naddress = "musicbox:50053"', 5, "there is no password"),
        ('[[webhooks]]\nurl = "ftp://host/"', 5, "https://"),
        ('[[webhooks]]\nurl = "https://host:99999/"', 5, "has no valid host or port"),
        ('[[webhooks]]\nurl = "https://me:hidden@host/"', 5, "names a user"),
        ('[[webhooks]]\nurl = "https://host/"\nsecret = "hidden"', 6, "env:NAME"),
        ('[[webhooks]]\nurl = "https://host/"\nevents = ["file_gone"]', 6, "file_added"),
        ('[[webhooks]]\nurl = "https://host/"\norigins = ["usb"]', 6, 'there is no origin "usb"'),
        ("[[webhooks]]\nsecret = 'env:S'", 4, "url"),
    ],
)
def test_what_cannot(text: str, line: int, words: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"{line}"), problem
    assert words in problem
    assert "hidden@" not in problem and ":hidden" not in problem
