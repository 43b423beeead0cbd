"""A state, and what it was told: dicts to compare with."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from musicfs.store import environment, state_tables
from musicfs.store.overlays import Change, Kind, Layer, Overlay, Pin, Play, Played, StoredCollection, Trashed, play_key
from musicfs.store.state import State, open_state

SPACES = ("nas", "s3")
SOMEWHERE = ("nas", b"a.flac")


class StateWorld:
    """Writes into a state, and remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state: State = open_state(str(folder))
        self.overlays: dict[int, Overlay] = {}
        self.versions: dict[int, list[Overlay]] = {}  # everything an overlay ever was
        self.history: dict[int, list[tuple[int, Layer, Layer]]] = {}
        self.pins: dict[bytes, Pin] = {}
        self.all_pins: set[Pin] = set()
        self.collections: dict[str, StoredCollection] = {}
        self.all_collections: set[StoredCollection] = set()
        self.plays: dict[bytes, Play] = {}
        self.trashed: dict[int, Trashed] = {}
        self.all_trashed: set[Trashed] = set()
        self.time_ns = 0

    def put(self, *overlays: Overlay) -> int:
        """Store overlays whose anchors nobody else has."""
        self.time_ns += 1
        written = self.state.put_overlays(
            [Change(one) for one in overlays], action="set", author="me", time_ns=self.time_ns
        )
        for overlay in written.overlays:
            before = self.overlays.get(overlay.id, Overlay(overlay.id))
            if before.layer != overlay.layer:
                self.history.setdefault(overlay.id, []).append((written.sequence, before.layer, overlay.layer))
            self.overlays[overlay.id] = overlay
            self.versions.setdefault(overlay.id, []).append(overlay)
        return written.sequence

    def pin(self, pin: Pin) -> None:
        self.state.put_pins((pin,))
        self.pins[pin.path] = pin
        self.all_pins.add(pin)

    def unpin(self, path: bytes) -> None:
        self.state.remove_pins((path,))
        self.pins.pop(path, None)

    def collect(self, collection: StoredCollection) -> None:
        self.state.put_collection(collection)
        self.collections[collection.name] = collection
        self.all_collections.add(collection)

    def drop(self, name: str) -> None:
        self.state.remove_collection(name)
        del self.collections[name]

    def delete(self, *numbers: int) -> None:
        """Tracks are deleted."""
        self.time_ns += 1
        tracks = [
            Trashed(number, "nas", b"%d.flac" % number, b"/%d" % number, self.time_ns, 1, 2, b"v", 1, 0, b"\xc0")
            for number in numbers
        ]
        self.state.put_trashed(tracks)
        self.trashed.update((one.id, one) for one in tracks)
        self.all_trashed.update(tracks)

    def undelete(self, *numbers: int) -> None:
        self.state.forget_trashed(numbers)
        for number in numbers:
            self.trashed.pop(number, None)

    def play(self, *numbers: int) -> None:
        """Tracks are played, one after the other."""
        played = []
        for number in numbers:
            self.time_ns += 1
            played.append(Played(play_key(number, SOMEWHERE), self.time_ns, SOMEWHERE))
        self.state.note_plays(played)
        for one in played:
            old = self.plays.get(one.key, Play(one.key, 0, one.time_ns, 0, SOMEWHERE))
            self.plays[one.key] = Play(one.key, old.count + 1, old.first_ns, one.time_ns, SOMEWHERE)

    def fill(self, seed: int, turns: int) -> None:
        """Changes of all kinds."""
        choice = random.Random(seed)
        for turn in range(turns):
            ids = choice.sample(range(1, 60), choice.choice((1, 1, 3, 20)))
            self.put(*(overlay(number, f"{seed}.{turn}", choice.randrange(400)) for number in ids))
            if turn % 5 == 0:
                self.pin(Pin(b"/pin %d" % choice.randrange(8), turn))
            if turn % 11 == 10 and self.pins:
                self.unpin(choice.choice(sorted(self.pins)))
            if turn % 7 == 3:
                name = choice.choice("abc")
                self.collect(StoredCollection(ord(name), name, f"x:{turn}", b"\xff", added_ns=turn))
            if turn % 13 == 12 and self.collections:
                self.drop(choice.choice(sorted(self.collections)))
            if turn % 4 == 2:
                self.delete(*choice.sample(range(1, 40), choice.choice((1, 10))))
            if turn % 9 == 8:
                self.undelete(*choice.sample(range(1, 40), 5))
            if turn % 3 == 1:
                self.play(*choice.choices(range(1, 30), k=choice.choice((1, 4))))

    def check(self) -> None:
        """The state has all of what it was told, and nothing else."""
        state = self.state
        assert {one.id: one for one in state.overlays()} == self.overlays
        assert state.count_overlays() == len(self.overlays)
        assert state.pins() == sorted(self.pins.values(), key=lambda pin: pin.path)
        assert state.count_pins() == len(self.pins)
        assert state.collections() == [one for _, one in sorted(self.collections.items())]
        assert {one.key: one for one in state.plays()} == self.plays
        assert state.count_plays() == len(self.plays)
        assert {one.id: one for one in state.trashed()} == self.trashed
        assert all(state.trashed_track(number) == one for number, one in self.trashed.items())
        for number, one in self.overlays.items():
            for origin_id, path in one.anchors:
                assert state.overlay_at(origin_id, path) == one
            assert one in state.overlays_of_audio(one.audio_id)
            found = [(entry.sequence, entry.before, entry.after) for entry in state.history(number, 10_000)]
            assert found == self.history[number][::-1]
        assert len(state.history(None, 1 << 30)) == sum(map(len, self.history.values()))
        changed = {number: sequence for sequence, number in state.changed_since(0)}
        assert changed.keys() == self.overlays.keys()

    def check_nothing_invented(self) -> int:
        """After damage to everything: what there is was once so; returns how many overlays are as they were last."""
        found = {one.id: one for one in self.state.overlays()}
        for number, one in found.items():
            assert one in self.versions[number]
            for entry in self.state.history(number, 10_000):
                assert (entry.sequence, entry.before, entry.after) in self.history[number]
        assert set(self.state.pins()) <= self.all_pins
        assert set(self.state.collections()) <= self.all_collections
        assert set(self.state.trashed()) <= self.all_trashed
        for play in self.state.plays():
            assert 0 < play.count <= self.plays[play.key].count
            assert play.first_ns == self.plays[play.key].first_ns
        return sum(found.get(number) == one for number, one in self.overlays.items())

    def reopen(self, *, clean: bool = True) -> None:
        self.state.close()
        if not clean:
            (self.folder / "state" / "clean").unlink()
        self.open()

    def open(self) -> None:
        self.state = open_state(str(self.folder))


