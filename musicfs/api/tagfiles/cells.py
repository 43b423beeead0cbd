r"""How the values of a field share one cell of CSV.

``\\`` stands between two values (as in Mp3tag), ``\xNN`` is the character with that number, and a cell that is ``\-`` and
nothing else removes the field. An empty cell says nothing. Any other backslash, semicolon or line break is itself: what
other programs write needs no preparation, except where it has two backslashes in a row.
"""

from __future__ import annotations

import re

SEPARATOR = "\\\\"
REMOVE = "\\-"
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
# What a spreadsheet would take for a formula: a value from a stranger's file must not run. Plain numbers are safe.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9.,]+( dB)?\Z)")


def encode_cell(values: tuple[str, ...]) -> str:
    """The cell for the values of a field; no values remove it. Values are not empty."""
    return SEPARATOR.join(_encode(value) for value in values) if values else REMOVE


def decode_cell(cell: str) -> tuple[str, ...]:
    """The values in a cell that is not empty; none to remove the field."""
    if cell == REMOVE:
        return ()
    if "\\" not in cell:
        return (cell,)
    return tuple(_ESCAPE.sub(_character, value) for value in cell.split(SEPARATOR))


def _encode(value: str) -> str:
    if "\\" in value and (
        SEPARATOR in value or "\\x" in value or value == REMOVE or value.startswith("\\") or value.endswith("\\")
    ):
        value = value.replace("\\", "\\x5c")
    if "\0" in value:
        value = value.replace("\0", "\\x00")
    return f"\\x{ord(value[0]):02x}{value[1:]}" if _FORMULA.match(value) else value


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
