"""``musicfs metadata import`` and ``export``."""

from __future__ import annotations

import collections
import contextlib
import csv
import os
from collections.abc import Callable, Iterator, Sequence

import click

from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.cli.metadata.arguments import dry_run_option, paths_argument, query_option, selected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.client import Client
    from musicfs.api.metadata import MetadataChange, TrackMetadata
    from musicfs.api.tagfiles.rows import ChangeRow
    from musicfs.cli.metadata.results import Outcome
    from musicfs.cli.output import Output

_REPORT_COLUMNS = ("row", "path", "error", "remedy")


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--format", "form", type=click.Choice(("csv", "json", "jsonl", "beets")), default=None,
              help="What the file is [default: as it looks].")  # fmt: skip
@dry_run_option
@click.option("--continue-on-error/--stop-on-error", "goes_on", default=True, show_default=True,
              help="What a row that fails means for the rest; to stop there, rows go one by one.")  # fmt: skip
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the rows that failed to this CSV file.",
)
@click.option("--beets-folder", type=click.Path(file_okay=False), default="", metavar="FOLDER",
              help="beets' music folder (`directory` in its configuration), where its paths start.")  # fmt: skip
@click.pass_obj
def import_(
    invocation: Invocation,
    file: str,
    form: str | None,
    dry_run: bool,
    goes_on: bool,
    report: str | None,
    beets_folder: str,
) -> int:
    """Correct tags as a file says: CSV, JSON, JSON lines, or the library.db of beets.

    Columns (keys of JSON objects) are fields, custom:NAME, cover (an image, relative to the file), and what says which track:
    path, file_id, origin_id with origin_path, or match:isrc and the like. Without any of these, mb_track_id, mb_recording_id
    or isrc find it. An empty cell says nothing, one with \\- (null in JSON) removes the field, and \\\\ stands between two
    values (a list in JSON).

    The whole file is looked at before anything is changed. A row that changes nothing is counted as unchanged, so an import
    that was interrupted can be run again. The exit code is 1 when some rows failed.

    With --json, prints one object a line for each track of each row: {row, file_id, path, new_path, changes: [{field, before,
    after}], cover_changed, reason, error, remedy}.

    \b
    Examples:
      musicfs metadata import corrections.csv --dry-run
      musicfs metadata import corrections.csv --report failed.csv
      musicfs metadata import ~/.config/beets/library.db --beets-folder /srv/music
    """
    from musicfs.api.tagfiles.reading import TagFormat, guess_format, read_changes
    from musicfs.cli.metadata.results import follow_changes

    kind = TagFormat(form) if form else guess_format(file)
    root = os.path.abspath(beets_folder) if beets_folder else ""

    def rows(*, reads_covers: bool) -> Iterator[ChangeRow]:
        return read_changes(file, kind, beets_root=root, reads_covers=reads_covers)

    total = sum(1 for _ in rows(reads_covers=False))
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(invocation.client())
        note = stack.enter_context(_report(report)) if report else None
        apply = _apply_all if goes_on else _apply_until_failure
        outcomes = apply(client, rows(reads_covers=True), total, dry_run=dry_run)
        return follow_changes(invocation.output(), outcomes, dry_run=dry_run, on_failure=note).code


@click.command(cls=Command)
@click.option(
    "--output", "file", required=True, type=click.Path(dir_okay=False), metavar="FILE", help="The file to write."
)
@click.option("--format", "form", type=click.Choice(("csv", "json", "jsonl")), default=None,
              help="[default: as the name of the file ends]")  # fmt: skip
@paths_argument
@query_option
@click.option("--only-changed", is_flag=True, help="Only corrections, and only tracks that have some.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.pass_obj
def export(
    invocation: Invocation,
    file: str,
    form: str | None,
    paths: tuple[str, ...],
    query: str,
    only_changed: bool,
    force: bool,
) -> int:
    """Write tags to a file: CSV for a spreadsheet, JSON or JSON lines for programs.

    `musicfs metadata import` reads it back. Images are not part of it.

    With --json, prints {file, format, tracks}.

    \b
    Examples:
      musicfs metadata export --output library.csv
      musicfs metadata export --output corrections.jsonl --only-changed
      musicfs metadata export --output bjork.json "/Björk"
    """
    from musicfs.api.tagfiles.exporting import write_export
    from musicfs.api.tagfiles.reading import TagFormat, form_of_name
    from musicfs.cli.output import counted

    kind = TagFormat(form) if form else form_of_name(file)
    if kind is None:
        raise click.UsageError(f"{file}: say what it is to be with --format", click.get_current_context())
    output = invocation.output()
    with invocation.client() as client:
        chosen = selected(client, paths, query, or_all=True)
        count = write_export(
            file, _counted(output, client, chosen, query), kind, only_changed=only_changed, overwrite=force
        )
    if output.is_json:
        output.json({"file": file, "format": kind.value, "tracks": count})
    else:
        output.line(f"{counted(count, 'track')} written to {file}")
    return 0


def _apply_all(client: Client, rows: Iterator[ChangeRow], total: int, *, dry_run: bool) -> Iterator[Outcome]:
    """The outcome of every row; those that make no sense in their places among the others."""
    from musicfs.cli.metadata.results import Outcome

    numbers: list[int] = []  # of the rows that were sent, by the index of their change
    refused: collections.deque[Outcome] = collections.deque()

    def changes() -> Iterator[MetadataChange]:
        for row in rows:
            if row.change is not None:
                numbers.append(row.number)
                yield row.change
            else:
                refused.append(_refusal(row, len(numbers), total))

    for result in client.change_metadata(changes(), action="import", dry_run=dry_run):
        number = numbers[result.index]
        while refused and refused[0].row < number:
            yield refused.popleft()
        yield Outcome(result, result.index + 1, total, number)
    yield from refused


def _apply_until_failure(client: Client, rows: Iterator[ChangeRow], total: int, *, dry_run: bool) -> Iterator[Outcome]:
    """The outcomes up to the first row that fails. Each row is sent when the one before it is done with, all of it."""
    from musicfs.cli.metadata.results import Outcome

    for done, row in enumerate(rows, 1):
        if row.change is None:
            yield _refusal(row, done, total)
            return
        results = list(client.change_metadata((row.change,), action="import", dry_run=dry_run))
        for result in results:
            yield Outcome(result, done, total, row.number)
        if any(result.error for result in results):
            return


def _refusal(row: ChangeRow, done: int, total: int) -> Outcome:
    from musicfs.api.metadata import ChangeResult
    from musicfs.cli.metadata.results import Outcome

    assert row.error is not None
    return Outcome(ChangeResult(index=0, error=str(row.error), remedy=row.error.remedy), done, total, row.number)


def _counted(output: Output, client: Client, paths: Sequence[str], query: str) -> Iterator[TrackMetadata]:
    """The tracks of a selection (maybe none), with a count on a terminal."""
    steps = client.tracks(paths, query)
    if not output.is_terminal:
        yield from steps
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("tracks", markup=False))
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task("", total=None)
        for track in steps:
            progress.advance(task)
            yield track


@contextlib.contextmanager
def _report(path: str) -> Iterator[Callable[[Outcome], None]]:
    """A CSV file for rows that failed; what to call with each."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_REPORT_COLUMNS)

        def note(outcome: Outcome) -> None:
            result = outcome.result
            writer.writerow((outcome.row, result.path, result.error, result.remedy))

        yield note
