"""The log: levels of modules, whole lines that nothing can fake, files of a day, the journal's protocol, and no secrets."""

from __future__ import annotations

import datetime
import json
import logging
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.config.secrets import Secret, lookup_secret, redact
from musicfs.config.settings import LoggingSettings, Settings
from musicfs.daemon.logs import Logs, LogSetup, plan_logs
from musicfs.daemon.logs.files import DailyFile, day_path, next_midnight, remove_old
from musicfs.daemon.logs.filters import LevelFilter, parse_filter
from musicfs.daemon.logs.forms import JsonForm, LineForm, timestamp
from musicfs.daemon.logs.journal import Journal, encode_fields, is_standard_error, priority_of
from musicfs.model import TRACE_LEVEL


def record(
    text: str, *values: object, level: int = logging.INFO, error: BaseException | None = None
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord("musicfs.test", level, "/x/test.py", 7, text, values, info, "function")


def raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


# Levels.


def test_a_filter_names_modules() -> None:
    assert parse_filter("info") == LevelFilter(logging.INFO)
    found = parse_filter("musicfs.origins=debug,warning,asyncssh=info,musicfs.origins=trace")
    assert found == LevelFilter(logging.WARNING, (("asyncssh", logging.INFO), ("musicfs.origins", TRACE_LEVEL)))


@pytest.fixture
def logs() -> Iterator[Logs]:
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers[:] = []
    ours = logging.getLogger("musicfs").level
    made = Logs("mount", {})
    yield made
    made.apply(plan_logs(Settings(), in_background=False))
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("musicfs").setLevel(ours)


def setup(folder: Path, level: str = "info", *, as_json: bool = False) -> LogSetup:
    settings = Settings(
        instance="home", logging=LoggingSettings(level=level, log_dir=str(folder), json_output=as_json, journald="off")
    )
    return plan_logs(settings, in_background=False)


def test_levels_of_modules_apply_and_go_again(logs: Logs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    origins, other = logging.getLogger("musicfs.origins.sftp"), logging.getLogger("musicfs.library")
    foreign = logging.getLogger("foreign")
    logs.apply(setup(tmp_path, "musicfs.origins=debug,info"))
    origins.debug("one")
    other.debug("two")
    other.info("three")
    foreign.info("four")
    logs.apply(setup(tmp_path, "info"))
    origins.debug("five")
    said = capfd.readouterr().err
    assert [word for word in ("one", "two", "three", "four", "five") if word in said] == ["one", "three"]
    (file,) = tmp_path.iterdir()
    assert file.name == f"home-{time.strftime('%Y-%m-%d')}.log"
    assert file.read_text() == said
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_the_log_goes() -> None:
    settings = Settings(state_dir="/s")
    assert plan_logs(settings, in_background=False).folder == ""
    assert plan_logs(settings, in_background=True).folder == "/s/log"


# Lines.


def test_nothing_can_fake_a_line() -> None:
    text = "2026-01-01 ERROR forged\r\n2026 ERROR again\x1b[2J\x85\u2028 end"
    for form in (LineForm("mount"), JsonForm("mount")):
        lines = form.format(record("%s", text, error=raised(f"{text}\nTraceback"))).split("\n")
        assert not [line for line in lines if line.startswith(("2026-01", "2026 "))]
        assert not any(character in line for line in lines for character in "\x1b\x85\u2028")
    first, *others = LineForm("mount").format(record("%s", text, error=raised("a\nb"))).split("\n")
    assert first.endswith(r"forged\r\n2026 ERROR again\x1b[2J\x85\u2028 end")
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in others)


def test_json_is_one_object_a_line() -> None:
    text = JsonForm("keeper").format(record("a %s", "Bj\udcf6rk\n", level=logging.ERROR, error=raised("x")))
    assert "\n" not in text
    found = json.loads(text)
    assert (found["level"], found["process"], found["module"]) == ("error", "keeper", "musicfs.test")
    assert found["message"] == "a Bj\\udcf6rk\n"
    assert found["traceback"][-1] == "ValueError: x"
    assert datetime.datetime.fromisoformat(found["time"]).tzinfo is not None


def test_a_record_that_does_not_fit_its_text_is_said_as_it_is() -> None:
    assert "'%d files' with ('many',)" in LineForm("mount").format(record("%d files", "many"))


# Secrets.


def test_a_secret_shows_itself_nowhere() -> None:
    secret = lookup_secret("env:KEY", {"KEY": "hunter2!"})
    texts = (str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!s}", f"{[secret]}")
    assert not [text for text in texts if "hunter2" in text]
    assert secret
    assert not Secret("")
    with pytest.raises(TypeError, match="does not leave"):
        __import__("pickle").dumps(secret)


def test_what_was_revealed_is_taken_out_of_every_form() -> None:
    value = Secret("correct horse/battery").reveal()
    for form in (LineForm("mount"), JsonForm("mount")):
        text = form.format(
            record("login with %s", value, error=raised(f"refused: {value} http://u:correct%20horse%2Fbattery@h"))
        )
        assert "horse" not in text
        assert "***" in text
    assert redact("Y29ycmVjdCBob3JzZS9iYXR0ZXJ5") == "***"


# Files of a day.


def _write_lines(folder: str, name: str, count: int) -> None:
    handler = DailyFile(folder, "home", 3, takes_standard_error=False)
    handler.setFormatter(LineForm(name))
    for number in range(count):
        handler.handle(record("%s", f"{name}{number} " + "x" * 300))


def test_two_processes_write_whole_lines_into_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_lines, args=(str(tmp_path), name, 500)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    (file,) = tmp_path.iterdir()
    lines = file.read_text().splitlines()
    assert len(lines) == 1000
    assert all(line.endswith("x" * 300) and line.count("musicfs.test") == 1 for line in lines)


def test_a_new_day_has_a_new_file_and_old_ones_go(tmp_path: Path) -> None:
    now = time.time()
    day = datetime.datetime.fromtimestamp(now).astimezone().date()
    for age in (1, 2, 3, 40):
        (tmp_path / f"home-{(day - datetime.timedelta(days=age)).isoformat()}.log").write_text("old\n")
    (tmp_path / "home-notes.log").write_text("not ours\n")
    (tmp_path / "home-2-2020-01-01.log").write_text("of another instance\n")
    handler = DailyFile(str(tmp_path), "home", 2, takes_standard_error=False)
    handler.setFormatter(LineForm("mount"))
    today, tomorrow = record("today"), record("tomorrow")
    tomorrow.created = next_midnight(now) + 1
    handler.handle(today)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        day_path("", "home", now), "home-notes.log", "home-2-2020-01-01.log",
        *(f"home-{(day - datetime.timedelta(days=age)).isoformat()}.log" for age in (1, 2)),
    }  # fmt: skip
    handler.handle(tomorrow)
    handler.handle(tomorrow)
    handler.close()
    assert Path(day_path(str(tmp_path), "home", tomorrow.created)).read_text().count("tomorrow") == 2
    remove_old(str(tmp_path / "missing"), "home", 2, now)


