"""The group ``musicfs metadata``."""

from __future__ import annotations

import click

from musicfs.cli.command import Group
from musicfs.cli.metadata.change import clear, set_, undo
from musicfs.cli.metadata.files import export, import_
from musicfs.cli.metadata.show import diff, get, log


@click.group(cls=Group)
def metadata() -> None:
    """Read, correct, import and export tags.

    Corrections are kept by MusicFS. Every player sees them in the mount; your files are never written to.

    A PATH is one from the root of the mount, or leads below the mount point; a folder stands for every track below it.

    \b
    Examples:
      musicfs metadata get "/Björk/Glóð (2001) [MP3]/01 - Ísbrú.mp3"
      musicfs metadata set "/Björk/Glóð (2001) [MP3]" --genre Electronic --year 2002
    """


for _command in (get, set_, diff, clear, undo, log, import_, export):
    metadata.add_command(_command)
