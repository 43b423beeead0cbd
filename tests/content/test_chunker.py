"""Chunks join to the data, keep to their sizes, and follow the content when it is shifted."""

from __future__ import annotations

import importlib.machinery
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.content.chunker import MAX_BYTES, MIN_BYTES, Chunker
from musicfs.errors import MusicFSError


def chunks(data: bytes, window: int) -> Iterator[bytes]:
    """All chunks, cut from windows of that size."""
    cut = Chunker()
    start = 0
    while start < len(data):
        part = data[start : start + window]
        begin = 0
        for stop in cut(part, start + len(part) == len(data)):
            yield part[begin:stop]
            begin = stop
        assert begin, "no progress"
        start += begin


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 2_000_000), st.integers(MAX_BYTES, 1_000_000), st.booleans())
def test_windows_do_not_show(seed: int, size: int, window: int, uniform: bool) -> None:
    data = bytes(size) if uniform else random.Random(seed).randbytes(size)
    whole = list(chunks(data, size))
    assert b"".join(whole) == data
    assert all(MIN_BYTES <= len(chunk) <= MAX_BYTES for chunk in whole[:-1]) and len(whole[-1]) <= MAX_BYTES
    assert list(chunks(data, window)) == whole


def test_a_short_window_waits_for_more() -> None:
    cut = Chunker()
    assert cut(bytes(10_000), False) == []
    assert cut(bytes(10_000), True) == [10_000]
    assert cut(bytes(MAX_BYTES), False) == [MAX_BYTES]
    assert cut(bytearray(b""), True) == []


def test_the_average_is_what_it_should_be() -> None:
    data = random.Random(1).randbytes(32 << 20)
    assert 50_000 < len(data) / len(list(chunks(data, 8 << 20))) < 80_000


@pytest.mark.parametrize("shift", [1, 4_096, 100_001])
def test_shifted_content_has_the_same_chunks(shift: int) -> None:
    data = random.Random(2).randbytes(8 << 20)
    before = set(chunks(data, 1 << 20))
    after = list(chunks(random.Random(3).randbytes(shift) + data, 1 << 20))
    assert sum(chunk in before for chunk in after) > 0.9 * len(before)


def test_pure_python_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.machinery.PathFinder.find_spec

    def without(name: str, *rest: object) -> object:
        return None if name.endswith("fastcdc_cy") else find(name, *rest)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", without)
    with pytest.raises(MusicFSError, match="no compiled module") as caught:
        Chunker()
    assert "wheel" in caught.value.remedy
    assert not capsys.readouterr().out
