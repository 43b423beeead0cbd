"""The entry point: the table of commands, and how every error ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from musicfs import __version__
from musicfs.cli.command import LazyGroup
from musicfs.cli.invocation import Invocation
from musicfs.cli.report import report, report_bug, report_usage, sentence_of
from musicfs.errors import MusicFSError

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_BROKEN_PIPE = 1  # as click has it, which meets most of them first

_COMMANDS = {
    "mount": ("musicfs.cli.mount:mount", "Mount the library."),
    "status": ("musicfs.cli.status:status", "Show what is mounted and how it is doing."),
    "shutdown": ("musicfs.cli.shutdown:shutdown", "Unmount and stop the daemon."),
    "origin": ("musicfs.cli.origin:origin", "List, probe and rescan the places where music lies."),
    "search": ("musicfs.cli.search:search", "Find tracks by their tags and by what is known of them."),
    "collection": ("musicfs.cli.collection:collection", "List, show, make and delete collections."),
    "trash": ("musicfs.cli.trash:trash", "List, restore and forget tracks whose files were deleted."),
    "metadata": ("musicfs.cli.metadata.command:metadata", "Read, correct, import and export tags."),
    "cache": ("musicfs.cli.cache:cache", "Look at, fill, pin in, clear and verify the cache."),
    "events": ("musicfs.cli.events:events", "Show what happens, as it happens, until interrupted."),
    "config": ("musicfs.cli.config:config", "Check, show and reload the configuration."),
    "backup": ("musicfs.cli.backup:backup", "Write what you made to one file, also while mounted."),
    "restore": ("musicfs.cli.backup:restore", "Put a backup in the place of what you made."),
    "doctor": (
        "musicfs.cli.doctor.command:doctor",
        "Look for anything that is wrong with MusicFS or with the music.",
    ),
    "completion": ("musicfs.cli.completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=LazyGroup, table=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Mount a music library as a filesystem organised by its tags.

    \b
    Example:
      musicfs mount ~/Music-by-tag --origin /srv/music
    """
    context.ensure_object(Invocation)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Raises nothing but the SystemExit of click."""
    for stream in (sys.stdout, sys.stderr):
        # Names may hold bytes that are not UTF-8: shown escaped, never a reason to fail.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    shell = os.environ.get("_MUSICFS_COMPLETE")
    if shell:
        return _complete(shell)
    try:
        code = cli.main(
            args=list(arguments) if arguments is not None else None, prog_name="musicfs", standalone_mode=False
        )
        sys.stdout.flush()
    except MusicFSError as error:
        report(error)
        return error.exit_code
    except click.ClickException as error:
        report_usage(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. What is buffered must not fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        report(MusicFSError(sentence_of(error)))
        return 1
    except Exception as error:  # the last boundary: a user gets a sentence, not a traceback
        report_bug(error)
        return 1
    return code if isinstance(code, int) else 0


def _complete(shell: str) -> int:
    from musicfs.cli.completing import answer

    try:
        return answer(cli, shell)
    except Exception:  # a user who presses Tab is told nothing rather than a traceback between two words
        if os.environ.get("MUSICFS_TRACEBACK"):
            raise
        return 1


if __name__ == "__main__":
    sys.exit(main())
