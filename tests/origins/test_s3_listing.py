"""S3 listings against a store in memory: any keys, any order, any limit, and the number of requests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicfs.errors import GoneError, UnreachableError
from musicfs.origins.contract import Folder
from musicfs.origins.s3_client import Page, StoredObject
from musicfs.origins.s3_listing import S3Listing
from musicfs.origins.selection import Selection

NO_PATH = "a name that no path can have"


class Bucket:
    """Answers as S3 does, ``page_size`` keys a request; ``shuffled`` as a store that does not sort."""

    def __init__(self, keys: Sequence[str], *, page_size: int = 1000, shuffle: int | None = None) -> None:
        self.keys = sorted(set(keys))
        self.page_size = page_size
        self.requests = 0
        if shuffle is not None:
            random.Random(shuffle).shuffle(self.keys)

    def pages(self, prefix: str, delimiter: bool) -> Iterator[Page]:
        found: dict[str, StoredObject | None] = {}
        for key in self.keys:
            if key.startswith(prefix):
                slash = key.find("/", len(prefix)) if delimiter else -1
                name = key[: slash + 1] if slash >= 0 else key
                found[name] = None if slash >= 0 else StoredObject(key, len(key), 1, f"e{key}")
        names = list(found)
        for start in range(0, max(len(names), 1), self.page_size):
            self.requests += 1
            part = names[start : start + self.page_size]
            objects = [each for each in map(found.get, part) if each is not None]
            yield Page(objects, [name for name in part if found[name] is None], "")

    def list(
        self, prefix: str = "", *, root: str = "", keys_max: int = 50_000, selection: Selection | None = None
    ) -> list[Folder]:
        self.requests = 0
        listing = S3Listing("origin 'x'", self.pages, root, selection or Selection(), keys_max=keys_max)
        return list(listing.run(prefix))


def expected(keys: Sequence[str], root: str = "") -> dict[str, set[str]]:
    """Folder -> the paths of its files, the slow and simple way."""
    folders: dict[str, set[str]] = {"": set()}
    for key in keys:
        if not key.startswith(root):
            continue
        names = key[len(root) :].split("/")
        valid = next((at for at, name in enumerate(names[:-1]) if name in {"", ".", ".."}), len(names) - 1)
        for depth in range(valid + 1):
            folders.setdefault("/".join(names[:depth]), set())
        if valid == len(names) - 1 and names[-1] not in {"", ".", ".."}:
            folders["/".join(names[:-1])].add("/".join(names))
    return {folder: {file for file in files if file not in folders} for folder, files in folders.items()}


KEYS = st.lists(
    st.lists(st.sampled_from(["a", "a b", "a-", "a0", "b", "é", "\U0001f3b5", "\uffee", "..", ""]), min_size=1, max_size=4)
    .map("/".join)
    .filter(bool),
    max_size=40,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(KEYS, st.integers(1, 5), st.integers(0, 12), st.sampled_from(["", "a/", "a b/a/"]))
def test_any_keys(keys: list[str], page_size: int, keys_max: int, root: str) -> None:
    found = Bucket(keys, page_size=page_size).list(root=root, keys_max=keys_max)
    assert {folder.path: {entry.path for entry in folder.files} for folder in found} == expected(keys, root)
    orders = [folder.path.encode().split(b"/") if folder.path else [] for folder in found]
    assert orders == sorted(orders)
    assert found == Bucket(keys).list(root=root)  # skipped names too


@settings(max_examples=200, deadline=None)
@given(KEYS, st.integers(1, 5), st.integers(0, 12), st.integers(0, 100))
def test_a_store_without_order(keys: list[str], page_size: int, keys_max: int, shuffle: int) -> None:
    """Complete, or it raises: never less than there is."""
    bucket = Bucket(keys, page_size=page_size, shuffle=shuffle)
    try:
        found = bucket.list(keys_max=keys_max)
    except UnreachableError:
        return
    assert found == Bucket(keys).list()


def test_a_store_in_the_order_of_its_tree() -> None:
    """As seaweedfs lists: folder by folder, which is not the order of keys."""
    keys = [f"{artist}/{album}/{track}" for artist in ("a", "a b", "b") for album in "xy" for track in range(20)]
    bucket = Bucket(keys, page_size=7)
    bucket.keys = keys
    assert bucket.list(keys_max=50) == Bucket(keys).list()


def test_requests_for_a_library() -> None:
    keys = [f"artist {n // 100:03}/album {n // 10:04}/{n:05}.flac" for n in range(20_000)]
    bucket = Bucket(keys)
    assert len(bucket.list()) == 1 + 200 + 2000
    assert bucket.requests == 20


def test_requests_for_a_library_that_is_too_large() -> None:
    """The stream of keys goes on: two more requests for the names of the artists, none for each of them."""
    keys = [f"artist {n // 10:04}/album/{n:05}.flac" for n in range(20_000)]
    bucket = Bucket(keys)
    assert len(bucket.list(keys_max=3000)) == 1 + 2 * 2000
    assert bucket.requests == 20 + 2


def test_requests_for_one_huge_folder_among_small_ones() -> None:
    keys = [f"{name}/{n % 50:02}/{n:05}" for name, count in (("a b", 10), ("a", 9000), ("z", 10)) for n in range(count)]
    bucket = Bucket(keys)
    assert bucket.list(keys_max=3000) == Bucket(keys).list()
    assert bucket.requests <= 10 + 2


def test_a_large_folder_that_comes_before_its_turn() -> None:
    """``a b/`` has too much to wait until ``a/`` has come: that is listed on its own."""
    keys = [f"a b/{n % 50:02}/{n:05}" for n in range(9000)] + ["a/1", "a/2", "z/1"]
    bucket = Bucket(keys)
    assert bucket.list(keys_max=3000) == Bucket(keys).list()
    assert bucket.requests <= 10 + 3


def test_keys_that_are_no_paths_are_skipped_with_a_reason() -> None:
    keys = ["/lead", "a//b", "a//c", "a/../x", "a/.", "../x", "ok/1.flac", "marker/", "a/nul\0"]
    for keys_max in (50_000, 0):
        found = {folder.path: folder for folder in Bucket(keys, page_size=2).list(keys_max=keys_max)}
        assert set(found) == {"", "a", "marker", "ok"}
        assert found[""].skipped == (("../", NO_PATH), ("/", NO_PATH))
        assert found["a"].skipped == ((".", NO_PATH), ("../", NO_PATH), ("/", NO_PATH), ("nul\0", NO_PATH))
        assert (found["marker"].skipped, found["marker"].files) == ((), ())


def test_a_key_that_is_also_a_folder() -> None:
    for keys_max in (50_000, 0):
        top, folder = Bucket(["a", "a/1.flac"]).list(keys_max=keys_max)
        assert top.files == ()
        assert top.skipped == (("a", "a folder has the same name"),)
        assert [entry.path for entry in folder.files] == ["a/1.flac"]


def test_selection_and_junk() -> None:
    keys = ["a/1.flac", "a/1.iso", "podcasts/x/1.mp3", "@eaDir/1.flac", "a/._1.flac", "a/@eaDir/x.flac"]
    selection = Selection(exclude=("*.iso", "podcasts"))
    for keys_max in (50_000, 0):
        found = Bucket(keys).list(keys_max=keys_max, selection=selection)
        assert [(folder.path, [entry.path for entry in folder.files]) for folder in found] == [
            ("", []),
            ("a", ["a/1.flac"]),
        ]


def test_a_missing_folder_is_gone_and_a_missing_root_is_empty() -> None:
    bucket = Bucket(["a/1"])
    with pytest.raises(GoneError, match="no folder b"):
        bucket.list("b")
    assert bucket.list(root="nowhere/") == [Folder("", ())]
