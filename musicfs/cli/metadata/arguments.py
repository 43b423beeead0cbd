"""Which tracks and fields a command is about: its arguments, and what they mean in the mount."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import click

from musicfs.cli.candidates import complete_field, complete_path
from musicfs.errors import ConfigError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.metadata import TrackMetadata

ROOT = "/"
F = TypeVar("F", bound=Callable[..., Any])


def named_fields(_context: click.Context, _parameter: click.Parameter, names: Sequence[str]) -> tuple[str, ...]:
    """Fields in any of their spellings, and ``custom:NAME``, as our names for them. Raises BadParameter."""
    if not names:
        return ()
    from musicfs.api.tagfiles.names import field_named

    try:
        return tuple(dict.fromkeys(field_named(name) for name in names))
    except ConfigError as error:
        raise click.BadParameter(f"{error}; {error.remedy}") from None


paths_argument = click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=complete_path)
query_option = click.option(
    "--query", default="", metavar="QUERY", help="Only tracks that match; of all, if there is no PATH."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")


def field_option(help_text: str) -> Callable[[F], F]:
    """``--field``, several times."""
    return click.option("--field", "fields", multiple=True, callback=named_fields, shell_complete=complete_field,
                        metavar="FIELD", help=help_text)  # fmt: skip


def selected(client: Client, paths: Sequence[str], query: str, *, or_all: bool = False) -> list[str]:
    """The virtual paths that a command is about, none of them below another.

    Raises UsageError where nothing is said, and ConfigError for an empty path.
    """
    from musicfs.cli.virtual_path import virtual_paths

    if not paths:
        if not query and not or_all:
            raise click.UsageError("give a PATH, or --query", click.get_current_context())
        return [ROOT]
    found = dict.fromkeys(virtual_paths(paths, client.status().mount_point, os.getcwd()))
    return [path for path in found if not any(_is_below(path, other) for other in found)]


def existing(client: Client, paths: Sequence[str], query: str, limit: int) -> tuple[TrackMetadata, ...]:
    """The first ``limit`` tracks of a selection, one at least. Raises NotFoundError where there are none."""
    with contextlib.closing(each(client, paths, query)) as tracks:
        return tuple(itertools.islice(tracks, limit))


def each(client: Client, paths: Sequence[str], query: str) -> Generator[TrackMetadata, None, None]:
    """The tracks of a selection. Raises NotFoundError where there are none."""
    is_empty = True
    for track in client.tracks(paths, query):
        is_empty = False
        yield track
    if is_empty:
        raise nothing(paths, query)


def nothing(paths: Sequence[str], query: str) -> NotFoundError:
    """The error for a selection without tracks."""
    where = ", ".join(paths)
    if query:
        return NotFoundError(
            f"no track below {where} matches {query!r}", remedy="`musicfs metadata get PATH` shows tags"
        )
    return NotFoundError(
        f"there are no tracks below {where}", remedy="give the path of a track, or of a folder with some"
    )


def _is_below(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")
