"""``musicfs metadata set``, ``clear`` and ``undo``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from musicfs.cli.candidates import complete_field, complete_path
from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.cli.metadata.arguments import (
    dry_run_option,
    existing,
    field_option,
    named_fields,
    paths_argument,
    query_option,
    selected,
)
from musicfs.model import FIELD_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.metadata import MetadataChange

F = TypeVar("F", bound=Callable[..., Any])
Fields = dict[str, tuple[str, ...]]

# What is each track's own: the same for several is hardly ever meant.
_SINGULAR = frozenset({
    "title", "title_sort", "track", "lyrics", "mb_recording_id", "mb_track_id", "isrc", "replaygain_track_gain",
    "replaygain_track_peak",
})  # fmt: skip
_COUNTED = 1000


class FieldOption(click.Option):
    """The option of a field; the help lists them all in one paragraph."""

    def get_help_record(self, ctx: click.Context) -> None:
        """None: see SetCommand."""


class SetCommand(Command):
    """``set``: ``--json`` followed by an object or ``@FILE`` means fields, alone it is the option of every command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        stop = args.index("--") if "--" in args else len(args)
        told: list[str] = []
        place = 0
        while place < stop:
            word, following = args[place], args[place + 1] if place + 1 < stop else ""
            if word == "--json" and following.lstrip().startswith(("{", "@")):
                told += ["--values", following]
                place += 2
            else:
                told.append(f"--values={word[7:]}" if word.startswith("--json=") else word)
                place += 1
        return super().parse_args(ctx, told + args[stop:])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, and the fields by name."""
        with formatter.section("Fields, each as often as it has values"):
            names = ", ".join(f"--{name.replace('_', '-')}" for name in FIELD_NAMES)
            formatter.write_text(f"{names}; --year is --date. An empty value removes the field.")
        super().format_options(ctx, formatter)


def field_options(command: F) -> F:
    """One option for each field."""
    for name in reversed(FIELD_NAMES):
        names = [f"--{name.replace('_', '-')}", *(["--year"] if name == "date" else [])]
        command = click.option(*names, name, cls=FieldOption, multiple=True, metavar="TEXT")(command)
    return command


@click.command("set", cls=SetCommand)
@paths_argument
@field_options
@click.option(
    "--custom", "customs", multiple=True, metavar="NAME=TEXT", help="A tag of your own; several values: several times."
)
@click.option(
    "--remove",
    "removed",
    multiple=True,
    callback=named_fields,
    shell_complete=complete_field,
    metavar="FIELD",
    help="Remove a field, or custom:NAME.",
)
@click.option(
    "--values", default=None, metavar="JSON", help="Fields as an object, or @FILE with one; --json does the same."
)
@click.option(
    "--cover", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="An image for the front cover."
)
@click.option("--remove-cover", is_flag=True, help="Remove the front cover.")
@query_option
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask before several tracks get the same title or number.")
@click.pass_obj
def set_(
    invocation: Invocation, /, paths: tuple[str, ...], query: str, dry_run: bool, yes: bool, cover: str | None,
    remove_cover: bool, values: str | None, customs: tuple[str, ...], removed: tuple[str, ...],
    **given: tuple[str, ...],
) -> int:  # fmt: skip
    """Correct tags.

    The tree follows at once, and every player sees the corrected tags; your files are not written to. `musicfs metadata undo`
    takes it back.

    With --json (without an object behind it, or before the command), prints one object a line for each track: {file_id, path,
    new_path, changes: [{field, before, after}], cover_changed, reason (why its bytes do not show all of it), error, remedy}.
    The exit code is 1 when some failed.

    \b
    Examples:
      musicfs metadata set "/Björk/Glóð (2001) [MP3]" --year 2002 --genre Electronic --genre Ambient
      musicfs metadata set --query 'artist:bjork' --artist Björk --dry-run
      musicfs metadata set song.mp3 --json '{"title": "Sól", "custom:mood": ["calm"], "comment": null}'
      musicfs metadata set song.mp3 --custom mood=calm --remove comment --cover front.jpg
    """
    from musicfs.api.metadata import MetadataChange

    fields = _fields(given, customs, removed, values)
    if cover and remove_cover:
        raise click.UsageError("--cover and --remove-cover exclude each other", click.get_current_context())
    if not (fields or cover or remove_cover):
        raise click.UsageError("give a field to set, for example --title TEXT", click.get_current_context())
    image = _image(cover) if cover else None
    with invocation.client() as client:
        chosen = selected(client, paths, query)
        singular = sorted(_SINGULAR.intersection(name for name, texts in fields.items() if texts))
        if singular and not (yes or dry_run):
            _confirm(client, chosen, query, singular)
        change = MetadataChange(set=fields, cover=image, remove_cover=remove_cover)
        return _apply(invocation, client, chosen, query, change, "set", dry_run)


@click.command(cls=Command)
@paths_argument
@field_option("Only this field, or custom:NAME; repeatable.")
@click.option("--cover", is_flag=True, help="Only the front cover.")
@query_option
@dry_run_option
@click.pass_obj
def clear(
    invocation: Invocation, paths: tuple[str, ...], query: str, dry_run: bool, fields: tuple[str, ...], cover: bool
) -> int:
    """Drop corrections: tracks have their file's own tags again.

    With --json, prints what `musicfs metadata set` prints.

    \b
    Examples:
      musicfs metadata clear "/Björk/Glóð (2001) [MP3]/01 - Ísbrú.mp3"
      musicfs metadata clear / --field genre --dry-run
    """
    from musicfs.api.metadata import MetadataChange

    if fields or cover:
        change = MetadataChange(revert=tuple(dict.fromkeys(fields)), revert_cover=cover)
    else:
        change = MetadataChange(revert_all=True)
    with invocation.client() as client:
        return _apply(invocation, client, selected(client, paths, query), query, change, "clear", dry_run)


@click.command(cls=Command)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=complete_path)
@click.option(
    "--steps", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many changes of each track."
)
@dry_run_option
@click.pass_obj
def undo(invocation: Invocation, paths: tuple[str, ...], steps: int, dry_run: bool) -> int:
    """Take back the last change of each track.

    The undoing is a change too, and undone by another undo. `musicfs metadata log` lists changes.

    With --json, prints what `musicfs metadata set` prints.

    \b
    Examples:
      musicfs metadata undo "/Björk/Glóð (2002) [MP3]"
      musicfs metadata undo / --steps 3 --dry-run
    """
    from musicfs.cli.metadata.results import follow_changes, numbered

    with invocation.client() as client:
        chosen = selected(client, paths, "")
        existing(client, chosen, "", 1)
        results = client.undo_metadata(chosen, steps=steps, dry_run=dry_run)
        return follow_changes(invocation.output(), numbered(results), dry_run=dry_run).code


def _apply(
    invocation: Invocation,
    client: Client,
    paths: Sequence[str],
    query: str,
    change: MetadataChange,
    action: str,
    dry_run: bool,
) -> int:
    """Change everything at ``paths``; the exit code. Raises NotFoundError where there is nothing."""
    import msgspec

    from musicfs.cli.metadata.results import follow_changes, numbered

    existing(client, paths, query, 1)
    changes = [msgspec.structs.replace(change, path=path) for path in paths]
    results = client.change_metadata(changes, query=query, action=action, dry_run=dry_run)
    return follow_changes(invocation.output(), numbered(results), dry_run=dry_run).code


def _fields(
    given: Mapping[str, tuple[str, ...]], customs: Sequence[str], removed: Sequence[str], values: str | None
) -> Fields:
    """What to set, from all options that say so. Raises UsageError where two say something about one field."""
    from musicfs.api.tagfiles.json_rows import json_fields
    from musicfs.api.tagfiles.names import custom_named
    from musicfs.cli.metadata.texts import argument_text

    sources: list[Fields] = [{name: texts for name, texts in given.items() if texts}, {}, dict.fromkeys(removed, ())]
    for custom in customs:
        name, equals, text = custom.partition("=")
        if not equals:
            raise click.UsageError(f"--custom {custom}: write NAME=TEXT", click.get_current_context())
        name = custom_named(name)
        sources[1][name] = (*sources[1].get(name, ()), text)
    if values is not None:
        sources.append(json_fields(argument_text(values)))
    fields: Fields = {}
    for source in sources:
        for name, texts in source.items():
            if name in fields:
                raise click.UsageError(f"{name} is given twice", click.get_current_context())
            fields[name] = tuple(text for text in texts if text)
    return fields


def _confirm(client: Client, paths: Sequence[str], query: str, singular: Sequence[str]) -> None:
    """Ask whether several tracks are to get the same title. Raises UsageError where nobody can be asked, or Abort."""
    from musicfs.cli.output import counted

    found = existing(client, paths, query, _COUNTED)
    if len(found) == 1:
        return
    count = counted(len(found), "track") if len(found) < _COUNTED else f"{_COUNTED} tracks or more"
    text = f"{count} would all get the same {', '.join(singular)}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{text}; --yes if that is meant", click.get_current_context())
    click.confirm(f"{text}. Go on?", abort=True, err=True)


def _image(path: str) -> bytes:
    from musicfs.api.metadata import MAX_COVER_BYTES
    from musicfs.errors import ConfigError

    with open(path, "rb") as stream:
        data = stream.read(MAX_COVER_BYTES + 1)
    if len(data) > MAX_COVER_BYTES:
        raise ConfigError(
            f"{path} is larger than a picture may be ({MAX_COVER_BYTES >> 20} MiB)", remedy="make it smaller"
        )
    return data
