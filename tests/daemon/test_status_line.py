"""The line for ``systemctl status``: what it says, and how often."""

from __future__ import annotations

import msgspec
import pytest

from musicfs.api.backend import Status, Work
from musicfs.clock import SystemClock
from musicfs.daemon.link import StatusText
from musicfs.daemon.notify import Notifier
from musicfs.daemon.status_line import StatusLine, StatusTeller, describe_status
from tests.api.backend import STATUS

CALM = msgspec.structs.replace(STATUS, mount_point="/mnt", tracks=1234, detail="", work=())


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (CALM, "Serving /mnt (1,234 tracks)"),
        (msgspec.structs.replace(CALM, tracks=1), "Serving /mnt (1 track)"),
        (
            msgspec.structs.replace(
                CALM, work=(Work("scan nas", 1234, 10000, "files"), Work("index", 5, 10, "tracks"))
            ),
            "Scanning origin nas 1,234/10,000; indexing 5/10; serving /mnt (1,234 tracks)",
        ),
        (
            msgspec.structs.replace(CALM, work=(Work("scan", detail="waiting"),)),
            "Asking the origins; serving /mnt (1,234 tracks)",
        ),
        (
            msgspec.structs.replace(CALM, detail="origin nas cannot be read"),
            "Degraded: origin nas cannot be read; serving /mnt (1,234 tracks)",
        ),
    ],
)
def test_what_it_says(status: Status, text: str) -> None:
    assert describe_status(status) == text


def test_a_long_story_is_cut() -> None:
    text = describe_status(msgspec.structs.replace(CALM, detail="x" * 1000))
    assert (len(text), text[-3:]) == (400, "...")


def test_the_keeper_says_only_what_is_new() -> None:
    status = CALM
    told: list[object] = []
    teller = StatusTeller(lambda: status, told.append, SystemClock(), is_wanted=False)
    teller.start()  # nobody wants to know: no thread, and nothing is asked
    assert not teller.look()
    assert not teller.look()
    status = msgspec.structs.replace(CALM, work=(Work("index", 5, 10, "tracks"),))
    assert teller.look()
    assert told == [StatusText("Serving /mnt (1,234 tracks)"), StatusText("Indexing 5/10; serving /mnt (1,234 tracks)")]


class Heard(Notifier):
    """What systemd would be told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def status(self, text: str) -> None:
        self.said.append(text)


def test_the_mount_adds_what_it_alone_knows() -> None:
    heard = Heard()
    silent_s = 0.0
    line = StatusLine(heard, "/mnt", lambda: silent_s)
    line.look()
    assert heard.said == [], "that was said with READY=1"
    for text in ("Scanning", "Indexing", "Serving /mnt (3 tracks)"):
        line.hear(text)
    line.look()
    line.look()
    line.set_trouble("The configuration is wrong")
    line.look()
    silent_s = 31.0
    line.look()
    line.set_trouble("")
    silent_s = 0.0
    line.look()
    assert heard.said == [
        "Serving /mnt (3 tracks)",
        "The configuration is wrong; serving /mnt (3 tracks)",
        "The configuration is wrong; degraded: no keeper answers; serving /mnt",
        "Serving /mnt (3 tracks)",
    ]
    line.end()
    line.hear("Scanning")
    line.look()
    assert len(heard.said) == 4
