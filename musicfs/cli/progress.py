"""How a scan's steps are shown: a bar on a terminal, a line now and then in a pipe, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from musicfs.api.backend import Phase, SyncProgress
from musicfs.cli.output import Output, plain, printable

_LINE_INTERVAL_S = 5.0


def first_step(output: Output, origin_id: str, steps: Iterator[SyncProgress]) -> None:
    """Wait for the scan to begin, and leave it running."""
    step = next(steps, None)
    if output.is_json:
        output.json(plain(step) if step is not None else {})
    elif step is not None and step.phase is Phase.COMPLETE:
        output.line(_summary(origin_id, step))
    else:
        output.line(f"{origin_id}: scan started; `musicfs status` shows how far it is")


def follow(output: Output, origin_id: str, steps: Iterator[SyncProgress]) -> None:
    """Show every step until the last. Raises what the scan raises."""
    if output.is_json:
        for step in steps:
            output.json_line(plain(step))
        return
    last = _bar(origin_id, steps) if output.is_terminal else _lines(output, origin_id, steps)
    if last is not None:
        output.line(_summary(origin_id, last))


def _lines(output: Output, origin_id: str, steps: Iterator[SyncProgress]) -> SyncProgress | None:
    step: SyncProgress | None = None
    phase: Phase | None = None
    shown_at = 0.0
    for step in steps:
        now = time.monotonic()
        if step.phase is Phase.COMPLETE or (step.phase is phase and now - shown_at < _LINE_INTERVAL_S):
            continue
        phase, shown_at = step.phase, now
        total = f"/{step.total}" if step.total else ""
        output.line(f"{origin_id}: {step.phase.value} {step.current}{total} {step.current_path}".rstrip())
        sys.stdout.flush()
    return step


def _bar(origin_id: str, steps: Iterator[SyncProgress]) -> SyncProgress | None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    step: SyncProgress | None = None
    with Progress(*columns, console=Console(file=sys.stdout), transient=True) as progress:
        task = progress.add_task(_label(origin_id, Phase.SCANNING), total=None)
        for step in steps:
            progress.update(
                task,
                description=_label(origin_id, step.phase),
                completed=step.current,
                total=step.total or None,
            )
    return step


def _label(origin_id: str, phase: Phase) -> str:
    return f"{printable(origin_id)} {phase.value}"


def _summary(origin_id: str, step: SyncProgress) -> str:
    text = f"{origin_id}: {step.added} added, {step.modified} modified, {step.removed} removed"
    return f"{text}, {step.failed} could not be read" if step.failed else text
