"""Plans: what a listing changes, as values."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.library.classify import is_audio_name, is_disc_folder, parent_of
from musicfs.library.plan import digest, exceeds_guard, file_name, fingerprint, identity, plan_folder
from musicfs.model import Entry
from musicfs.origins.contract import Folder

PURE = settings(max_examples=200, deadline=None, derandomize=True, database=None)

numbers = st.integers(0, 3)
entries = st.builds(
    Entry,
    st.sampled_from(("a/1.flac", "a/2.flac", "a/3.flac", "a/\udcff.mp3")),
    numbers,
    numbers,
    st.sampled_from(("", "v1", "v2")),
    st.sampled_from((0, 7, (1 << 64) - 1)),
    numbers,
)
listings = st.lists(entries, unique_by=lambda entry: entry.path, max_size=4).map(
    lambda found: tuple(sorted(found, key=file_name))
)


@PURE
@given(listings, listings, st.booleans())
def test_a_plan_turns_what_is_known_into_what_is_listed(
    before: tuple[Entry, ...], after: tuple[Entry, ...], complete: bool
) -> None:
    known = {file_name(entry): (number, fingerprint(entry)) for number, entry in enumerate(before, start=1)}
    plan = plan_folder(Folder("a", after, complete=complete), known)
    result = dict(known)
    for name, entry, object_id in plan.read:
        assert object_id == known.get(name, (0, 0))[0]
        assert entry not in before
        result[name] = (object_id, fingerprint(entry))
    for name, object_id in plan.gone:
        assert complete and known[name][0] == object_id
        del result[name]
    listed = {file_name(entry): fingerprint(entry) for entry in after}
    if complete:
        assert {name: seen for name, (_, seen) in result.items()} == listed
    else:
        assert listed.items() <= {name: seen for name, (_, seen) in result.items()}.items()
        assert known.keys() <= result.keys()


@PURE
@given(listings, listings)
def test_digests_are_equal_for_equal_listings_only(one: tuple[Entry, ...], other: tuple[Entry, ...]) -> None:
    assert (digest(Folder("a", one)) == digest(Folder("a", other))) is (one == other)
    assert len(digest(Folder("a", one))) == 16


@pytest.mark.parametrize(
    "change", [{"size": 9}, {"mtime_ns": 9}, {"version": "w"}, {"inode": 9}, {"ctime_ns": 9}], ids=str
)
def test_fingerprints_see_every_hint(change: dict[str, int | str]) -> None:
    entry = Entry("a", 1, 2, "v", 3, 4)
    assert fingerprint(msgspec.structs.replace(entry, **change)) != fingerprint(entry)


def test_identity_survives_a_rename() -> None:
    entry = Entry("a", 1, 2, "v", 3, 4)
    assert identity(entry) == identity(Entry("b/c", 1, 2, "w", 3, 9))
    assert identity(entry) != identity(Entry("a", 1, 2, "v", 4, 4))
    assert identity(Entry("a", 1, 2)) == 0


@pytest.mark.parametrize(
    ("vanished", "known", "held"),
    [
        (0, 0, False),
        (0, 100, False),
        (1, 1, True),  # nothing left
        (5, 5, True),
        (4, 8, False),  # few files: an everyday act
        (5, 25, False),  # a fifth exactly
        (6, 29, True),
        (20, 100, False),
        (21, 100, True),
        (3, 2, True),
    ],
)
def test_the_guard(vanished: int, known: int, held: bool) -> None:
    assert exceeds_guard(vanished, known, 20) is held


@pytest.mark.parametrize(
    ("path", "disc"),
    [
        (b"CD1", True), (b"x/cd 2", True), (b"Disc 3 - Live", True), (b"disk_a", True), (b"DVD-01", True), (b"Side B", True),
        (b"Disco", False), (b"CD", False), (b"x/CDs", False), (b"LP", False), (b"CD1/x", False), (b"Vinyl 12", True),
        (b"CD1000", False), (b"Album CD1", False),
    ],
)  # fmt: skip
def test_disc_folders(path: bytes, disc: bool) -> None:
    assert is_disc_folder(path) is disc


def test_names_that_are_opened() -> None:
    assert is_audio_name(b"a.FLAC") and is_audio_name(b"\xff.mp3") and is_audio_name(b".m4a")
    assert not any(map(is_audio_name, (b"a.jpg", b"flac.txt", b"a.flac.part", b"a.")))
    assert (parent_of(b"a/b/c"), parent_of(b"a"), parent_of(b"")) == (b"a/b", b"", b"")
