"""The part of a fake backend that looks a library over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from musicfs.api.library import LibraryIssue, LibraryReport

ISSUES = (
    LibraryIssue("unreadable", "nas", ("A/broken\udcff.mp3",), "no MPEG frame"),
    LibraryIssue("duplicate", "nas", ("A/1.flac", "B/1\x1b[2J.flac"), files=12),
    LibraryIssue("no_cover", "", ("/Björk/Début",)),
    LibraryIssue("held", "", (), "its file is gone; corrected were title"),
)
_COUNTS = {"unreadable": 3, "no_tags": 0, "split_album": 0, "duplicate": 1, "no_cover": 1, "drifted": 0, "held": 1}
UNCHECKED = {"usb": "the folder is not there"}
REPORTS = (
    LibraryReport(total=1000),
    *(
        LibraryReport(done=100 * (number + 1), total=1000, issue=issue, counts={"duplicate": number})
        for number, issue in enumerate(ISSUES)
    ),
    LibraryReport(done=1000, total=1000, counts=_COUNTS, unchecked=UNCHECKED, complete=True),
)


@dataclass
class FakeLibrary:
    """Reports ``reported``, and raises ``library_error`` in the middle if there is one; ``looks`` notes what was asked."""

    reported: tuple[LibraryReport, ...] = REPORTS
    looks: list[tuple[object, ...]] = field(default_factory=list)
    library_error: BaseException | None = None

    def library_health(self, kinds: Sequence[str], origin_id: str, limit: int) -> Iterator[LibraryReport]:
        self.looks.append((tuple(kinds), origin_id, limit))
        middle = len(self.reported) // 2
        yield from self.reported[:middle]
        if self.library_error is not None:
            raise self.library_error
        yield from self.reported[middle:]
