"""``musicfs events``."""

from __future__ import annotations

import time

import click

from musicfs.cli.candidates import complete_origin
from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation

_TYPES = (
    "file_added", "file_removed", "file_modified", "file_accessed", "metadata_changed", "origin_connected",
    "origin_disconnected", "origin_health_changed", "sync_started", "sync_completed", "cache_eviction",
)  # fmt: skip


@click.command(cls=Command)
@click.option("--type", "types", multiple=True, type=click.Choice(_TYPES), help="Only events of this type; repeatable.")
@click.option("--origin", "origin_id", default="", metavar="ID", help="Only events of this origin.",
              shell_complete=complete_origin)  # fmt: skip
@click.pass_obj
def events(invocation: Invocation, types: tuple[str, ...], origin_id: str) -> int:
    """Show what happens, as it happens, until interrupted.

    Who does not keep up, as when the output goes to a pager, is told by an event "gap" how many were lost.

    With --json, prints one object a line: {type, time_ms, origin_id, path, file_id, details}.

    \b
    Examples:
      musicfs events
      musicfs --json events --type origin_health_changed
      musicfs events --type file_added --type file_removed --origin nas
    """
    from musicfs.cli.output import plain

    output = invocation.output()
    with invocation.client() as client:
        for event in client.events(types, origin_id):
            if output.is_json:
                output.json_line(plain(event))
                continue
            at = time.strftime("%H:%M:%S", time.localtime(event.time_ms / 1000))
            facts = "  ".join(f"{name}={value}" for name, value in event.details.items())
            output.columns([(at, ""), (event.type.value, "bold"), (event.origin_id, ""), (event.path, ""), (facts, "")])
    return 0
