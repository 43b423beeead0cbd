"""What became of each track of a change: shown as it happens, counted, and what to be told of at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import click

from musicfs.api.metadata import ChangeResult, FieldChange
from musicfs.cli.output import Output, counted, plain, printable

_BAR_AFTER_S = 0.5
_DETAILS = 20  # tracks in full on a terminal
_FAILURES = 100  # on standard error, however many there are
_VALUE_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Outcome:
    """One result of ``done`` of ``total`` (0: not known); ``row`` is where its file asked for it, 0 without a file."""

    result: ChangeResult
    done: int
    total: int
    row: int = 0


@dataclass(slots=True)
class Tally:
    """How many tracks came to what, and what there is to say about them."""

    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    reasons: dict[str, tuple[int, str]] = field(default_factory=dict)  # why bytes do not show it -> tracks, the first

    def count(self, result: ChangeResult) -> None:
        """Note one result."""
        if result.error:
            self.failed += 1
        elif result.changes or result.cover_changed:
            self.changed += 1
        else:
            self.unchanged += 1
        if result.reason:
            count, first = self.reasons.get(result.reason, (0, result.new_path or result.path))
            self.reasons[result.reason] = (count + 1, first)

    @property
    def code(self) -> int:
        """The exit code."""
        return 1 if self.failed else 0


def numbered(results: Iterator[ChangeResult]) -> Iterator[Outcome]:
    """Results with their number."""
    for done, result in enumerate(results, 1):
        yield Outcome(result, done, result.total)


def follow_changes(
    output: Output,
    outcomes: Iterator[Outcome],
    *,
    dry_run: bool,
    on_failure: Callable[[Outcome], None] | None = None,
) -> Tally:
    """Show every result until the last, then how many there were. Raises what the change raises."""
    tally = Tally()
    shown: list[Outcome] = []
    failures: list[Outcome] = []
    with ExitStack() as stack:
        advance = _progress(output, stack)
        for outcome in outcomes:
            advance(outcome)
            tally.count(outcome.result)
            if outcome.result.error:
                if on_failure is not None:
                    on_failure(outcome)
                if len(failures) < _FAILURES:
                    failures.append(outcome)
            if output.is_json:
                output.json_line(_document(outcome))
            elif not output.is_terminal:
                _print_result(output, outcome.result)
            elif len(shown) < _DETAILS and _is_change(outcome.result):
                shown.append(outcome)
    if not output.is_json:
        _conclude(output, tally, shown, dry_run)
        _complain(tally, failures)
    return tally


def _conclude(output: Output, tally: Tally, shown: Sequence[Outcome], dry_run: bool) -> None:
    for outcome in shown:
        _print_result(output, outcome.result)
    if output.is_terminal and tally.changed > len(shown):
        output.line(f"... and {tally.changed - len(shown)} more")
    text = f"{counted(tally.changed, 'track')} {'would change' if dry_run else 'changed'}"
    if tally.unchanged:
        text += f", {tally.unchanged} unchanged"
    if tally.failed:
        text += f", {tally.failed} failed"
    output.line(text)


def _complain(tally: Tally, failures: Sequence[Outcome]) -> None:
    sys.stdout.flush()
    for outcome in failures:
        result = outcome.result
        where = "".join(f"{part}: " for part in (f"row {outcome.row}" if outcome.row else "", result.path) if part)
        complain("error", f"{where}{result.error}", result.remedy)
    if tally.failed > len(failures):
        complain("error", f"{tally.failed - len(failures)} more failed")
    for reason, (count, first) in tally.reasons.items():
        warn_of(reason, count, first)


def warn_of(reason: str, count: int, first: str) -> None:
    """Say on standard error why the bytes of tracks do not show all that was changed."""
    others = f" and {counted(count - 1, 'other track')}" if count > 1 else ""
    complain("warning", f"{first}{others}: {reason}", "the tree shows the change; these bytes do not, or not all of it")


def complain(word: str, text: str, remedy: str = "") -> None:
    """``error: text`` or ``warning: text`` on standard error, with what to do below it."""
    colour = "red" if word == "error" else "yellow"
    click.echo(click.style(f"{word}:", fg=colour, bold=True) + f" {printable(text)}", err=True)
    if remedy:
        click.echo(f"  {printable(remedy)}", err=True)


def change_lines(changes: Sequence[FieldChange]) -> Iterator[tuple[str, str, str]]:
    """(field, before, after) for people, fields as wide as the widest."""
    width = max((len(change.field) for change in changes), default=0)
    for change in changes:
        yield f"{change.field:<{width}}", values_text(change.before), values_text(change.after)


def values_text(values: Sequence[str]) -> str:
    """The values of a field on one line, as long as that may get."""
    if not values:
        return "(none)"
    text = "; ".join(values)
    return text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 1]}…"


def _is_change(result: ChangeResult) -> bool:
    return not result.error and bool(result.changes or result.cover_changed)


def _print_result(output: Output, result: ChangeResult) -> None:
    if not _is_change(result):
        return
    cells = [(result.path, "bold")]
    if result.new_path and result.new_path != result.path:
        cells.append((f"-> {result.new_path}", "green"))
    output.columns(cells)
    for name, before, after in change_lines(result.changes):
        output.columns([(f"  {name}", "cyan"), (f"{before} -> {after}", "")])
    if result.cover_changed:
        output.columns([("  cover", "cyan"), ("changed", "")])


def _document(outcome: Outcome) -> dict[str, object]:
    document: dict[str, object] = plain(outcome.result)
    del document["index"], document["total"]
    return {"row": outcome.row, **document} if outcome.row else document


def _progress(output: Output, stack: ExitStack) -> Callable[[Outcome], None]:
    """What is to be told of each step: draws a bar on a terminal, if it takes long enough to look at one."""
    if not output.is_terminal:
        return lambda _outcome: None
    began = time.monotonic()
    update: Callable[[Outcome], None] | None = None

    def advance(outcome: Outcome) -> None:
        nonlocal update
        if update is None and time.monotonic() - began > _BAR_AFTER_S:
            update = _bar(stack)
        if update is not None:
            update(outcome)

    return advance


def _bar(stack: ExitStack) -> Callable[[Outcome], None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    progress = stack.enter_context(Progress(*columns, console=Console(file=sys.stdout), transient=True))
    task = progress.add_task("looking for tracks", total=None)

    def update(outcome: Outcome) -> None:
        name = printable(outcome.result.path.rpartition("/")[2])
        progress.update(task, description=name, completed=outcome.done, total=outcome.total or None)

    return update
