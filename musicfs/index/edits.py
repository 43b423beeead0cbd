"""How far one word is from another, as far as a fuzzy search must know."""

from __future__ import annotations


def is_within(first: str, second: str, distance: int) -> bool:
    """Whether so many edits make one word of the other: a letter inserted, removed or replaced, or two neighbours swapped.

    The optimal string alignment distance: no letter is edited twice. Full-text indexes count the same way.
    """
    if abs(len(first) - len(second)) > distance:
        return False
    if distance == 0 or first == second:
        return first == second
    earlier: list[int] = []
    above: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first):
        earlier, above, row = above, row, [i + 1]
        for j, other in enumerate(second):
            cost = min(above[j + 1] + 1, row[j] + 1, above[j] + (letter != other))
            if i and j and letter == second[j - 1] and first[i - 1] == other:
                cost = min(cost, earlier[j - 1] + 1)
            row.append(cost)
        if min(row) > distance and min(above) > distance:
            return False
    return row[-1] <= distance


def allowed_edits(word: str, distance: int) -> int:
    """A word must keep a letter of its own."""
    return min(distance, len(word) - 1)
