"""Acknowledged corrections survive restarts, kills of either process, and the loss of all that can be made again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mutagen
import pytest

from musicfs.errors import MusicFSError
from musicfs.testing.images import make_jpeg
from tests.correcting import Tagger, overlay_names, tagging
from tests.faults.living import Player, album, alive, digest, keeper_of, kill, restart, wait_for
from tests.mounting import Mounted, mount

# Names that no edit changes.
SETTINGS = '[tree]\ntemplate = "$artist/$album/$track.$format"\n[prefetch]\nnext_track = false\n'
KILLED = r"the keeper ended with status -9"
SUFFIXES = ("flac", "mp3", "ogg", "m4a")
COVER = make_jpeg("teal", width=40, height=40)


@dataclass(slots=True)
class World:
    """A mount that may be another one after each fault."""

    mounted: Mounted
    tracks: list[Path] = field(default_factory=list)
    before: dict[Path, tuple[object, ...]] = field(default_factory=dict)

    def shown(self) -> dict[Path, tuple[object, ...]]:
        """All that must be the same afterwards."""
        return {
            path: (digest(path), path.stat().st_size, path.stat().st_ino, path.stat().st_mtime_ns, overlay_names(path))
            for path in self.tracks
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    for suffix in SUFFIXES:
        album(tmp_path / "origin", suffix, 2, suffix=suffix)
    world = World(mount({"o": tmp_path / "origin"}, tmp_path / "home", SETTINGS))
    world.tracks = sorted(path for path in world.mounted.point.rglob("*") if path.is_file())
    assert len(world.tracks) == 2 * len(SUFFIXES)
    try:
        yield world
        world.mounted.close()
    finally:
        world.mounted._abandon()


def title_of(path: Path) -> str:
    file = mutagen.File(path, easy=True)
    assert file is not None
    return str(file["title"][0])


def correct_all(world: World) -> None:
    """Every track has a title of its own, one a cover, one an album that was taken back."""
    with tagging(world.mounted) as tagger:
        for number, path in enumerate(world.tracks):
            tagger.set(path, title=f"Corrected {number}", genre=("X", "Y"))
        tagger.cover(world.tracks[0], COVER)
        tagger.undo(world.tracks[-1])
    wait_for("the last is seen", lambda: overlay_names(world.tracks[-1]) == set())
    assert title_of(world.tracks[0]) == "Corrected 0"


def _restart(world: World) -> None:
    world.mounted.close()


def _kill(world: World) -> None:
    kill(world.mounted)


def _lose(name: str) -> Callable[[World], None]:
    def lose(world: World) -> None:
        world.mounted.close()
        found = world.mounted.folder / name
        assert found.exists()
        shutil.rmtree(found)

    return lose


def _correct_behind_the_catalog(world: World) -> None:
    """As if everything had ended after the last correction was on disk, and before the catalog had heard of it."""
    mounted = world.mounted
    mounted.close()
    kept = mounted.folder / "kept"
    shutil.copytree(mounted.folder / "cache" / "catalog", kept)
    world.mounted = restart(mounted)
    correct_all(world)
    world.before = world.shown()
    world.mounted.close()
    shutil.rmtree(mounted.folder / "cache" / "catalog")
    kept.rename(mounted.folder / "cache" / "catalog")


FAULTS: dict[str, Callable[[World], None]] = {
    "restarted": _restart,
    "killed": _kill,
    "without its catalog": _lose("cache/catalog"),
    "without its cache": _lose("cache"),
    "without the tables of its state": _lose("state/state"),
    "with a catalog of before": _correct_behind_the_catalog,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_corrections_are_there_again(world: World, fault: str) -> None:
    if fault != "with a catalog of before":
        correct_all(world)
        world.before = world.shown()
    FAULTS[fault](world)
    before = world.before
    world.mounted = restart(world.mounted)
    if "tables" in fault:
        world.mounted.allow_log("journal")
    wait_for("all is corrected", lambda: [overlay_names(path) for path in world.tracks] == [
        names for *_, names in before.values()], 20)  # fmt: skip
    wait_for("also the bytes", lambda: {path: digest(path) for path in world.tracks} == {
        path: one[0] for path, one in before.items()}, 20)  # fmt: skip
    after = world.shown()
    for path, (*same, mtime_ns, names) in before.items():  # a rebuilt catalog may know no better than a later time
        assert (*after[path][:3], after[path][4]) == (*same, names)
        assert int(str(after[path][3])) >= int(str(mtime_ns))
    assert world.tracks[0].with_name("cover.jpg").read_bytes() == COVER
    with tagging(world.mounted) as tagger:
        assert len(tagger.client.metadata_log(limit=100)) == len(world.tracks) + 2
        assert tagger.undo(world.tracks[0], 2) == world.tracks[0]
    wait_for("its own bytes", lambda: title_of(world.tracks[0]) != "Corrected 0")


@dataclass
class Editor:
    """Sets titles as fast as it goes. ``acknowledged`` and ``tried`` are the numbers of each track's last such edits."""

    world: World
    acknowledged: dict[Path, int] = field(default_factory=dict)
    tried: dict[Path, int] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    failed: int = 0

    def run(self) -> None:
        tagger = Tagger(self.world.mounted)
        while not self.ending.is_set():
            path = self.world.tracks[self.count % len(self.world.tracks)]
            self.count += 1
            self.tried[path] = self.count
            try:
                tagger.set(path, title=f"Edit {self.count}")
            except MusicFSError:
                self.failed += 1
                tagger.close()
                self.ending.wait(0.05)  # nobody answers
            else:
                self.acknowledged[path] = self.count
        tagger.close()

    def has_done(self, edits: int) -> bool:
        """Whether more than so many were acknowledged."""
        return self.count - self.failed > edits

    def check(self) -> None:
        """Each track shows the last edit that was acknowledged, or one that was tried after it."""
        for path, number in self.acknowledged.items():
            said = title_of(path)
            assert said.startswith("Edit "), (path, said)
            assert number <= int(said.removeprefix("Edit ")) <= self.tried[path], path
            with tagging(self.world.mounted) as tagger:
                assert tagger.get(path).effective["title"] == (said,)


