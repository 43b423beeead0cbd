"""Where results go: tables and colours on a terminal, plain columns in a pipe, JSON on request.

Text from the library is a stranger's: control characters in it are escaped, so that a file name cannot move the cursor
or add a line.
"""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from musicfs.api.backend import CacheStats

STYLES = {
    "ready": "green", "healthy": "green", "ok": "green", "syncing": "cyan", "mounting": "cyan", "warn": "yellow",
    "degraded": "yellow", "unknown": "yellow", "unmounting": "yellow", "unhealthy": "red", "fail": "red",
}  # fmt: skip


# A word that is coloured if it names a state, or pieces of text with their styles.
Cell = str | Sequence[tuple[str, str]]


class Output:
    """Standard output of a command."""

    def __init__(self, *, json: bool) -> None:
        self.is_json = json
        self.is_terminal = not json and sys.stdout.isatty()

    def json(self, value: object) -> None:
        """One JSON document on a line of its own on its way to a program, indented on its way to a person."""
        indent = 2 if sys.stdout.isatty() else None
        click.echo(_json.dumps(value, ensure_ascii=False, indent=indent))

    def json_line(self, value: object) -> None:
        """One JSON document of a stream, written out at once."""
        click.echo(_json.dumps(value, ensure_ascii=False))
        sys.stdout.flush()

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line of text."""
        if self.is_terminal and style:
            self._console().print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(printable(text))

    def record(self, pairs: Mapping[str, str]) -> None:
        """Names and values, one pair a line; a value that names a state is coloured."""
        width = max(map(len, pairs), default=0)
        for name, value in pairs.items():
            self.columns([(f"{name:<{width}}", "bold"), (value, STYLES.get(value.partition(" ")[0], ""))])

    def columns(self, cells: Sequence[tuple[str, str]]) -> None:
        """One line of (text, style) cells."""
        if not self.is_terminal:
            click.echo("  ".join(printable(text) for text, _ in cells).rstrip())
            return
        from rich.text import Text

        line = Text("  ").join(Text(printable(text), style=style) for text, style in cells)
        self._console().print(line, soft_wrap=True, highlight=False)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Columns under headers; on a terminal as wide as it, in a pipe as wide as their content."""
        if self.is_terminal:
            self._rich_table(headers, rows)
            return
        cells = [[printable("".join(text for text, _ in _pieces(cell))) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in [list(headers), *cells]) for column in range(len(headers))]
        for row in [[header.upper() for header in headers], *cells]:
            click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())

    def _rich_table(self, headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(
                *(Text.assemble(*((printable(text), style) for text, style in _pieces(cell))) for cell in row)
            )
        self._console().print(table)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stdout)


def _pieces(cell: Cell) -> Sequence[tuple[str, str]]:
    return ((cell, STYLES.get(cell, "")),) if isinstance(cell, str) else cell


def printable(text: str) -> str:
    """``text`` with control characters, surrogates and line separators as escapes."""
    if text.isprintable():
        return text
    return "".join(_escaped(text))


def plain(value: Any) -> Any:
    """A frozen struct as what JSON can say: names as they are, enums as their values."""
    import msgspec

    return msgspec.to_builtins(value)


def counted(count: int, noun: str, singular: str = "", plural: str = "") -> str:
    """How many of what, and the verb that follows: ``1 track is``, ``7 tracks are``."""
    text, verb = (f"{count} {noun}", singular) if count == 1 else (f"{count} {noun}s", plural)
    return f"{text} {verb}" if verb else text


def size(count: int) -> str:
    """Bytes for people: ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def share(part: int, whole: int) -> str:
    """Bytes of bytes for people: ``1.5 GiB of 10.0 GiB``."""
    return f"{size(part)} of {size(whole)}"


def percent(ratio: float) -> str:
    """A share for people: ``93 %``; 100 only for all of it, and 0 for nothing."""
    rounded = min(max(round(100 * ratio), 1), 99) if 0 < ratio < 1 else round(100 * ratio)
    return f"{rounded} %"


def cache_document(stats: CacheStats) -> dict[str, Any]:
    """The figures of the content cache as JSON has them."""
    document: dict[str, Any] = plain(stats)
    document["hit_ratio"] = round(stats.hit_ratio, 4)
    return document


def span(seconds: int) -> str:
    """A length of time for people: ``3d 4h``, ``5m 2s``."""
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        if character.isprintable():
            yield character
        elif "\udc80" <= character <= "\udcff":
            yield f"\\x{ord(character) - 0xDC00:02x}"
        else:
            yield character.encode("unicode_escape").decode()
