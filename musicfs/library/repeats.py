"""Numbers that occur more than once among very many, in memory that does not grow with them.

They are dealt into partitions by their hash, which go to a temporary file whenever they have become many; then each
partition is small enough to be counted.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import IO

_PARTITIONS = 256
_SHIFT = 64 - 8  # a key's first bits say which
_HELD_PAIRS = 1 << 20  # 16 MB
_MIX = 0x9E37_79B9_7F4A_7C15  # 2^64 / the golden ratio: spreads keys that are not hashes themselves (Knuth, TAOCP 6.4)
_MASK = (1 << 64) - 1


class Repeats:
    """Pairs of a key and a value, both of 64 bits; finds the values of the keys that come more than once.

    Ten million pairs take some 20 MB of memory and 160 MB of disk in ``folder``, which :meth:`close` gives back; a million
    never touch the disk.
    """

    def __init__(self, folder: str, held_pairs: int = _HELD_PAIRS) -> None:
        self._folder = folder
        self._held_pairs = held_pairs
        self._held = 0
        self._parts = [array("Q") for _ in range(_PARTITIONS)]
        self._file: IO[bytes] | None = None
        self._stretches: list[list[tuple[int, int]]] = [[] for _ in range(_PARTITIONS)]  # (start, bytes) in the file

    def close(self) -> None:
        """Give memory and disk back; idempotent."""
        self._parts = [array("Q") for _ in range(_PARTITIONS)]
        self._stretches = [[] for _ in range(_PARTITIONS)]
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def add(self, key: int, value: int) -> None:
        """Note a pair. OSError when the disk is full."""
        self._parts[(key * _MIX & _MASK) >> _SHIFT].extend((key, value))
        self._held += 1
        if self._held > self._held_pairs:
            self._spill()

    def groups(self) -> Iterator[list[int] | None]:
        """The values of each key that has several, in the order in which they came; None between partitions."""
        for number in range(_PARTITIONS):
            yield from _repeated(self._partition(number))
            yield None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # close() closes it
        end = self._file.seek(0, 2)
        for number, part in enumerate(self._parts):
            if part:
                size_bytes = self._file.write(part.tobytes())
                self._stretches[number].append((end, size_bytes))
                end += size_bytes
                self._parts[number] = array("Q")
        self._file.flush()  # a full disk shows here
        self._held = 0

    def _partition(self, number: int) -> array[int]:
        pairs = array("Q")
        if self._file is not None:
            for start, size_bytes in self._stretches[number]:
                self._file.seek(start)
                pairs.frombytes(self._file.read(size_bytes))
        pairs.extend(self._parts[number])
        return pairs


def _repeated(pairs: array[int]) -> Iterator[list[int]]:
    keys = pairs[0::2]
    groups: dict[int, list[int]] = {key: [] for key, count in Counter(keys).items() if count > 1}
    if not groups:
        return
    for key, value in zip(keys, pairs[1::2], strict=True):
        if key in groups:
            groups[key].append(value)
    yield from groups.values()
