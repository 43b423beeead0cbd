"""A daemon's side of tags, over a small library without audio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from musicfs.api.metadata import (
    ChangeResult,
    MetadataChange,
    TrackMetadata,
)
from musicfs.content.origins import Access
from musicfs.daemon.library_files import LibraryFiles
from musicfs.daemon.metadata import MetadataControl
from musicfs.daemon.tracks import Tracks
from musicfs.events import EventBus
from musicfs.testing.images import make_png
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.vfs.corrected import CorrectedWorld
from tests.vfs.oracle import check_tree
from tests.vfs.world import Content, Key, Put, content

VIEW = View(0, "", "$artist/$title.$format", folders=False, names="posix")
ACCESS = Access(direct=False, keep=True, stable_version=False)
A: Key = (1, b"m", b"a.flac")
B: Key = (1, b"m", b"b.flac")
C: Key = (2, b"n", b"c.flac")
OPAQUE: Key = (2, b"n", b"broken.mp3")
PICTURE: Key = (1, b"m", b"notes.txt")
SONGS: dict[Key, Content] = {
    A: content(audio=1, artist="X", title="One", mb_recording_id="r-1", isrc="I1", date="1990"),
    B: content(size=2000, audio=2, artist="X", title="Two", mb_recording_id="r-2", isrc="I", date="1980"),
    C: content(size=3000, audio=3, artist="Y", title="Three", mb_track_id="t-3", isrc="I", date="1990"),
    OPAQUE: Content(None),
    PICTURE: content(size=10),
}
ONE, TWO, THREE = "/X/One.flac", "/X/Two.flac", "/Y/Three.flac"
COVER = make_png(1, width=4, height=4)


class Library:
    """A daemon's side of tags over a small library."""

    def __init__(self, path: Path) -> None:
        self.world = CorrectedWorld(path, (VIEW,), TreeOptions())
        self.world.scan([Put(key, holds) for key, holds in SONGS.items()])
        self.world.corrector.catch_up()
        self.events = EventBus(self.world.clock.time_ns)
        self.control = self.connect()

    def connect(self) -> MetadataControl:
        world = self.world
        files = LibraryFiles(world.catalog, lambda _: ACCESS)
        tracks = Tracks(world.catalog, world.state, files, {"origin1": "/music1", "origin2": "/music2/"}, world.clock)
        return MetadataControl(world.catalog, world.state, tracks, world.corrector, self.events, world.clock)

    def change(
        self, *changes: MetadataChange, query: str = "", action: str = "set", dry_run: bool = False
    ) -> list[ChangeResult]:
        self.world.clock.now_ns += 10**9
        found = self.control.change_metadata(changes, query=query, action=action, author="me", dry_run=dry_run)
        results = [one for one in found if one is not None]
        self.world.look()
        check_tree(self.world)
        return results

    def set(self, path: str, **fields: str) -> ChangeResult:
        [result] = self.change(MetadataChange(path=path, set=given(**fields)))
        return result

    def undo(self, *paths: str, steps: int = 1, dry_run: bool = False) -> list[ChangeResult]:
        self.world.clock.now_ns += 10**9
        found = self.control.undo_metadata(paths, steps=steps, author="you", dry_run=dry_run)
        results = [one for one in found if one is not None]
        self.world.look()
        check_tree(self.world)
        return results

    def title(self, key: Key) -> str:
        values = self.control.metadata("", self.world.ids[key]).effective.get("title", ("",))
        return values[0]


def given(**fields: str) -> dict[str, tuple[str, ...]]:
    return {field: (value,) if value else () for field, value in fields.items()}


def listed(found: Iterator[TrackMetadata | None]) -> list[str]:
    return [one.path for one in found if one is not None]
