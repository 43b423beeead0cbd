"""Bytes at any place beside what was adopted, and the list of what is to be compared."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.store.chunks_schema import BLOCK_BYTES, Adopted, Reuse
from tests.store.chunk_world import World, assert_right, content_of, noise

SIZE = 5 * BLOCK_BYTES + 777


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    recut=st.booleans(),
    parts=st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 300_000)), max_size=6),
    numbers=st.sets(st.integers(0, 5)),
    header=st.integers(0, 200_000),
)
def test_parts_adopted_ranges_and_blocks_make_one_content(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    recut: bool,
    parts: list[tuple[int, int]],
    numbers: set[int],
    header: int,
) -> None:
    world = World(tmp_path_factory.mktemp("parts") / "chunks")
    try:
        old = noise(seed, SIZE)
        new = noise(seed + 1, header) + old[BLOCK_BYTES:]
        before, after = content_of(old), content_of(new)
        world.put_recut(before, old) if recut else world.put(before, old)
        chosen = random.Random(seed).sample([0, 1, 2], 3)
        for step in chosen:
            if step == 0:
                world.keep.adopt(after, [Reuse(header, len(new), before.key, BLOCK_BYTES)])
            elif step == 1:
                world.keep.put_parts(
                    after, [(start, new[start : start + size]) for start, size in parts if start <= len(new)]
                )
            elif numbers & set(range(-(-len(new) // BLOCK_BYTES))):
                world.put(after, new, *(number for number in sorted(numbers) if number * BLOCK_BYTES < len(new)))
            found, missing = world.read(after)
            assert_right(found, missing, new)
            world.check()
        assert all(stop <= header for _, stop in missing)
        world.keep.put_parts(after, [(start, new[start:stop]) for start, stop in missing])
        assert world.read(after) == (new, [])
        assert world.store.coverage(after).complete
        world.check()
    finally:
        world.close()


def test_parts_beyond_the_end_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "chunks")
    content = content_of(b"x" * 1000)
    with pytest.raises(ValueError, match="no 2 bytes at 999"):
        world.keep.put_parts(content, [(999, b"xx")])
    assert world.read(content)[1] == [(0, 1000)]
    world.check()
    world.close()


def test_the_list_of_what_is_to_be_compared(tmp_path: Path) -> None:
    world = World(tmp_path / "chunks")
    notes = [Adopted(bytes((n,)) * 16, 10 * n, "far", b"a/\xff.flac", "v", n, ((1, 2), (5, 9))) for n in range(1, 6)]
    for note in reversed(notes):
        world.keep.note_adopted(note)
    assert world.keep.adopted() == notes
    assert world.keep.adopted(2) == notes[:2]
    world.keep.forget_adopted(notes[0].key)
    world.keep.forget_adopted(notes[0].key)
    assert world.keep.adopted() == notes[1:]
    world.check()
    world.close()
