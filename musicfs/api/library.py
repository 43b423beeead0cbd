"""How the music itself is doing: the part of the :class:`~musicfs.api.backend.Backend` that looks a library over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

# What may be wrong, in the order in which people are told; ``musicfs.library.checkup`` says what each means.
ISSUE_KINDS = ("unreadable", "no_tags", "split_album", "duplicate", "no_cover", "drifted", "held")
DEFAULT_ISSUES = 10  # of each kind


class LibraryIssue(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    ``paths`` lie in the origin ``origin_id``; without one they are virtual, as of an album without a cover. ``files`` are
    concerned: of many, not all have their path here. Exact, with surrogate escapes, on this side of the wire only.
    """

    kind: str
    origin_id: str
    paths: tuple[str, ...]
    detail: str = ""
    files: int = 1


class LibraryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a look at the library.

    ``issue`` is one that was found, None in a step that only says how far it is: ``done`` of ``total`` files. ``counts`` are
    of all issues found so far, by kind, also of those that are not told one by one; the kinds that were looked for are all
    there. ``unchecked`` are the origins of which nobody knows whether their files have changed, each with the reason.
    """

    done: int = 0
    total: int = 0
    issue: LibraryIssue | None = None
    counts: Mapping[str, int] = {}
    unchecked: Mapping[str, str] = {}
    complete: bool = False


class LibraryBackend(Protocol):
    """A running MusicFS that can look its library over. Called from several threads at once."""

    def library_health(self, kinds: Sequence[str], origin_id: str, limit: int) -> Iterator[LibraryReport]:
        """Look for issues of these kinds (none: all), in one origin or (empty id) all.

        ``limit`` of each kind (0: all) are told one by one. Yields at least once a second, and ends with a step that is
        ``complete``; closing the iterator ends the look. ConfigError for a kind that there is not, NotFoundError for an
        unknown origin, at the first item at the latest.
        """
        ...
