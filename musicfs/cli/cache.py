"""``musicfs cache``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from musicfs.cli.candidates import complete_origin, complete_path, complete_pin
from musicfs.cli.command import Group
from musicfs.cli.invocation import Invocation
from musicfs.cli.query import QueryCommand, query_option, require_any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.backend import CacheStats, PinChange, PinnedPath
    from musicfs.api.client import Client


@click.group(cls=Group)
def cache() -> None:
    """Look at, fill, pin in, clear and verify the cache.

    It keeps content of origins that are reached over a network, or have cache = "on".

    A PATH is one from the root of the mount, or leads below the mount point.

    \b
    Example:
      musicfs cache stats
    """


@cache.command()
@click.pass_obj
def stats(invocation: Invocation) -> int:
    """Show what the cache holds, and what it has saved.

    With --json, prints {limit_bytes, used_bytes, chunk_count, chunks_unique, dedup_ratio, hits, misses, hit_ratio, edge_bytes
    (of used_bytes, for first and last parts of files), contents, contents_complete, fetched_bytes, saved_bytes, pins,
    damaged, metadata_entries, metadata_bytes, evictions, evicted_bytes}. Hits, misses, evictions and bytes fetched, saved and
    evicted count from the start of the daemon.

    \b
    Examples:
      musicfs cache stats
      musicfs --json cache stats | jq .hit_ratio
    """
    from musicfs.cli.output import cache_document

    with invocation.client() as client:
        answer = client.cache_stats()
    output = invocation.output()
    if output.is_json:
        output.json(cache_document(answer))
    else:
        output.record(_stats_pairs(answer))
    return 0


@cache.command()
@click.argument("origin_id", metavar="[ORIGIN]", required=False, default="", shell_complete=complete_origin)
@click.option("--tier", type=click.Choice(("edges", "main")), default=None,
              help="Only first and last parts of files (edges), or only the rest (main).")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.pass_obj
def clear(invocation: Invocation, origin_id: str, tier: str | None, dry_run: bool) -> int:
    """Remove content from the cache, of one origin or of all.

    It is fetched again when it is read. What is pinned stays. Removing very much goes on after the command has ended.

    With --json, prints {size_bytes, files, dry_run}.

    \b
    Examples:
      musicfs cache clear
      musicfs cache clear nas --dry-run
      musicfs cache clear --tier edges
    """
    from musicfs.api.backend import Tier
    from musicfs.cli.output import counted, size

    with invocation.client() as client:
        cleared = client.clear_cache(origin_id, Tier(tier or ""), dry_run=dry_run)
    output = invocation.output()
    if output.is_json:
        output.json({"size_bytes": cleared.size_bytes, "files": cleared.pieces, "dry_run": dry_run})
    elif not cleared.pieces:
        output.line("there is nothing to remove")
    else:
        verb = "would remove" if dry_run else "removed"
        output.line(f"{verb} {size(cleared.size_bytes)} of {counted(cleared.pieces, 'file')}")
    return 0


@cache.command(cls=QueryCommand)
@click.argument("paths", metavar="[PATH...]", nargs=-1, shell_complete=complete_path)
@query_option("Only tracks that match; of all, if no PATH is given.")
@click.option("--origin", "origin_id", default="", metavar="ID", help="Only files of this origin.",
              shell_complete=complete_origin)  # fmt: skip
@click.pass_obj
def prefetch(invocation: Invocation, paths: tuple[str, ...], query: str | None, origin_id: str) -> int:
    """Fetch files, or all files of folders, into the cache.

    Ends early when it is interrupted. The exit code is 1 when some could not be fetched; the daemon's log says why.

    With --json, prints one object a line for each step, the last one when all is done: {current_path, completed, total (0:
    not known yet), failed, fetched_bytes (that were not in the cache)}.

    \b
    Examples:
      musicfs cache prefetch "/Nina Simone"
      cd ~/Music-by-tag/Björk && musicfs cache prefetch Homogenic*
      musicfs cache prefetch --query 'genre:jazz added:>30d'
    """
    from musicfs.cli.progress import follow_prefetch

    require_any(paths, query)
    with invocation.client() as client:
        last = follow_prefetch(invocation.output(), client.prefetch(_virtual(client, paths), origin_id, query))
    return 1 if last is not None and last.failed else 0


@cache.command(cls=QueryCommand)
@click.argument("paths", metavar="[PATH...]", nargs=-1, shell_complete=complete_path)
@query_option("Pin each track that matches now; of all, if no PATH is given.")
@click.pass_obj
def pin(invocation: Invocation, paths: tuple[str, ...], query: str | None) -> int:
    """Keep files in the cache whatever its limit.

    Of a folder all files are kept, also those that appear in it later. A query pins the tracks that match now, each by
    itself, and is not kept: what matches later is not pinned, and what matches no longer stays so. What is deleted
    stays pinned while it is in the trash. Pinning fetches nothing: `musicfs cache prefetch` does.

    With --json, prints {files, size_bytes} of what the paths or the query stand for now.

    \b
    Examples:
      musicfs cache pin "/Nina Simone" && musicfs cache prefetch "/Nina Simone"
      musicfs cache pin --query 'artist:"Nina Simone" year:<1970'
    """
    require_any(paths, query)
    with invocation.client() as client:
        change = client.pin(_virtual(client, paths), query)
    _print_change(invocation, "pinned", change)
    return 0


@cache.command(cls=QueryCommand)
@click.argument("paths", metavar="[PATH...]", nargs=-1, shell_complete=complete_pin)
@query_option("Unpin what leads to nothing but tracks that match now; of all pins, if no PATH is given.")
@click.pass_obj
def unpin(invocation: Invocation, paths: tuple[str, ...], query: str | None) -> int:
    """Keep files no longer than the limit allows.

    Give paths as `musicfs cache pins` lists them. Nothing is removed before its room is needed.

    With --json, prints {files, size_bytes} of what was unpinned.

    \b
    Examples:
      musicfs cache unpin "/Nina Simone"
      musicfs cache unpin --query 'artist:"Nina Simone"'
    """
    require_any(paths, query)
    with invocation.client() as client:
        change = client.unpin(_virtual(client, paths), query)
    _print_change(invocation, "unpinned", change)
    return 0


@cache.command()
@click.pass_obj
def pins(invocation: Invocation) -> int:
    """List what is pinned, and how much of it is in the cache.

    With --json, prints an array of {path, files, size_bytes, cached_bytes, added_ms (since 1970 UTC)}.

    \b
    Example:
      musicfs cache pins
    """
    from musicfs.cli.output import plain

    with invocation.client() as client:
        found = client.pins()
    output = invocation.output()
    if output.is_json:
        output.json(plain(found))
    elif found:
        output.table(("path", "files", "size", "cached", "since"), [_pin_row(item) for item in found])
    else:
        output.line("nothing is pinned")
    return 0


@cache.command()
@click.pass_obj
def verify(invocation: Invocation) -> int:
    """Check every byte in the cache.

    What is damaged is removed, and fetched again when it is read. The exit code is 1 when something was.

    With --json, prints one object a line for each step: {checked, total, damaged, complete}, counted in pieces of files.

    \b
    Example:
      musicfs cache verify
    """
    from musicfs.cli.progress import follow_verification

    with invocation.client() as client:
        last = follow_verification(invocation.output(), client.verify_cache())
    return 0 if last is not None and last.complete and not last.damaged else 1


def _virtual(client: Client, paths: Sequence[str]) -> list[str]:
    from musicfs.cli.virtual_path import virtual_paths

    return virtual_paths(paths, client.status().mount_point, os.getcwd())


def _stats_pairs(answer: CacheStats) -> dict[str, str]:
    from musicfs.cli.output import counted, percent, share, size

    if not answer.limit_bytes:
        return {
            "content": "nothing is kept: no origin needs it, or content_cache_gb is 0",
            "catalog": f"{counted(answer.metadata_entries, 'file')}, {size(answer.metadata_bytes)}",
        }
    reads = answer.hits + answer.misses
    pairs = {
        "used": f"{share(answer.used_bytes, answer.limit_bytes)}, {size(answer.edge_bytes)} of it for ends of files",
        "files": f"{answer.contents_complete} whole, {answer.contents - answer.contents_complete} in part",
        "chunks": f"{answer.chunks_unique}, named {counted(answer.chunk_count, 'time')} (saves {_deduplicated(answer)})",
        "reads": f"{reads}, {percent(answer.hit_ratio)} of them without an origin" if reads else "none yet",
        "fetched": f"{size(answer.fetched_bytes)}, {size(answer.saved_bytes)} saved after files had changed",
        "evicted": f"{size(answer.evicted_bytes)} to make room",
        "pins": str(answer.pins),
        "catalog": f"{counted(answer.metadata_entries, 'file')}, {size(answer.metadata_bytes)}",
    }
    if answer.damaged:
        pairs["damaged"] = f"{counted(answer.damaged, 'piece')} so far; fetched again when read"
    return pairs


def _deduplicated(answer: CacheStats) -> str:
    """How much smaller the chunks are for being shared."""
    from musicfs.cli.output import percent

    return percent(1 - 1 / answer.dedup_ratio) if answer.dedup_ratio > 1 else "0 %"


def _print_change(invocation: Invocation, verb: str, change: PinChange) -> None:
    from musicfs.cli.output import counted, plain, size

    output = invocation.output()
    if output.is_json:
        output.json(plain(change))
    else:
        output.line(f"{verb} {counted(change.files, 'file')}, {size(change.size_bytes)}")


def _pin_row(item: PinnedPath) -> tuple[str, ...]:
    from datetime import datetime

    from musicfs.cli.output import percent, size

    cached = percent(item.cached_bytes / item.size_bytes) if item.size_bytes else "100 %"
    since = datetime.fromtimestamp(item.added_ms / 1000).astimezone()
    return (item.path, str(item.files), size(item.size_bytes), cached, f"{since:%Y-%m-%d}")
