"""How lists of tracks are shown: a table on a terminal, paths in a pipe, or what other programs play and read."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.search import SearchHit
    from musicfs.cli.output import Cell, Output

F = TypeVar("F", bound=Callable[..., Any])

PATHS0 = "paths0"
M3U = "m3u"
_MARKED = re.compile(r"<b>(.*?)</b>", re.DOTALL)
_SEPARATOR = "; "  # between the values of a highlight
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def form_options(command: F) -> F:
    """``--paths0`` and ``--m3u``, as the argument ``form``: None without one."""
    for option in (
        click.option("--m3u", "form", flag_value=M3U, help="Print a playlist: extended M3U, paths in the mount."),
        click.option("--paths0", "form", flag_value=PATHS0, default=None,
                     help="Print exact paths in the mount, a NUL after each: for `xargs -0`."),
    ):  # fmt: skip
        command = option(command)
    return command


def check_form(form: str | None, *, is_json: bool) -> None:
    """Raise click's UsageError for two forms at once."""
    if form is not None and is_json:
        raise click.UsageError(f"give --{form} or --json, not both", click.get_current_context())


def print_paths(output: Output, hits: Iterable[SearchHit], form: str | None, mount_point: str) -> None:
    """Where the tracks are in the mount, each as soon as it is there: in a form, or a line each."""
    if form == M3U:
        _write(b"#EXTM3U\n")
    for hit in hits:
        if not hit.path:
            continue  # no view has it
        path = absolute_path(mount_point, hit)
        if form == PATHS0:
            _write(os.fsencode(path) + b"\0")
        elif form == M3U:
            _write_entry(hit, path)
        else:
            output.line(path)


def track_table(output: Output, hits: Sequence[SearchHit], first: int) -> None:
    """A table whose numbers begin with ``first``; what was found in a tag is bold."""
    rows: list[list[Cell]] = [
        [[(str(number), "dim")], *(_tag(hit, field) for field in ("artist", "album", "title")), [(hit.path, "dim")]]
        for number, hit in enumerate(hits, first)
    ]
    output.table(("#", "artist", "album", "title", "path"), rows)


def track_document(hit: SearchHit) -> dict[str, Any]:
    """A track as JSON has it."""
    from musicfs.api.wire import wire_text
    from musicfs.cli.output import plain

    document: dict[str, Any] = plain(hit)
    return document | {"path": wire_text(hit.path), "score": round(hit.score, 4)}


def absolute_path(mount_point: str, hit: SearchHit) -> str:
    """Where a track is in the file system."""
    return f"{mount_point.rstrip('/')}/{hit.path.lstrip('/')}"


def pieces(marked: str, style: str) -> list[tuple[str, str]]:
    """Text and style of each piece of a highlight: what was found has the style."""
    # Splitting by a pattern with one group gives what is outside and inside of it in turn.
    parts = map(html.unescape, _MARKED.split(marked))
    return [(part, style if number % 2 else "") for number, part in enumerate(parts) if part]


def _tag(hit: SearchHit, field: str) -> Cell:
    value, marked = str(getattr(hit, field)), hit.highlights.get(field, "")
    # Of several values, those in which something was found are there, and the one that is shown may be another.
    for one in (marked, *marked.split(_SEPARATOR)):
        found = pieces(one, "bold")
        if "".join(text for text, _ in found) == value:
            return found
    return [(value, "")]


def _write_entry(hit: SearchHit, path: str) -> None:
    raw = os.fsencode(path)
    if b"\n" in raw or b"\r" in raw:
        click.echo(f"left out, as no playlist can name it: {path!r}", err=True)
        return
    words = " - ".join(word for word in (hit.artist, hit.title or path.rpartition("/")[2]) if word)
    seconds = round(hit.duration_ms / 1000) if hit.duration_ms else -1
    _write(f"#EXTINF:{seconds},{_LINE_ENDS.sub(' ', words)}\n".encode("utf-8", "backslashreplace") + raw + b"\n")


def _write(data: bytes) -> None:
    click.echo(data, nl=False)
