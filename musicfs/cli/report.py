"""How errors are printed: ``error: message`` and below it what to do, on standard error."""

from __future__ import annotations

import os

import click

from musicfs.errors import ConfigError, MusicFSError


def report(error: MusicFSError) -> None:
    """Print an error of ours: what is wrong, each problem of a configuration, and what to do."""
    _print("error", str(error))
    for problem in error.problems if isinstance(error, ConfigError) else ():
        _line(f"  {problem}")
    if error.remedy:
        _line(f"  {error.remedy}")


def report_usage(error: click.ClickException) -> None:
    """Print what is wrong with a command line, and where its help is."""
    _print("error", error.format_message())
    context = getattr(error, "ctx", None)
    if context is not None:
        _line(f"  see `{context.command_path} --help`")


def report_bug(error: Exception) -> None:
    """Print an error that nobody foresaw: a sentence, and a traceback only for those who ask."""
    _print("error", f"this should not have happened: {type(error).__name__}: {error}")
    if os.environ.get("MUSICFS_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    else:
        _line("  please report it, with what MUSICFS_TRACEBACK=1 prints in addition")


def _print(word: str, text: str) -> None:
    _line(click.style(f"{word}:", fg="red", bold=True) + f" {text}")


def _line(text: str) -> None:
    """A line on standard error; where that is systemd's journal, at the priority of errors (sd-daemon(3))."""
    from musicfs.daemon.logs.journal import is_standard_error

    if is_standard_error(os.environ):
        text = "\n".join(f"<3>{line}" for line in text.split("\n"))
    click.echo(text, err=True)


def sentence_of(error: OSError) -> str:
    """What the system says, with the file it is about."""
    reason = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason
