"""How the steps of long work are shown: a bar on a terminal, a line now and then in a pipe, JSON lines for programs."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from musicfs.api.backend import Phase, PrefetchProgress, SyncProgress, VerifyProgress
from musicfs.api.trash import TrashProgress
from musicfs.cli.output import Output, counted, percent, plain, printable, size

_LINE_INTERVAL_S = 5.0

Step = TypeVar("Step", bound=msgspec.Struct)


class Shown(NamedTuple):
    """A step as people see it: how many of how many (0: not known yet), and words beside that."""

    done: int
    total: int
    words: str


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
    """Show every step of a scan until the last. Raises what the scan raises."""
    if not (output.is_json or output.is_terminal):
        last = _scan_lines(output, origin_id, steps)
    else:
        begin = _label(origin_id, Phase.SCANNING)
        last = _follow(
            output, steps, lambda step: Shown(step.current, step.total, _label(origin_id, step.phase)), begin
        )
    if last is not None and not output.is_json:
        output.line(_summary(origin_id, last))


def follow_prefetch(output: Output, steps: Iterator[PrefetchProgress]) -> PrefetchProgress | None:
    """Show every step of a prefetch; returns the last. Raises what the prefetch raises."""

    def show(step: PrefetchProgress) -> Shown:
        return Shown(step.completed + step.failed, step.total, printable(step.current_path.rpartition("/")[2]))

    last = _follow(output, steps, show, "looking for files")
    if last is not None and not output.is_json:
        text = f"{counted(last.completed, 'file', 'is', 'are')} in the cache, {size(last.fetched_bytes)} of them fetched now"
        output.line(f"{text}; {last.failed} could not be fetched" if last.failed else text)
    return last


def follow_verification(output: Output, steps: Iterator[VerifyProgress]) -> VerifyProgress | None:
    """Show every step of a verification; returns the last. Raises what the verification raises."""

    def show(step: VerifyProgress) -> Shown:
        return Shown(step.checked, step.total, f"{step.damaged} damaged" if step.damaged else "verifying")

    last = _follow(output, steps, show, "verifying")
    if last is not None and not output.is_json:
        checked = f"{last.checked} pieces are as they were written" if last.complete else "not everything was checked"
        damage = f"{last.damaged} pieces were damaged, and are fetched again when they are read"
        output.line(damage if last.damaged else checked, style="yellow" if last.damaged else "")
    return last


def follow_trash(output: Output, steps: Iterator[TrashProgress], begin: str) -> TrashProgress | None:
    """Show every step of something done to deleted tracks; returns the last. Raises what the steps raise."""
    return _follow(output, steps, lambda step: Shown(step.done + step.passed_over, step.total, begin), begin)


def follow_quietly(output: Output, steps: Iterator[Step], show: Callable[[Step], Shown], begin: str) -> Step | None:
    """Show every step on a terminal, and nothing elsewhere; returns the last. Raises what the steps raise."""
    if output.is_terminal:
        return _bar(steps, show, begin)
    return functools.reduce(lambda _, step: step, steps, None)


def _follow(output: Output, steps: Iterator[Step], show: Callable[[Step], Shown], begin: str) -> Step | None:
    """Show every step, and ``begin`` until the first; returns the last."""
    if output.is_json:
        step: Step | None = None
        for step in steps:
            output.json_line(plain(step))
        return step
    return _bar(steps, show, begin) if output.is_terminal else _lines(output, steps, show)


def _lines(output: Output, steps: Iterator[Step], show: Callable[[Step], Shown]) -> Step | None:
    step: Step | None = None
    shown_at = time.monotonic()
    for step in steps:
        now = time.monotonic()
        if now - shown_at < _LINE_INTERVAL_S:
            continue
        shown_at = now
        done, total, words = show(step)
        counted = f"{done} of {total} ({percent(done / total)})" if total else str(done)
        output.line(f"{counted} {words}".rstrip())
        sys.stdout.flush()
    return step


def _scan_lines(output: Output, origin_id: str, steps: Iterator[SyncProgress]) -> SyncProgress | None:
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


def _bar(steps: Iterator[Step], show: Callable[[Step], Shown], begin: str) -> Step | None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    step: Step | None = None
    with Progress(*columns, console=Console(file=sys.stdout), transient=True) as progress:
        task = progress.add_task(begin, total=None)
        for step in steps:
            done, total, words = show(step)
            progress.update(task, description=words, completed=done, total=total or None)
    return step


def _label(origin_id: str, phase: Phase) -> str:
    return f"{printable(origin_id)} {phase.value}"


def _summary(origin_id: str, step: SyncProgress) -> str:
    text = f"{origin_id}: {step.added} added, {step.modified} modified, {step.removed} removed"
    return f"{text}, {step.failed} could not be read" if step.failed else text
