from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from musicfs.origins.contract import Change
from musicfs.origins.debounce import Debouncer

FOLDERS = ("", "a", "a/b", "a/b/c", "ab", "c")


def test_quiet_folders_are_due() -> None:
    debouncer = Debouncer(quiet_s=0.3, latency_s=1.0)
    assert debouncer.next_due() is None
    debouncer.add("a", 10.0)
    assert debouncer.next_due() == 10.3
    debouncer.add("a", 10.2)
    assert debouncer.take_due(10.4) == []
    assert debouncer.take_due(10.5) == [Change("a")]
    assert debouncer.next_due() is None


def test_a_folder_that_is_never_quiet_is_due_all_the_same() -> None:
    debouncer = Debouncer(quiet_s=0.3, latency_s=1.0)
    for tick in range(10):
        debouncer.add("a", 10 + tick / 10)
    assert debouncer.next_due() == 11.0
    assert debouncer.take_due(11.0) == [Change("a")]
    debouncer.add("a", 11.1)
    assert debouncer.take_due(11.39) == []
    assert debouncer.take_due(11.41) == [Change("a")]


def test_a_recursive_change_covers_what_is_below() -> None:
    debouncer = Debouncer(quiet_s=0.3, latency_s=1.0)
    for folder in ("a/b", "a", "ab", "a/b/c"):
        debouncer.add(folder, 1.0)
    debouncer.add("a", 1.0, recursive=True)
    debouncer.add("a", 1.0)
    assert debouncer.take_due(2.0) == [Change("a", recursive=True), Change("ab")]


def test_a_tree_that_is_deleted_from_its_leaves_up_is_one_report() -> None:
    debouncer = Debouncer(quiet_s=0.3, latency_s=1.0)
    for tick, folder in enumerate(("a/b/c", "a/b", "a")):
        debouncer.add(folder, 1 + tick / 10, recursive=True)
    debouncer.add("", 1.25)
    assert debouncer.take_due(1.3) == [Change("a", recursive=True)]
    assert debouncer.take_due(2.0) == [Change("")]


@given(st.lists(st.tuples(st.sampled_from(FOLDERS), st.booleans(), st.floats(0, 0.4)), max_size=40))
def test_every_report_is_covered_in_time(reports: list[tuple[str, bool, float]]) -> None:
    """Oracle: whatever is added is taken, by a change that covers it, 1 s later at most."""
    debouncer = Debouncer(quiet_s=0.3, latency_s=1.0)
    waiting: dict[tuple[str, bool], float] = {}
    now = 0.0

    def advance(until: float) -> None:
        while (due := debouncer.next_due()) is not None and due <= until:
            changes = debouncer.take_due(due)
            assert changes
            for folder, recursive in list(waiting):
                if any(_covers(change, folder, recursive) for change in changes):
                    assert waiting.pop((folder, recursive)) + 1.0 >= due - 1e-9

    for folder, recursive, pause_s in reports:
        now += pause_s
        advance(now)
        debouncer.add(folder, now, recursive=recursive)
        waiting.setdefault((folder, recursive), now)
    advance(now + 2)
    assert not waiting
    assert debouncer.next_due() is None


def _covers(change: Change, folder: str, recursive: bool) -> bool:
    if change.recursive and (not change.folder or f"{folder}/".startswith(f"{change.folder}/")):
        return True
    return change.folder == folder and not recursive
