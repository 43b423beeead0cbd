"""The ``--query`` option, and the page that explains queries at the end of a command's help."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from musicfs.cli.command import Command

_AROUND = 40  # characters to each side of a mistake

F = TypeVar("F", bound=Callable[..., Any])


class QueryCommand(Command):
    """A command that takes a query."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from musicfs.index.help import QUERY_HELP

        formatter.write_paragraph()
        formatter.write(QUERY_HELP)
        super().format_epilog(ctx, formatter)


def query_option(help_text: str) -> Callable[[F], F]:
    """``--query QUERY``, as the argument ``query``: None when it is not given."""
    return click.option("--query", metavar="QUERY", default=None, help=help_text)


@contextlib.contextmanager
def pointing_at(query: str) -> Iterator[None]:
    """Show the query with a caret below what an error is about, before what to do about it."""
    from musicfs.errors import QueryError

    try:
        yield
    except QueryError as error:
        error.remedy = "\n  ".join([*_pointed(query, error.column), error.remedy]).rstrip()
        raise


def _pointed(query: str, column: int) -> tuple[str, str]:
    """The part of the query around the column that a line has room for, and the line with the caret."""
    from musicfs.cli.output import printable

    at = column - 1
    start, stop = max(at - _AROUND, 0), at + _AROUND
    before = ("..." if start else "") + printable(query[start:at])
    after = printable(query[at:stop]) + ("..." if stop < len(query) else "")
    return before + after, " " * sum(map(_width, before)) + "^"


def _width(character: str) -> int:
    """How many cells of a terminal it takes."""
    import unicodedata

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def require_any(paths: tuple[str, ...], query: str | None) -> None:
    """Raise click's UsageError unless there is a path or a query."""
    if not paths and query is None:
        raise click.UsageError("missing argument: give a PATH, or a --query")
