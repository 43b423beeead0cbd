"""``musicfs backup`` and ``musicfs restore``."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.errors import ExistsError, NoDaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.settings import Settings


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.pass_obj
def backup(invocation: Invocation, file: str, *, force: bool) -> int:
    """Write what you made to one file, also while mounted.

    Corrections of tags with their history, covers, collections, pins, plays: FILE is one tar with checksums, of one moment.
    What can be rebuilt is not in it, neither are secrets. It has its name only once it is complete.

    With --json, prints {"file": str, "size_bytes": int}.

    \b
    Examples:
      musicfs backup ~/musicfs-$(date +%F).tar
      musicfs backup --force /mnt/nas/musicfs.tar
    """
    from musicfs.store.whole_file import write_whole

    if not force and os.path.lexists(file):
        raise ExistsError(f"{file} exists", remedy="name another file, or replace it with --force")
    size = write_whole(os.path.abspath(file), _pieces(invocation))
    output = invocation.output()
    if output.is_json:
        output.json({"file": os.path.abspath(file), "size_bytes": size})
    else:
        output.line(f"wrote {file} ({size} bytes)")
    return 0


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.pass_obj
def restore(invocation: Invocation, file: str, *, is_sure: bool) -> int:
    """Put a backup in the place of what you made.

    Unmount before.

    Asks first; without a terminal it takes --yes. The whole file is checked before. What is replaced is kept beside it, in a
    folder that is named.

    With --json, prints {"state_dir": str, "kept": str, "created_ns": int, "musicfs": str}.

    \b
    Examples:
      musicfs restore ~/musicfs-2026-11-21.tar
      musicfs restore --yes /mnt/nas/musicfs.tar
    """
    from musicfs.cli.asking import make_sure
    from musicfs.daemon.locks import hold_folder
    from musicfs.store.backup import check_backup, restore_backup

    settings = _settings(invocation)
    about = check_backup(file)
    when = _date(about.created_ns)
    make_sure(f"Replace what is in {settings.state_dir} with the backup of {when}?", is_sure=is_sure)
    with hold_folder(settings.state_dir, "mount", "state", "a state_dir of its own in its configuration"):
        kept = restore_backup(file, settings.state_dir)
    output = invocation.output()
    if output.is_json:
        output.json(
            {
                "state_dir": settings.state_dir,
                "kept": kept,
                "created_ns": about.created_ns,
                "musicfs": about.musicfs,
            }
        )
    else:
        output.line(f"restored {settings.state_dir}; it is in force with the next mount")
        if kept:
            output.line(f"what was there is kept in {kept}")
    return 0


def _pieces(invocation: Invocation) -> Iterator[bytes]:
    """From the daemon if there is one, else from the folder."""
    try:
        client = invocation.client()
    except NoDaemonError:
        from musicfs import __version__
        from musicfs.store.backup import backup_stopped

        yield from backup_stopped(_settings(invocation).state_dir, __version__)
        return
    with client:
        yield from client.backup()


def _settings(invocation: Invocation) -> Settings:
    loaded = invocation.glance()
    if loaded.problems:
        raise loaded.error()
    return loaded.settings


def _date(time_ns: int) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns // 1_000_000_000))
