"""``musicfs trash``."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import click

from musicfs.cli.candidates import complete_origin, complete_trashed
from musicfs.cli.command import Group
from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.trash import TrashEntry, TrashProgress, TrashSelection
    from musicfs.cli.output import Output

_MOST = 0xFFFF_FFFF


@click.group(cls=Group)
def trash() -> None:
    """List, restore and forget tracks whose files were deleted.

    A track whose file is gone from every origin leaves the tree, and is kept here with its tags, its corrections and its play
    history. It is browsed in .trash at the root of the mount, and plays as far as the cache has it. When its file comes back,
    at its place or at another, so does the track.

    A time is a number and a unit: 90s, 15m, 12h, 30d, 2w.

    \b
    Examples:
      musicfs trash list --since 7d
      musicfs trash restore "/Nina Simone"
      musicfs trash empty --older-than 90d
    """


@trash.command("list")
@click.option("--since", default="", metavar="TIME", help="Only what was deleted since so long ago.")
@click.option("--origin", "origin_id", default="", metavar="ID", help="Only what was on this origin.",
              shell_complete=complete_origin)  # fmt: skip
@click.option("--path", "pattern", default="", metavar="GLOB", help="Only what had a path like this; * is anything.")
@click.pass_obj
def list_(invocation: Invocation, since: str, origin_id: str, pattern: str) -> int:
    """List deleted tracks, the last deleted first.

    In a pipe, prints the paths that they had in the mount, one a line.

    With --json, prints an array of {path (it had in the mount), origin_id, origin_path, deleted_ms (since 1970 UTC),
    size_bytes, cached_bytes (of it can be played), artist, album, title, duration_ms (0: not known), trash_path (where it is
    in the mount now), restored_ms (0: it was not)}.

    \b
    Examples:
      musicfs trash list
      musicfs trash list --since 7d --path '*/Live/*'
      musicfs --json trash list | jq -r '.[] | select(.cached_bytes == .size_bytes).path'
    """
    from musicfs.cli.output import plain

    selection = _selection(origin_id=origin_id, pattern=pattern, since=since)
    with invocation.client() as client:
        entries = list(_entries(client, selection))
    output = invocation.output()
    if output.is_json:
        output.json([plain(entry) for entry in entries])
    elif not output.is_terminal:
        for entry in entries:
            output.line(entry.path)
    elif entries:
        _print_table(output, entries)
    else:
        output.line("nothing is in the trash")
    return 0


@trash.command()
@click.argument("paths", metavar="[PATH...]", nargs=-1, shell_complete=complete_trashed)
@click.option("--all", "everything", is_flag=True, help="Restore all that is in the trash.")
@click.pass_obj
def restore(invocation: Invocation, paths: tuple[str, ...], everything: bool) -> int:
    """Show deleted tracks in the tree again, until their files return.

    A PATH is one of a track or a folder as `musicfs trash list` has it. The track is where it was, and plays as far as the
    cache has it; nothing is written to any origin. What is restored is listed by `musicfs trash list` until its file returns.

    With --json, prints one object a line for each step: {done, total, passed_over (another version of the file is restored),
    freed_bytes (0), complete}.

    \b
    Examples:
      musicfs trash restore "/Nina Simone/Pastel Blues (1965) [FLAC]"
      musicfs trash restore --all
    """
    from musicfs.cli.output import counted
    from musicfs.cli.progress import follow_trash
    from musicfs.cli.virtual_path import virtual_paths

    if bool(paths) == everything:
        raise click.UsageError("give either paths or --all", click.get_current_context())
    output = invocation.output()
    with invocation.client() as client:
        selection = _selection(paths=tuple(virtual_paths(paths, client.status().mount_point, os.getcwd())))
        last = follow_trash(output, client.restore_trash(selection), "restoring")
    if last is not None and not output.is_json:
        text = counted(last.done, "track", "is", "are") + " in the tree again"
        if last.passed_over:
            text += f"; {last.passed_over} {'is' if last.passed_over == 1 else 'are'} not"
        output.line(text)
    return 1 if last is None or last.passed_over else 0


@trash.command()
@click.option("--older-than", default="", metavar="TIME", help="Only what was deleted before so long ago.")
@click.option("--pattern", default="", metavar="GLOB", help="Only what had a path like this; * is anything.")
@click.option("--origin", "origin_id", default="", metavar="ID", help="Only what was on this origin.",
              shell_complete=complete_origin)  # fmt: skip
@click.option("--restored", is_flag=True, help="Also what was restored; it leaves the tree.")
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten, and forget nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.pass_obj
def empty(
    invocation: Invocation, older_than: str, pattern: str, origin_id: str, restored: bool, dry_run: bool, is_sure: bool
) -> int:
    """Forget deleted tracks, and what the cache has of them and of nothing else.

    Asks first; without a terminal it takes --yes. Corrections and play history stay, and find a file that returns.

    With --json, prints one object a line for each step: {done, total, passed_over (0), freed_bytes, complete}; less than
    freed_bytes is freed where other files share it.

    \b
    Examples:
      musicfs trash empty --older-than 90d
      musicfs trash empty --pattern '*.mp3' --yes
    """
    from musicfs.cli.asking import make_sure
    from musicfs.cli.output import counted, size
    from musicfs.cli.progress import follow_trash

    selection = _selection(origin_id=origin_id, pattern=pattern, older_than=older_than)
    output = invocation.output()
    with invocation.client() as client:
        planned = _last(client.empty_trash(selection, restored=restored, dry_run=True))
        total = planned.total if planned is not None else 0
        if dry_run or not total:
            if output.is_json:
                output.json_line({"done": 0, "total": total, "passed_over": 0, "freed_bytes": 0, "complete": True})
            else:
                output.line(f"would forget {counted(total, 'track')}" if total else "there is nothing to forget")
            return 0
        make_sure(f"Forget {counted(total, 'track')}?", is_sure=is_sure)
        last = follow_trash(output, client.empty_trash(selection, restored=restored), "forgetting")
    if last is not None and not output.is_json:
        output.line(f"{counted(last.done, 'track', 'is', 'are')} forgotten, with {size(last.freed_bytes)} in the cache")
    return 0 if last is not None else 1


def _selection(
    *,
    paths: tuple[str, ...] = (),
    origin_id: str = "",
    pattern: str = "",
    since: str = "",
    older_than: str = "",
) -> TrashSelection:
    from musicfs.api.trash import TrashSelection
    from musicfs.config.durations import parse_duration_s

    now_ms = time.time_ns() // 1_000_000
    return TrashSelection(
        paths=paths,
        origin_id=origin_id,
        pattern=pattern,
        deleted_after_ms=max(0, now_ms - parse_duration_s(since) * 1000) if since else 0,
        deleted_before_ms=max(1, now_ms - parse_duration_s(older_than) * 1000) if older_than else 0,
    )


def _entries(client: Client, selection: TrashSelection) -> Iterator[TrashEntry]:
    """All entries, asked for in several messages if need be."""
    from musicfs.api.trash import MAX_TRASH_ENTRIES

    start = 0
    while True:
        page = client.trash(selection, start, start + MAX_TRASH_ENTRIES)
        yield from page.entries
        start += len(page.entries)
        if not page.entries or start >= page.total:
            return


def _last(steps: Iterator[TrashProgress]) -> TrashProgress | None:
    return next(iter(deque(steps, maxlen=1)), None)


def _print_table(output: Output, entries: list[TrashEntry]) -> None:
    from musicfs.cli.output import span

    now_ms = time.time_ns() // 1_000_000
    rows: list[Any] = [
        [
            [(f"{span(max(0, now_ms - entry.deleted_ms) // 1000)} ago", "")],
            [(entry.origin_id, "")],
            _plays(entry),
            [("restored" if entry.restored_ms else "", "")],
            [(entry.path, "")],
        ]
        for entry in entries
    ]
    output.table(("deleted", "origin", "plays", "state", "path"), rows)


def _plays(entry: TrashEntry) -> list[tuple[str, str]]:
    """How much of a track the cache has: nothing else has any of it."""
    from musicfs.cli.output import share

    if entry.cached_bytes >= entry.size_bytes:
        return [("all", "green")]
    if not entry.cached_bytes:
        return [("nothing", "red")]
    return [(f"part, {share(entry.cached_bytes, entry.size_bytes)}", "yellow")]