def test_days_of_23_and_25_hours_end_at_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for month, day, hours in ((3, 29, 23), (10, 25, 25), (6, 1, 24)):
            midnight = datetime.datetime(2026, month, day).astimezone().timestamp()
            assert next_midnight(midnight) - midnight == hours * 3600
            assert next_midnight(midnight + 3600 * (hours - 1)) == next_midnight(midnight)
        assert timestamp(1_790_000_000.5).endswith("+02:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_file_that_cannot_be_written_costs_its_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    handler = DailyFile(str(tmp_path / "file" / "log"), "home", 2, takes_standard_error=False)
    handler.handle(record("lost"))
    assert handler.lost == 1


# The journal.


class FakeJournal:
    """A socket where the journal's would be."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "socket")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(10)

    def entry(self) -> dict[str, str]:
        data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        if descriptors:
            with open(descriptors[0], "rb") as file:
                file.seek(0)  # as the journal, which maps it
                data = file.read()
        return decode(data)


def decode(data: bytes) -> dict[str, str]:
    """The fields of an entry, by the protocol's own description."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, separator, value = line.partition(b"=")
        if not separator:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields


def test_entries_of_the_journal_have_fields(tmp_path: Path) -> None:
    journal = FakeJournal(tmp_path)
    handler = Journal("keeper", "home", journal.path)
    handler.handle(record("a\nb", level=logging.WARNING, error=raised("x")))
    found = journal.entry()
    message = found.pop("MESSAGE")
    assert message.startswith("a\nb\nTraceback")
    assert found == {
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "musicfs", "MUSICFS_PROCESS": "keeper", "MUSICFS_INSTANCE": "home",
        "MUSICFS_MODULE": "musicfs.test", "MUSICFS_THREAD": "MainThread", "MUSICFS_LEVEL": "warning",
        "CODE_FILE": "/x/test.py", "CODE_LINE": "7", "CODE_FUNC": "function",
    }  # fmt: skip
    handler.handle(record("%s", "y" * 2_000_000))
    assert journal.entry()["MESSAGE"] == "y" * 2_000_000
    handler.close()


def test_no_journal_is_an_error_and_a_full_one_costs_its_entries(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Journal("mount", "home", str(tmp_path / "none"))
    journal = FakeJournal(tmp_path)
    handler = Journal("mount", "home", journal.path)
    for _ in range(2000):
        handler.handle(record("nobody reads"))
    assert handler.lost > 0
    handler.close()


def test_the_journal_behind_standard_error_is_known() -> None:
    found = os.fstat(2)
    assert is_standard_error({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    for value in ("", "1:1", "x", f"{found.st_dev}:{found.st_ino}:3"):
        assert not is_standard_error({"JOURNAL_STREAM": value})


def test_priorities_and_empty_fields() -> None:
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, TRACE_LEVEL)
    assert [priority_of(level) for level in levels] == [2, 3, 4, 6, 7, 7]
    assert encode_fields({"A": "", "B": "1"}) == b"B=1\n"
