"""Which ranges of a remote file to fetch for its tags: pure arithmetic, no I/O.

A request costs a round trip, and a byte the user's line: so whatever the container surely needs is asked for at once, and
what it turns out to need is rounded up to the blocks in which content is kept, as long as that stays within the budget.
"""

from __future__ import annotations

from musicfs.formats import HEAD_BYTES, NeedRange

BLOCK_BYTES = 128 * 1024  # what the content store keeps of a remote file; the head of a scan is the first one
BUDGET_BYTES = 320_000  # of one file, where its tags allow
REQUESTS_MAX = 24  # a file whose tags lie in more places than this is crafted, or damaged
# Two requests for a file of one block and a half would be one too many.
_WHOLE_BYTES = 192 * 1024
_READ_AHEAD_BYTES = 64 * 1024
_READ_AHEAD_BYTES_MIN = 4096
_STRIDE_BYTES_MAX = 4 << 20
_STEP_BYTES = 64  # from one thing to the next, in a file that is read frugally

# What lies at the end whatever the head says. MP4, WAV and AIFF say themselves where their tags are.
_TAIL_BYTES = {
    "mp3": 4096,  # ID3v1, lyrics, an APEv2 tag without picture
    "ogg": 16384,  # the last page
    "oga": 16384,
    "opus": 16384,
    "flac": 128,  # ID3v1, which some programs write
    "aac": 2048,  # ID3v1, and the end of the audio before it
    "adts": 2048,
}

Range = tuple[int, int]

assert BLOCK_BYTES >= HEAD_BYTES


def plan_first(name: str, size: int) -> list[Range]:
    """What to ask for before anything is known of a file of this name and size: one or two ranges, the first at 0."""
    tail_bytes = _TAIL_BYTES.get(name.rpartition(".")[2].lower(), 0)
    tail_start = max(0, size - tail_bytes) // BLOCK_BYTES * BLOCK_BYTES
    if size <= _WHOLE_BYTES or (tail_bytes and tail_start <= BLOCK_BYTES):
        return [(0, size)] if size else []
    return [(0, BLOCK_BYTES), (tail_start, size)] if tail_bytes else [(0, BLOCK_BYTES)]


def plan_first_changed(name: str, size: int, head_bytes: int) -> list[Range]:
    """As :func:`plan_first`, but little, for a file of which an older version is stored: most of it need not be fetched."""
    tail_start = size - _TAIL_BYTES.get(name.rpartition(".")[2].lower(), 0)
    if size <= head_bytes or tail_start <= head_bytes:
        return [(0, size)] if size else []
    return [(0, head_bytes), (tail_start, size)] if tail_start < size else [(0, head_bytes)]


def plan_more_changed(need: NeedRange, fetched_bytes: int, last_stop: int) -> Range:
    """As :func:`plan_more` for such a file: what is needed, and as much again where a parser walks on."""
    walks = 0 <= need.start - last_stop < _STEP_BYTES
    ahead_bytes = min(fetched_bytes, _READ_AHEAD_BYTES) if walks else _STEP_BYTES
    return need.start, max(need.stop, min(need.limit, need.start + ahead_bytes))


def plan_more(need: NeedRange, fetched_bytes: int, last_stop: int) -> Range:
    """What to ask for when the parser lacks something, after ``fetched_bytes``: whole blocks if the budget has room.

    A parser that goes on about where the last range ended, at ``last_stop``, is walking through something large: it gets as
    much again as it had, so that the requests are few however long the walk.
    """
    room = BUDGET_BYTES - fetched_bytes
    start = need.start // BLOCK_BYTES * BLOCK_BYTES
    stop = min(need.limit, -(-need.stop // BLOCK_BYTES) * BLOCK_BYTES)
    generous, all_that_is_missing, least = (
        (start, min(need.limit, stop + BLOCK_BYTES)),
        (need.start, need.limit),
        (start, stop),
    )
    for wanted in (generous, all_that_is_missing, least):
        if wanted[1] - wanted[0] <= room:
            return wanted
    ahead_bytes = min(room, _READ_AHEAD_BYTES)
    if room <= 0 and 0 <= need.start - last_stop < BLOCK_BYTES:
        ahead_bytes = min(fetched_bytes, _STRIDE_BYTES_MAX)
    return need.start, max(need.stop, min(need.limit, need.start + max(ahead_bytes, _READ_AHEAD_BYTES_MIN)))
