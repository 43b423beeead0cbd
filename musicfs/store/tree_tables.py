"""The tree's tables as typed operations inside a write: nodes, entries, places, sources, and what is derived beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator

import lmdb
import msgspec

from musicfs.store.records import (
    DISCS,
    ENTRY,
    U32,
    U64,
    U64_U64,
    CollectionRecord,
    Node,
    NodeKind,
    pack_node,
    unpack_node,
)
from musicfs.store.schema import ChangeOp
from musicfs.store.tables import Tables

_decode_collections = msgspec.msgpack.Decoder(list[CollectionRecord]).decode


class TreeTables(ABC):
    """The part of a write that changes one generation of the tree."""

    txn: lmdb.Transaction[bytes]
    tables: Tables

    @abstractmethod
    def note(self, op: ChangeOp, parent: int, name: bytes, inode: int) -> None:
        """Append to the change log."""

    @abstractmethod
    def note_touched(self, *object_ids: int) -> None:
        """Have the index look at objects again."""

    def node(self, inode: int) -> Node | None:
        """An inode, or None."""
        raw = self.txn.get(U64.pack(inode), db=self.tables.nodes)
        return None if raw is None else unpack_node(inode, raw)

    def entry(self, parent: int, name: bytes) -> tuple[int, int] | None:
        """(inode, kind) of a directory entry, or None."""
        raw = self.txn.get(U64.pack(parent) + name, db=self.tables.entries)
        return None if raw is None else ENTRY.unpack(raw)

    def put_node(self, node: Node) -> None:
        """Write an inode and the entry that leads to it."""
        self.txn.put(U64.pack(node.inode), pack_node(node), db=self.tables.nodes)
        self.txn.put(U64.pack(node.parent) + node.name, ENTRY.pack(node.inode, node.kind), db=self.tables.entries)
        if node.kind == NodeKind.LINK:
            self.txn.put(U64_U64.pack(node.ref, node.inode), b"", db=self.tables.links)
        self._note_served(node)

    def update_node(self, node: Node) -> None:
        """Write an inode whose entry stays as it is."""
        self.txn.put(U64.pack(node.inode), pack_node(node), db=self.tables.nodes)
        self.note(ChangeOp.INODE, 0, b"", node.inode)
        self._note_served(node)

    def _note_served(self, node: Node) -> None:
        if node.kind == NodeKind.OBJECT and not node.start:  # not a cover that is a part of one
            self.note_touched(node.ref)

    def remove_node(self, node: Node) -> None:
        """Remove an inode and its entry, and have the kernel forget both."""
        self.txn.delete(U64.pack(node.inode), db=self.tables.nodes)
        self.txn.delete(U64.pack(node.parent) + node.name, db=self.tables.entries)
        self.note(ChangeOp.ENTRY, node.parent, node.name, node.inode)
        if node.kind == NodeKind.LINK:
            self.txn.delete(U64_U64.pack(node.ref, node.inode), db=self.tables.links)
        if node.kind != NodeKind.FOLDER:
            self.note(ChangeOp.CONTENT, 0, b"", node.inode)

    @property
    def has_links(self) -> bool:
        """True if collections have any tracks."""
        return bool(self.txn.stat(self.tables.links)["entries"])

    def links_to(self, object_id: int) -> list[int]:
        """The inodes of the links of collections that lead to an object."""
        return _seconds(self.txn, self.tables.links, object_id)

    def entries_of(self, inode: int, starting: bytes = b"") -> Iterator[tuple[bytes, int, int]]:
        """(name, inode, kind) of a folder's entries whose names start so, in byte order.

        Do not write to the folder while iterating.
        """
        prefix = U64.pack(inode) + starting
        with self.txn.cursor(self.tables.entries) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        return
                    yield (key[8:], *ENTRY.unpack(value))

    def is_empty(self, inode: int) -> bool:
        """True if the folder has no entries."""
        return next(self.entries_of(inode), None) is None

    def place(self, object_id: int, view: int) -> int:
        """The inode under which an object appears in a view, 0 if it does not."""
        raw = self.txn.get(U64.pack(object_id) + bytes((view,)), db=self.tables.places)
        return 0 if raw is None else U64.unpack(raw)[0]

    def places(self, object_id: int) -> list[int]:
        """The inodes under which an object appears, one a view."""
        prefix = U64.pack(object_id)
        found: list[int] = []
        with self.txn.cursor(self.tables.places) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        break
                    found.append(U64.unpack(value)[0])
        return found

    def placed(self, object_id: int, view: int) -> Node | None:
        """The node under which an object appears in a view, or None."""
        inode = self.place(object_id, view)
        return self.node(inode) if inode else None

    def set_place(self, object_id: int, view: int, inode: int) -> None:
        """Note where an object appears; 0 forgets it."""
        key = U64.pack(object_id) + bytes((view,))
        if inode:
            put_last(self.txn, self.tables.places, key, U64.pack(inode))
        else:
            self.txn.delete(key, db=self.tables.places)
        self.note_touched(object_id)

    def sources(self, inode: int) -> list[int]:
        """Ids of an inode's sources in numeric order; empty if it has only the one its node refers to."""
        return read_sources(self.txn, self.tables, inode)

    def set_sources(self, inode: int, object_ids: Collection[int]) -> None:
        """Write the sources of an inode; fewer than two are not written, as its node says enough."""
        before = set(self.sources(inode))
        after = set(object_ids) if len(object_ids) > 1 else set()
        for object_id in before - after:
            self.txn.delete(U64_U64.pack(inode, object_id), db=self.tables.sources)
        for object_id in after - before:
            self.txn.put(U64_U64.pack(inode, object_id), b"", db=self.tables.sources)
        if before != after:
            self.note_touched(*before, *after)

    def shared_inodes(self, after: int) -> Iterator[tuple[int, list[int]]]:
        """(inode, source ids) of every inode above ``after`` with several sources. Do not write while iterating."""
        with self.txn.cursor(self.tables.sources) as cursor:
            found = cursor.set_range(U64.pack(after + 1))
            while found:
                inode = U64.unpack(cursor.key()[:8])[0]
                yield inode, self.sources(inode)
                found = cursor.set_range(U64.pack(inode + 1))

    def add_anchor(self, folder_id: int, view: int, directory: int, count: int) -> None:
        """Add ``count`` (may be negative) to the tracks of an origin folder that lie in a directory of the tree."""
        key = U32.pack(folder_id) + bytes((view,)) + U64.pack(directory)
        raw = self.txn.get(key, db=self.tables.anchors)
        total = count + (0 if raw is None else U32.unpack(raw)[0])
        if total > 0:
            self.txn.put(key, U32.pack(total), db=self.tables.anchors)
        elif raw is not None:
            self.txn.delete(key, db=self.tables.anchors)

    def anchors(self, folder_id: int, view: int) -> list[tuple[int, int]]:
        """(directory inode, tracks) for an origin folder."""
        prefix = U32.pack(folder_id) + bytes((view,))
        found = []
        with self.txn.cursor(self.tables.anchors) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        break
                    found.append((U64.unpack(key[5:])[0], U32.unpack(value)[0]))
        return found

    def album_members(self, album: int) -> list[tuple[int, int, int]]:
        """(object id, disc, disc total) of an album's tracks."""
        prefix = U64.pack(album)
        found = []
        with self.txn.cursor(self.tables.albums) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        break
                    found.append((U64.unpack(key[8:])[0], *DISCS.unpack(value)))
        return found

    def set_album_member(self, album: int, object_id: int, disc: int, disc_total: int) -> None:
        """Count an object among an album's tracks."""
        self.txn.put(U64_U64.pack(album, object_id), DISCS.pack(disc, disc_total), db=self.tables.albums)

    def remove_album_member(self, album: int, object_id: int) -> None:
        """Count it no longer."""
        self.txn.delete(U64_U64.pack(album, object_id), db=self.tables.albums)

    def put_art(self, directory: int, rank: int, name: bytes, object_id: int) -> None:
        """Note a candidate for a directory's cover."""
        self.txn.put(U64.pack(directory) + bytes((rank,)) + name, U64.pack(object_id), db=self.tables.art)

    def remove_art(self, directory: int, rank: int, name: bytes) -> None:
        """Withdraw a candidate."""
        self.txn.delete(U64.pack(directory) + bytes((rank,)) + name, db=self.tables.art)

    def art_candidates(self, directory: int) -> Iterator[int]:
        """Object ids of a directory's candidates, best first. Do not write candidates while iterating."""
        prefix = U64.pack(directory)
        with self.txn.cursor(self.tables.art) as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if key[:8] != prefix:
                        return
                    yield U64.unpack(value)[0]


