"""What a remote file costs: requests and bytes, by the real parsers on real files of every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.formats import HeadTail, NeedRange, read
from musicfs.library.ranges import BLOCK_BYTES, BUDGET_BYTES, plan_first, plan_more
from musicfs.model import Facts
from musicfs.testing.audio import KINDS, make_audio, run_ffmpeg
from musicfs.testing.images import make_jpeg, make_png
from tests.formats.reading import read_bytes

TAGS = {"title": "T", "artist": ("A", "B"), "album": "X", "lyrics": "la la\n" * 500}


def read_by_plan(name: str, data: bytes) -> tuple[Facts, list[tuple[int, int]]]:
    """The facts, and the ranges it took."""
    source = HeadTail(len(data))
    wanted, fetched, last_stop = plan_first(name, len(data)), list[tuple[int, int]](), 0
    while True:
        for start, stop in wanted:
            source.add(start, data[start:stop])
            fetched.append((start, stop))
        try:
            return read(source, name), fetched
        except NeedRange as need:
            wanted = [plan_more(need, sum(stop - start for start, stop in fetched), last_stop)]
            last_stop = wanted[0][1]
            assert len(fetched) < 24


def cost(fetched: list[tuple[int, int]]) -> tuple[int, int]:
    return len(fetched), sum(stop - start for start, stop in fetched)


@pytest.mark.parametrize("picture_bytes", [0, 60_000, 200_000, 1_000_000])
@pytest.mark.parametrize("kind", KINDS)
def test_every_format_costs_three_requests_at_most(tmp_path: Path, kind: str, picture_bytes: int) -> None:
    path = tmp_path / f"x.{KINDS[kind].suffix}"
    picture = make_jpeg("navy") + bytes(picture_bytes) if picture_bytes else None
    make_audio(path, kind, seconds=20, tags=TAGS, picture=picture)
    data = path.read_bytes()
    facts, fetched = read_by_plan(path.name, data)
    assert facts == read_bytes(data, path.name)
    assert facts.tags["title"] == ("T",) and len(facts.pictures) == bool(picture)
    requests, size_bytes = cost(fetched)
    if kind == "aac" and picture_bytes > BLOCK_BYTES:  # the frames' rates are averaged over 64 KiB behind the picture
        assert (requests, size_bytes) <= (4, BUDGET_BYTES + 64 * 1024)
        return
    assert requests <= (3 if picture_bytes > BLOCK_BYTES // 2 else 2)
    assert size_bytes <= BUDGET_BYTES


def test_two_pictures_before_and_behind_the_comments_of_a_flac(tmp_path: Path) -> None:
    from mutagen import flac

    path = make_audio(tmp_path / "x.flac", seconds=20, tags=TAGS, picture=make_jpeg("navy") + bytes(300_000))
    file = flac.FLAC(path)
    second = flac.Picture()
    second.type, second.mime, second.data = 4, "image/png", make_png(1) + bytes(300_000)
    file.add_picture(second)
    file.save()
    facts, fetched = read_by_plan("x.flac", path.read_bytes())
    assert len(facts.pictures) == 2
    assert cost(fetched)[0] <= 4


def test_m4a_with_its_index_in_front(tmp_path: Path) -> None:
    source = make_audio(tmp_path / "x.m4a", seconds=60, tags=TAGS, picture=make_jpeg("navy"))
    path = tmp_path / "fast.m4a"
    run_ffmpeg(["-i", str(source), "-map", "0:a", "-c", "copy", "-movflags", "+faststart", "-f", "ipod", str(path)])
    data = path.read_bytes()
    assert data.index(b"moov") < BLOCK_BYTES < data.index(b"mdat") + len(data) // 2
    facts, fetched = read_by_plan(path.name, data)
    assert facts.tags["title"] == ("T",)
    assert cost(fetched) == (1, BLOCK_BYTES)


@given(
    st.sampled_from(["a.mp3", "a.flac", "a.ogg", "a.m4a", "a.WAV", "mp3", "a.x"]),
    st.integers(0, 20) | st.integers(0, 1 << 40),
)
def test_the_first_ranges_are_the_head_and_a_tail_of_whole_blocks(name: str, size: int) -> None:
    ranges = plan_first(name, size)
    assert bool(ranges) == (size > 0)
    if not ranges:
        return
    assert ranges[0][0] == 0 and ranges[0][1] >= min(size, BLOCK_BYTES)
    assert sum(stop - start for start, stop in ranges) <= BUDGET_BYTES
    for start, stop in ranges:
        assert start % BLOCK_BYTES == 0 and start < stop and (stop == size or stop % BLOCK_BYTES == 0)
    if len(ranges) > 1:
        assert ranges[1][0] > ranges[0][1] and ranges[1][1] == size


@given(st.data())
def test_a_further_range_holds_what_is_needed_and_no_more_than_is_missing(data: st.DataObject) -> None:
    limit = data.draw(st.integers(1, 1 << 24))
    stop = data.draw(st.integers(1, limit))
    start = data.draw(st.integers(0, stop - 1))
    fetched = data.draw(st.integers(0, 1 << 21))
    last_stop = data.draw(st.integers(0, limit))
    first, last = plan_more(NeedRange(start, stop, limit), fetched, last_stop)
    assert 0 <= first <= start and stop <= last <= limit
    if stop - start <= BUDGET_BYTES - fetched:
        assert fetched + last - first <= max(BUDGET_BYTES, fetched + stop - start)
