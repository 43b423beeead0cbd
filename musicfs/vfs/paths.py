"""From a path of the tree to what lies there, for commands that name files as the mount shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE

_ROOT = Node(ROOT_INODE, NodeKind.FOLDER, 0, 0, 0, 0, 0, 0, b"")


def find(catalog: Catalog, path: bytes) -> Node | None:
    """The file or folder at a virtual path (slashes at its ends do not matter), or None."""
    return _walk(path, catalog.lookup)


def find_former(catalog: Catalog, path: bytes, now_ns: int) -> Node | None:
    """The file that a virtual path led to until an edit ended that name, for as long as it still does in the mount."""
    node = _walk(path, lambda parent, name: catalog.lookup(parent, name) or catalog.former(parent, name, now_ns))
    return None if node is None or node.kind == NodeKind.FOLDER else node


def _walk(path: bytes, lookup: Callable[[int, bytes], Node | None]) -> Node | None:
    node = _ROOT
    for name in path.split(b"/"):
        if not name or name == b".":
            continue
        child = lookup(node.inode, name) if node.kind == NodeKind.FOLDER and len(name) <= 255 else None
        if child is None:
            return None
        node = child
    return node


def files_at(catalog: Catalog, node: Node) -> Iterator[Node]:
    """The originals at and below a node, folder by folder in the order of names; not what was made, such as playlists."""
    if node.kind == NodeKind.OBJECT:
        yield node
    if node.kind != NodeKind.FOLDER:
        return
    for _, inode, kind in catalog.list_folder(node.inode):
        child = catalog.node(inode) if kind != NodeKind.BLOB else None
        if child is not None:
            yield from files_at(catalog, child)
