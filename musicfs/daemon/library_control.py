"""A look at the library for clients: the LibraryBackend of the API over the catalog, the origins and the corrections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from musicfs.api.backend import ProblemFile, ProblemPage
from musicfs.api.library import LibraryIssue, LibraryReport
from musicfs.api.metadata import Cover, TrackMetadata
from musicfs.clock import Clock
from musicfs.daemon.health import HealthMonitor
from musicfs.daemon.scanning import OriginState
from musicfs.errors import ConfigError, DiskFullError, NotFoundError, OriginError
from musicfs.library.checkup import Checkup, Issue, IssueKind
from musicfs.library.drift import Drift
from musicfs.model import Health
from musicfs.origins.contract import RangeCost
from musicfs.store.catalog import Catalog

_PULSE_S = 0.5

Held = Callable[[], Iterator[TrackMetadata | None]]


class LibraryControl:
    """Answers clients, on gRPC's threads."""

    def __init__(
        self,
        catalog: Catalog,
        states: Sequence[OriginState],
        monitor: HealthMonitor,
        held: Held,
        clock: Clock,
        *,
        covers: bool,
    ) -> None:
        """``held`` gives the corrections whose files are gone; without ``covers`` albums have none, by choice."""
        self._catalog = catalog
        self._states: Mapping[str, OriginState] = {state.id: state for state in states}
        self._monitor = monitor
        self._held = held
        self._clock = clock
        self._covers = covers

    def library_health(self, kinds: Sequence[str], origin_id: str, limit: int) -> Iterator[LibraryReport]:
        """See LibraryBackend."""
        unknown = [kind for kind in kinds if kind not in set(IssueKind)]
        if unknown:
            raise ConfigError(f"there are no issues {unknown[0]!r}", remedy=f"the kinds are: {', '.join(IssueKind)}")
        if origin_id and origin_id not in self._states:
            known = ", ".join(self._states) or "none"
            raise NotFoundError(f"there is no origin {origin_id!r}", remedy=f"the origins are: {known}")
        wanted = [IssueKind(kind) for kind in kinds] or list(IssueKind)
        looked_for = [kind for kind in wanted if self._covers or kind is not IssueKind.NO_COVER]
        return self._report(looked_for, origin_id, limit)

    def _report(self, kinds: Sequence[IssueKind], origin_id: str, limit: int) -> Iterator[LibraryReport]:
        states = [state for state in self._states.values() if origin_id in ("", state.id)]
        origin = states[0].number if origin_id else 0
        checkup = Checkup(self._catalog, kinds, origin, os.path.dirname(self._catalog.path))
        counts = dict.fromkeys((kind.value for kind in kinds), 0)
        unchecked: dict[str, str] = {}
        ids = {state.number: state.id for state in self._states.values()}
        pulse_at = self._clock.monotonic() + _PULSE_S
        for found in self._issues(checkup, states, kinds, unchecked):
            told: LibraryIssue | None = None
            if found is not None:
                issue = _described(found, ids) if isinstance(found, Issue) else found
                counts[issue.kind] += 1
                told = issue if not limit or counts[issue.kind] <= limit else None
            now = self._clock.monotonic()
            if told is not None or now >= pulse_at:
                pulse_at = now + _PULSE_S
                yield LibraryReport(done=checkup.done, total=checkup.total, issue=told, counts=dict(counts))
        yield LibraryReport(done=checkup.done, total=checkup.total, counts=counts, unchecked=unchecked, complete=True)

    def _issues(
        self, checkup: Checkup, states: Sequence[OriginState], kinds: Sequence[IssueKind], unchecked: dict[str, str]
    ) -> Iterator[Issue | LibraryIssue | None]:
        """Everything that is wrong; None now and then. Notes which origins could not be looked at."""
        try:
            yield from checkup.issues()
        except OSError as error:
            raise DiskFullError(
                f"the look at the library cannot write down what it has seen: {error.strerror}",
                remedy="make room where cache_dir lies",
            ) from error
        if IssueKind.DRIFTED in kinds:
            for state in states:
                try:
                    yield from self._drift(state, unchecked)
                except OriginError as error:
                    unchecked[state.id] = str(error)
        if IssueKind.HELD in kinds:
            yield from self._held_issues({state.id for state in states})

    def _drift(self, state: OriginState, unchecked: dict[str, str]) -> Iterator[Issue | None]:
        verdict = self._monitor.verdict(state.id)
        if verdict.health is Health.UNHEALTHY:
            unchecked[state.id] = verdict.message or "it does not answer"
            return
        if state.origin.caps.range_cost is not RangeCost.FREE:
            unchecked[state.id] = f"listing it takes requests; `musicfs origin rescan {state.id}` does it"
            return
        yield from Drift(self._catalog, state.number, state.origin).issues()

    def _held_issues(self, origin_ids: set[str]) -> Iterator[LibraryIssue | None]:
        for track in self._held():
            if track is None:
                yield None
            elif track.origin_id in origin_ids or not track.origin_id:
                fields = ", ".join([*track.overlay, *(("cover",) if track.cover is not Cover.OWN else ())])
                paths = (track.origin_path,) if track.origin_path else ()
                yield LibraryIssue(
                    IssueKind.HELD.value, track.origin_id, paths, f"its file is gone; corrected were {fields}"
                )


def _described(issue: Issue, ids: Mapping[int, str]) -> LibraryIssue:
    paths = tuple(map(os.fsdecode, issue.paths))
    return LibraryIssue(issue.kind.value, ids.get(issue.origin, ""), paths, issue.detail, issue.files)


def problem_page(catalog: Catalog, ids: Mapping[int, str], origin_id: str, start: int, stop: int) -> ProblemPage:
    """Files that could not be read, of one origin or (empty id) of all; ``ids`` are those of origins by their numbers."""
    found: list[ProblemFile] = []
    total = 0
    for object_id, reason in catalog.problems():
        is_asked_for = start <= total < stop
        if origin_id or is_asked_for:
            located = catalog.locate(object_id)
            if located is None or origin_id not in ("", ids.get(located[0])):
                continue
            if is_asked_for:
                found.append(ProblemFile(ids.get(located[0], ""), os.fsdecode(located[1]), reason))
        total += 1
    return ProblemPage(tuple(found), total)