def _kill_keepers(world: World, times: int) -> Editor:
    world.mounted.allow_log(KILLED)
    chance = random.Random(1)
    editor = Editor(world)
    thread = threading.Thread(target=editor.run)
    player = Player(world.mounted.point, may_vanish=True)
    thread.start()
    player.start()
    try:
        for _ in range(times):
            pid = wait_for("a keeper", lambda: keeper_of(world.mounted))
            wait_for("an edit", partial(editor.has_done, editor.count - editor.failed + 2), 30)
            time.sleep(chance.random() * 0.05)  # anywhere in an edit
            os.kill(pid, signal.SIGKILL)
            wait_for("its end", partial(_is_dead, pid))
    finally:
        editor.ending.set()
        thread.join(60)
        player.stop()
    world.mounted.wait_until_scanned()
    return editor


def test_no_acknowledged_edit_is_lost_with_the_keeper(world: World) -> None:
    editor = _kill_keepers(world, 6)
    wait_for("it has caught up", lambda: _is_shown(editor))
    editor.check()
    print(f"{editor.count - editor.failed} edits acknowledged, {editor.failed} failed")


@pytest.mark.soak
def test_no_acknowledged_edit_is_lost_with_thirty_keepers(world: World) -> None:
    editor = _kill_keepers(world, 30)
    wait_for("it has caught up", lambda: _is_shown(editor))
    editor.check()
    print(f"{editor.count - editor.failed} edits acknowledged, {editor.failed} failed")


def _is_dead(pid: int) -> bool:
    return not alive(pid)


def _is_shown(editor: Editor) -> bool:
    return all(int(title_of(path).partition(" ")[2] or 0) >= number for path, number in editor.acknowledged.items())


def test_no_acknowledged_edit_is_lost_with_the_mount(world: World) -> None:
    for turn in range(3):
        editor = Editor(world)
        thread = threading.Thread(target=editor.run)
        thread.start()
        try:
            wait_for("edits", partial(editor.has_done, 10), 30)
            kill(world.mounted)
        finally:
            editor.ending.set()
            thread.join(60)
        world.mounted = editor.world.mounted = restart(world.mounted)
        wait_for("it has caught up", partial(_is_shown, editor))
        editor.check()
        assert editor.acknowledged, turn
