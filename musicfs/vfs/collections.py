"""Collections in the tree: folders of links beside the regular ones, each with a playlist beside it.

Somebody else decides what is in them and calls :class:`Shelf`, which changes no more than it must: media servers look at what
is newer than it was. Where a link leads is worked out when it is read, from where its object then is. A link ends with its
object, in the same transaction (:func:`drop_links`); a new generation of the tree takes the collections over
(:func:`carry_over`).

A collection has its name only while nothing else wants it: see :meth:`Directories.put`, by which it gets a number at once.
Names are given back when collections are settled the next time, in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec
import xxhash

from musicfs.model import FIELDS
from musicfs.store.catalog import Catalog
from musicfs.store.records import COLLECTIONS_VIEW, CollectionRecord, Node, NodeKind, tag, unpack_stored
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.collection_names import entries_key, folder_inode, inode_for, names, standing
from musicfs.vfs.directories import Directories, Path
from musicfs.vfs.links import link_name, number_width, relative_target
from musicfs.vfs.names import COLLECTIONS_NAME, clean, fit, fold, split_suffix
from musicfs.vfs.versions import MARKER_DATA, MARKER_NAMES

_LINK_VERSION = b"@"


class Wanted(msgspec.Struct, frozen=True):
    """A collection as it shall be. ``object_ids`` are its tracks in their order, None for those that it has.

    One without tracks has a folder if it ``stands_empty``. ``mark`` is kept for those who fill it.
    """

    id: int  # 63 bits, not 0
    name: str
    object_ids: tuple[int, ...] | None
    stands_empty: bool = True
    mark: bytes = b""


class _Track(msgspec.Struct, frozen=True):
    """A track where it is in the first view that has it."""

    node: Node
    title: str
    label: str
    seconds: int


def shelf_path(directory: str, policy: str) -> Path:
    """The folder that collections are in, of its path in the configuration."""
    if directory == os.fsdecode(COLLECTIONS_NAME):
        return (COLLECTIONS_NAME,)
    return tuple(fit(clean(part, policy)) for part in directory.split("/") if part)


class Shelf:
    """The folder with the collections, in one transaction. ``ignore_case``: names are those that Windows can use."""

    def __init__(
        self, tx: WriteTransaction, path: Path, now_ns: int, *, ignore_case: bool, fresh: bool = False
    ) -> None:
        self._tx = tx
        self._path = path
        self._ignore_case = ignore_case
        self._policy = "windows" if ignore_case else "posix"
        self._directories = Directories(tx, COLLECTIONS_VIEW, now_ns, ignore_case=ignore_case, fresh=fresh)

    def settle(self, wanted: Sequence[Wanted]) -> None:
        """Make the collections what they shall be, and end all others. Earlier ones come first to a name."""
        before = {record.id: record for record in self._tx.collections()}
        records = [self._record(one, before.get(one.id)) for one in wanted]
        tracks = {one.id: self._tracks(one.object_ids) for one in wanted if one.object_ids is not None}
        shown = []
        for one in wanted:
            stood = one.id in before and standing(self._tx, before[one.id])[0] is not None
            if one.stands_empty or (stood if one.object_ids is None else bool(tracks[one.id])):
                shown.append(one)
        for gone in before.keys() - {one.id for one in shown}:
            self._remove(before[gone])
        # What is emptied but stays is named with the rest; folders that are left with nothing go at the end.
        parent = self._directories.ensure(self._path) if shown else 0
        given = self._rename([record for record in records if record.id in {one.id for one in shown}], before, parent)
        self._tx.put_collections(records)
        for one in shown:
            folder = folder_inode(self._tx, one.id)
            is_new = self._tx.node(folder) is None
            if is_new:
                self._directories.put_folder(
                    Node(folder, NodeKind.FOLDER, COLLECTIONS_VIEW, parent, 0, 0, 0, one.id, given[one.id][0])
                )
            if one.object_ids is not None or is_new:
                self._fill(one.id, folder, tracks.get(one.id, []))
                self._write_playlist(one.id, parent, given[one.id][1], tracks.get(one.id, []))
        self._directories.finish()

    def _record(self, one: Wanted, before: CollectionRecord | None) -> CollectionRecord:
        mark = one.mark if one.object_ids is not None or before is None else before.mark
        return CollectionRecord(one.id, clean(one.name, self._policy), mark)

    # Names.

    def _rename(
        self, records: Sequence[CollectionRecord], before: dict[int, CollectionRecord], parent: int
    ) -> dict[int, tuple[bytes, bytes]]:
        """Give every collection its names, and those that have a folder already these in place of their old ones."""
        nodes = {record.id: standing(self._tx, before[record.id]) for record in records if record.id in before}
        own = {node.inode for pair in nodes.values() for node in pair if node is not None}
        given: dict[int, tuple[bytes, bytes]] = {}
        used: set[bytes] = set()
        for record in records:
            number = 1
            while any(self._is_used(name, used, parent, own) for name in names(record.name, number)):
                number += 1
            given[record.id] = names(record.name, number)
            used.update(map(self._form, given[record.id]))
        moving = [
            (node, name)
            for collection_id, pair in nodes.items()
            for node, name in zip(pair, given[collection_id], strict=True)
            if node is not None and (node.parent, node.name) != (parent, name)
        ]
        for node, _ in moving:  # all leave before one arrives: they may swap
            self._directories.remove(node)
        for node, name in moving:
            self._directories.put(msgspec.structs.replace(node, parent=parent, name=name))
        return given

    def _is_used(self, name: bytes, used: set[bytes], parent: int, own: set[int]) -> bool:
        if self._form(name) in used:
            return True
        holder = self._directories.holder(parent, name)
        return holder is not None and holder[1] not in own

    def _form(self, name: bytes) -> bytes:
        return fold(name) if self._ignore_case else name

    # What is in them.

    def _tracks(self, object_ids: Iterable[int]) -> list[_Track]:
        """Those of the objects that are in the tree, each entry of which counts once."""
        found: dict[int, _Track] = {}
        for object_id in object_ids:
            node = next(map(self._tx.node, self._tx.places(object_id)[:1]), None)
            record = self._tx.served(object_id)
            if node is None or record is None or node.inode in found:
                continue
            facts = unpack_stored(record.facts)
            stem = split_suffix(record.name.decode("utf-8", "surrogateescape"))[0]
            title, artist = (
                ("", "") if facts is None else (tag(facts.tags, FIELDS[name]) for name in ("title", "artist"))
            )
            label = " - ".join(filter(None, (artist, title or stem)))
            seconds = round(facts.technical.duration_ms / 1000) if facts is not None else 0
            found[node.inode] = _Track(
                msgspec.structs.replace(node, ref=object_id), title or stem, " ".join(label.split()), seconds or -1
            )
        return list(found.values())

    def _fill(self, collection_id: int, folder: int, tracks: Sequence[_Track]) -> None:
        """Make the links those to the tracks, and keep media servers out."""
        key, width = entries_key(collection_id), number_width(len(tracks))
        wanted: dict[bytes, _Track] = {}
        for position, track in enumerate(tracks, start=1):
            suffix = split_suffix(track.node.name.decode("utf-8", "surrogateescape"))[1]
            wanted[link_name(position, width, track.title, suffix, self._policy)] = track
        kept: set[bytes] = set()
        for name, inode, kind in list(self._tx.entries_of(folder)):
            node = self._tx.node(inode) if kind == NodeKind.LINK else None
            if node is None:
                continue
            of = wanted.get(name)
            if of is None or of.node.ref != node.ref:
                self._directories.remove(node)
                continue
            kept.add(name)
            if node.mtime_ns != of.node.mtime_ns:
                self._tx.update_node(msgspec.structs.replace(node, mtime_ns=of.node.mtime_ns))
        for name, track in wanted.items():
            if name not in kept:
                inode = inode_for(self._tx, key, folder, name, _LINK_VERSION)
                self._directories.put(
                    Node(
                        inode, NodeKind.LINK, COLLECTIONS_VIEW, folder, 0, track.node.mtime_ns, track.node.ref, 0, name
                    )
                )
        self._put_markers(folder, key)

    def _put_markers(self, folder: int, key: bytes) -> None:
        blob_id = _markers_id(folder)
        if all(self._tx.entry(folder, name) is not None for name in MARKER_NAMES):
            return
        self._tx.put_blob(blob_id, MARKER_DATA)
        for name in MARKER_NAMES:
            inode = inode_for(self._tx, key, folder, name, MARKER_DATA)
            size = len(MARKER_DATA)
            self._directories.put(Node(inode, NodeKind.BLOB, COLLECTIONS_VIEW, folder, size, 0, blob_id, 0, name))

    def _write_playlist(self, collection_id: int, parent: int, name: bytes, tracks: Sequence[_Track]) -> None:
        entry = self._tx.entry(parent, name)
        current = self._tx.node(entry[0]) if entry is not None else None
        data = self._playlist(parent, tracks)
        blob_id = xxhash.xxh3_64_intdigest(b"collection\0%d\0" % collection_id + data)
        if current is not None and current.ref == blob_id:
            return
        newest = max((track.node.mtime_ns for track in tracks), default=0)
        inode = _playlist_inode(self._tx, collection_id, blob_id)
        mtime_ns = self._directories.time_of_made(inode, newest, current)
        if current is not None:
            self._drop_playlist(current)
        self._tx.put_blob(blob_id, data)
        self._directories.put(
            Node(inode, NodeKind.BLOB, COLLECTIONS_VIEW, parent, len(data), mtime_ns, blob_id, collection_id, name)
        )

    def _playlist(self, parent: int, tracks: Sequence[_Track]) -> bytes:
        lines = [b"#EXTM3U"]
        depth = len(self._directories.path_of(parent))
        for track in tracks:
            path = b"/".join((*self._directories.path_of(track.node.parent), track.node.name))
            target = relative_target(depth, path)
            if b"\n" in target or b"\r" in target:
                continue  # no playlist can name it
            if target[:1] in {b"#", b" ", b"\t"}:
                target = b"./" + target  # else a comment, or not the name
            label = track.label.encode("utf-8", "surrogateescape")
            lines += (b"#EXTINF:%d,%s" % (track.seconds, label), target)
        return b"\n".join((*lines, b""))

    # Their end.

    def _remove(self, record: CollectionRecord) -> None:
        folder, playlist = standing(self._tx, record)
        if folder is None:
            return
        for _, inode, _ in list(self._tx.entries_of(folder.inode)):
            node = self._tx.node(inode)
            if node is not None:
                self._directories.remove(node)
        self._tx.remove_blob(_markers_id(folder.inode))
        self._directories.remove(folder)
        if playlist is not None:
            self._drop_playlist(playlist)

    def _drop_playlist(self, playlist: Node) -> None:
        self._directories.remove(playlist)
        self._tx.remove_blob(playlist.ref)


def drop_links(tx: WriteTransaction, object_ids: Iterable[int], now_ns: int) -> None:
    """End the links to those of the objects that are no longer in the tree."""
    if not tx.has_links:
        return
    directories = Directories(tx, COLLECTIONS_VIEW, now_ns, ignore_case=False, fresh=False)
    for object_id in object_ids:
        for inode in tx.links_to(object_id) if not tx.places(object_id) else ():
            node = tx.node(inode)
            if node is not None:
                directories.remove(node)
    directories.finish()


def carry_over(catalog: Catalog, tx: WriteTransaction, now_ns: int, *, ignore_case: bool) -> None:
    """Take the collections of the served tree into the new one that ``tx`` writes, as far as their tracks are in it."""
    wanted = []
    path: Path = ()
    for record in catalog.collections():
        folder = catalog.node(folder_inode(catalog, record.id))
        object_ids: tuple[int, ...] | None = None
        if folder is not None:
            path = tuple(filter(None, (catalog.path_of(folder.parent) or b"").split(b"/")))
            entries = ((catalog.node(inode), kind) for _, inode, kind in catalog.list_folder(folder.inode))
            object_ids = tuple(node.ref for node, kind in entries if node is not None and kind == NodeKind.LINK)
        stands_empty = folder is not None and not object_ids
        wanted.append(Wanted(record.id, record.name, object_ids, stands_empty, record.mark))
    if wanted:
        Shelf(tx, path, now_ns, ignore_case=ignore_case, fresh=True).settle(wanted)


def _markers_id(folder: int) -> int:
    return xxhash.xxh3_64_intdigest(b"ignore\0%d" % folder)  # the folder's own, so that it goes with it


def _playlist_inode(tx: WriteTransaction, collection_id: int, blob_id: int) -> int:
    """By its content: the kernel's pages belong to an inode number."""
    key, name = entries_key(collection_id), b"%d" % collection_id
    return inode_for(tx, key, 0, name, b"%d" % blob_id)
