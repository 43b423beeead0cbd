"""Where a collection stands in the tree: its folder by its id, whatever it is called now, and its playlist beside it.

A folder's number follows from the collection's id alone: a collection that is renamed, or numbered because an artist has its
name, is the same folder to all that remember it by number.
"""

from __future__ import annotations

from typing import Protocol

from musicfs.store.records import COLLECTIONS_VIEW, CollectionRecord, Node, NodeKind
from musicfs.vfs.inodes import entry_inode, folder_key
from musicfs.vfs.names import numbered, variant_number

PLAYLIST_SUFFIX = ".m3u8"

_KEY = folder_key(COLLECTIONS_VIEW, ())


class Inodes(Protocol):
    """The tree as a reader or a writer has it."""

    def node(self, inode: int) -> Node | None:
        """An inode, or None."""
        ...


class Tree(Inodes, Protocol):
    """The tree as a writer has it."""

    def entry(self, parent: int, name: bytes) -> tuple[int, int] | None:
        """(inode, kind) of a directory entry, or None."""
        ...


def entries_key(collection_id: int) -> bytes:
    """What the entries of a collection's folder are hashed with."""
    return folder_key(COLLECTIONS_VIEW, (b"%d" % collection_id,))


def inode_for(tree: Inodes, key: bytes, parent: int, name: bytes, version: bytes) -> int:
    """The number of an entry that is hashed with ``key``, wherever it stands; the next salt's while another has that."""
    salt = 0
    while True:
        inode = entry_inode(key, name, version, salt)
        holder = tree.node(inode)
        if holder is None or (holder.parent, holder.name) == (parent, name):
            return inode
        salt += 1


def folder_inode(tree: Inodes, collection_id: int) -> int:
    """The number of a collection's folder: that which it has, or would have."""
    salt = 0
    while True:
        inode = entry_inode(_KEY, b"%d" % collection_id, b"/", salt)
        holder = tree.node(inode)
        if holder is None or is_part_of(holder, collection_id):
            return inode
        salt += 1


def is_part_of(node: Node, collection_id: int) -> bool:
    """Whether this is the folder or the playlist of a collection."""
    return node.view == COLLECTIONS_VIEW and node.start == collection_id


def names(name: str, number: int) -> tuple[bytes, bytes]:
    """How folder and playlist of a collection are called that is the ``number``-th to have its name."""
    return numbered(name, "", number), numbered(name, PLAYLIST_SUFFIX, number)


def standing(tree: Tree, record: CollectionRecord) -> tuple[Node | None, Node | None]:
    """Folder and playlist of a collection as the tree has them."""
    folder = tree.node(folder_inode(tree, record.id))
    if folder is None:
        return None, None
    number = variant_number(folder.name, record.name, "")
    entry = tree.entry(folder.parent, names(record.name, number)[1]) if number else None
    playlist = tree.node(entry[0]) if entry is not None and entry[1] == NodeKind.BLOB else None
    return folder, playlist if playlist is not None and is_part_of(playlist, record.id) else None