def overlay(number: int, title: str, padding: int = 0) -> Overlay:
    """An overlay with anchors of its own."""
    return Overlay(
        number,
        {"title": (title,), "comment": ("x" * padding,), "genre": ()},
        anchors=tuple((space, b"m/%d.flac" % number) for space in SPACES),
        audio_id=1000 + number // 2,
        own_digest=(1 << 64) - number,
    )


def flip(path: Path, choice: random.Random, count: int, start: int = 0) -> None:
    """Flip bits of a file, from a byte on."""
    raw = bytearray(path.read_bytes())
    for _ in range(count):
        raw[choice.randrange(start, len(raw))] ^= 1 << choice.randrange(8)
    path.write_bytes(raw)


def make_older(folder: Path) -> None:
    """Have a state whose daemon has ended as the version before the trash would have left it: by the third schema."""
    with pytest.MonkeyPatch.context() as then:
        then.setattr(state_tables, "SCHEMA", 3)
        tables = state_tables.StateTables(str(folder / "state"))
        trash = tables.records[Kind.TRASH]
        with state_tables.StateWrite(tables) as write:
            for key in [key for key, _ in write.txn.cursor(trash)]:
                write._delete(trash, key)
            write.commit(write.sequence)
        with tables.env.begin(write=True) as txn:
            txn.drop(trash)
        tables.close()
    environment.mark_clean(str(folder / "state"))
