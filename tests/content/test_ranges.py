"""Ranges against sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from musicfs.content.ranges import Range, intersect, shift, subtract, take_at, total_bytes, union, within

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def numbers(ranges: list[Range]) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


def is_tidy(ranges: list[Range]) -> bool:
    """Never empty, ascending, and with something between."""
    flat = [bound for one in ranges for bound in one]
    return flat == sorted(set(flat))


@given(RANGES, RANGES, st.integers(0, 9))
def test_what_sets_of_numbers_say(one: list[Range], other: list[Range], by: int) -> None:
    for found, expected in (
        (union(one), numbers(one)),
        (subtract(one, other), numbers(one) - numbers(other)),
        (intersect(one, other), numbers(one) & numbers(other)),
        (shift(union(one), by), {number + by for number in numbers(one)}),
    ):
        assert numbers(found) == expected
        assert is_tidy(found)
    assert total_bytes(union(one)) == len(numbers(one))


@given(RANGES, st.integers(1, 9), st.data())
def test_some_bytes_around_an_offset(ranges: list[Range], size: int, data: st.DataObject) -> None:
    tidy = union(ranges)
    places = sorted(numbers(tidy))
    if not places:
        return
    offset = data.draw(st.integers(0, len(places) - 1))
    start, stop = take_at(tidy, offset, size)
    assert start <= places[offset] < stop <= start + size
    assert numbers([(start, stop)]) <= set(places)
    around = next(one for one in tidy if one[0] <= start < one[1])
    assert stop - start == min(size, around[1] - around[0])


@given(RANGES, st.binary(max_size=40), st.integers(0, 30))
def test_parts_of_bytes(ranges: list[Range], data: bytes, start: int) -> None:
    found = {
        first + index: byte for first, part in within([(start, data)], ranges) for index, byte in enumerate(bytes(part))
    }
    assert found == {start + index: byte for index, byte in enumerate(data) if start + index in numbers(ranges)}
