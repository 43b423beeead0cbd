"""The SMB messages' own readers, against the library's and against nonsense."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.file_info import FileIdBothDirectoryInformation

from musicfs.origins import smb_messages as messages
from musicfs.origins.smb_names import can_be_said, can_exist, split_root, to_server

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
READERS: tuple[Callable[[bytes], object], ...] = (
    messages.facts_of,
    messages.id_of,
    messages.data_of,
    messages.has_facts,
    lambda body: list(messages.names_of(body)),
)


@given(st.lists(st.tuples(NAMES, st.integers(0, 1 << 60), st.integers(0, 1 << 60)), max_size=8))
def test_names_as_the_library_writes_them(listed: list[tuple[str, int, int]]) -> None:
    buffer = b""
    for number, (name, size_bytes, file_id) in enumerate(listed):
        entry = FileIdBothDirectoryInformation()
        entry["file_name"] = name.encode("utf-16-le")
        entry["end_of_file"] = size_bytes
        entry["file_id"] = file_id
        entry["last_write_time"] = datetime(1970, 1, 1)  # noqa: DTZ001 - the library's times have no zone and are UTC
        packed = entry.pack()
        packed += bytes(-len(packed) % 8)
        buffer += struct.pack("<I", len(packed) if number < len(listed) - 1 else 0) + packed[4:]
    body = struct.pack("<HHI", 9, 72, len(buffer)) + buffer
    found = list(messages.names_of(body))
    assert [(name, facts.size_bytes, facts.file_id) for name, facts in found] == listed
    assert all(facts.entry(name).mtime_ns == 0 for name, facts in found)


@given(st.binary(max_size=300))
def test_nonsense_is_nonsense(body: bytes) -> None:
    for reader in READERS:
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            reader(body)


@given(st.text(max_size=60))
def test_what_can_exist_can_be_sent(path: str) -> None:
    if can_exist(path):
        assert to_server("", path).encode("utf-16-le").decode("utf-16-le").replace("\\", "/") == path


@pytest.mark.parametrize(
    "name", ["a:b", "a*", "a?", "a\\b", 'a"', "<", ">", "nul\0", "\udcff", "\ud800", "x" * 256, "\U0001f3b5" * 128]
)
def test_names_that_cannot_be_said(name: str) -> None:
    assert not can_be_said(name)
    assert not can_exist(name)
    assert not can_exist(f"a/{name}")


@pytest.mark.parametrize("name", ["R.E.M.", "tail ", "new\nline", "|", "x" * 255, "\U0001f3b5" * 127, "...", "日本語"])
def test_names_that_can(name: str) -> None:
    assert can_be_said(name)


def test_roots() -> None:
    assert [split_root(path) for path in ("", "/", "a", "/a/b/", "a\\b", "./a//b")] == [
        "",
        "",
        "a",
        "a\\b",
        "a\\b",
        "a\\b",
    ]
    assert to_server("", "") == ""
    assert to_server("root", "") == "root"
    assert to_server("root", "a/b") == "root\\a\\b"
    assert to_server("", "a/b") == "a\\b"
