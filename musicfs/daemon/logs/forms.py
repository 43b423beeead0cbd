"""Records as text: a line for people, an object of JSON for programs. Both are one line, whatever the record holds."""

from __future__ import annotations

import logging
import time
import traceback

import msgspec

from musicfs.config.secrets import redact

# What a terminal or a reader of lines could take for something else: C0 but tab, DEL, C1, the line separators of Unicode.
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A, 0x0D)
} | {0x0A: "\\n", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}  # fmt: skip

# JSON escapes C0 itself.
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """``text`` with everything escaped that could end a line, or move the cursor of a terminal."""
    return text.translate(_ESCAPES)


def message_of(record: logging.LogRecord) -> str:
    """What a record says, without secrets; a record whose values do not fit its text is said as it is."""
    try:
        text = record.getMessage()
    except Exception as error:  # a wrong format is a bug of ours, and must not cost the line it was for
        text = f"{record.msg!r} with {record.args!r} ({type(error).__name__})"
    return redact(text)


def traceback_of(record: logging.LogRecord) -> list[str]:
    """The lines of a record's traceback and stack, without secrets; none for most."""
    text = ""
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1]))
    elif record.exc_text:
        text = record.exc_text
    if record.stack_info:
        text = f"{text.rstrip()}\n{record.stack_info}"
    return [one_line(line) for line in redact(text).split("\n") if line]


def timestamp(created: float) -> str:
    """Local time with milliseconds and its distance from UTC (RFC 3339)."""
    local = time.localtime(created)
    zone = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(created % 1 * 1000):03d}{zone[:3]}:{zone[3:]}"


class LineForm(logging.Formatter):
    """``TIME LEVEL PROCESS MODULE: MESSAGE``, a traceback indented below it."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = (
            f"{timestamp(record.created)} {record.levelname} {self._process} {record.name}: "
            f"{one_line(message_of(record))}"
        )
        return "\n    ".join((line, *traceback_of(record)))


class JsonForm(logging.Formatter):
    """One object a line: time, level, process, pid, thread, module, line, message, and traceback if there is one."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "thread": record.threadName,
            "module": record.name,
            "line": record.lineno,
            "message": message_of(record),
        }
        if lines := traceback_of(record):
            values["traceback"] = lines
        return msgspec.json.encode(_encodable(values)).decode().translate(_JSON_ESCAPES)


def _encodable(values: dict[str, object]) -> dict[str, object]:
    """Names of files may hold bytes that are no text: shown escaped, as no JSON can have them."""
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in values.items()
    }
