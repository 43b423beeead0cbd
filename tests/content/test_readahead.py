"""Read-ahead grows with a reader that goes straight on, and stops with one that jumps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from musicfs.content.readahead import ReadAhead

READ = 128 * 1024


def test_the_window_grows_up_to_its_largest() -> None:
    ahead = ReadAhead(100 << 20)
    windows = []
    for start in range(0, 64 << 20, READ):
        asked = ahead.note(start, start + READ)
        if asked is not None:
            windows.append(asked[1] - (start + READ))
    assert windows[0] == 256 * 1024
    assert windows == sorted(windows)
    assert windows[-1] == 8 << 20


def test_what_is_asked_for_is_the_whole_without_gaps() -> None:
    size = 10_000_000
    ahead = ReadAhead(size)
    reach = 0
    for start in range(0, size, READ):
        asked = ahead.note(start, min(start + READ, size))
        if asked is not None:
            assert asked[0] <= max(reach, start + READ)
            reach = asked[1]
    assert reach == size


def test_looking_at_a_head_asks_for_nothing() -> None:
    ahead = ReadAhead(10 << 20)
    assert [ahead.note(start, start + 16_384) for start in range(0, 65_536, 16_384)] == [None] * 4


def test_a_jump_ends_it() -> None:
    ahead = ReadAhead(100 << 20)
    for start in range(0, 4 << 20, READ):
        ahead.note(start, start + READ)
    assert ahead.note(50 << 20, (50 << 20) + READ) is None
    assert ahead.note(20 << 20, (20 << 20) + 4096) is None


def test_requests_that_overtake_each_other_are_straight_on() -> None:
    ahead = ReadAhead(100 << 20)
    order = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]
    asked = [ahead.note(number * READ, (number + 1) * READ) for number in order]
    assert any(asked)


@given(st.integers(0, 1 << 24), st.lists(st.tuples(st.integers(0, 1 << 24), st.integers(1, 1 << 18))))
def test_nothing_beyond_the_end_is_ever_asked_for(size: int, reads: list[tuple[int, int]]) -> None:
    ahead = ReadAhead(size)
    for start, count in reads:
        asked = ahead.note(min(start, size), min(start + count, size))
        assert asked is None or 0 <= asked[0] < asked[1] <= size
