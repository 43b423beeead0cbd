"""Any history of files, origins and corrections: who follows the log of touched objects has what a look at all would find."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.index.documents import Document
from musicfs.library.classify import is_audio_name
from musicfs.library.searchable import Searchable, SearchableTracks
from musicfs.model import FIELDS, Technical
from musicfs.store.catalog import Catalog
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs import test_corrected_model as corrected_model
from tests.vfs import test_tree_model as tree_model
from tests.vfs.corrected import CorrectedWorld
from tests.vfs.test_corrected_model import Event
from tests.vfs.test_tree_model import DEFAULT, POSIX, Batch, Shape, plan
from tests.vfs.world import Content, Put, World, content

MODEL = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Text(NamedTuple):
    """All that a document says."""

    format: str
    technical: Technical
    added_ns: int
    origins: tuple[str, ...]
    paths: tuple[str, ...]
    tags: dict[str, tuple[str, ...]]


def text_of(document: Document) -> Text:
    tags = {field: tuple(values) for field in FIELDS if (values := document.values(field))}
    return Text(
        document.format,
        document.technical,
        document.added_ns,
        tuple(sorted(document.origins)),
        tuple(sorted(document.paths)),
        tags,
    )


class Follower:
    """An index that is a dict."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tracks = SearchableTracks(catalog)
        self.sequence = 0
        self.documents: dict[int, Text] = {}

    def follow(self) -> None:
        for sequence, touched in self._catalog.touched_after(self.sequence, 1000):
            self.sequence = sequence
            for one in self._tracks.all() if touched is None else self._tracks.after_touching(touched):
                self._apply(one)

    def _apply(self, one: Searchable) -> None:
        if one.document is None:
            self.documents.pop(one.object_id, None)
        else:
            self.documents[one.object_id] = text_of(one.document)

    def check(self, audio_files: list[str]) -> None:
        """It has what there is; every audio file is in one document."""
        self.follow()
        found = SearchableTracks(self._catalog).all()
        whole = {one.object_id: text_of(one.document) for one in found if one.document is not None}
        assert self.documents == whole
        assert Counter(path for text in whole.values() for path in text.paths) == Counter(audio_files)


def audio_files(world: World) -> list[str]:
    keys = world.own if isinstance(world, CorrectedWorld) else world.files
    return [os.fsdecode(b"/".join(filter(None, key[1:]))) for key in keys if is_audio_name(key[2])]


# What is there at the beginning: tracks of three origins, some of them the same ones.
SHARED = [
    Put((origin, folder, b"%d.flac" % number), content(title=title, artist="X", album="K", audio=7 + number))
    for origin, folder in ((1, b"A"), (2, b"A"), (2, b"B"), (3, b""))
    for number, title in ((1, "A"), (2, "B"), (3, "A"))
]
histories = st.lists(
    st.one_of(
        st.lists(tree_model.intents, min_size=1, max_size=7),
        st.lists(tree_model.intents, min_size=1, max_size=7),
        tree_model.downs,
        st.none(),
    ),
    min_size=3,
    max_size=8,
)


@MODEL
@given(st.sampled_from(tree_model.SHAPES), histories, st.booleans())
def test_following_finds_what_there_is(shape: Shape, history: list[Batch | None], often: bool) -> None:
    with tree_model.a_world(shape) as world:
        world.apply(SHARED)
        follower = Follower(world.catalog)
        for batch in history:
            if batch is None:
                world.rebuild()
            elif isinstance(batch, frozenset):
                world.rerank(batch)
            else:
                world.apply(plan(world, batch))
            if often:
                follower.check(audio_files(world))
        follower.check(audio_files(world))


@MODEL
@given(st.sampled_from(corrected_model.SHAPES), corrected_model.histories, st.booleans())
def test_corrections_are_followed(shape: Shape, history: list[Event], often: bool) -> None:
    with corrected_model.a_world(shape) as world:
        world.scan(SHARED)
        follower = Follower(world.catalog)
        for event in history:
            corrected_model.happen(world, event)
            if often:
                follower.check(audio_files(world))
        world.rebuild()
        world.look()
        follower.check(audio_files(world))


def test_other_templates_make_other_tracks(tmp_path: Path) -> None:
    by_title = View(0, "", "$title", folders=False, names=POSIX)
    world = World(tmp_path / "catalog", (by_title,), TreeOptions())
    one = content(title="A", artist="X", audio=7)
    other = content(title="A", artist="Y", audio=7)
    world.apply([Put((1, b"a", b"1.flac"), one), Put((2, b"b", b"2.flac"), other)])
    follower = Follower(world.catalog)
    follower.check(["a/1.flac", "b/2.flac"])
    assert len(follower.documents) == 1
    world.views = (View(0, "", DEFAULT, folders=False, names=POSIX),)
    world.rebuild()
    follower.check(["a/1.flac", "b/2.flac"])
    assert len(follower.documents) == 2
    world.close()


def test_a_file_that_cannot_be_read_is_found_by_its_name(tmp_path: Path) -> None:
    world = World(tmp_path / "catalog", tree_model.SHAPES[0][0], TreeOptions())
    world.apply([Put((1, b"a", b"Some Song.v2.flac"), Content(None)), Put((1, b"a", b"cover.jpg"), Content())])
    follower = Follower(world.catalog)
    follower.check(["a/Some Song.v2.flac"])
    (text,) = follower.documents.values()
    assert (text.tags, text.origins) == ({"title": ("Some Song.v2",)}, ("origin1",))
    world.close()
