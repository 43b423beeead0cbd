"""Names that a correction ends still lead to their files for a while: a player has them in its list, open or not.

They are found when they are asked for, and listed nowhere; a new file of such a name comes before it. Names that end because
of anything else (a file is gone, an album gets a second disc) end at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE

if TYPE_CHECKING:  # the mount, which writes nothing, asks here too
    from musicfs.store.transaction import WriteTransaction

# A folder that was: no folder of the tree has a reference.
_FORMER_REF = 1


def is_lasting(node: Node, parent: int, name: bytes) -> bool:
    """False for what an old name has led to: nobody is told when that ends."""
    return node.parent == parent and node.name == name and not (node.kind == NodeKind.FOLDER and node.ref)


class FormerNames:
    """The names of some objects before a change, to be kept after it."""

    def __init__(self, tx: WriteTransaction, object_ids: Iterable[int]) -> None:
        self._tx = tx
        self._files: list[tuple[Node, int]] = []
        self._folders: dict[int, Node] = {}
        for object_id in object_ids:
            for inode in tx.places(object_id):
                node = tx.node(inode)
                if node is not None:
                    self._files.append((node, object_id))
                    self._note_folders(node.parent)

    def _note_folders(self, inode: int) -> None:
        while inode != ROOT_INODE and inode not in self._folders:
            node = self._tx.node(inode)
            if node is None:
                return
            self._folders[inode] = node
            inode = node.parent

    def keep(self, until_ns: int) -> None:
        """Let the names that have ended since lead to their objects until then."""
        for node, object_id in self._files:
            if self._tx.entry(node.parent, node.name) is None:
                self._tx.put_former_file(node.parent, node.name, object_id, node.view, until_ns)
        for inode, node in self._folders.items():
            if self._tx.node(inode) is None:
                self._tx.put_former_folder(_former(node), until_ns)


def _former(node: Node) -> Node:
    return Node(node.inode, node.kind, node.view, node.parent, 0, node.mtime_ns, _FORMER_REF, 0, node.name)
