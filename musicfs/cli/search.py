"""``musicfs search``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from musicfs.cli.candidates import complete_origin
from musicfs.cli.invocation import Invocation
from musicfs.cli.query import QueryCommand, pointing_at
from musicfs.cli.track_list import check_form, form_options, print_paths, track_document, track_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.search import SearchHit

_NOT_FOUND = 4
_MOST = 0xFFFF_FFFF


@click.command(cls=QueryCommand)
@click.argument("words", metavar="QUERY...", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(0, _MOST), default=100, show_default=True,
              help="At most so many tracks; 0 for all.")  # fmt: skip
@click.option("--offset", type=click.IntRange(0, _MOST), default=0, help="Leave out the first so many.")
@click.option("--origin", "origin_id", default="", metavar="ID", help="Only what this origin has.",
              shell_complete=complete_origin)  # fmt: skip
@form_options
@click.pass_obj
def search(
    invocation: Invocation, words: tuple[str, ...], limit: int, offset: int, origin_id: str, form: str | None
) -> int:
    """Find tracks by their tags and by what is known of them.

    On a terminal, prints a table, the best first, and how many tracks match. In a pipe, prints their paths in the mount, one
    a line, with escapes for what is not printable; --paths0 prints them as they are. Words after each other are one query.
    Put it in single quotes, so that the shell leaves its signs alone, and -- before one that begins with a minus.

    The exit code is 4 when nothing matches.

    With --json, prints {query, total (of the tracks that match), took_ms, results: [{file_id, path (from the root of the
    mount), artist, album, title (the first value of each, or empty), score, highlights: {field: a value as HTML, with what
    was found in <b>}, duration_ms (0: not known)}]}.

    \b
    Examples:
      musicfs search metallica sandman
      musicfs search 'album:"Master of Puppets" -live'
      musicfs search 'genre:jazz year:[1955 TO 1965]' --limit 0 --m3u > jazz.m3u8
      musicfs search 'added:>7d' --paths0 | xargs -0 mpv
      musicfs --json search 'artist:björk' | jq -r '.results[].title'
    """
    output = invocation.output()
    query = " ".join(words)
    check_form(form, is_json=output.is_json)
    with pointing_at(query), invocation.client() as client:
        total, took_ms, hits = _ask(client, query, origin_id, limit, offset)
        if output.is_json:
            results = [track_document(hit) for hit in hits]
            output.json({"query": query, "total": total, "took_ms": took_ms, "results": results})
        elif form is None and output.is_terminal:
            found = list(hits)
            if found:
                track_table(output, found, offset + 1)
            output.line(_summary(total, offset, len(found)), style="dim")
        else:
            print_paths(output, hits, form, client.status().mount_point)
            if limit and total > offset + limit:
                click.echo(f"{limit} of {total} tracks; --limit 0 prints all", err=True)
    return 0 if total else _NOT_FOUND


def _ask(client: Client, query: str, origin_id: str, limit: int, offset: int) -> tuple[int, int, Iterator[SearchHit]]:
    """How many match, how long it took to find that out, and the tracks, asked for as they are needed."""
    from musicfs.api.search import MAX_RESULTS

    is_page = 0 < limit <= MAX_RESULTS
    page = client.search(query, origin_id, limit if is_page else 0, offset)

    def hits() -> Iterator[SearchHit]:
        yield from page.hits
        start = offset + len(page.hits)
        stop = min(offset + limit, page.total) if limit else page.total
        if start < stop:  # more than a message has room for
            yield from client.search_all(query, origin_id, stop - start if limit else 0, start)

    return page.total, page.took_ms, hits()


def _summary(total: int, offset: int, count: int) -> str:
    from musicfs.cli.output import counted

    if not total:
        return "nothing matches"
    tracks = counted(total, "track", "matches", "match")
    if not count:
        return f"{tracks}, none of them after the first {offset}"
    if count == total:
        return tracks
    return f"{tracks}; {offset + 1} to {offset + count} are shown, --limit 0 shows all"
