"""What occurs more than once, compared with a dictionary; and that nothing is left behind."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.library.repeats import Repeats

U64 = st.integers(0, 2**64 - 1)
PAIRS = st.lists(st.tuples(st.one_of(st.integers(0, 20), U64), U64), max_size=60)


def found(repeats: Repeats) -> list[list[int]]:
    return sorted(group for group in repeats.groups() if group is not None)


def expected(pairs: list[tuple[int, int]]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return sorted(group for group in groups.values() if len(group) > 1)


@given(PAIRS, st.integers(1, 100))
def test_the_same_as_a_dictionary(pairs: list[tuple[int, int]], held_pairs: int) -> None:
    repeats = Repeats("/tmp", held_pairs)
    try:
        for key, value in pairs:
            repeats.add(key, value)
        assert found(repeats) == expected(pairs)
    finally:
        repeats.close()


def test_few_never_touch_the_disk_and_many_leave_nothing(tmp_path: Path) -> None:
    rnd = random.Random(1)
    pairs = [(rnd.randrange(5_000) << 40, number) for number in range(20_000)]
    repeats = Repeats(str(tmp_path / "not there"), 20_000)
    for pair in pairs:
        repeats.add(*pair)
    few = found(repeats)
    with pytest.raises(FileNotFoundError):
        repeats.add(1, 1)
    repeats.close()
    spilled = Repeats(str(tmp_path), 1_000)
    for pair in pairs:
        spilled.add(*pair)
    assert found(spilled) == few == expected(pairs)
    spilled.close()
    spilled.close()
    assert os.listdir(tmp_path) == []
