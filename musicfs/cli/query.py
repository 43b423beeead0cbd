"""The ``--query`` option, and the page that explains queries at the end of a command's help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from musicfs.cli.command import Command

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


def require_any(paths: tuple[str, ...], query: str | None) -> None:
    """Raise click's UsageError unless there is a path or a query."""
    if not paths and query is None:
        raise click.UsageError("missing argument: give a PATH, or a --query")
