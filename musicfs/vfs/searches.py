"""``/.search``: looking up a name there is a search, and what it finds are links into the tree.

``/.search/genre:jazz/`` lists ``001. Artist - Title.flac`` and so on, at most 1000, best first; a name in it that is not like
these narrows the search: ``/.search/genre:jazz/year:1960/``. ``%2F`` stands for a slash, and ``%25`` for the percent sign of
one. ``/.search`` itself lists nothing, so that a walk through the mount searches nothing.

Folders and links have inode numbers that are derived from their names and what they lead to, and are known for as long as
there is room; a number that is no longer known answers ESTALE, upon which the kernel looks its name up again.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict

import msgspec

from musicfs.clock import Clock
from musicfs.errors import ChangedError, NameTooLongError, QueryError
from musicfs.index.finding import Finder
from musicfs.index.parser import MAX_CHARACTERS, parse
from musicfs.index.rendering import render
from musicfs.index.syntax import Query, conjunction
from musicfs.store.catalog import Catalog
from musicfs.store.records import U64, Node, NodeKind
from musicfs.vfs.entries import SEARCH_ROOT, Listing
from musicfs.vfs.inodes import SEARCH_INODE, search_inode
from musicfs.vfs.links import link_position, relative_target
from musicfs.vfs.probes import is_probe
from musicfs.vfs.results import Released, Result, Results

_DEPTH_MAX = 32
_FOLDERS_KEPT = 4096  # about 1 KB each
_LINKS_KEPT = 20_000  # about 0.5 KB each: only those that were looked up
_ESCAPED = re.compile("%(2[Ff]|25)")


class _Folder(msgspec.Struct, frozen=True):
    """A search folder: how deep it lies, and its query as a tree and in normal form. ``/.search`` has no query."""

    node: Node
    depth: int
    query: Query | None = None
    text: str = ""


class _Link(msgspec.Struct, frozen=True, gc=False):
    """A link that was looked up."""

    node: Node
    target: bytes


class Searches:
    """All below ``/.search``: see :class:`~musicfs.vfs.entries.Entries`. Safe from any thread.

    What searches raises IndexNotReadyError (EAGAIN) while there is no index, and StoreError (EIO) for a damaged one.
    """

    def __init__(self, catalog: Catalog, finder: Finder, names: str, released: Released, clock: Clock) -> None:
        """See :class:`~musicfs.vfs.results.Results`."""
        self._catalog = catalog
        self._results = Results(catalog, finder, names, released, clock)
        self._top = _Folder(SEARCH_ROOT, depth=1)
        self._lock = threading.Lock()  # of the two below, never held while something waits
        self._folders: OrderedDict[int, _Folder] = OrderedDict()
        self._links: OrderedDict[int, _Link] = OrderedDict()

    def get(self, parent: int, name: bytes) -> Node | None:
        """The link or the search of this name, or None: for what is no query, too. NameTooLongError for a long one."""
        folder = self._folder(parent)
        if link_position(name):
            return self._link(folder, name)
        found = self._search_in(folder, name)
        return None if found is None else _dated(found, self._current(found))

    def lookup(self, inode: int) -> Node:
        """The inode; ChangedError if it is no longer known."""
        with self._lock:
            link = self._links.get(inode)
        if link is not None:
            return link.node
        folder = self._folder(inode)
        return folder.node if folder.query is None else _dated(folder, self._results.latest(folder.text, folder.query))

    def listing(self, inode: int) -> Listing:
        """The links of a search folder; of ``/.search`` nothing."""
        folder = self._folder(inode)
        if folder.query is None:
            return ()
        result = self._current(folder)
        return tuple(
            (name, search_inode(inode, name, U64.pack(place)), NodeKind.LINK)
            for name, place in zip(result.names, result.places, strict=True)
        )

    def target(self, inode: int) -> bytes:
        """Where a link leads; ChangedError if it is no longer known."""
        with self._lock:
            link = self._links.get(inode)
            if link is None:
                raise _outdated(inode)
            self._links.move_to_end(inode)
        return link.target

    def rest(self) -> None:
        """Give back the memory of what nobody needs to find any more."""
        if self._results.rest():
            return
        with self._lock:  # nobody has looked at a list for a while; who comes back looks its names up again
            self._links.clear()

    def _folder(self, inode: int) -> _Folder:
        if inode == SEARCH_INODE:
            return self._top
        with self._lock:
            folder = self._folders.get(inode)
            if folder is None:
                raise _outdated(inode)
            self._folders.move_to_end(inode)
        return folder

    def _current(self, folder: _Folder) -> Result:
        assert folder.query is not None  # /.search itself is not asked for
        return self._results.current(folder.text, folder.query)

    def _search_in(self, parent: _Folder, name: bytes) -> _Folder | None:
        """The search of this name; None for what is no query."""
        with self._lock:
            known = self._folders.get(self._number(parent, name, b""))
        if known is not None:
            return known
        query = _parse(name)
        if query is None:
            return None
        if parent.depth == _DEPTH_MAX:
            raise NameTooLongError(f"more than {_DEPTH_MAX} searches lie in each other")
        query = query if parent.query is None else conjunction((parent.query, query))
        with self._lock:
            inode = self._number(parent, name, b"")
            node = Node(inode, NodeKind.FOLDER, 0, parent.node.inode, 0, 0, 0, 0, name)
            folder = self._folders[inode] = _Folder(node, parent.depth + 1, query, render(query))
            while len(self._folders) > _FOLDERS_KEPT:
                self._folders.popitem(last=False)
        return folder

    def _link(self, folder: _Folder, name: bytes) -> Node | None:
        """The link of this name, which leads to where its track is now; None if no list had it, or the track is gone."""
        object_id = self._results.resolve(folder.text, folder.query, name) if folder.query is not None else None
        place = self._catalog.place_of(object_id) if object_id is not None else 0
        track = self._catalog.node(place) if place else None
        path = self._catalog.path_of(place) if track is not None else None
        if track is None or path is None:
            return None
        target = relative_target(folder.depth, path)
        with self._lock:
            inode = self._number(folder, name, U64.pack(place))
            mtime_ns = track.mtime_ns  # so that file managers sort what was found by the times of the tracks
            node = Node(inode, NodeKind.LINK, 0, folder.node.inode, len(target), mtime_ns, track.ref, 0, name)
            self._links[inode] = _Link(node, target)
            self._links.move_to_end(inode)
            while len(self._links) > _LINKS_KEPT:
                self._links.popitem(last=False)
        return node

    def _number(self, folder: _Folder, name: bytes, what: bytes) -> int:
        """The inode of an entry; of two that would have the same the later one gets another."""
        salt = 0
        while True:
            inode = search_inode(folder.node.inode, name, what, salt)
            holder = self._folders.get(inode) or self._links.get(inode)
            if holder is None or (holder.node.parent, holder.node.name) == (folder.node.inode, name):
                return inode
            salt += 1


def _dated(folder: _Folder, result: Result) -> Node:
    """A search folder is as old as what it has found."""
    return msgspec.structs.replace(folder.node, mtime_ns=result.made_ns)


def _parse(name: bytes) -> Query | None:
    """The query that a name is; None for what is none."""
    try:
        text = _ESCAPED.sub(lambda found: "%" if found[1] == "25" else "/", name.decode())
        if len(text) > MAX_CHARACTERS:
            raise NameTooLongError(f"a query has {MAX_CHARACTERS} characters at most, this one {len(text)}")
        return None if is_probe(text) else parse(text)
    except (UnicodeDecodeError, QueryError):
        return None


def _outdated(inode: int) -> ChangedError:
    return ChangedError(f"inode {inode} is not known any more")
