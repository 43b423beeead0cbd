"""How many requests of each kind the kernel has sent, how long they took, how many failed: lists of numbers, made once.

A handler takes some ten microseconds, so what is noted of it is a few additions to list items, and no bucket is searched
for: the bounds of the histogram are powers of two of a nanosecond, and a number's bit length says between which it lies.

Threads: noted by handlers, which hold llfuse's lock and so are one at a time; :meth:`FuseCounts.snapshot` is for any thread.
"""

from __future__ import annotations

import msgspec

# In the order in which they are counted. Requests to change something are refused, and not counted.
FUSE_OPERATIONS = (
    "lookup", "getattr", "opendir", "readdir", "releasedir", "open", "read", "release", "statfs", "getxattr", "listxattr",
    "readlink",
)  # fmt: skip
_STATFS = FUSE_OPERATIONS.index("statfs")
UNCOUNTED = len(FUSE_OPERATIONS)  # a row that nobody looks at, for what is counted elsewhere

FIRST_BOUND_BITS = 12  # 4.096 us: less cannot be told from the cost of telling it
FUSE_BUCKETS = 24  # the last one holds what took longer than 2 ** 34 ns, 17 s
# Upper bounds in seconds of all buckets but the last.
FUSE_BOUNDS_S = tuple((1 << (FIRST_BOUND_BITS + number)) / 1e9 for number in range(FUSE_BUCKETS - 1))
_SLOTS = 64 - FIRST_BOUND_BITS  # of a row: every time that fits into 64 bits has its own, so that none is compared


class FuseOperation(msgspec.Struct, frozen=True):
    """What was seen of one kind of request. ``buckets`` counts each one once, by FUSE_BOUNDS_S and one for the rest."""

    buckets: tuple[int, ...]
    total_ns: int
    errors: int  # answered with EIO

    @property
    def calls(self) -> int:
        """How many there were."""
        return sum(self.buckets)


class FuseCounts:
    """Counts from the start of the mount on.

    ``slots`` and ``total_ns`` have a row for each of FUSE_OPERATIONS and that of UNCOUNTED; a request that took ``ns`` is
    one more in slot ``(ns >> FIRST_BOUND_BITS).bit_length()``.
    """

    __slots__ = ("errors", "read_bytes", "slots", "total_ns")

    def __init__(self) -> None:
        rows = len(FUSE_OPERATIONS) + 1
        self.slots = [[0] * _SLOTS for _ in range(rows)]
        self.total_ns = [0] * rows
        self.errors = [0] * rows
        self.read_bytes = 0

    def note(self, operation: int, took_ns: int) -> None:
        """Count one request. Handlers do this themselves: the call would cost as much as the counting."""
        self.slots[operation][(took_ns >> FIRST_BOUND_BITS).bit_length()] += 1
        self.total_ns[operation] += took_ns

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(map(sum, self.slots[:UNCOUNTED]))

    @property
    def activity(self) -> int:
        """All requests but those by which monitors look at free space every few seconds: who uses the mount makes others."""
        return self.requests - sum(self.slots[_STATFS])

    def snapshot(self) -> tuple[FuseOperation, ...]:
        """The counts as they are now, one for each of FUSE_OPERATIONS."""
        last = FUSE_BUCKETS - 1
        rows = zip(self.slots[:UNCOUNTED], self.total_ns, self.errors, strict=False)
        return tuple(
            FuseOperation((*slots[:last], sum(slots[last:])), total_ns, errors) for slots, total_ns, errors in rows
        )
