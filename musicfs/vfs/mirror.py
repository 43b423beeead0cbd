"""``/.prefetch``: the tree once more, and opening a file there has all of it fetched.

Its inodes are the tree's with the highest bit set, which no derived inode has (see ``inodes``): nothing is kept for them,
and nothing told to the kernel when they change; what it knows of them is therefore short-lived.
"""

from __future__ import annotations

import msgspec

from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs.catalog_tree import CatalogTree
from musicfs.vfs.entries import Listing

MIRROR_NAME = b".prefetch"
_MIRROR_BIT = 1 << 63
MIRROR_ROOT = Node(_MIRROR_BIT | ROOT_INODE, NodeKind.FOLDER, 0, ROOT_INODE, 0, 0, 0, 0, MIRROR_NAME)


class Mirror:
    """The tree below ``/.prefetch``: see :class:`~musicfs.vfs.entries.Entries`."""

    def __init__(self, tree: CatalogTree) -> None:
        self._tree = tree

    def get(self, parent: int, name: bytes) -> Node | None:
        """The entry ``name`` of a folder, or None."""
        node = self._tree.get(original(parent), name)
        return None if node is None else mirror(node)

    def lookup(self, inode: int) -> Node:
        """The inode; ChangedError if the tree no longer has it."""
        return MIRROR_ROOT if inode == MIRROR_ROOT.inode else mirror(self._tree.lookup(original(inode)))

    def listing(self, inode: int) -> Listing:
        """The folder's entries, names in byte order."""
        return tuple((name, mirrored(child), kind) for name, child, kind in self._tree.read_listing(original(inode)))

    def target(self, inode: int) -> bytes:
        """Where a link leads: to another file below ``/.prefetch``."""
        return self._tree.target(original(inode))


def is_mirrored(inode: int) -> bool:
    """Whether the inode is one of ``/.prefetch``, itself included."""
    return bool(inode & _MIRROR_BIT)


def original(inode: int) -> int:
    """The tree's inode that this one mirrors."""
    return inode & ~_MIRROR_BIT


def mirrored(inode: int) -> int:
    """The inode that mirrors this one of the tree."""
    return inode | _MIRROR_BIT


def mirror(node: Node) -> Node:
    """A node of the tree as it appears below ``/.prefetch``."""
    return msgspec.structs.replace(node, inode=mirrored(node.inode), parent=mirrored(node.parent))


def unmirrored(node: Node) -> Node:
    """A node as the tree has it, whether it was mirrored or not."""
    if not is_mirrored(node.inode):
        return node
    return msgspec.structs.replace(node, inode=original(node.inode), parent=original(node.parent))
