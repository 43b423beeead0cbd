"""A library whose deleted tracks go to the trash: real state, real catalog, real tree."""

from __future__ import annotations

from collections.abc import Iterator

from musicfs.library.publish import Publisher
from musicfs.library.trash import Trash
from musicfs.library.trash_edits import TrashEdits
from musicfs.store import catalog as catalogs
from musicfs.store.catalog import Catalog
from musicfs.store.overlays import Trashed
from musicfs.store.records import TRASH_ORIGIN, NodeKind, OriginRecord
from musicfs.store.schema import ROOT_INODE
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import TrashedObject, iterate_trashed
from musicfs.vfs.trash import TrashShelf
from tests.vfs.corrected import CorrectedWorld
from tests.vfs.world import PRIORITIES, Key


class TrashWorld(CorrectedWorld):
    """Files of three origins, and what becomes of those that are deleted."""

    generation = 0
    trash_enabled = True

    def _connect(self) -> None:
        super()._connect()
        shelf = TrashShelf(self.clock, ignore_case=False)
        self.trash = Trash(self.state, shelf, self.clock, enabled=self.trash_enabled)
        self.trash_edits = TrashEdits(
            self.catalog, self.state, self.trash, shelf, self.renderer, self.builder, self.clock, lambda: self.priorities,
            self._commit, self.pictures, self.corrector.editing,
        )  # fmt: skip
        self.publisher = Publisher(
            self.catalog, self.builder, self.clock, lambda: self.priorities, self._commit, self.pictures,
            self.attachments, None, self.trash,
        )  # fmt: skip

    def restart(self) -> None:
        super().restart()
        self.trash_edits.reconcile()

    def lose_catalog(self) -> None:
        """The cache folder is deleted: no file is known any more, and all have yet to be scanned."""
        self.catalog.close()
        self.generation += 1
        path = f"{self.path}-{self.generation}"
        catalogs.prepare(path)
        self.catalog = Catalog(path, readonly=False, durable=False)
        with WriteTransaction(self.catalog) as tx:
            for number in PRIORITIES:
                assert tx.new_origin_number() == number
                tx.put_origin(f"origin{number}", OriginRecord(number, "local", f"/music{number}"))
        self.own.clear()
        self.restart()
        self.look()

    def trashed(self) -> dict[Key, Trashed]:
        """What the state says is deleted, by the last path; restored or not."""
        found: dict[Key, Trashed] = {}
        for one in self.state.trashed():
            folder, _, name = one.path.rpartition(b"/")
            found[int(one.origin_id.removeprefix("origin")), folder, name] = one
        return found

    def in_catalog(self) -> dict[int, tuple[int, TrashedObject]]:
        """What the catalog says is deleted, by trashed id, with the object ids."""
        with self.catalog.snapshot() as txn:
            return {one.id: (object_id, one) for object_id, one in iterate_trashed(txn, self.catalog.tables)}

    def tombstones(self) -> set[bytes]:
        """The paths, as in the origin of restored tracks, of all that are in the tree."""
        return {
            path + b"/" + name
            for folder_id, path in self.catalog.folders_under(TRASH_ORIGIN, b"")
            for name in self.catalog.files_of(folder_id)
        }

    def shown(self, folder: bytes = b"") -> list[bytes]:
        """The paths of all files, without markers, below a folder of the root."""
        inode = ROOT_INODE
        for name in filter(None, folder.split(b"/")):
            node = self.catalog.lookup(inode, name)
            if node is None:
                return []
            inode = node.inode
        return sorted(self._below(inode, b""))

    def _below(self, inode: int, path: bytes) -> Iterator[bytes]:
        for name, child, kind in self.catalog.list_folder(inode):
            if kind == NodeKind.FOLDER:
                yield from self._below(child, path + name + b"/") if name != b".trash" else ()
            elif kind != NodeKind.BLOB:
                yield path + name

    def check_trash(self) -> None:
        """State, catalog and tree say the same of what is deleted."""
        known = self.in_catalog()
        noted = {one.id: one for one in self.state.trashed()}
        assert known.keys() == noted.keys()
        nodes = 0
        for trashed_id, (object_id, one) in known.items():
            track = noted[trashed_id]
            assert one.is_restored == bool(track.restored_ns)
            assert one.anchor == track.anchor
            node = self.catalog.node(one.inode)
            if one.is_restored:
                assert (one.inode, node) == (0, None)
                assert self.catalog.place_of(object_id)
            else:
                nodes += 1
                assert node is not None
                assert (node.kind, node.ref) == (NodeKind.TRASHED, object_id)
                serving = self.catalog.serving(node)
                assert serving is not None
                assert serving.size == node.size
                assert self.catalog.object(object_id) is None
        assert len(self.shown(b".trash")) == nodes
        assert len(self.tombstones()) == len(known) - nodes
        assert (self.catalog.lookup(ROOT_INODE, b".trash") is not None) == bool(nodes)
