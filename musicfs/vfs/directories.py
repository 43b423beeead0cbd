"""Folders of the tree within one batch: finding and making them, free names in them, their times, and their end."""

from __future__ import annotations

import msgspec

from musicfs.store.records import COLLECTIONS_VIEW, Node, NodeKind
from musicfs.store.schema import ROOT_INODE, ChangeOp
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.collection_names import names, standing
from musicfs.vfs.inodes import entry_inode, folder_key
from musicfs.vfs.names import fit, fold, numbered, numbered_prefix, variant_number

Path = tuple[bytes, ...]
_FOLDER_VERSION = b"/"

_SECOND_NS = 1_000_000_000  # media servers compare folder times by the second


class Directories:
    """The folders of one view while a batch is applied; :meth:`finish` must be called at its end.

    ``ignore_case`` merges folders, and numbers files, whose names differ only in case. ``fresh`` is for a tree nobody
    sees yet: folder times then come from the entries alone, not from the moment of building.
    """

    def __init__(self, tx: WriteTransaction, view: int, now_ns: int, *, ignore_case: bool, fresh: bool) -> None:
        self._tx = tx
        self._view = view
        self._now_ns = now_ns
        self._ignore_case = ignore_case
        self._fresh = fresh
        self._inodes: dict[Path, int] = {(): ROOT_INODE}
        self._paths: dict[int, Path] = {ROOT_INODE: ()}
        self._keys: dict[int, bytes] = {}
        self._folded: dict[int, dict[bytes, bytes]] = {}
        self._new: set[int] = set()
        self._newest: dict[int, int] = {}  # touched folder -> newest time of what was put there
        self._shrunk: set[int] = set()
        self._shelves = self._find_shelves() if view != COLLECTIONS_VIEW else frozenset()
        if tx.node(ROOT_INODE) is None:
            tx.put_node(Node(ROOT_INODE, NodeKind.FOLDER, 0, 0, 0, 0, 0, 0, b""))
            self._new.add(ROOT_INODE)

    def get(self, path: Path) -> int:
        """The inode of a folder, 0 if there is none."""
        found = self._inodes.get(path)
        if found is not None:
            return found
        parent = self.get(path[:-1])
        if not parent:
            return 0
        name, inode = self._standing(parent, path[-1])
        if inode:
            self._remember(path, inode, parent, name)
        return inode

    def ensure(self, path: Path) -> int:
        """The inode of a folder, made with its parents if need be."""
        inode = self.get(path)
        if inode:
            return inode
        parent = self.ensure(path[:-1])
        name, _ = self._standing(parent, path[-1])
        inode = self.inode_for(parent, name, _FOLDER_VERSION)
        self.put(Node(inode, NodeKind.FOLDER, self._view, parent, 0, 0, 0, 0, name))
        self._remember(path, inode, parent, name)
        self._new.add(inode)
        self._newest.setdefault(inode, 0)
        return inode

    def path_of(self, inode: int) -> Path:
        """The path of a folder that is in the tree."""
        found = self._paths.get(inode)
        if found is not None:
            return found
        node = self._tx.node(inode)
        if node is None:
            return ()
        path = (*self.path_of(node.parent), node.name)
        self._remember(path, inode, node.parent, node.name)
        return path

    def free_name(self, directory: int, stem: str, suffix: str) -> bytes:
        """The first of ``stem.suffix``, ``stem (2).suffix`` ... that nothing in the folder has."""
        name = fit(stem, suffix)
        number = 1
        while self.taken(directory, name):
            number += 1
            name = numbered(stem, suffix, number)
        return name

    def variants(self, directory: int, stem: str, suffix: str) -> list[int]:
        """Inodes of the files that have the name ``stem.suffix`` or a number of it, in the order of numbers."""
        found = []
        plain = self._tx.entry(directory, fit(stem, suffix))
        if plain is not None and plain[1] != NodeKind.FOLDER:
            found.append((1, plain[0]))
        for name, inode, kind in self._tx.entries_of(directory, numbered_prefix(stem, suffix)):
            number = variant_number(name, stem, suffix)
            if number > 1 and kind != NodeKind.FOLDER:
                found.append((number, inode))
        return [inode for _, inode in sorted(found)]

    def taken(self, directory: int, name: bytes) -> bool:
        """True if an entry of the folder has this name, and keeps it: collections give way to all that is put there."""
        holder = self.holder(directory, name)
        return holder is not None and not (directory in self._shelves and self._is_guest(holder[1]))

    def holder(self, directory: int, name: bytes) -> tuple[bytes, int] | None:
        """(name, inode) of the folder's entry of this name, which may be spelled otherwise; None if there is none."""
        name = self._spelling(directory, name)
        entry = self._tx.entry(directory, name)
        return None if entry is None else (name, entry[0])

    def inode_for(self, directory: int, name: bytes, version: bytes) -> int:
        """The number of an entry: the derived one, or the next salt's while another entry has that."""
        key = self._keys.get(directory)
        if key is None:
            key = self._keys[directory] = folder_key(self._view, self.path_of(directory))
        salt = 0
        while True:
            inode = entry_inode(key, name, version, salt)
            holder = self._tx.node(inode)
            if holder is None or (holder.parent, holder.name) == (directory, name):
                return inode
            salt += 1

    def put(self, node: Node) -> None:
        """Add an entry to its folder."""
        if node.parent in self._shelves:
            self._make_room(node.parent, node.name)
        self._add(node)

    def put_folder(self, node: Node) -> None:
        """Add a folder that has its number not from its path."""
        self._add(node)
        self._new.add(node.inode)
        self._newest.setdefault(node.inode, 0)

    def _add(self, node: Node) -> None:
        self._tx.put_node(node)
        self._newest[node.parent] = max(self._newest.get(node.parent, 0), node.mtime_ns)
        if self._ignore_case and node.parent in self._folded:
            self._folded[node.parent][fold(node.name)] = node.name

    def refresh(self, node: Node) -> None:
        """Write a file whose version is the same, but perhaps not its bytes: the kernel forgets what it holds of it."""
        self._tx.update_node(node)
        self._tx.note(ChangeOp.CONTENT, 0, b"", node.inode)
        self._newest[node.parent] = max(self._newest.get(node.parent, 0), node.mtime_ns)

    def remove(self, node: Node) -> None:
        """Take an entry out of its folder."""
        self._tx.remove_node(node)
        self._newest.setdefault(node.parent, 0)
        self._shrunk.add(node.parent)
        if self._ignore_case and node.parent in self._folded:
            self._folded[node.parent].pop(fold(node.name), None)

    @property
    def touched(self) -> list[int]:
        """Folders whose entries changed in this batch, so far."""
        return list(self._newest)

    def finish(self) -> None:
        """Remove folders that became empty, and give the others their times, children before parents."""
        by_depth = sorted(self._newest, key=lambda inode: -len(self.path_of(inode)))
        for inode in by_depth:
            if inode in self._shrunk:
                self._prune(inode)
        for inode in sorted(self._newest, key=lambda inode: -len(self.path_of(inode))):
            self._settle_time(inode)

    def _prune(self, inode: int) -> None:
        while inode != ROOT_INODE:
            node = self._tx.node(inode)
            if node is None or not self._tx.is_empty(inode):
                return
            self.remove(node)
            self._inodes.pop(self._paths.pop(inode, ()), None)
            self._inodes[()] = ROOT_INODE
            self._newest.pop(inode, None)
            inode = node.parent

    def time_of_made(self, inode: int, mtime_ns: int, before: Node | None) -> int:
        """The time of a made file whose material has ``mtime_ns``: it never goes back, and another content is newer."""
        if before is None or mtime_ns > before.mtime_ns:
            return mtime_ns
        return before.mtime_ns if before.inode == inode else max(self._now_ns, before.mtime_ns + _SECOND_NS)

    def _settle_time(self, inode: int) -> None:
        node = self._tx.node(inode)
        if node is None:
            return
        newest = self._newest[inode]
        if inode not in self._new and not self._fresh:  # it grows by a second even if an entry's time lies ahead
            newest = max(newest, self._now_ns, node.mtime_ns + _SECOND_NS)
        if newest > node.mtime_ns:
            node = msgspec.structs.replace(node, mtime_ns=newest)
            self._tx.update_node(node)
            if node.parent in self._newest and inode in self._new:
                self._newest[node.parent] = max(self._newest[node.parent], newest)
        elif inode not in self._new or inode == ROOT_INODE:  # the root is listed before it has a node
            self._tx.note(ChangeOp.INODE, 0, b"", inode)

    def _remember(self, path: Path, inode: int, parent: int, name: bytes) -> None:
        """``path`` is what was asked for; the folder's own path may be spelled otherwise."""
        self._inodes[path] = inode
        if inode not in self._paths:
            self._paths[inode] = (*self.path_of(parent), name)

    def _standing(self, directory: int, name: bytes) -> tuple[bytes, int]:
        """The name and inode of the folder for ``name``: a numbered one where a file has it; inode 0 if there is none."""
        stem, number, wanted = name, 1, name
        while True:
            name = self._spelling(directory, wanted)
            entry = self._tx.entry(directory, name)
            if entry is None:
                return name, 0
            if directory in self._shelves and self._is_guest(entry[0]):
                return wanted, 0  # it gives way once something is put there
            if entry[1] == NodeKind.FOLDER:
                return name, entry[0]
            number += 1
            wanted = numbered(stem.decode("utf-8", "surrogateescape"), "", number)

    def _find_shelves(self) -> frozenset[int]:
        """The folders that collections are in: there their names are given to whoever else wants them."""
        found = (standing(self._tx, record)[0] for record in self._tx.collections())
        return frozenset(node.parent for node in found if node is not None)

    def _is_guest(self, inode: int) -> bool:
        """Whether this is a collection's folder or playlist."""
        node = self._tx.node(inode)
        return node is not None and node.view == COLLECTIONS_VIEW and node.start != 0

    def _make_room(self, directory: int, name: bytes) -> None:
        """Have the collection that has a name for its folder or playlist take the next number that both can have."""
        holder = self.holder(directory, name)
        guest = self._tx.node(holder[1]) if holder is not None and self._is_guest(holder[1]) else None
        if guest is None:
            return
        record = next(record for record in self._tx.collections() if record.id == guest.start)
        own = standing(self._tx, record)
        for node in own:
            if node is not None:
                self.remove(node)
        number = 1
        while any(self._is_same(new, name) or self.holder(directory, new) for new in names(record.name, number)):
            number += 1
        for node, new in zip(own, names(record.name, number), strict=True):
            if node is not None:
                self._add(msgspec.structs.replace(node, name=new))

    def _is_same(self, name: bytes, other: bytes) -> bool:
        return name == other or (self._ignore_case and fold(name) == fold(other))

    def _spelling(self, directory: int, name: bytes) -> bytes:
        """The name under which a folder already stands, if case does not count."""
        if not self._ignore_case:
            return name
        return self._names_of(directory).get(fold(name), name)

    def _names_of(self, directory: int) -> dict[bytes, bytes]:
        names = self._folded.get(directory)
        if names is None:
            names = {fold(name): name for name, _, _ in self._tx.entries_of(directory)}
            self._folded[directory] = names
        return names
