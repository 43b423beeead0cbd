"""``musicfs doctor --library``: what is wrong with the music itself, as the daemon finds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from musicfs.api.library import ISSUE_KINDS, LibraryIssue, LibraryReport
from musicfs.cli.doctor.finding import Level
from musicfs.cli.invocation import Invocation
from musicfs.cli.output import STYLES, Output, plain
from musicfs.cli.progress import Shown, follow_quietly

_FIRST = 10
_WIDTH = 13


class _Words(NamedTuple):
    """How a kind of issue is told: its name, what one and several are, and what to do about them."""

    name: str
    one: str
    several: str
    remedy: str


_WORDS: Mapping[str, _Words] = {
    "unreadable": _Words(
        "unreadable", "file could not be read", "files could not be read",
        "shown under their own names, and played as they are; repair or replace them",
    ),
    "no_tags": _Words(
        "without tags", "file has neither title nor artist nor album", "files have neither title nor artist nor album",
        "`musicfs metadata set` gives them some, and leaves the files as they are",
    ),
    "split_album": _Words(
        "split albums", "album is shown in pieces, as its tracks disagree",
        "albums are shown in pieces, as their tracks disagree",
        "`musicfs metadata set FOLDER --album-artist NAME` makes them agree",
    ),
    "duplicate": _Words(
        "duplicates", "recording is there more than once in one origin", "recordings are there more than once in one origin",
        "remove what is too much at the origin; MusicFS never does",
    ),
    "no_cover": _Words(
        "no cover", "album has no cover", "albums have no cover",
        "put a cover.jpg beside the tracks, or `musicfs metadata set FOLDER --cover FILE`",
    ),
    "drifted": _Words(
        "drifted", "file or folder is not what was scanned", "files or folders are not what was scanned",
        "`musicfs origin rescan ID` looks at them again",
    ),
    "held": _Words(
        "corrections", "file with corrected tags is gone", "files with corrected tags are gone",
        "they apply again when that file is back, or exactly one other has its audio and no corrections",
    ),
}  # fmt: skip


def examine_library(invocation: Invocation, *, origin_id: str, tell_all: bool) -> int:
    """Ask the daemon, and show what it found; the exit code."""
    output = invocation.output()
    issues: list[LibraryIssue] = []

    def noted(reports: Iterator[LibraryReport]) -> Iterator[LibraryReport]:
        for report in reports:
            if report.issue is not None:
                issues.append(report.issue)
            yield report

    with invocation.client() as client:
        reports = client.library_health((), origin_id, 0 if tell_all else _FIRST)
        last = follow_quietly(output, noted(reports), _shown, "looking at the library")
    assert last is not None and last.complete, "a stream that ends early ends with an error"
    if output.is_json:
        output.json(
            {
                "files": last.total,
                "counts": dict(last.counts),
                "unchecked": dict(last.unchecked),
                "issues": plain(issues),
            }
        )
    else:
        _print(output, last, issues)
    return 0


def _shown(report: LibraryReport) -> Shown:
    return Shown(report.done, report.total, f"{sum(report.counts.values())} found")


def _print(output: Output, last: LibraryReport, issues: list[LibraryIssue]) -> None:
    for kind in (kind for kind in ISSUE_KINDS if kind in last.counts):
        words, count = _WORDS[kind], last.counts[kind]
        if not count:
            _line(output, Level.OK, words.name, "none")
            continue
        _line(output, Level.WARN, words.name, f"{count} {words.one if count == 1 else words.several}")
        told = [issue for issue in issues if issue.kind == kind]
        for issue in told:
            _line(output, None, "", _told(issue))
        if count > len(told):
            _line(output, None, "", f"and {count - len(told)} more; --all shows them", "dim")
        _line(output, None, "", words.remedy, "dim")
    for origin_id, reason in last.unchecked.items():
        _line(output, Level.WARN, "not checked", f"{origin_id}: {reason}")


def _line(output: Output, level: Level | None, name: str, text: str, style: str = "") -> None:
    first = ("    ", "") if level is None else (f"{level.value:<4}", STYLES[level.value])
    output.columns([first, (f"{name:<{_WIDTH}}", "bold"), (text, style)])


def _told(issue: LibraryIssue) -> str:
    """``nas:A/one.mp3, A/two.mp3 and 3 more (what is wrong)``."""
    place = ", ".join(issue.paths) or ("/" if issue.paths else "a file that is not known any more")
    if issue.kind == "duplicate" and issue.files > len(issue.paths):
        place += f" and {issue.files - len(issue.paths)} more"
    origin = f"{issue.origin_id}:" if issue.origin_id else ""
    return f"{origin}{place} ({issue.detail})" if issue.detail else f"{origin}{place}"
