"""Where each key of a TOML document stands: the line numbers that ``tomllib`` does not keep.

:func:`index_lines` walks a document that ``tomllib`` has already accepted, so it need not judge anything: it only has to
find where keys begin and where values end. The grammar is that of TOML 1.0 (https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""A key from the root: table and key names, and the index for an element of an array of tables."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
# A multi-line string ends at the last three quotes of a run: two quotes may stand before them.
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{0,2})', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'(?!''))*'''(?:'{0,2})", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def index_lines(text: str) -> Mapping[KeyPath, int]:
    """Line (from 1) of every table header, key and array-of-tables element in ``text``, which must be valid TOML."""
    return _Walk(text).lines


class _Walk:
    """One pass over the document; ``lines`` is the result."""

    def __init__(self, text: str) -> None:
        # tomllib reads CRLF as LF; positions only have to be consistent within this copy.
        self._text = text.replace("\r\n", "\n")
        self._pos = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._table: KeyPath = ()
        self._counts: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}
        self._document()

    def _document(self) -> None:
        while True:
            self._skip(_BLANK)
            if self._pos >= len(self._text):
                return
            if self._peek() == "[":
                self._header()
            else:
                self._pair(self._table)

    def _header(self) -> None:
        line = self._line()
        is_array = self._text.startswith("[[", self._pos)
        self._pos += 2 if is_array else 1
        path: KeyPath = ()
        names = self._key()
        for name in names[:-1]:
            path = self._element((*path, name))
        path = (*path, names[-1])
        self._pos += 2 if is_array else 1
        if is_array:
            self._counts[path] = self._counts.get(path, 0) + 1
            self._mark(path, line)
            path = self._element(path)
        self._mark(path, line)
        self._table = path

    def _element(self, path: KeyPath) -> KeyPath:
        """``path``, or its last element so far when it names an array of tables."""
        count = self._counts.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        names = self._key()
        for stop in range(1, len(names) + 1):
            self._mark((*table, *names[:stop]), line)
        self._pos += 1  # the equals sign
        self._skip(_SPACE)
        self._value((*table, *names))

    def _key(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            names.append(self._name())
            self._skip(_SPACE)
            if self._peek() != ".":
                return tuple(names)
            self._pos += 1

    def _name(self) -> str:
        opening = self._peek()
        if opening == '"':
            quoted = self._take(_BASIC)
            return str(tomllib.loads(f"name = {quoted}")["name"])
        return self._take(_LITERAL)[1:-1] if opening == "'" else self._take(_BARE)

    def _value(self, path: KeyPath) -> None:
        opening = self._peek()
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening == '"':
            self._take(_LONG_BASIC if self._text.startswith('"""', self._pos) else _BASIC)
        elif opening == "'":
            self._take(_LONG_LITERAL if self._text.startswith("'''", self._pos) else _LITERAL)
        else:
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._pos += 1
        for index in range(len(self._text)):
            self._skip(_BLANK)
            if self._peek() == "]":
                break
            self._mark((*path, index), self._line())
            self._value((*path, index))
            self._skip(_BLANK)
            if self._peek() == ",":
                self._pos += 1
        self._pos += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._pos += 1
        while True:
            self._skip(_BLANK)
            if self._peek() in {"}", ""}:
                break
            self._pair(path)
            self._skip(_BLANK)
            if self._peek() == ",":
                self._pos += 1
        self._pos += 1

    def _mark(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect_right(self._starts, self._pos)

    def _peek(self) -> str:
        return self._text[self._pos : self._pos + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._pos)
        if match is not None:
            self._pos = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._pos)
        if match is None:
            raise ValueError(f"line {self._line()} is not TOML")
        self._pos = match.end()
        return match.group()