def read_sources(txn: lmdb.Transaction[bytes], tables: Tables, inode: int) -> list[int]:
    """Ids of an inode's sources in numeric order; empty if it has only the one its node refers to."""
    return _seconds(txn, tables.sources, inode)


def _seconds(txn: lmdb.Transaction[bytes], table: lmdb._Database, first: int) -> list[int]:
    """The second numbers of a table's keys that are pairs and begin with this one."""
    prefix = U64.pack(first)
    found: list[int] = []
    with txn.cursor(table) as cursor:
        if cursor.set_range(prefix):
            for key in cursor.iternext(values=False):
                if key[:8] != prefix:
                    break
                found.append(U64.unpack(key[8:])[0])
    return found


def read_place(txn: lmdb.Transaction[bytes], tables: Tables, object_id: int) -> int:
    """The inode under which an object appears, in the first view that has it; 0 if none has."""
    key = U64.pack(object_id)
    with txn.cursor(tables.places) as cursor:
        return U64.unpack(cursor.value())[0] if cursor.set_range(key) and cursor.key()[:8] == key else 0


def read_track(txn: lmdb.Transaction[bytes], tables: Tables, object_id: int) -> list[int]:
    """Ids of the objects that are one track with this one, the served one first; itself alone if the tree lacks it."""
    inode = read_place(txn, tables, object_id)
    node = txn.get(U64.pack(inode), db=tables.nodes) if inode else None
    if node is None:
        return [object_id]
    ref = unpack_node(inode, node).ref
    return [ref, *(found for found in read_sources(txn, tables, inode) if found != ref)]


def read_collections(txn: lmdb.Transaction[bytes], tables: Tables) -> list[CollectionRecord]:
    """The collections that the tree has, in the order in which they came to their names."""
    raw = txn.get(b"collections", db=tables.meta)
    return [] if raw is None else _decode_collections(raw)


def put_last(txn: lmdb.Transaction[bytes], table: lmdb._Database, key: bytes, value: bytes) -> None:
    """Put a key that most likely is the table's last: appending fills pages whole, inserting leaves them half empty."""
    if not txn.put(key, value, append=True, db=table):
        txn.put(key, value, db=table)
