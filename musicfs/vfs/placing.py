"""Placing files in one view: who moves, who stays, who gets a number, and whose content a shared name has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from musicfs.store.corrections import content_version
from musicfs.store.records import Node, NodeKind, ObjectKind, ObjectRecord
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.artwork import EMBEDDED_RANKS, folder_image_rank, picture_rank
from musicfs.vfs.directories import Directories
from musicfs.vfs.federation import Federation
from musicfs.vfs.items import Item
from musicfs.vfs.names import fit, is_variant
from musicfs.vfs.views import View, Wish


def _read_anew(old: ObjectRecord, new: ObjectRecord) -> bool:
    """True if a file was read anew where it was, and not only named anew because of its siblings."""
    return old is not new and (old.folder, old.name) == (new.folder, new.name)


def _is_sidecar(record: ObjectRecord) -> bool:
    return record.kind == ObjectKind.SIDECAR


class Placer:
    """Puts objects at their wished places in one view, or takes them away."""

    def __init__(
        self,
        tx: WriteTransaction,
        view: View,
        directories: Directories,
        federation: Federation,
        displace: Callable[[int, bytes], None],
    ) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._federation = federation
        self._displace = displace  # removes a made file (a cover) that stands where a real one wants to be
        # Entries (directory, name) whose sources, or which of them is served, may have changed, where there can be several.
        self.changed: set[tuple[int, bytes]] = set()
        self.read_anew: set[int] = set()  # objects with more sources beside them that were read anew
        self._anchor_changes: dict[tuple[int, int], int] = {}
        # Entries (directory, name) that may be one too many; those of sidecars apart, as these are placed last.
        self._unsettled: dict[bool, set[tuple[int, bytes]]] = {False: set(), True: set()}

    def keeps(self, item: Item, wish: Wish, old: ObjectRecord) -> bool:
        """Leave the object where it is if that is what it wishes; a new content takes the old one's name. True if so.

        ``old`` is what it was placed as: its origin folder may be another.
        """
        node = self._tx.placed(item.object_id, self._view.number)
        if node is None or not is_variant(node.name, wish.stem, wish.suffix):
            return False
        if self._directories.get(wish.folders) != node.parent:
            return False
        sources = self._federation.sources(node)
        if len(sources) > 1 and not self._federation.stays(item, node, sources):
            return False
        if self._federation.possible:
            self._unsettled[_is_sidecar(item.record)].add((node.parent, node.name))
        if old.folder != item.record.folder:
            self._count(old, node.parent, -1)
            self._count(item.record, node.parent, 1)
        reread = _read_anew(old, item.record)
        if len(sources) > 1:
            self._note_change(node)
            self.read_anew.update((item.object_id,) if reread else ())
        best = item if len(sources) == 1 else self._federation.best(sources)
        if best is not None and (best.object_id == item.object_id or best.object_id != node.ref):
            self._serve(node, best, sources, anew=best.object_id == item.object_id and reread)
        return True

    def put(self, item: Item, wish: Wish) -> None:
        """Give the object a place: its wished one, shared with what is alike, or numbered if that is taken."""
        directory = self._directories.ensure(wish.folders)
        shared = self._federation.find(item, directory, wish)
        if shared is not None:
            self._join(item, shared)
            return
        name = fit(wish.stem, wish.suffix)
        if self._directories.taken(directory, name):
            self._displace(directory, name)
            name = self._directories.free_name(directory, wish.stem, wish.suffix)
        record = item.record
        inode = self._directories.inode_for(directory, name, content_version(record))
        node = Node(
            inode, NodeKind.OBJECT, self._view.number, directory, record.size, record.mtime_ns, item.object_id, 0, name
        )
        self._add(node, item, (item.object_id,))
        self._count(record, directory, 1)

    def withdraw(self, object_id: int, record: ObjectRecord) -> None:
        """Take the object out of the view, if it is there. ``record`` is what it was placed as."""
        node = self._tx.placed(object_id, self._view.number)
        if node is None:
            return
        others = [source for source in self._federation.sources(node) if source != object_id]
        self._tx.set_place(object_id, self._view.number, 0)
        self._count(record, node.parent, -1)
        best = self._federation.best(others) if others else None
        if best is None:
            self._remove(node)
            return
        self._tx.set_sources(node.inode, others)
        self._note_change(node)
        self._unsettled[_is_sidecar(record)].add((node.parent, node.name))
        if node.ref == object_id:
            self._serve(node, best, others)

    def settle(self, *, sidecars: bool) -> list[Item]:
        """Give up entries that are superfluous since their sources can join others; returns the files that moved."""
        moved: list[Item] = []
        for directory, name in sorted(self._unsettled[sidecars]):
            entries = self._federation.alike(directory, name)
            if len(entries) > 1:
                copies = Counter(origin for _, sources in entries for origin in self._federation.origins(sources))
                while len(entries) > max(copies.values()):
                    moved += self._dissolve(*entries.pop())
        self._unsettled[sidecars].clear()
        return moved

    def serve_best(self, node: Node, sources: Sequence[int]) -> None:
        """Serve the entry from the best of its sources, by ranks that are new."""
        best = self._federation.best(sources)
        if best is not None and best.object_id != node.ref:
            self._serve(node, best, sources)

    def flush_anchors(self) -> None:
        """Write how the origin folders' tracks moved between directories."""
        for (folder, directory), count in self._anchor_changes.items():
            if count:
                self._tx.add_anchor(folder, self._view.number, directory, count)
        self._anchor_changes.clear()

    def _join(self, item: Item, node: Node) -> None:
        """Make the object a further source of an entry."""
        sources = [*self._federation.sources(node), item.object_id]
        self._tx.set_place(item.object_id, self._view.number, node.inode)
        self._tx.set_sources(node.inode, sources)
        self._count(item.record, node.parent, 1)
        self._note_change(node)
        self.serve_best(node, sources)

    def _dissolve(self, node: Node, sources: Sequence[int]) -> list[Item]:
        """Remove an entry and put each of its sources anew: they join those that are alike."""
        self._tx.set_sources(node.inode, ())
        self._remove(node)
        moving = self._federation.items.all_of(sources)
        for item in moving:
            self._tx.set_place(item.object_id, self._view.number, 0)
            self._count(item.record, node.parent, -1)
            wish = self._federation.wish_of(item)
            if wish is not None:
                self.put(item, wish)
        return moving

    def _serve(self, node: Node, best: Item, sources: Sequence[int], *, anew: bool = False) -> None:
        """Let an entry have the content of ``best``: under another inode number if that is another version.

        ``anew``: the kernel's pages are old even if the version is the same, as after an edit that put its time back.
        """
        record = best.record
        inode = self._directories.inode_for(node.parent, node.name, content_version(record))
        served = msgspec.structs.replace(
            node, inode=inode, size=record.size, mtime_ns=record.mtime_ns, ref=best.object_id
        )
        if inode != node.inode:
            self._tx.set_sources(node.inode, ())
            self._remove(node)
            self._add(served, best, sources)
            return
        if anew or served != node:
            self._directories.refresh(served)
            self._note_change(node)
        self._forget_art(node)
        self._note_art(best, served)

    def _add(self, node: Node, served: Item, sources: Sequence[int]) -> None:
        self._directories.put(node)
        for object_id in sources:
            self._tx.set_place(object_id, self._view.number, node.inode)
        if len(sources) > 1:
            self._tx.set_sources(node.inode, sources)
        self._note_change(node)
        self._note_art(served, node)

    def _remove(self, node: Node) -> None:
        self._directories.remove(node)
        self._note_change(node)
        self._forget_art(node)

    def _note_change(self, node: Node) -> None:
        if self._federation.possible:
            self.changed.add((node.parent, node.name))

    def _count(self, record: ObjectRecord, directory: int, change: int) -> None:
        if not _is_sidecar(record):
            key = (record.folder, directory)
            self._anchor_changes[key] = self._anchor_changes.get(key, 0) + change

    def _note_art(self, item: Item, node: Node) -> None:
        rank = folder_image_rank(node.name) if _is_sidecar(item.record) else picture_rank(item.facts)
        if rank is not None:
            self._tx.put_art(node.parent, rank, node.name, item.object_id)

    def _forget_art(self, node: Node) -> None:
        image = folder_image_rank(node.name)
        for rank in EMBEDDED_RANKS if image is None else (image,):
            self._tx.remove_art(node.parent, rank, node.name)
