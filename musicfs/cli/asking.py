"""Asking before what cannot be undone."""

from __future__ import annotations

import sys

import click


def make_sure(question: str, *, is_sure: bool) -> None:
    """Go on only if the user says yes, or has said so with ``--yes``: what is gone is gone.

    Raises click.Abort for no, and click.UsageError where nobody can be asked.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; --yes does it without", click.get_current_context())
    click.confirm(question, abort=True, err=True)
