"""Whatever happens to files, in any order and with crashes between: nothing deleted is lost, and nothing there is deleted."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.trashed import TrashWorld
from tests.vfs.world import Content, Key, Put, Remove, content

FLAT = View(0, "", "$artist/$title.$format", folders=False, names="posix")
KEYS: list[Key] = [(origin, b"m", name) for origin in (1, 2) for name in (b"a.flac", b"b.flac")]
SONGS = [
    content(size=1000 + 100 * audio + retagged, audio=audio, artist="X", title=f"{audio}{'+' * retagged}")
    for audio in (7, 8, 0)
    for retagged in (0, 1)
]
keys = st.sampled_from(KEYS)


class TrashMachine(RuleBasedStateMachine):
    """The model: which audio was deleted, and is neither there nor forgotten. One of each at a time is enough to know."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.deleted: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self.world = TrashWorld(Path(self.folder.name) / "world", (FLAT,), TreeOptions())

    def teardown(self) -> None:
        self.world.close()
        self.folder.cleanup()

    def _living(self) -> set[int]:
        return {holds.audio for holds in self.world.own.values()}

    @rule(key=keys, song=st.sampled_from(SONGS))
    def put(self, key: Key, song: Content) -> None:
        before = self.world.own.get(key)
        if before == song:
            return
        self.world.scan([Put(key, song)])
        if before is None or before.audio != song.audio:
            note(f"{song.audio} has come")

    @rule(gone=st.sets(keys, min_size=1))
    def remove(self, gone: set[Key]) -> None:
        there = sorted(gone & self.world.own.keys())
        for _, of_origin in itertools.groupby(there, lambda key: key[0]):
            before = {key: self.world.own[key] for key in of_origin}
            ids = {key: self.world.catalog.track_of(self.world.ids[key]) for key in before}
            self.world.scan([Remove(key) for key in before])
            found = self.world.trashed()
            for key, track in ids.items():
                if len(track) > 1:
                    assert key not in found or found[key].deleted_ns < self.world.clock.now_ns, "it has a copy"
                elif before[key].audio not in self._living():
                    assert any(one.audio_id == before[key].audio for one in found.values()), "nothing is lost"

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        some = data.draw(st.sets(st.sampled_from(sorted(self.world.in_catalog()) or [1])))
        done = self.world.trash_edits.restore(sorted(some))
        assert set(done) <= some

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        known = self.world.in_catalog()
        some = data.draw(st.sets(st.sampled_from(sorted(known) or [1])))
        assert set(self.world.trash_edits.forget(sorted(some))) == some & known.keys()
        assert not some & self.world.in_catalog().keys()

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule()
    def rebuild(self) -> None:
        self.world.rebuild()
        self.world.look()

    @rule()
    def lose_catalog(self) -> None:
        there = dict(self.world.own)
        before = {one.id for one in self.world.state.trashed()}
        self.world.lose_catalog()
        assert set(self.world.in_catalog()) == before
        if there:
            self.world.scan([Put(key, song) for key, song in there.items()])

    @invariant()
    def all_agree(self) -> None:
        self.world.check_trash()
        for key, track in self.world.trashed().items():
            holds = self.world.own.get(key)
            assert holds is None or not holds.audio or holds.audio != track.audio_id, "what is there is not deleted"


TestTrash = TrashMachine.TestCase
TestTrash.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
