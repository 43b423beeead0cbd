"""What a new version of a file shares with the old one, and what has to be read of it to believe so. Pure functions.

An edit of tags leaves the audio, pictures and most of the padding as they were, at other places. Which parts these may be
is told by the structure of both versions (:mod:`musicfs.formats.segments`); that they are the same is taken for shown when
their beginning, their end and probes at places that nobody could foresee are, and everything else of them that happened to
be read. That is a probability: such a change as an edit of tags is found by it, one flipped bit is not. Origins offer no
checksums of ranges (SFTP has an extension for them that OpenSSH does not have, S3 only those of the parts of an upload),
which would be a proof.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import msgspec

from musicfs.content.ranges import Range, intersect, shift, subtract, take_at, total_bytes, union, within
from musicfs.formats import AUDIO, PADDING, Segment

PROBES = 32  # of the audio
_PROBES_OF_PADDING = 4  # nobody hears or sees it
_PROBE_BYTES = 32
_EDGE_BYTES = 128  # at the beginning and the end; an ID3v1 tag, which scans look for, is as long
_ONE_PROBE_FOR_BYTES = 2048  # of a picture
_SHARED_BYTES_MIN = 2048  # what is smaller is fetched sooner than compared
_AUDIO_BYTES_MIN = 64 << 10  # of which the old version must be stored: with less there is not much to gain
_WHOLE_BYTES_MAX = 64 << 10  # around the audio, so that the new version is complete without another request

Pieces = Iterable[tuple[int, bytes]]


class Shared(msgspec.Struct, frozen=True):
    """A part of the new version that probably is a part of the old one, as far as that is stored.

    ``ranges`` and ``probes`` are the new version's, and lie ``offset`` bytes further on than in the old one.
    """

    kind: str
    offset: int
    ranges: tuple[Range, ...]
    probes: tuple[Range, ...]


class AdoptionPlan(msgspec.Struct, frozen=True):
    """What to adopt, and what to read of the new version first: probes, and little things that nothing has."""

    shared: tuple[Shared, ...]
    wanted: tuple[Range, ...]


def stored_audio_suffices(segments: Sequence[Segment], stored: Sequence[Range]) -> bool:
    """True if so much of a version's audio is stored that another one may be worth comparing with it."""
    return total_bytes(intersect(stored, _ranges(segments, AUDIO))) >= _AUDIO_BYTES_MIN


def plan_adoption(
    size: int,
    old: Sequence[Segment],
    new: Sequence[Segment],
    stored: Sequence[Range],
    held: Sequence[Range],
    choose: random.Random,
) -> AdoptionPlan | None:
    """What the new version, of ``size`` bytes, may take over from the old one; None if that is not worth the trouble.

    ``stored`` is what is there of the old version, ``held`` what has been read of the new one; ``choose`` places probes, and
    nobody should be able to foresee it.
    """
    shared = []
    for before, after in _pairs(old, new):
        offset = after.stop - before.stop
        length = min(before.size, after.size)
        ranges = shift(intersect(stored, [(before.stop - length, before.stop)]), offset)
        amount = total_bytes(ranges)
        if amount < (_AUDIO_BYTES_MIN if after.kind == AUDIO else _SHARED_BYTES_MIN):
            continue
        probes = _place_probes(ranges, _probe_count(after.kind, amount), choose)
        shared.append(Shared(after.kind, offset, tuple(ranges), tuple(probes)))
    if not any(one.kind == AUDIO for one in shared):
        return None
    probed = [probe for one in shared for probe in one.probes]
    known = [*held, *(part for one in shared for part in one.ranges), *_ranges(new, AUDIO)]
    around = subtract([(0, size)], known)
    if total_bytes(around) > _WHOLE_BYTES_MAX:
        around = []
    return AdoptionPlan(tuple(shared), tuple(subtract([*probed, *around], held)))


def confirm(plan: AdoptionPlan, pieces: Pieces, read_old: Callable[[int, int], bytes | None]) -> tuple[Shared, ...]:
    """Those shared parts that agree wherever the new version was read; none at all if the audio is not among them.

    ``pieces`` is what was read of the new version, by position; ``read_old`` gives bytes of the old one, None if they are
    not stored any more.
    """
    read = list(pieces)
    held = [(start, start + len(data)) for start, data in read]

    def agrees(one: Shared) -> bool:
        if subtract(one.probes, held):
            return False
        found = within(read, one.ranges)
        return all(read_old(start - one.offset, start - one.offset + len(data)) == bytes(data) for start, data in found)

    shared = tuple(one for one in plan.shared if agrees(one))
    return shared if any(one.kind == AUDIO for one in shared) else ()


def _ranges(segments: Sequence[Segment], kind: str) -> list[Range]:
    return [(segment.start, segment.stop) for segment in segments if segment.kind == kind]


def _pairs(old: Sequence[Segment], new: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    """Which part of the new version was which of the old one: of equal kind and size, but padding shrinks and grows."""
    left = list(old)
    pairs = []
    for after in new:
        for before in left:
            if before.kind == after.kind and (before.size == after.size or after.kind == PADDING):
                left.remove(before)
                pairs.append((before, after))
                break
    return pairs


def _probe_count(kind: str, amount: int) -> int:
    if kind == AUDIO:
        return PROBES
    return _PROBES_OF_PADDING if kind == PADDING else min(PROBES, -(-amount // _ONE_PROBE_FOR_BYTES))


def _place_probes(ranges: Sequence[Range], count: int, choose: random.Random) -> list[Range]:
    """Beginning, end, and one place in each ``count``-th part of what lies in the ranges."""
    amount = total_bytes(ranges)
    (first, first_stop), (last_start, last) = ranges[0], ranges[-1]
    probes = [(first, min(first + _EDGE_BYTES, first_stop)), (max(last - _EDGE_BYTES, last_start), last)]
    for number in range(count):
        begin, end = number * amount // count, (number + 1) * amount // count
        probes.append(take_at(ranges, choose.randrange(begin, max(end, begin + 1)), _PROBE_BYTES))
    return union(probes)
