"""Versions: the sources of a track that are not served, as files of their own in ``.versions`` beside it.

They are derived from the entries with several sources once a batch has settled these, and anew where an entry changed. The
version of ``01 - Title.flac`` that the origin ``nas`` has is ``.versions/01 - Title [nas].flac``: when another source is
served, the two swap places. A version stands for one file of one origin. No other source steps in when that cannot be
read, and nothing follows it: no cover is made of it, no playlist names it, no sidecar lies beside it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import xxhash

from musicfs.store.corrections import content_version
from musicfs.store.records import Node, NodeKind, ObjectKind
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.directories import Directories
from musicfs.vfs.federation import Federation
from musicfs.vfs.items import Item
from musicfs.vfs.names import MAX_NAME_BYTES, VERSIONS_NAME, encode, fit, split_suffix

# Media servers must not count a track twice. Most of them pass over hidden folders anyway; these files are for Emby and
# Jellyfin, MPD, Navidrome, and Plex. Some go by the file's being there, some by its patterns: "*" is everything to all.
MARKER_NAMES = (b".ignore", b".mpdignore", b".ndignore", b".plexignore")
MARKER_DATA = b"*\n"

_MARK = re.compile(r" \[([A-Za-z0-9][A-Za-z0-9._-]*)\](?: \((\d+)\))?\Z")  # an origin's id, and perhaps a number
_MARK_MAX_BYTES = len(" [] ()") + 64 + 10  # the longest id, and more digits than there are files

Entry = tuple[int, bytes]  # directory, name


def version_name(name: bytes, origin_id: str, number: int = 1) -> bytes:
    """The name of an origin's version of the file ``name``.

    Two of them are one only where a long name is cut, or ids differ in case where that does not count: ``number`` tells
    these apart.
    """
    stem, suffix = _split(name)
    return fit(stem, f" [{origin_id}]{f' ({number})' if number > 1 else ''}{suffix}")


def origin_of_version(version: bytes, name: bytes) -> str:
    """The origin for which :func:`version_name` makes ``version`` of ``name``; empty if it does for none."""
    tail = encode(_split(name)[1])
    if not version.endswith(tail):
        return ""
    mark = _MARK.search(version[: len(version) - len(tail)].decode("utf-8", "surrogateescape"))
    if mark is None or version_name(name, mark[1], int(mark[2] or 1)) != version:
        return ""
    return mark[1]


def versions_prefix(name: bytes) -> bytes:
    """How the names of all versions of the file ``name`` begin."""
    stem, suffix = _split(name)
    raw = encode(stem)
    room = MAX_NAME_BYTES - len(encode(suffix)) - _MARK_MAX_BYTES
    # A cut takes up to three bytes more, so as not to part a character, and then blanks and dots.
    return raw + b" [" if len(raw) <= room else raw[: max(0, room - 3)].rstrip(b" .")


class Versions:
    """The ``.versions`` folders of one view while a batch is applied."""

    def __init__(self, tx: WriteTransaction, view: int, directories: Directories, federation: Federation) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._federation = federation
        self._origin_ids = {number: origin_id for origin_id, number in tx.origin_numbers().items()}

    def settle(self, entries: Collection[Entry], read_anew: Collection[int]) -> None:
        """Make the versions of entries that changed, or are gone, what they should be.

        ``read_anew`` are objects whose bytes may be others though they say that they are not.
        """
        touched: set[int] = set()
        missing: list[tuple[Entry, Item]] = []
        for directory, name in sorted(entries):
            wanted = {item.object_id: item for item in self._not_served(directory, name)}
            folder = self._folder_of(directory)
            for node in list(self._standing(folder, name)) if folder else ():
                item = wanted.get(node.ref)
                if item is not None and self._origin_id(item) == origin_of_version(node.name, name):
                    self._put(folder, node.name, item, node, anew=node.ref in read_anew)
                    del wanted[node.ref]
                elif not self._is_due(node, directory):
                    self._directories.remove(node)
                    touched.add(folder)
            missing += (((directory, name), item) for item in wanted.values())
        for (directory, name), item in missing:  # when what is outdated has left the names
            folder = self._directories.ensure((*self._directories.path_of(directory), VERSIONS_NAME))
            self._put(folder, self._free_name(folder, name, self._origin_id(item)), item)
            touched.add(folder)
        for folder in sorted(touched):
            self._mark(folder)

    def _not_served(self, directory: int, name: bytes) -> list[Item]:
        """The sources of a track beside the served one, in the order of their origins' ids."""
        found = self._tx.entry(directory, name)
        node = self._federation.file(found[0]) if found is not None else None
        if node is None:
            return []
        items = self._federation.items.all_of(self._federation.sources(node))
        tracks = [one for one in items if one.record.kind == ObjectKind.AUDIO and one.object_id != node.ref]
        return sorted(tracks, key=self._origin_id)

    def _origin_id(self, item: Item) -> str:
        return self._origin_ids[self._federation.ranks.origin(item)]

    def _folder_of(self, directory: int) -> int:
        found = self._tx.entry(directory, VERSIONS_NAME)
        return found[0] if found is not None else 0

    def _standing(self, folder: int, name: bytes) -> Iterator[Node]:
        """What the folder has under the names of versions of ``name``. With names that are cut also another's."""
        for found, inode, _ in self._tx.entries_of(folder, versions_prefix(name)):
            node = self._tx.node(inode)
            if node is not None and origin_of_version(found, name):
                yield node

    def _is_due(self, version: Node, directory: int) -> bool:
        """Whether it is the version of some entry of the directory."""
        entry = self._tx.placed(version.ref, self._view)
        if entry is None or entry.parent != directory or entry.ref == version.ref:
            return False
        item = self._federation.items.get(version.ref)
        return item is not None and origin_of_version(version.name, entry.name) == self._origin_id(item)

    def _free_name(self, folder: int, name: bytes, origin_id: str) -> bytes:
        number = 1
        while self._directories.taken(folder, version_name(name, origin_id, number)):
            number += 1
        return version_name(name, origin_id, number)

    def _put(self, folder: int, name: bytes, item: Item, standing: Node | None = None, *, anew: bool = False) -> None:
        record = item.record
        inode = self._directories.inode_for(folder, name, content_version(record))
        node = Node(inode, NodeKind.OBJECT, self._view, folder, record.size, record.mtime_ns, item.object_id, 0, name)
        if standing is not None and standing.inode == inode:
            if anew or standing != node:
                self._directories.refresh(node)
            return
        if standing is not None:
            self._directories.remove(standing)
        self._directories.put(node)

    def _mark(self, folder: int) -> None:
        """Keep media servers out of a folder with versions; one without is left empty, and goes."""
        blob_id = xxhash.xxh3_64_intdigest(b"ignore\0%d" % folder)  # the folder's own, so that it goes with it
        marks = [found for name in MARKER_NAMES if (found := self._tx.entry(folder, name)) is not None]
        if any(name not in MARKER_NAMES for name, _, _ in self._tx.entries_of(folder)):
            if not marks:
                self._tx.put_blob(blob_id, MARKER_DATA)
                for name in MARKER_NAMES:
                    inode = self._directories.inode_for(folder, name, MARKER_DATA)
                    size = len(MARKER_DATA)
                    self._directories.put(Node(inode, NodeKind.BLOB, self._view, folder, size, 0, blob_id, 0, name))
            return
        for inode, _ in marks:
            node = self._tx.node(inode)
            if node is not None:
                self._directories.remove(node)
        self._tx.remove_blob(blob_id)


def _split(name: bytes) -> tuple[str, str]:
    return split_suffix(name.decode("utf-8", "surrogateescape"))
