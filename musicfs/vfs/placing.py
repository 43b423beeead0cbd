"""Placing files in one view: who moves, who stays, who gets a number."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from musicfs.store.records import Node, NodeKind, ObjectKind, ObjectRecord, StoredFacts
from musicfs.store.schema import ChangeOp
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.artwork import EMBEDDED_RANKS, folder_image_rank, picture_rank
from musicfs.vfs.directories import Directories
from musicfs.vfs.names import fit, is_variant
from musicfs.vfs.views import View, Wish


class Item(msgspec.Struct, frozen=True, gc=False):
    """An object with its facts unpacked, and the album it counts towards (0: none)."""

    object_id: int
    record: ObjectRecord
    facts: StoredFacts | None
    album: int = 0


def content_version(record: ObjectRecord) -> bytes:
    """What distinguishes one content of a file from another, without saying where it lies."""
    return b"%d\0%s" % (record.size, record.version or b"%d" % record.mtime_ns)


def _same_path(old: ObjectRecord, new: ObjectRecord) -> bool:
    """True if a file was read anew where it was, and not only named anew because of its siblings."""
    return old is not new and (old.folder, old.name) == (new.folder, new.name)


class Placer:
    """Puts objects at their wished places in one view, or takes them away."""

    def __init__(
        self, tx: WriteTransaction, view: View, directories: Directories, displace: Callable[[int, bytes], None]
    ) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._displace = displace  # removes a made file (a cover) that stands where a real one wants to be
        self._anchor_changes: dict[tuple[int, int], int] = {}

    def current(self, object_id: int) -> Node | None:
        """Where the object is now."""
        inode = self._tx.place(object_id, self._view.number)
        return self._tx.node(inode) if inode else None

    def keeps(self, item: Item, wish: Wish, old: ObjectRecord) -> bool:
        """Leave the object where it is if that is what it wishes; a new content takes the old one's name. True if so.

        ``old`` is what it was placed as: its origin folder may be another.
        """
        node = self.current(item.object_id)
        if node is None or not is_variant(node.name, wish.stem, wish.suffix):
            return False
        if self._directories.get(wish.folders) != node.parent:
            return False
        inode = self._directories.inode_for(node.parent, node.name, content_version(item.record))
        if inode != node.inode:
            self.withdraw(item.object_id, old)
            self._put(item, node.parent, node.name, inode)
        else:
            if node.mtime_ns != item.record.mtime_ns or _same_path(old, item.record):
                self._directories.refresh(node, item.record.mtime_ns)
            self._forget_art(node)
            self._note_art(item, node)
            if old is not item.record and (old.folder, old.name) == (item.record.folder, item.record.name):
                # Edited in place with its time put back: the version cannot tell, so the kernel's pages may be old.
                self._tx.note(ChangeOp.CONTENT, 0, b"", inode)
            if old.folder != item.record.folder and old.kind != ObjectKind.SIDECAR:
                self._count(old.folder, node.parent, -1)
                self._count(item.record.folder, node.parent, 1)
        return True

    def put(self, item: Item, wish: Wish) -> None:
        """Give the object a place: its wished one, numbered if that is taken."""
        directory = self._directories.ensure(wish.folders)
        name = fit(wish.stem, wish.suffix)
        if self._directories.taken(directory, name):
            self._displace(directory, name)
            name = self._directories.free_name(directory, wish.stem, wish.suffix)
        self._put(item, directory, name, self._directories.inode_for(directory, name, content_version(item.record)))

    def withdraw(self, object_id: int, record: ObjectRecord) -> None:
        """Take the object out of the view, if it is there. ``record`` is what it was placed as."""
        node = self.current(object_id)
        if node is None:
            return
        self._directories.remove(node)
        self._tx.set_place(object_id, self._view.number, 0)
        self._forget_art(node)
        if record.kind != ObjectKind.SIDECAR:
            self._count(record.folder, node.parent, -1)

    def flush_anchors(self) -> None:
        """Write how the origin folders' tracks moved between directories."""
        for (folder, directory), count in self._anchor_changes.items():
            if count:
                self._tx.add_anchor(folder, self._view.number, directory, count)
        self._anchor_changes.clear()

    def _put(self, item: Item, directory: int, name: bytes, inode: int) -> None:
        record = item.record
        node = Node(
            inode, NodeKind.OBJECT, self._view.number, directory, record.size, record.mtime_ns, item.object_id, 0, name
        )
        self._directories.put(node)
        self._tx.set_place(item.object_id, self._view.number, inode)
        if record.kind != ObjectKind.SIDECAR:
            self._count(record.folder, directory, 1)
        self._note_art(item, node)

    def _count(self, folder: int, directory: int, change: int) -> None:
        key = (folder, directory)
        self._anchor_changes[key] = self._anchor_changes.get(key, 0) + change

    def _note_art(self, item: Item, node: Node) -> None:
        sidecar = item.record.kind == ObjectKind.SIDECAR
        rank = folder_image_rank(node.name) if sidecar else picture_rank(item.facts)
        if rank is not None:
            self._tx.put_art(node.parent, rank, node.name, item.object_id)

    def _forget_art(self, node: Node) -> None:
        image = folder_image_rank(node.name)
        for rank in EMBEDDED_RANKS if image is None else (image,):
            self._tx.remove_art(node.parent, rank, node.name)
