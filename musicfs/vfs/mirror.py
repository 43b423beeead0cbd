"""``/.prefetch``: the tree once more, and opening a file there has all of it fetched.

Its inodes are the tree's with the highest bit set, which no derived inode has (see ``inodes``): nothing is kept for them,
and nothing told to the kernel when they change; what it knows of them is therefore short-lived.
"""

from __future__ import annotations

import msgspec

from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE

MIRROR_NAME = b".prefetch"
_MIRROR_BIT = 1 << 63
MIRROR_ROOT = Node(_MIRROR_BIT | ROOT_INODE, NodeKind.FOLDER, 0, ROOT_INODE, 0, 0, 0, 0, MIRROR_NAME)


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
