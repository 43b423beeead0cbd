"""Values of ``library`` to protobuf messages and back."""

from __future__ import annotations

from collections.abc import Iterable

from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.library import ISSUE_KINDS, LibraryIssue, LibraryReport
from musicfs.api.wire import u64, wire_paths, wire_text


def report_message(report: LibraryReport) -> pb.LibraryHealthReport:
    return pb.LibraryHealthReport(
        done=u64(report.done),
        total=u64(report.total),
        issue=None if report.issue is None else _issue_message(report.issue),
        counts={kind: u64(count) for kind, count in report.counts.items()},
        unchecked={wire_text(origin_id): wire_text(reason) for origin_id, reason in report.unchecked.items()},
        complete=report.complete,
    )


def report_value(message: pb.LibraryHealthReport) -> LibraryReport:
    return LibraryReport(
        done=message.done,
        total=message.total,
        issue=_issue_value(message.issue) if message.HasField("issue") else None,
        counts={kind: message.counts[kind] for kind in _in_order(message.counts)},
        unchecked=dict(sorted(message.unchecked.items())),
        complete=message.complete,
    )


def _in_order(kinds: Iterable[str]) -> list[str]:
    """A map of protobuf has no order; kinds of a newer daemon come last."""
    return sorted(kinds, key=lambda kind: (ISSUE_KINDS.index(kind) if kind in ISSUE_KINDS else len(ISSUE_KINDS), kind))


def _issue_message(issue: LibraryIssue) -> pb.LibraryIssue:
    return pb.LibraryIssue(
        kind=issue.kind,
        origin_id=wire_text(issue.origin_id),
        paths=wire_paths(issue.paths),
        detail=wire_text(issue.detail),
        files=u64(issue.files),
    )


def _issue_value(message: pb.LibraryIssue) -> LibraryIssue:
    return LibraryIssue(
        kind=message.kind,
        origin_id=message.origin_id,
        paths=tuple(message.paths),
        detail=message.detail,
        files=message.files,
    )
