"""The tree as the catalog has it: each answer is one or two lookups there, and listings are kept in a bounded LRU."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from musicfs.errors import ChangedError
from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, NodeKind
from musicfs.store.schema import ROOT_INODE
from musicfs.vfs.entries import Listing
from musicfs.vfs.links import relative_target
from musicfs.vfs.names import HIDDEN_NAMES

_BYTES_PER_ENTRY = 160  # a tuple, a short name and two integers
_ROOT = Node(ROOT_INODE, NodeKind.FOLDER, 0, 0, 0, 0, 0, 0, b"")


class CatalogTree:
    """See :class:`~musicfs.vfs.entries.Entries`. Listings are dropped when the change log says that their folder changed."""

    def __init__(
        self,
        catalog: Catalog,
        listing_cache_bytes: int,
        now_ns: Callable[[], int] = time.time_ns,
        *,
        show_hidden: bool = False,
    ) -> None:
        """Old names end by ``now_ns``. ``show_hidden`` lists also the collections and the trash that are hidden there."""
        self._show_hidden = show_hidden
        self._catalog = catalog
        self._now_ns = now_ns
        self._listings: OrderedDict[int, Listing] = OrderedDict()
        self._listed = 0
        self.limit_listings(listing_cache_bytes)

    def limit_listings(self, listing_cache_bytes: int) -> None:
        """Keep about so much of ready listings; what is more goes with the next one."""
        self._listing_limit = max(listing_cache_bytes // _BYTES_PER_ENTRY, 1)

    def show(self, *, hidden: bool) -> None:
        """List what is hidden at the root or not, from now on."""
        self._show_hidden = hidden
        self.forget_listings((ROOT_INODE,))

    def get(self, parent: int, name: bytes) -> Node | None:
        """The entry ``name`` of a folder, or None."""
        node = self._catalog.lookup(parent, name) or self._catalog.former(parent, name, self._now_ns())
        return self._measured(node) if node is not None and node.kind == NodeKind.LINK else node

    def lookup(self, inode: int) -> Node:
        """The inode; ChangedError if the tree no longer has it."""
        node = self._catalog.node(inode)
        if node is None:
            if inode == ROOT_INODE:
                return _ROOT
            node = self._catalog.former_folder(inode, self._now_ns())
            if node is None:
                raise _outdated(inode)
        return self._measured(node) if node.kind == NodeKind.LINK else node

    def listing(self, inode: int) -> Listing:
        """The folder's entries, names in byte order."""
        found = self._listings.get(inode)
        if found is not None:
            self._listings.move_to_end(inode)
            return found
        found = self.read_listing(inode)
        self._listings[inode] = found
        self._listed += len(found)
        while self._listed > self._listing_limit and len(self._listings) > 1:
            _, dropped = self._listings.popitem(last=False)
            self._listed -= len(dropped)
        return found

    def read_listing(self, inode: int) -> Listing:
        """As :meth:`listing`, and not kept."""
        found = self._catalog.list_folder(inode)
        if inode == ROOT_INODE and not self._show_hidden:
            return tuple(entry for entry in found if entry[0] not in HIDDEN_NAMES)
        return tuple(found)

    def target(self, inode: int) -> bytes:
        """Where a link leads; ChangedError if it is gone, or leads nowhere any more."""
        node = self._catalog.node(inode)
        link = self._catalog.path_of(inode) if node is not None else None
        path = self._catalog.path_of(self._catalog.place_of(node.ref)) if node is not None else None
        if link is None or path is None:
            raise _outdated(inode)
        return relative_target(link.count(b"/") - 1, path)

    def _measured(self, link: Node) -> Node:
        """A link with its size, which is that of its target."""
        return msgspec.structs.replace(link, size=len(self.target(link.inode)))

    def forget_listings(self, inodes: Iterable[int]) -> None:
        """Drop the listings of folders that changed."""
        for inode in inodes:
            dropped = self._listings.pop(inode, None)
            if dropped is not None:
                self._listed -= len(dropped)

    def reopen(self) -> None:
        """Follow a swapped tree."""
        if self._catalog.reopen_tree():
            self._listings.clear()
            self._listed = 0


def _outdated(inode: int) -> ChangedError:
    return ChangedError(f"inode {inode} is outdated")
