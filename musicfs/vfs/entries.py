"""What every part of the mount can be asked: the tree of the catalog, and the hidden folders that no catalog holds."""

from __future__ import annotations

from typing import Protocol

from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs.inodes import SEARCH_INODE

Listing = tuple[tuple[bytes, int, int], ...]  # (name, inode, kind)

SEARCH_ROOT = Node(SEARCH_INODE, NodeKind.FOLDER, 0, ROOT_INODE, 0, 0, 0, 0, b".search")


class Entries(Protocol):
    """Folders and what is in them, by inode numbers. Called by the mount's handlers.

    All raise ChangedError (ESTALE) for an inode that is no longer there: the kernel then looks the name up again.
    """

    def get(self, parent: int, name: bytes) -> Node | None:
        """The entry ``name`` of a folder, or None."""
        ...

    def lookup(self, inode: int) -> Node:
        """The inode."""
        ...

    def listing(self, inode: int) -> Listing:
        """The folder's entries, names in byte order."""
        ...

    def target(self, inode: int) -> bytes:
        """Where a link leads."""
        ...
