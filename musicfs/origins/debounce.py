"""Many reports about a folder become one. Pure: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.origins.contract import Change


class Debouncer:
    """Holds changes until their folder has been quiet for ``quiet_s``, but ``latency_s`` after the first at most.

    Times are seconds on any clock that never goes back. Adding and asking cost O(1) however many folders are pending; not
    for several threads.
    """

    def __init__(self, quiet_s: float, latency_s: float) -> None:
        self._quiet_s = quiet_s
        self._latency_s = latency_s
        # Folder -> (time of its latest report, recursive), and folder -> time of its first: each in order of time.
        self._latest: dict[str, tuple[float, bool]] = {}
        self._first: dict[str, float] = {}

    def add(self, folder: str, now: float, *, recursive: bool = False) -> None:
        """Note that something happened in ``folder``."""
        _, already = self._latest.pop(folder, (now, False))
        self._latest[folder] = (now, recursive or already)
        self._first.setdefault(folder, now)

    def next_due(self) -> float | None:
        """When :meth:`take_due` will have something to give; None while nothing is pending."""
        if not self._latest:
            return None
        latest, _ = next(iter(self._latest.values()))
        return min(latest + self._quiet_s, next(iter(self._first.values())) + self._latency_s)

    def take_due(self, now: float) -> list[Change]:
        """The changes whose time has come.

        One that lies below a recursive change is left out; if that one is still pending, it goes early: a tree that is
        deleted from its leaves up is one report.
        """
        due: dict[str, bool] = {}
        while self._latest:
            folder, (latest, _) = next(iter(self._latest.items()))
            if latest + self._quiet_s > now:
                break
            self._take(folder, due)
        while self._first:
            folder, first = next(iter(self._first.items()))
            if first + self._latency_s > now:
                break
            self._take(folder, due)
        for folder in list(due):
            for ancestor in _ancestors(folder):
                if self._latest.get(ancestor, (0.0, False))[1]:
                    self._take(ancestor, due)
        covering = {folder for folder, recursive in due.items() if recursive}
        return [
            Change(folder, recursive)
            for folder, recursive in sorted(due.items())
            if covering.isdisjoint(_ancestors(folder))
        ]

    def _take(self, folder: str, due: dict[str, bool]) -> None:
        due[folder] = self._latest.pop(folder)[1]
        del self._first[folder]


def _ancestors(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
