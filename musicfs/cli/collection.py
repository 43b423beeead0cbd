"""``musicfs collection``."""

from __future__ import annotations

import shlex
from typing import Any

import click

from musicfs.cli.candidates import complete_collection
from musicfs.cli.command import Group
from musicfs.cli.invocation import Invocation
from musicfs.cli.query import QueryCommand, pointing_at, query_option
from musicfs.cli.track_list import check_form, form_options, print_paths, track_document, track_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.collections import Collection, CollectionPage, CollectionSettings
    from musicfs.cli.output import Output
    from musicfs.model import Rule

_MOST = 0xFFFF_FFFF
_name_argument = click.argument("name", shell_complete=complete_collection)


@click.group(cls=Group)
def collection() -> None:
    """List, show, make and delete collections.

    A collection is a folder of links to the tracks that a query or a rule finds, and a playlist beside it. Both follow the
    library. Some are built in, the configuration file has others (`[[collections.custom]]`), and these commands make yours.

    \b
    Examples:
      musicfs collection create "Quiet Jazz" --query 'genre:jazz bpm:<90' --sort -year
      musicfs collection show "Quiet Jazz"
    """


@collection.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> int:
    """List the collections.

    With --json, prints an array of {name, query or rule (what it holds), sort, limit (0: 1000), source (built-in, config,
    user), count (of its tracks), path (of its folder in the mount; empty until there is one), changed_ms (since 1970 UTC, 0
    for what no user made)}.

    \b
    Examples:
      musicfs collection list
      musicfs --json collection list | jq -r '.[] | select(.source == "user").name'
    """
    with invocation.client() as client:
        found = client.collections()
    output = invocation.output()
    if output.is_json:
        output.json([_document(one) for one in found])
    elif found:
        rows = [
            [[(one.name, "")], [(one.source.value, "")], [(str(one.count), "")], [(_content(one.settings), "")]]
            for one in found
        ]
        output.table(("name", "source", "tracks", "holds"), rows)
    else:
        output.line("there are no collections")
    return 0


@collection.command()
@_name_argument
@click.option("--limit", type=click.IntRange(0, _MOST), default=1000, show_default=True,
              help="At most so many tracks; 0 for all.")  # fmt: skip
@click.option("--offset", type=click.IntRange(0, _MOST), default=0, help="Leave out the first so many.")
@form_options
@click.pass_obj
def show(invocation: Invocation, name: str, limit: int, offset: int, form: str | None) -> int:
    """Show a collection and its tracks.

    On a terminal, prints what it is and a table of its tracks. In a pipe, prints their paths in the mount, one a line, with
    escapes for what is not printable; --paths0 prints them as they are.

    With --json, prints what `musicfs --json collection list` has of it, and entries: [{file_id, path, artist, album, title,
    duration_ms}].

    \b
    Examples:
      musicfs collection show "80s Music"
      musicfs collection show "Recently Added" --m3u > new.m3u8
    """
    output = invocation.output()
    check_form(form, is_json=output.is_json)
    with invocation.client() as client:
        page = _page(client, name, offset, offset + limit if limit else _MOST)
        mount_point = client.status().mount_point
    if output.is_json:
        output.json(_document(page.collection) | {"entries": [_entry(hit) for hit in page.entries]})
    elif form is None and output.is_terminal:
        _print_page(output, page, offset)
    else:
        print_paths(output, page.entries, form, mount_point)
    return 0


@collection.command(cls=QueryCommand)
@click.argument("name")
@query_option("What it holds: all tracks that match.")
@click.option("--rule", "rule_text", metavar="JSON", default=None,
              help="What it holds, as a tree of rules; @FILE for what is in a file.")  # fmt: skip
