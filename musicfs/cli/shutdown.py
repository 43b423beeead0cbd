"""``musicfs shutdown``."""

from __future__ import annotations

import os
import select

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.errors import MusicFSError

_MARGIN_S = 15.0  # for what follows the draining: unmount, closing the stores


@click.command(cls=Command)
@click.option("--graceful", type=bool, default=True, show_default=True, help="Let reads in flight end first.")
@click.option("--timeout", "timeout_s", type=click.IntRange(0, 86400), default=0, metavar="SECONDS",
              help="How long they may take [default: as configured].")  # fmt: skip
@click.pass_obj
def shutdown(invocation: Invocation, graceful: bool, timeout_s: int) -> int:
    """Unmount and stop the daemon.

    Returns when it is gone.

    With --json, prints {"mount_point": str, "pid": int}.

    \b
    Examples:
      musicfs shutdown
      musicfs shutdown --graceful false
      musicfs shutdown --timeout 60
    """
    with invocation.client() as client:
        status = client.status()
        process = _watch(status.pid)
        try:
            client.shutdown(graceful=graceful, timeout_s=timeout_s)
            client.close()
            drain_s = (timeout_s or invocation.glance().settings.mount.drain_timeout_s) if graceful else 0.0
            limit_s = drain_s + _MARGIN_S
            if process is not None and not _has_ended(process, limit_s):
                raise MusicFSError(
                    f"the daemon (pid {status.pid}) has not ended after {limit_s:g} s",
                    remedy="programs may still use the mount: `fuser -m` lists them; `--graceful false` does not wait",
                )
        finally:
            if process is not None:
                os.close(process)
    output = invocation.output()
    if output.is_json:
        output.json({"mount_point": status.mount_point, "pid": status.pid})
    else:
        output.line(f"unmounted {status.mount_point}")
    return 0


def _watch(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends (pidfd_open(2)); None when there is no such process."""
    try:
        return os.pidfd_open(pid) if pid > 0 else None
    except ProcessLookupError:
        return None


def _has_ended(process: int, timeout_s: float) -> bool:
    ready, _, _ = select.select([process], [], [], timeout_s)
    return bool(ready)
