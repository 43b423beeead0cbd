"""What a new version takes over from an old one: with what is fetched it is the new file, byte for byte, or nothing."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.content.delta import PROBES, AdoptionPlan, confirm, plan_adoption
from musicfs.content.ranges import Range, subtract, total_bytes, union
from musicfs.formats import AUDIO, PADDING, Segment

BLOCK = 16 << 10


class Built(msgspec.Struct):
    """A file and its parts."""

    data: bytes
    segments: list[Segment]


def build(*parts: tuple[str, bytes]) -> Built:
    """A file of these parts; those without a kind are what changes: tags."""
    data, segments = b"", []
    for kind, part in parts:
        if kind and part:
            segments.append(Segment(kind, len(data), len(data) + len(part)))
        data += part
    return Built(data, segments)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def plan(old: Built, new: Built, stored: list[Range], held: list[Range]) -> AdoptionPlan | None:
    return plan_adoption(len(new.data), old.segments, new.segments, stored, held, random.Random(5))


def adopt(
    old: Built, new: Built, stored: list[Range], held: list[Range]
) -> tuple[bytes, list[Range], AdoptionPlan | None]:
    """(what the new content then holds, zeros elsewhere; where it does; the plan), after what is wanted was fetched."""
    planned = plan(old, new, stored, held)
    read = union([*held, *(planned.wanted if planned is not None else ())])
    pieces = [(start, new.data[start:stop]) for start, stop in read]

    def read_old(start: int, stop: int) -> bytes | None:
        return None if subtract([(start, stop)], stored) else old.data[start:stop]

    shared = confirm(planned, pieces, read_old) if planned is not None else ()
    found = bytearray(len(new.data))
    for start, part in pieces:
        found[start : start + len(part)] = part
    known = list(read)
    for one in shared:
        for start, stop in one.ranges:
            found[start:stop] = old.data[start - one.offset : stop - one.offset]
            known.append((start, stop))
    return bytes(found), union(known), planned


sizes = st.integers(0, 40_000)
blocks = st.sets(st.integers(0, 40))


@settings(max_examples=200, deadline=None)
@given(
    sizes, sizes, sizes, sizes, st.integers(0, 300), st.integers(0, 300), st.booleans(), blocks, st.integers(1, 20_000)
)
def test_adopted_and_fetched_make_the_new_file(
    old_tags: int,
    new_tags: int,
    old_padding: int,
    new_padding: int,
    old_end: int,
    new_end: int,
    same_picture: bool,
    absent: set[int],
    head: int,
) -> None:
    audio, picture = noise(1, 400_000), noise(2, 30_000)
    old = build(
        ("", noise(3, old_tags)),
        ("picture", picture),
        (PADDING, bytes(old_padding)),
        (AUDIO, audio),
        ("", noise(4, old_end)),
    )
    new_picture = picture if same_picture else noise(5, 30_000)
    new = build(
        ("", noise(6, new_tags)),
        ("picture", new_picture),
        (PADDING, bytes(new_padding)),
        (AUDIO, audio),
        ("", noise(7, new_end)),
    )
    stored = subtract([(0, len(old.data))], [(number * BLOCK, (number + 1) * BLOCK) for number in absent])
    held = [(0, min(head, len(new.data)))]
    found, known, planned = adopt(old, new, stored, held)
    fetched = subtract([(0, len(new.data))], known)
    whole = bytearray(found)
    for start, stop in fetched:
        whole[start:stop] = new.data[start:stop]
    assert whole == new.data
    if planned is not None:
        assert total_bytes(planned.wanted) < 64 * 1024 + 10_000
        assert not set(planned.wanted) & set(held)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 400_000 - 1), st.integers(0, 1000))
def test_other_audio_of_the_same_size_is_not_adopted(first: int, header: int) -> None:
    """From some byte on it is other audio: enough of it for one of 32 probes and two ends to meet it."""
    audio = noise(1, 400_000)
    changed = audio[:first] + noise(2, 400_000 - first)
    old, new = build(("", b"old"), (AUDIO, audio)), build(("", noise(3, header)), (AUDIO, changed))
    found, known, _ = adopt(old, new, [(0, len(old.data))], [])
    expected = bytearray(len(new.data))
    for start, stop in known:
        expected[start:stop] = new.data[start:stop]
    assert found == expected
    assert total_bytes(known) < 10_000


def test_everything_that_was_read_counts_and_not_only_probes() -> None:
    audio = noise(1, 400_000)
    changed = bytearray(audio)
    changed[123_456] ^= 1
    old, new = build((AUDIO, audio)), build((AUDIO, bytes(changed)))
    _, known, _ = adopt(old, new, [(0, 400_000)], [(120_000, 130_000)])
    assert total_bytes(known) < 20_000


def test_a_picture_that_was_replaced_is_fetched_and_the_audio_is_not() -> None:
    audio = noise(1, 400_000)
    old = build(("", b"tags"), ("picture", noise(2, 50_000)), (AUDIO, audio))
    new = build(("", b"other tags"), ("picture", noise(3, 50_000)), (AUDIO, audio))
    _, known, _ = adopt(old, new, [(0, len(old.data))], [(0, 10)])
    audio_start = new.segments[1].start
    assert not subtract([(audio_start, len(new.data))], known)
    assert total_bytes(subtract([(10, audio_start)], known)) > 45_000


def test_where_it_is_not_worth_the_trouble() -> None:
    audio = noise(1, 400_000)
    old = build(("", b"tags"), (AUDIO, audio))
    longer = build(("", b"tags"), (AUDIO, audio + b"x"))
    assert plan(old, longer, [(0, len(old.data))], []) is None, "audio of another size"
    assert plan(old, old, [(0, 60_000)], []) is None, "hardly anything is stored"
    assert plan(old, build(("", audio)), [(0, len(old.data))], []) is None, "no audio was found"


def test_places_are_where_the_old_audio_is_stored_and_beginning_and_end_are_among_them() -> None:
    audio = noise(1, 1 << 20)
    old, new = build(("", b"tags"), (AUDIO, audio)), build(("", b"new tags"), (AUDIO, audio))
    stored = [(100_000, 300_000), (700_000, 900_000)]
    planned = plan(old, new, stored, [])
    assert planned is not None
    (one,) = planned.shared
    assert one.ranges == ((100_004, 300_004), (700_004, 900_004))
    assert not subtract(one.probes, one.ranges)
    assert one.probes[0][0] == 100_004
    assert one.probes[-1][1] == 900_004
    assert len(one.probes) >= PROBES - 2  # some may touch


def test_stored_bytes_that_went_meanwhile_are_no_agreement() -> None:
    old = build((AUDIO, noise(1, 400_000)))
    planned = plan(old, old, [(0, 400_000)], [])
    assert planned is not None
    pieces = [(start, old.data[start:stop]) for start, stop in planned.wanted]
    assert confirm(planned, pieces, lambda start, stop: old.data[start:stop])
    assert not confirm(planned, pieces, lambda start, stop: None)
    assert not confirm(planned, pieces[:-1], lambda start, stop: old.data[start:stop]), "a probe was not read"
