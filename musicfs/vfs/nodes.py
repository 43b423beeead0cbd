"""The mount's reading side: names to inodes, inodes to attributes, folders to listings, files to open readers.

The tree itself comes from the catalog (``catalog_tree``); the hidden folders at its root answer for all below them. Called by
the mount's handlers, from many threads, one at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from musicfs.content.buffers import Buffers
from musicfs.content.keys import Source
from musicfs.content.readers import BlobReader, Reader
from musicfs.content.sources import Sources
from musicfs.errors import ChangedError, GoneError, NameTooLongError, StoreError
from musicfs.model import FIELD_NAMES
from musicfs.store.catalog import Catalog
from musicfs.store.correction_tables import Serving
from musicfs.store.corrections import OWN_COVER
from musicfs.store.records import TRASH_ORIGIN, Node, NodeKind, ObjectKind, ObjectRecord, unpack_stored
from musicfs.store.schema import ROOT_INODE
from musicfs.store.trashed import original_anchor
from musicfs.vfs.catalog_tree import CatalogTree
from musicfs.vfs.entries import SEARCH_ROOT, Entries, Listing
from musicfs.vfs.inodes import FIRST_MADE_UP, is_search
from musicfs.vfs.mirror import MIRROR_ROOT, Mirror, is_mirrored, original, unmirrored
from musicfs.vfs.names import MAX_NAME_BYTES, VERSIONS_NAME
from musicfs.vfs.successions import Successions

if TYPE_CHECKING:
    from musicfs.vfs.searches import Searches


class Nodes:
    """What the mount shows."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Sources,
        listing_cache_bytes: int,
        on_stale: Callable[[int], object],
        *,
        show_hidden: bool = False,
        open_searches: Callable[[], Searches] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``on_stale`` is told the object whose file was not what the catalog says; it must not block. ``show_hidden`` lists
        the hidden folders at the root too; ``open_searches`` is called when somebody first looks into ``/.search``, which is
        not there without. Old names end by ``now_ns``.
        """
        self._show_hidden = show_hidden
        self._successions: Successions | None = None
        self._on_stale = on_stale
        self._catalog = catalog
        self._sources = sources
        self._tree = CatalogTree(catalog, listing_cache_bytes, now_ns, show_hidden=show_hidden)
        self._mirror = Mirror(self._tree)
        self._open_searches = open_searches
        self._searches: Searches | None = None
        hidden = (MIRROR_ROOT, SEARCH_ROOT) if open_searches is not None else (MIRROR_ROOT,)
        self._hidden = {root.name: root for root in hidden}
        self._origin_ids: dict[int, str] = {}
        self._buffers = Buffers()

    def _entries(self, inode: int) -> Entries:
        """Who knows the inode."""
        if inode < FIRST_MADE_UP:
            return self._tree
        if is_mirrored(inode) or self._open_searches is None:
            return self._mirror
        if self._searches is None:
            made = self._open_searches()  # lets others in meanwhile, who may have made it, too
            self._searches = self._searches or made
        return self._searches

    def get(self, parent: int, name: bytes) -> Node | None:
        """The entry ``name`` of a folder, or None. NameTooLongError for a name that no entry can have.

        A search folder blocks while it searches; the mount's lock is let go meanwhile.
        """
        if parent == ROOT_INODE and name in self._hidden:
            return self._hidden[name]
        if len(name) > MAX_NAME_BYTES and not is_search(parent):  # queries are counted in characters
            raise NameTooLongError(f"a name has {MAX_NAME_BYTES} bytes at most, this one {len(name)}")
        return self._entries(parent).get(parent, name)

    def lookup(self, inode: int) -> Node:
        """The inode; ChangedError (ESTALE) if it is no longer there, upon which the kernel looks the name up again."""
        return self._entries(inode).lookup(inode)

    def listing(self, inode: int) -> Listing:
        """The folder's entries, names in byte order."""
        found = self._entries(inode).listing(inode)
        if inode == ROOT_INODE and self._show_hidden:
            return (*((root.name, root.inode, root.kind) for root in self._hidden.values()), *found)
        return found

    def target(self, inode: int) -> bytes:
        """Where a link leads, relative to its folder; ChangedError (ESTALE) if it leads nowhere any more."""
        return self._entries(inode).target(inode)

    def forget_listings(self, inodes: Iterable[int]) -> None:
        """Drop the listings of folders that changed."""
        self._tree.forget_listings(inodes)

    def reopen(self) -> None:
        """Follow a swapped tree."""
        self._tree.reopen()

    def follow(self, sources: Sources, listing_cache_bytes: int) -> None:
        """Open files with these from now on, and keep so much of listings; what is open keeps what it was opened with."""
        self._sources = sources
        self._tree.limit_listings(listing_cache_bytes)

    def show(self, *, hidden: bool) -> None:
        """List the hidden folders at the root or not, from now on; the kernel asks again for each list."""
        self._show_hidden = hidden
        self._tree.show(hidden=hidden)

    def learn(self, successions: Successions | None) -> None:
        """Learn from now on what is played after what, and go by it; None: neither."""
        self._successions = successions

    def rest(self) -> None:
        """Give back the memory of what has not been asked for in a while. On any thread."""
        if self._searches is not None:
            self._searches.rest()

    def open(self, node: Node) -> Reader:
        """A reader bound to the file's present version. May block for opening; raises OriginError or StoreError."""
        if node.kind == NodeKind.BLOB:
            data = self._catalog.blob(node.ref)
            if data is None or len(data) != node.size:
                raise StoreError(f"the made file {os.fsdecode(node.name)!r} is missing from the catalog")
            return BlobReader(data)
        source, serving = self._source_of(node)
        try:
            reader = self._open_source(node, source, serving)
        except (ChangedError, GoneError):
            self._on_stale(node.ref)
            raise
        if is_mirrored(node.inode):
            self._sources.prefetch(source)
        return reader

    def _open_source(self, node: Node, source: Source, serving: Serving) -> Reader:
        others = self._others(node)
        if not serving.plan:
            return self._sources.open(source, node.start, node.size, others)
        from musicfs.content.spliced import SplicedReader, spliced  # late: a mount starts without any codec

        through = spliced(serving.plan, serving.extra)
        return SplicedReader(self._sources.open(source, 0, source.size, others), through, self._buffers)

    def _source_of(self, node: Node) -> tuple[Source, Serving]:
        """Where the bytes of a file are, and how they are served; ChangedError if the tree no longer has it."""
        serving = self._catalog.serving(unmirrored(node))
        if serving is None:
            raise ChangedError(f"inode {node.inode} is outdated")
        source = self._source(serving.origin, serving.path, serving.record)
        whole = serving.size if not node.start else source.size
        if node.start + node.size > whole or (not node.start and node.size != whole):
            raise ChangedError(f"inode {node.inode} is outdated")  # a bit has flipped on disk
        return source, serving

    def _others(self, node: Node) -> tuple[Source, ...]:
        """Where else the same audio lies; whether the bytes are the same is found out while both can be read.

        Where quality is preferred a track's sources may be different recordings: these are not handed out to be compared.
        """
        others = self._catalog.sources_of(original(node.inode), node.ref)[1:]
        if not others:
            return ()
        audio = self._audio(node.ref)
        if audio is None:
            return ()
        found = (self._locate(object_id) for object_id in others if self._audio(object_id) == audio)
        return tuple(source for source in found if source is not None)

    def _audio(self, object_id: int) -> int | None:
        """What the audio of an origin's file is known by: 0 for a file that is not audio, None if nothing is known."""
        record = self._catalog.object(object_id)
        if record is None or record.kind == ObjectKind.SIDECAR:
            return None if record is None else 0
        facts = unpack_stored(record.facts)
        return (facts.audio_id or None) if facts is not None else None

    def _locate(self, object_id: int) -> Source | None:
        located = self._catalog.locate(object_id)
        return None if located is None else self._source(*located)

    def _locate_node(self, node: Node) -> Source | None:
        if node.kind == NodeKind.OBJECT:
            return self._locate(node.ref)
        serving = self._catalog.serving(unmirrored(node))
        return None if serving is None else self._source(serving.origin, serving.path, serving.record)

    def _source(self, origin: int, path: bytes, record: ObjectRecord) -> Source:
        if origin == TRASH_ORIGIN:
            origin_id, path = original_anchor(path)
            return Source(origin_id, os.fsdecode(path), record.version.decode(), record.size, is_gone=True)
        return Source(self._origin_id(origin), os.fsdecode(path), record.version.decode(), record.size)

    def prefetch_after(self, node: Node) -> Node | None:
        """A track is being played: have the one that follows fetched, in the background.

        That is what followed the last time, else the next one in its folder. Returns it if it comes over a network.
        """
        learned = self._successions.note(node.inode) if self._successions is not None else 0
        following = self._catalog.node(learned) if learned else None
        if following is None or following.kind != NodeKind.OBJECT:
            following = self._following(node)
        is_fetched = following is not None and self._sources.prefetch(self._source_of(following)[0])
        return following if is_fetched else None

    def _following(self, node: Node) -> Node | None:
        """The next file of the same suffix in the folder, in the order of names; among versions, of the same origin."""
        folder = self._catalog.node(original(node.parent))  # None if it is gone, while the file is open yet
        mark = b" [" if folder is not None and folder.name == VERSIONS_NAME else b"."
        ending = node.name.rpartition(mark)[2]
        found = False
        for name, inode, kind in self.listing(node.parent):
            if found and kind == NodeKind.OBJECT and name.rpartition(mark)[2] == ending:
                return self.lookup(inode)
            found = found or inode == node.inode
        return None

    def attributes(self, node: Node) -> dict[bytes, bytes]:
        """The extended attributes of a file; a folder has none."""
        if node.kind not in (NodeKind.OBJECT, NodeKind.TRASHED):
            return {}
        source = self._locate_node(node)
        if source is None:
            return {}
        cached = self._sources.cached_bytes(source)
        others = self._others(node)
        mirrors = [other.origin_id for other in self._sources.proofs.equal(source, others)]
        return {
            **({b"user.musicfs.mirrors": ",".join(sorted(mirrors)).encode()} if others else {}),
            b"user.musicfs.origin": source.origin_id.encode(),
            b"user.musicfs.origin_path": os.fsencode(source.path),
            b"user.musicfs.track_id": b"%d" % node.ref,
            b"user.musicfs.cached_percent": b"%d" % (cached * 100 // max(source.size, 1)),
            b"user.musicfs.overlay": self._corrected_fields(node),
        }

    def _corrected_fields(self, node: Node) -> bytes:
        """The names of the fields that are corrected, with commas between; ``cover`` among them."""
        correction = self._catalog.correction(node.ref)
        if correction is None:
            return b""
        names = [FIELD_NAMES[field] if isinstance(field, int) else field for field in correction.tags]
        names += ["cover"] if correction.cover != OWN_COVER else []
        return ",".join(sorted(names)).encode()

    def totals(self) -> tuple[int, int]:
        """(files, bytes) of everything served."""
        totals = self._catalog.totals()
        return totals.files, totals.size_bytes

    def _origin_id(self, number: int) -> str:
        found = self._origin_ids.get(number)
        if found is None:
            self._origin_ids = {record.number: origin_id for origin_id, record in self._catalog.origins().items()}
            found = self._origin_ids.get(number, "")
        return found
