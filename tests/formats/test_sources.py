"""Where bytes come from: local descriptors, and parts of remote files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicfs.errors import ChangedError, FormatError
from musicfs.formats import AUDIO_SUFFIXES, HeadTail, LocalSource, NeedRange, is_audio, probe, read
from musicfs.formats.source import View
from musicfs.testing.audio import KINDS, encoded
from tests.formats.building import id3_tag, mp3_frames, text_frame
from tests.formats.reading import CountingSource


def test_local_source_reads_any_range(folder: Path) -> None:
    data = bytes(range(256)) * 400
    path = folder / "x"
    path.write_bytes(data)
    with LocalSource.open(path) as source:
        assert source.size == len(data)
        for start, stop in (
            (0, 10),
            (50_000, 50_001),
            (50_100, 90_000),
            (len(data) - 5, len(data)),
            (0, len(data)),
            (7, 7),
        ):
            assert source.read(start, stop) == data[start:stop]
    source.close()


def test_local_source_does_not_close_what_it_was_lent(folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"12345")
    fd = os.open(path, os.O_RDONLY)
    try:
        with LocalSource(fd, 5) as source:
            assert source.read(1, 3) == b"23"
        assert os.fstat(fd).st_size == 5
    finally:
        os.close(fd)


def test_a_file_that_shrinks_is_a_changed_file(folder: Path) -> None:
    path = folder / "x.mp3"
    path.write_bytes(bytes(100))
    with LocalSource.open(path) as source:
        os.truncate(path, 10)
        with pytest.raises(ChangedError):
            source.read(0, 100)
        with pytest.raises(ChangedError):
            read(source, "x.mp3")


@given(st.data())
def test_head_tail_gives_what_it_has_and_asks_for_the_rest(data: st.DataObject) -> None:
    content = bytes(range(250)) * 40
    head = data.draw(st.integers(0, len(content)))
    tail = data.draw(st.integers(head, len(content)))
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    source = HeadTail(len(content), content[:head], content[tail:])
    try:
        assert source.read(start, stop) == content[start:stop]
    except NeedRange as need:
        assert stop > head
        assert start < tail
        assert need.start == max(start, head)
        assert need.stop == min(stop, tail)
        assert need.limit == tail
        source.add(need.start, content[need.start : need.stop])
        assert source.read(start, stop) == content[start:stop]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=8), st.integers(0, 99), st.integers(0, 99))
def test_pieces_that_touch_or_overlap_are_one(pieces: list[tuple[int, int]], start: int, stop: int) -> None:
    content = bytes(range(100))
    source = HeadTail(len(content))
    for one, other in pieces:
        first, last = min(one, other), max(one, other)
        source.add(first, content[first:last])
    held = {at for one, other in pieces for at in range(min(one, other), max(one, other))}
    start, stop = min(start, stop), max(start, stop)
    missing = [at for at in range(start, stop) if at not in held]
    if not missing:
        assert source.read(start, stop) == content[start:stop]
        return
    with pytest.raises(NeedRange) as raised:
        source.read(start, stop)
    need = raised.value
    assert need.start == missing[0] and need.stop <= min(stop, need.limit)
    assert not held.intersection(range(need.start, need.limit))
    assert need.limit == len(content) or need.limit in held


def test_a_view_refuses_ranges_outside_the_file_and_reading_without_end() -> None:
    view = View(CountingSource(bytes(1000)))
    for start, stop in ((0, 1001), (-1, 5), (5, 4), (2000, 3000)):
        with pytest.raises(FormatError):
            view.read(start, stop)
    assert view.read_some(990, 2000) == bytes(10)
    assert view.read_some(-5, 5) == bytes(5)
    assert view.read_some(2000, 3000) == b""
    with pytest.raises(FormatError, match="too much"):
        for _ in range(200_000):
            view.read(0, 1)


def test_errors_of_a_source_pass_through() -> None:
    class Broken:
        size = 1000

        def read(self, start: int, stop: int) -> bytes:
            raise OSError(5, "the disk")

    with pytest.raises(OSError, match="the disk"):
        read(Broken(), "x.flac")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.FLAC", True),
        ("a.m4b", True),
        ("flac", False),
        ("a.lrc", False),
        ("a.jpg", False),
        ("a.mp4", False),
        ("", False),
    ],
)
def test_which_names_are_audio(name: str, expected: bool) -> None:
    assert is_audio(name) is expected
    assert all(kind.suffix in AUDIO_SUFFIXES for kind in KINDS.values())


@pytest.mark.parametrize("kind", ["flac", "ogg", "wav", "aiff", "aac", "mp3"])
def test_probe_looks_behind_id3(kind: str) -> None:
    data = id3_tag(text_frame("TIT2", "t"), padding=500) + encoded(kind, seconds=0.2)
    assert probe(data, "") == probe(encoded(kind, seconds=0.2))
    assert read(CountingSource(data), "x").layout.audio_start >= 510


def test_the_name_decides_when_the_head_does_not_reach() -> None:
    head = id3_tag(text_frame("TIT2", "t"), padding=100_000)[:65536]
    assert probe(head, "x.aac") == "adts"
    assert probe(head, "x.mp3") == probe(head, "x") == "mp3"
    assert probe(head, "x.flac") == "flac"


def test_flac_behind_a_large_id3_tag() -> None:
    data = id3_tag(text_frame("TIT2", "t"), padding=100_000) + encoded("flac", seconds=0.2)
    facts = read(CountingSource(data), "x.flac")
    assert facts.format == "flac"
    assert facts.layout.audio_start > 100_000


def test_probe_of_nothing_known() -> None:
    for data in (b"", b"text", bytes(5000), b"%PDF-1.4", b"\x89PNG\r\n\x1a\n" + bytes(100)):
        assert probe(data, "x.flac") is None
        with pytest.raises(FormatError):
            read(CountingSource(data), "x.flac")
    assert probe(bytes(200) + mp3_frames(), "") == "mp3"
