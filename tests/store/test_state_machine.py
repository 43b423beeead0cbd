"""Anything in any order, crashes and damage in between: the state is what it was told, always."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from musicfs.errors import NotFoundError
from musicfs.store import state_engine, state_recovery
from musicfs.store.overlays import (
    TIME_STEP_NS,
    Anchoring,
    Change,
    HistoryEntry,
    Overlay,
    Pin,
    Play,
    Played,
    StoredCollection,
    play_key,
)
from musicfs.store.state import open_state
from tests.store.state_world import flip

numbers = st.integers(1, 6)
places = st.tuples(st.sampled_from(("nas", "s3")), st.sampled_from((b"a", b"b", b"c", b"d" * 600)))
values = st.dictionaries(
    st.sampled_from(("title", "artist", "x")), st.lists(st.text(max_size=3), max_size=2).map(tuple)
)


class StateMachine(RuleBasedStateMachine):
    """The state against dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="musicfs-test-"))
        self.patches = contextlib.ExitStack()
        self.patches.enter_context(mock.patch.object(state_engine, "_COMPACT_BYTES", 8_000))
        self.patches.enter_context(mock.patch.object(state_recovery, "log"))
        self.state = open_state(str(self.folder / "user"))
        self.overlays: dict[int, Overlay] = {}
        self.history: list[HistoryEntry] = []
        self.pins: dict[bytes, Pin] = {}
        self.collections: dict[int, StoredCollection] = {}
        self.plays: dict[bytes, Play] = {}
        self.sequence = self.state.sequence
        self.lineage = self.state.lineage

    def teardown(self) -> None:
        self.state.close()
        self.patches.close()
        shutil.rmtree(self.folder)

    @rule(given=st.lists(st.builds(
        Overlay, numbers, values, st.sampled_from(("", "-")), st.just(0), st.just("?"),
        st.lists(places, max_size=3, unique=True).map(tuple), st.integers(0, 2),
    ), max_size=4, unique_by=lambda one: one.id), time_ns=st.integers(0, 50))  # fmt: skip
    def put(self, given: list[Overlay], time_ns: int) -> None:
        written = self.state.put_overlays([Change(one) for one in given], action="set", author="me", time_ns=time_ns)
        sequence = self.state.sequence
        for one in given:
            before = self.overlays.get(one.id)
            known = before if before is not None else Overlay(one.id)
            changed_ns, author = known.changed_ns, known.author
            if before is None:
                changed_ns, author = time_ns, "me"
            elif before.layer != one.layer:
                changed_ns, author = max(time_ns, before.changed_ns + TIME_STEP_NS), "me"
            if known.layer != one.layer:
                entry = HistoryEntry(sequence, one.id, time_ns, "me", "set", known.layer, one.layer)
                self.history.append(entry)
            new = Overlay(one.id, one.fields, one.cover, changed_ns, author, (), one.audio_id, one.own_digest)
            self._anchor(new, one.anchors)
        assert list(written.overlays) == [self.overlays[one.id] for one in given]

    @rule(number=numbers, anchors=st.lists(places, max_size=3, unique=True).map(tuple))
    def reanchor(self, number: int, anchors: tuple[tuple[str, bytes], ...]) -> None:
        if number in self.overlays:
            self.state.reanchor([Anchoring(number, anchors)])
            self._anchor(self.overlays[number], anchors)

    def _anchor(self, overlay: Overlay, anchors: tuple[tuple[str, bytes], ...]) -> None:
        for number, other in self.overlays.items():
            self.overlays[number] = _with(other, tuple(one for one in other.anchors if one not in anchors))
        self.overlays[overlay.id] = _with(overlay, anchors)

    @rule(path=st.sampled_from((b"/a", b"/b")), added_ns=st.integers(0, 9))
    def pin(self, path: bytes, added_ns: int) -> None:
        self.pins[path] = Pin(path, added_ns)
        self.state.put_pins((self.pins[path],))

    @rule(path=st.sampled_from((b"/a", b"/b")))
    def unpin(self, path: bytes) -> None:
        self.state.remove_pins((path,))
        self.pins.pop(path, None)

    @rule(
        one=st.builds(
            StoredCollection, numbers, st.sampled_from(("a", "b")), st.text(max_size=3), st.binary(max_size=2)
        )
    )
    def collect(self, one: StoredCollection) -> None:
        if any(other.name == one.name and other.id != one.id for other in self.collections.values()):
            with pytest.raises(ValueError, match="another collection"):
                self.state.put_collection(one)
        else:
            self.state.put_collection(one)
            self.collections[one.id] = one

    @rule(name=st.sampled_from(("a", "b")))
    def drop(self, name: str) -> None:
        found = [one.id for one in self.collections.values() if one.name == name]
        if found:
            self.state.remove_collection(name)
            del self.collections[found[0]]
        else:
            with pytest.raises(NotFoundError):
                self.state.remove_collection(name)

    @rule(heard=st.lists(st.tuples(st.integers(0, 2), places, st.integers(1, 9)), max_size=4))
    def play(self, heard: list[tuple[int, tuple[str, bytes], int]]) -> None:
        self.state.note_plays([Played(play_key(audio_id, place), time_ns, place) for audio_id, place, time_ns in heard])
        for audio_id, place, time_ns in heard:
            key = play_key(audio_id, place)
            old = self.plays.get(key, Play(key, 0, time_ns, 0, place))
            first_ns, last_ns = min(old.first_ns, time_ns), max(old.last_ns, time_ns)
            anchor = place if time_ns >= old.last_ns else old.anchor
            self.plays[key] = Play(key, old.count + 1, first_ns, last_ns, anchor)

    @rule()
    def reopen(self) -> None:
        self.state.close()
        self.state = open_state(str(self.folder / "user"))

    @rule()
    def remember_environment(self) -> None:
        self.state.close()
        shutil.rmtree(self.folder / "older", ignore_errors=True)
        shutil.copytree(self.folder / "user" / "state", self.folder / "older")
        self.state = open_state(str(self.folder / "user"))

    @rule()
    def crash(self) -> None:
        """The environment is as it was some time ago, or not there."""
        self.state.close()
        shutil.rmtree(self.folder / "user" / "state")
        if (self.folder / "older").exists():
            shutil.copytree(self.folder / "older", self.folder / "user" / "state")
        self.state = open_state(str(self.folder / "user"))

    @rule(what=st.sampled_from(("journal", "state/data.mdb")), seed=st.integers(0, 1 << 16), count=st.integers(1, 50))
    def damage(self, what: str, seed: int, count: int) -> None:
        self.state.close()
        flip(self.folder / "user" / what, random.Random(seed), count)
        self.state = open_state(str(self.folder / "user"))

    @rule()
    def verify(self) -> None:
        assert self.state.verify() == []

    @invariant()
    def everything_is_there(self) -> None:
        state = self.state
        assert {one.id: one for one in state.overlays()} == self.overlays
        assert {pin.path: pin for pin in state.pins()} == self.pins
        assert state.count_pins() == len(self.pins)
        assert {one.id: one for one in state.collections()} == self.collections
        assert {one.key: one for one in state.plays()} == self.plays
        for key in {play_key(audio_id, ("nas", b"a")) for audio_id in (0, 1, 2)}:
            assert state.play(key) == self.plays.get(key)
        history = sorted(self.history, key=lambda one: (one.sequence, one.overlay_id), reverse=True)
        assert state.history(None, 1 << 20) == history
        assert state.history(3, 4) == [one for one in history if one.overlay_id == 3][:4]
        held = {anchor: one for one in self.overlays.values() for anchor in one.anchors}
        for origin_id in ("nas", "s3"):
            for path in (b"a", b"b", b"c", b"d" * 600):
                assert state.overlay_at(origin_id, path) == held.get((origin_id, path))
        for audio_id in (1, 2):
            expected = [one for _, one in sorted(self.overlays.items()) if one.audio_id == audio_id]
            assert state.overlays_of_audio(audio_id) == expected
        assert state.sequence >= self.sequence and state.lineage == self.lineage
        self.sequence = state.sequence


def _with(overlay: Overlay, anchors: tuple[tuple[str, bytes], ...]) -> Overlay:
    return Overlay(
        overlay.id, overlay.fields, overlay.cover, overlay.changed_ns, overlay.author, anchors,
        overlay.audio_id, overlay.own_digest,
    )  # fmt: skip


TestState = StateMachine.TestCase
TestState.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
