"""``musicfs metadata get``, ``diff`` and ``log``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import click

from musicfs.cli.candidates import complete_path
from musicfs.cli.command import Command
from musicfs.cli.invocation import Invocation
from musicfs.cli.metadata.arguments import each, field_option, paths_argument, query_option, selected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.api.metadata import FieldChange, Fields, HistoryItem, TrackMetadata
    from musicfs.cli.output import Output

_NOTHING: tuple[str, ...] = ()


@click.command(cls=Command)
@paths_argument
@field_option("Only this field, or custom:NAME; repeatable.")
@click.option("--own", "layer", flag_value="own", default=None, help="What the file itself says.")
@click.option("--overlay", "layer", flag_value="overlay", help="Only what was corrected.")
@query_option
@click.pass_obj
def get(invocation: Invocation, paths: tuple[str, ...], fields: tuple[str, ...], layer: str | None, query: str) -> int:
    """Show the tags of tracks, as players see them.

    What was corrected says what the file has instead.

    With --json, prints one object a line for each track: {file_id, path, origin_id, origin_path, format, technical:
    {duration_ms, bitrate, sample_rate, channels, bits_per_sample, codec}, own, overlay, effective (each {field: [values]}; an
    empty list in overlay: removed), cover (own, set, removed), served (original, corrected, plain, pending), reason, unfit:
    {field: reason}, changed_ms, author}. With --own or --overlay, only that layer.

    \b
    Examples:
      musicfs metadata get "/Björk/Glóð (2001) [MP3]/01 - Ísbrú.mp3"
      musicfs metadata get song.mp3 --field title --field artist
      musicfs --json metadata get / --overlay | jq .path
    """
    output = invocation.output()
    wanted = tuple(dict.fromkeys(fields))
    with invocation.client() as client:
        chosen = selected(client, paths, query)
        for number, track in enumerate(each(client, chosen, query)):
            if output.is_json:
                output.json_line(_document(track, wanted, layer))
                continue
            if number:
                output.line()
            _print_track(output, track, wanted, layer)
            _warn(track)
    return 0


@click.command(cls=Command)
@paths_argument
@query_option
@click.pass_obj
def diff(invocation: Invocation, paths: tuple[str, ...], query: str) -> int:
    """Show corrections: what the file says, and what players see.

    Tracks without corrections are left out.

    With --json, prints one object a line for each corrected track: {file_id, path, origin_id, origin_path, changes: [{field,
    before (in the file), after}], cover, served, reason, unfit, changed_ms, author}.

    \b
    Examples:
      musicfs metadata diff "/Björk"
      musicfs metadata diff / --query 'genre:ambient'
    """
    output = invocation.output()
    count = 0
    with invocation.client() as client:
        chosen = selected(client, paths, query)
        for track in each(client, chosen, query):
            if not _is_corrected(track):
                continue
            count += 1
            if output.is_json:
                output.json_line(_diff_document(track))
                continue
            if count > 1:
                output.line()
            _print_diff(output, track)
            _warn(track)
    if not count and not output.is_json:
        output.line("nothing is corrected")
    return 0


@click.command(cls=Command)
@click.argument("paths", metavar="[PATH]", nargs=-1, shell_complete=complete_path)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many changes.")
@click.pass_obj
def log(invocation: Invocation, paths: tuple[str, ...], limit: int) -> int:
    """List the last changes, newest first.

    With --json, prints an array of {sequence, time_ms (since 1970 UTC), author, action (set, clear, undo, import), path,
    origin_id, origin_path, changes: [{field, before, after}] (of the corrections: empty where there was or is none), cover}.

    \b
    Examples:
      musicfs metadata log
      musicfs metadata log "/Björk" --limit 10
    """
    from musicfs.cli.output import plain

    if len(paths) > 1:
        raise click.UsageError("give one PATH, or none for all changes", click.get_current_context())
    with invocation.client() as client:
        path = selected(client, paths, "")[0] if paths else ""
        items = client.metadata_log(path, limit)
    output = invocation.output()
    if output.is_json:
        output.json(plain(items))
        return 0
    for item in items:
        _print_item(output, item)
    if not items:
        output.line("nothing was changed")
    return 0


def _print_track(output: Output, track: TrackMetadata, wanted: Sequence[str], layer: str | None) -> None:
    output.line(track.path, style="bold")
    tags = _tags(track, layer)
    names = wanted or _in_order(tags)
    facts = [] if wanted else [("file", f"{track.origin_id}: {track.origin_path}"), ("format", _format(track))]
    if not wanted and _is_corrected(track):
        facts += [("cover", track.cover.value), ("served", track.served.value)]
    width = max((len(name) for name in (*names, *(fact for fact, _ in facts))), default=0)
    for name, text in facts:
        output.columns([(f"  {name:<{width}}", "dim"), (text, "dim")])
    for name in names:
        values = tags.get(name, _NOTHING)
        note = ""
        if layer is None and name in track.overlay:
            from musicfs.cli.metadata.results import values_text

            note = f"(in the file: {values_text(track.own.get(name, _NOTHING))})"
        for number, value in enumerate(values or ("(none)",)):
            label = name if not number else ""
            output.columns([(f"  {label:<{width}}", "cyan"), (value, ""), ("" if number else note, "yellow")])


def _print_diff(output: Output, track: TrackMetadata) -> None:
    from musicfs.cli.metadata.results import change_lines

    output.line(track.path, style="bold")
    for name, before, after in change_lines(_changes(track)):
        output.columns([(f"  {name}", "cyan"), (f"{before} -> {after}", "")])
    if track.cover.value != "own":
        output.columns([("  cover", "cyan"), (track.cover.value, "")])


def _print_item(output: Output, item: HistoryItem) -> None:
    from musicfs.cli.metadata.results import change_lines

    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.time_ms / 1000))
    output.columns([(at, ""), (item.action, "bold"), (item.author, ""), (item.path or item.origin_path, "")])
    for name, before, after in change_lines(item.changes):
        output.columns([(f"  {name}", "cyan"), (f"{before} -> {after}", "")])
    if item.cover:
        output.columns([("  cover", "cyan"), (item.cover, "")])


def _tags(track: TrackMetadata, layer: str | None) -> Fields:
    if layer == "own":
        return track.own
    if layer == "overlay":
        return track.overlay
    # What was removed is shown as such.
    return {**{name: _NOTHING for name, values in track.overlay.items() if not values}, **track.effective}


def _changes(track: TrackMetadata) -> tuple[FieldChange, ...]:
    from musicfs.api.metadata import FieldChange

    return tuple(
        FieldChange(name, track.own.get(name, _NOTHING), track.overlay[name]) for name in _in_order(track.overlay)
    )


def _in_order(tags: Mapping[str, tuple[str, ...]]) -> list[str]:
    from musicfs.model import FIELDS

    return sorted(tags, key=lambda name: (FIELDS.get(name, len(FIELDS)), name))


def _is_corrected(track: TrackMetadata) -> bool:
    return bool(track.overlay) or track.cover.value != "own"


def _format(track: TrackMetadata) -> str:
    return ", ".join(_format_parts(track))


def _format_parts(track: TrackMetadata) -> Iterator[str]:
    technical = track.technical
    yield track.format if technical.codec in ("", track.format) else f"{track.format} ({technical.codec})"
    if technical.duration_ms:
        seconds = technical.duration_ms // 1000
        yield f"{seconds // 60}:{seconds % 60:02d}"
    if technical.bitrate:
        yield f"{round(technical.bitrate / 1000)} kbit/s"
    if technical.sample_rate:
        yield f"{technical.sample_rate / 1000:g} kHz"
    if technical.bits_per_sample:
        yield f"{technical.bits_per_sample} bit"


def _warn(track: TrackMetadata) -> None:
    """Say where the bytes do not show what the tree does."""
    from musicfs.cli.metadata.results import complain, warn_of

    if track.served.value == "plain" or (track.served.value == "pending" and track.reason):
        warn_of(track.reason or "its tags cannot be rewritten", 1, track.path)
    for name, reason in track.unfit.items():
        complain("warning", f"{track.path}: {name}: {reason}", "the tree has it; these bytes do not")


def _document(track: TrackMetadata, wanted: Sequence[str], layer: str | None) -> dict[str, object]:
    import msgspec

    from musicfs.cli.output import plain

    document: dict[str, object] = plain(track)
    document["technical"] = msgspec.structs.asdict(track.technical)
    for name, tags in (("own", track.own), ("overlay", track.overlay), ("effective", track.effective)):
        if layer not in (None, name):
            del document[name]
        else:
            document[name] = {key: list(tags[key]) for key in _in_order(tags) if not wanted or key in wanted}
    return document


def _diff_document(track: TrackMetadata) -> dict[str, object]:
    from musicfs.cli.output import plain

    document: dict[str, object] = plain(track)
    for name in ("own", "overlay", "effective", "technical", "format"):
        del document[name]
    return document | {"changes": plain(_changes(track))}
