"""``musicfs status``."""

from __future__ import annotations

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.backend import CacheStats, Status, Work
    from musicfs.cli.output import Output


@click.command(cls=Command)
@click.pass_obj
def status(invocation: Invocation) -> int:
    """Show what is mounted and how it is doing.

    With --json, prints one object: version, instance, uptime_s, mount_point, state (mounting, ready, syncing, degraded,
    unmounting, unknown), pid, keeper_pid, keeper_restarts, crash_reports (of 30 days), open_file_handles, fuse_ops_total,
    files_indexed, tracks, problems, cache_size_bytes (of all caches, on disk), cache (as `musicfs --json cache stats` has
    it), detail; origins: [{id, origin_type, health, files_count}]; work: [{name, done, total, unit, detail}].

    \b
    Examples:
      musicfs status
      musicfs --json status | jq .state
    """
    from musicfs.cli.output import cache_document, plain

    with invocation.client() as client:
        answer = client.status()
    output = invocation.output()
    if output.is_json:
        output.json(plain(answer) | {"cache": cache_document(answer.cache)})
    else:
        _print(output, answer)
    return 0


def _print(output: Output, status: Status) -> None:
    from musicfs.cli.output import counted, size, span

    pairs = {
        "mount point": status.mount_point,
        "state": f"{status.state.value} ({status.detail})" if status.detail else status.state.value,
        "tracks": f"{status.tracks} ({counted(status.files_indexed, 'file')})",
        "on disk": size(status.cache_size_bytes),
        "open files": str(status.open_file_handles),
        "uptime": span(status.uptime_s),
        "process": f"{status.pid} (keeper {status.keeper_pid}, {counted(status.keeper_restarts, 'restart')})",
        "version": status.version,
    }
    if status.cache.limit_bytes:
        pairs["content"] = _content(status.cache)
    if status.problems:
        pairs["problems"] = f"{counted(status.problems, 'file')} could not be read; `musicfs doctor` lists them"
    if status.crash_reports:
        pairs["crashes"] = f"{counted(status.crash_reports, 'report')} in 30 days; `musicfs doctor` names the newest"
    output.record(pairs)
    if status.origins:
        output.line()
        rows = [(item.id, item.origin_type, item.health.value, str(item.files_count)) for item in status.origins]
        output.table(("origin", "type", "health", "files"), rows)
    for work in status.work:
        output.line(describe(work), style="cyan")


def _content(cache: CacheStats) -> str:
    """``1.5 GiB of 10.0 GiB, 93 % of reads were hits, 2.0 GiB fetched, 0 B saved``."""
    from musicfs.cli.output import percent, share, size

    reads = f"{percent(cache.hit_ratio)} of reads were hits" if cache.hits + cache.misses else "no reads yet"
    moved = f"{size(cache.fetched_bytes)} fetched, {size(cache.saved_bytes)} saved"
    return f"{share(cache.used_bytes, cache.limit_bytes)}, {reads}, {moved}"


def describe(work: Work) -> str:
    """``scan of nas: 120 of 4000 files (3 %), Artist/Album``."""
    text = f"{work.name}: {work.done}"
    if work.total:
        text += f" of {work.total} {work.unit} ({min(100, 100 * work.done // work.total)} %)"
    else:
        text += f" {work.unit}"
    return f"{text}, {work.detail}" if work.detail else text