@click.option("--sort", metavar="FIELD", default="",
              help="Its order: artist (default), album, title, year, added, played, plays or duration; descending with a - "
              "before it.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 10_000), default=None, help="At most so many tracks [default: 1000].")
@click.option("--replace", is_flag=True, help="Change the collection, if there is one of that name.")
@click.pass_obj
def create(
    invocation: Invocation,
    name: str,
    query: str | None,
    rule_text: str | None,
    sort: str,
    limit: int | None,
    replace: bool,
) -> int:
    """Make a collection, by a query or a rule. Its folder appears, or changes, a moment later.

    A rule is one of {"match": QUERY}, {"date": [FIRST, LAST]} (years, months or days, "" for no end),
    {"recently_added": DAYS}, {"recently_played": DAYS}, {"most_played": TRACKS}, {"genre": NAME}, {"and": [RULE, ...]},
    {"or": [RULE, ...]} and {"not": RULE}.

    With --json, prints the collection as `musicfs --json collection list` has it.

    \b
    Examples:
      musicfs collection create "Quiet Jazz" --query 'genre:jazz bpm:<90' --sort -year --limit 200
      musicfs collection create New --rule '{"and": [{"recently_added": 14}, {"not": {"genre": "Audiobook"}}]}'
      musicfs collection create "Quiet Jazz" --query 'genre:jazz bpm:<80' --replace
    """
    from musicfs.api.collections import CollectionSettings

    if (query is None) == (rule_text is None):
        raise click.UsageError("give either --query or --rule", click.get_current_context())
    settings = CollectionSettings(
        query=query or "", rule=_rule(rule_text) if rule_text is not None else None, sort=sort, limit=limit or 0
    )
    with pointing_at(query or ""), invocation.client() as client:
        made = client.create_collection(name, settings, replace=replace)
    output = invocation.output()
    if output.is_json:
        output.json(_document(made))
    else:
        output.line(
            f"{made.name} is kept; `{shlex.join(('musicfs', 'collection', 'show', made.name))}` shows what is in it"
        )
    return 0


@collection.command()
@_name_argument
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(invocation: Invocation, name: str, is_sure: bool) -> int:
    """Delete a collection of yours; the tracks stay.

    Asks first on a terminal. Prints the command that makes it again. With --json, prints the collection as
    `musicfs --json collection list` has it.

    \b
    Example:
      musicfs collection delete "Quiet Jazz"
    """
    output = invocation.output()
    with invocation.client() as client:
        before = client.collection(name, 0, 0).collection
        if output.is_terminal and not is_sure and not click.confirm(f"Delete the collection {before.name}?"):
            return 1
        client.delete_collection(name)
    if output.is_json:
        output.json(_document(before))
    else:
        output.line(f"deleted {before.name}; this makes it again:")
        output.line(f"  {_command_for(before)}")
    return 0


def _page(client: Client, name: str, start: int, stop: int) -> CollectionPage:
    """The collection with all of these tracks, asked for in several messages if need be."""
    import msgspec

    from musicfs.api.collections import MAX_ENTRIES

    page = client.collection(name, start, min(stop, start + MAX_ENTRIES))
    entries = list(page.entries)
    while start + len(entries) < min(stop, page.collection.count):
        at = start + len(entries)
        more = client.collection(name, at, min(stop, at + MAX_ENTRIES)).entries
        if not more:
            break  # it has become shorter meanwhile
        entries += more
    return msgspec.structs.replace(page, entries=tuple(entries))


def _rule(text: str) -> Rule:
    import msgspec

    from musicfs.api.wire import wire_text
    from musicfs.cli.metadata.texts import argument_text
    from musicfs.errors import ConfigError
    from musicfs.model import Rule

    remedy = "`musicfs collection create --help` shows what rules look like"
    try:
        return msgspec.json.decode(wire_text(argument_text(text)), type=Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the rule makes no sense: {error}", remedy=remedy) from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"the rule is no JSON: {error}", remedy=remedy) from None
    except RecursionError:
        raise ConfigError("the rule has too many rules inside each other", remedy=remedy) from None


def _print_page(output: Output, page: CollectionPage, offset: int) -> None:
    found = page.collection
    from musicfs.cli.output import counted

    output.record(
        {
            "name": found.name,
            "source": found.source.value,
            "holds": _content(found.settings),
            "folder": found.path or "not made yet",
            "tracks": str(found.count),
        }
    )
    if page.entries:
        output.line()
        track_table(output, page.entries, offset + 1)
    if len(page.entries) < found.count:
        output.line(f"{len(page.entries)} of {counted(found.count, 'track', 'is', 'are')} shown", style="dim")


def _content(settings: CollectionSettings) -> str:
    """``genre:jazz, sorted by -year, at most 100``."""
    parts = [settings.query if settings.rule is None else _rule_text(settings.rule)]
    if settings.sort:
        parts.append(f"sorted by {settings.sort}")
    if settings.limit:
        parts.append(f"at most {settings.limit}")
    return ", ".join(parts)


def _rule_text(rule: Rule) -> str:
    import msgspec

    return msgspec.json.encode(rule).decode()


def _command_for(found: Collection) -> str:
    settings = found.settings
    words = ["musicfs", "collection", "create", found.name]
    if settings.rule is None:
        words += ["--query", settings.query]
    else:
        words += ["--rule", _rule_text(settings.rule)]
    words += ["--sort", settings.sort] if settings.sort else []
    words += ["--limit", str(settings.limit)] if settings.limit else []
    return shlex.join(words)


def _document(found: Collection) -> dict[str, Any]:
    """A collection as JSON has it."""
    from musicfs.cli.output import plain

    settings = found.settings
    holds = {"query": settings.query} if settings.rule is None else {"rule": plain(settings.rule)}
    document: dict[str, Any] = plain(found)
    del document["settings"]
    return {"name": found.name, **holds, "sort": settings.sort, "limit": settings.limit, **document}


def _entry(hit: Any) -> dict[str, Any]:
    document = track_document(hit)
    del document["score"], document["highlights"]
    return document
