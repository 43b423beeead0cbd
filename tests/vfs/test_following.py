"""Which track is fetched while another one plays: what followed it the last time, else the next one in its folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from musicfs.content.keys import Source
from musicfs.content.sources import Sources
from musicfs.store.records import Node
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs.nodes import Nodes
from musicfs.vfs.successions import Successions
from musicfs.vfs.tree import TreeOptions
from musicfs.vfs.views import View
from tests.origins.clocks import FakeClock
from tests.vfs.test_tree import NoOrigins
from tests.vfs.world import Put, World, content


class Asked(Sources):
    """Remembers what it was asked to prefetch."""

    def __init__(self) -> None:
        super().__init__(NoOrigins(), contextlib.nullcontext)
        self.paths: list[str] = []

    def prefetch(self, source: Source, others: tuple[Source, ...] = ()) -> bool:
        self.paths.append(source.path)
        return True


def test_the_next_one_unless_another_one_followed(tmp_path: Path) -> None:
    world = World(tmp_path / "catalog", (View(0, "", "$album/$title", folders=False, names="posix"),), TreeOptions())
    world.apply([Put((1, b"", b"%d.flac" % number), content(title=f"T{number}", album="K")) for number in (1, 2, 3)])
    asked = Asked()
    successions = Successions(str(tmp_path / "successions"), FakeClock())
    nodes = Nodes(world.catalog, asked, 1 << 20, on_stale=lambda _: None)
    nodes.learn(successions)
    ((_, album, _),) = nodes.listing(ROOT_INODE)

    def track(number: int) -> Node:
        node = nodes.get(album, b"T%d.flac" % number)
        assert node is not None
        return node

    nodes.prefetch_after(track(1))
    nodes.prefetch_after(track(3))  # the last one: nothing follows
    assert asked.paths == ["2.flac"]
    nodes.prefetch_after(track(1))  # what followed it was 3; and it follows 3
    nodes.prefetch_after(track(3))
    assert asked.paths == ["2.flac", "3.flac", "1.flac"]
    world.close()


def test_versions_go_on_with_those_of_their_origin(tmp_path: Path) -> None:
    view = View(0, "", "$album/$title", folders=False, names="posix")
    world = World(tmp_path / "catalog", (view,), TreeOptions(versions=True))
    for number in (1, 2):
        song = content(title=f"T{number}", album="K", audio=number)
        world.apply([Put((origin, b"", b"%d-%d.flac" % (origin, number)), song) for origin in (1, 2, 3)])
    asked = Asked()
    nodes = Nodes(world.catalog, asked, 1 << 20, on_stale=lambda _: None)
    versions = world.catalog.lookup(nodes.listing(ROOT_INODE)[0][1], b".versions")
    assert versions is not None
    for name in (b"T1 [origin1].flac", b"T1 [origin3].flac", b"T2 [origin3].flac"):
        node = nodes.get(versions.inode, name)
        assert node is not None
        nodes.prefetch_after(node)
        nodes.prefetch_after(msgspec.structs.replace(node, parent=99))  # its folder is gone, but it is open yet
    assert asked.paths == ["1-2.flac", "3-2.flac"]
    world.close()
