"""From a path of the tree to what lies there, for commands that name files as the mount shows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from musicfs.store.catalog import Catalog
from musicfs.store.records import COLLECTIONS_VIEW, TRASH_VIEW, Node, NodeKind
from musicfs.store.schema import ROOT_INODE

_ROOT = Node(ROOT_INODE, NodeKind.FOLDER, 0, 0, 0, 0, 0, 0, b"")


def find(catalog: Catalog, path: bytes) -> Node | None:
    """The file or folder at a virtual path (slashes at its ends do not matter), or None. A link is what it leads to."""
    return _walk(path, catalog.lookup, catalog)


def find_former(catalog: Catalog, path: bytes, now_ns: int) -> Node | None:
    """The file that a virtual path led to until an edit ended that name, for as long as it still does in the mount."""
    node = _walk(
        path, lambda parent, name: catalog.lookup(parent, name) or catalog.former(parent, name, now_ns), catalog
    )
    return None if node is None or node.kind == NodeKind.FOLDER else node


def _walk(path: bytes, lookup: Callable[[int, bytes], Node | None], catalog: Catalog) -> Node | None:
    node = _ROOT
    for name in path.split(b"/"):
        if not name or name == b".":
            continue
        child = lookup(node.inode, name) if node.kind == NodeKind.FOLDER and len(name) <= 255 else None
        if child is not None and child.kind == NodeKind.LINK:
            child = catalog.node(catalog.place_of(child.ref))
        if child is None:
            return None
        node = child
    return node


def files_at(catalog: Catalog, node: Node) -> Iterator[Node]:
    """The originals at and below a node, folder by folder in the order of names; not what was made, such as playlists.

    Links are no files of their own. Of a collection, if that is what is asked for, they are what they lead to; and what is
    deleted is of the trash alone.
    """
    kinds = (NodeKind.OBJECT, NodeKind.TRASHED) if node.view == TRASH_VIEW else (NodeKind.OBJECT,)
    if node.kind in kinds:
        yield node
    if node.kind == NodeKind.FOLDER:
        yield from _files_below(catalog, node, kinds, follow=node.view == COLLECTIONS_VIEW)


def _files_below(catalog: Catalog, folder: Node, kinds: Collection[int], *, follow: bool) -> Iterator[Node]:
    for _, inode, kind in catalog.list_folder(folder.inode):
        if kind == NodeKind.BLOB or (kind == NodeKind.LINK and not follow):
            continue
        child = catalog.node(inode)
        if child is not None and child.kind == NodeKind.LINK:
            child = catalog.node(catalog.place_of(child.ref))
        if child is None:
            continue
        if child.kind in kinds:
            yield child
        elif child.kind == NodeKind.FOLDER:
            yield from _files_below(catalog, child, kinds, follow=follow)
