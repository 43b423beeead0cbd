"""``musicfs origin``."""

from __future__ import annotations

import click

from musicfs.cli.candidates import complete_origin
from musicfs.cli.command import Group
from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.backend import OriginHealth


@click.group(cls=Group)
def origin() -> None:
    """List, probe and rescan the places where music lies.

    \b
    Example:
      musicfs origin list
    """


@origin.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> int:
    """List the origins.

    With --json, prints an array of {id, origin_type, display_name, root_path, health, files_count, total_size_bytes,
    held_removals, last_scan_ms (since 1970 UTC, 0: never), message}.

    \b
    Example:
      musicfs origin list
    """
    from musicfs.cli.output import plain, size

    with invocation.client() as client:
        origins = client.origins()
    output = invocation.output()
    if output.is_json:
        output.json(plain(origins))
        return 0
    rows = [
        (
            item.id,
            item.origin_type,
            item.health.value,
            str(item.files_count),
            size(item.total_size_bytes),
            item.root_path,
        )
        for item in origins
    ]
    output.table(("id", "type", "health", "files", "size", "path"), rows)
    for item in origins:
        if item.message:
            output.line(f"{item.id}: {item.message}", style="yellow")
        if item.held_removals:
            output.line(f"{item.id}: {_held(item.id, item.held_removals)}", style="yellow")
    return 0


@origin.command()
@click.argument("origin_id", metavar="ID", shell_complete=complete_origin)
@click.pass_obj
def health(invocation: Invocation, origin_id: str) -> int:
    """Probe an origin now; exit code 1 when it is unhealthy.

    With --json, prints {origin_id, health, message, last_check_s, held_removals}.

    \b
    Example:
      musicfs origin health nas
    """
    from musicfs.cli.output import plain
    from musicfs.model import Health

    with invocation.client() as client:
        answer = client.origin_health(origin_id)
    output = invocation.output()
    if output.is_json:
        output.json(plain(answer))
    else:
        output.record(_health_pairs(answer))
    return 1 if answer.health is Health.UNHEALTHY else 0


@origin.command()
@click.argument("origin_id", metavar="ID", shell_complete=complete_origin)
@click.option("--subdir", default="", metavar="PATH", help="Only this folder of the origin.")
@click.option("--wait", is_flag=True, help="Show progress until the scan is complete.")
@click.pass_obj
def rescan(invocation: Invocation, origin_id: str, subdir: str, wait: bool) -> int:
    """Scan an origin again. Without --wait, returns when the scan has begun.

    With --json, prints one object; with --wait too, one a line for each step: {phase (scanning, hashing, indexing, complete),
    current, total (0: not known), current_path, bytes_synced, added, modified, removed, failed, new_files}.

    \b
    Examples:
      musicfs origin rescan nas
      musicfs origin rescan nas --subdir "New Arrivals" --wait
    """
    from musicfs.cli.progress import first_step, follow

    with invocation.client() as client:
        steps = client.rescan(origin_id, subdir)
        if wait:
            follow(invocation.output(), origin_id, steps)
        else:
            first_step(invocation.output(), origin_id, steps)
    return 0


@origin.command()
@click.argument("origin_id", metavar="ID", shell_complete=complete_origin)
@click.pass_obj
def confirm(invocation: Invocation, origin_id: str) -> int:
    """Confirm that files are really gone.

    When much of an origin vanishes at once, MusicFS keeps showing it until you say that this was meant.

    With --json, prints {origin_id, removed}.

    \b
    Example:
      musicfs origin confirm nas
    """
    from musicfs.cli.output import counted

    with invocation.client() as client:
        removed = client.confirm(origin_id)
    output = invocation.output()
    if output.is_json:
        output.json({"origin_id": origin_id, "removed": removed})
    else:
        count = counted(removed, "file")
        output.line(f"{count} removed from {origin_id}" if removed else f"nothing was held for {origin_id}")
    return 0


@origin.command()
@click.argument("origin_id", metavar="ID", shell_complete=complete_origin)
@click.pass_obj
def test(invocation: Invocation, origin_id: str) -> int:
    """Try an origin out: reach it, list it, read a file. Needs no mount; exit code 1 when something does not work.

    With --json, prints {origin_id, address, ok, steps: [{name, ok, message, remedy, took_ms}]}.

    \b
    Example:
      musicfs origin test nas
    """
    from musicfs.cli.output import plain
    from musicfs.clock import SystemClock
    from musicfs.errors import NotFoundError
    from musicfs.origins.examine import examine
    from musicfs.origins.registry import open_origin

    loaded = invocation.glance()
    known = {one.id: one for one in loaded.settings.origins}
    if origin_id not in known:
        if loaded.problems:
            raise loaded.error()
        raise NotFoundError(
            f"there is no origin {origin_id!r}", remedy=f"the origins are: {', '.join(known) or 'none'}"
        )
    settings = known[origin_id]
    output = invocation.output()
    steps = []
    subject = open_origin(settings)
    try:
        for step in examine(subject, SystemClock()):
            steps.append(step)
            if not output.is_json:
                verdict, style = ("ok", "green") if step.ok else ("fail", "red")
                output.columns([(f"{verdict:<4}", style), (f"{step.name:<9}", "bold"), (step.message, "")])
                if step.remedy:
                    output.line(f"      {step.remedy}", style="yellow")
    finally:
        subject.close()
    is_ok = all(step.ok for step in steps)
    if output.is_json:
        output.json({"origin_id": origin_id, "address": settings.address, "ok": is_ok, "steps": plain(tuple(steps))})
    return 0 if is_ok else 1


def _health_pairs(answer: OriginHealth) -> dict[str, str]:
    from musicfs.cli.output import span

    pairs = {"origin": answer.origin_id, "health": answer.health.value, "checked": f"{span(answer.last_check_s)} ago"}
    if answer.message:
        pairs["message"] = answer.message
    if answer.held_removals:
        pairs["held"] = _held(answer.origin_id, answer.held_removals)
    return pairs


def _held(origin_id: str, count: int) -> str:
    from musicfs.cli.output import counted

    gone = counted(count, "file", "is gone", "are gone")
    return f"{gone}, but still shown; `musicfs origin confirm {origin_id}` removes {'it' if count == 1 else 'them'}"
