"""``/.trash``: deleted tracks by the paths they had, with a number where two had the same.

The folder is in the catalog like any other, hidden at the root, and there while there is something in it. What is not stored
of a track cannot be read (EIO); ``user.musicfs.cached_percent`` tells. Media servers are kept out.
"""

from __future__ import annotations

from collections.abc import Iterable

import xxhash

from musicfs.clock import Clock
from musicfs.store.corrections import content_version
from musicfs.store.records import TRASH_VIEW, Node, NodeKind
from musicfs.store.transaction import WriteTransaction
from musicfs.store.trashed import TrashedObject
from musicfs.vfs.directories import Directories
from musicfs.vfs.names import TRASH_NAME, fit, split_suffix
from musicfs.vfs.versions import MARKER_DATA, MARKER_NAMES

_MARKERS_ID = xxhash.xxh3_64_intdigest(b"ignore\0trash")


class TrashShelf:
    """Shows deleted tracks; see :class:`~musicfs.library.trash.Shelf`. ``fresh`` is for a tree nobody sees yet."""

    def __init__(self, clock: Clock, *, ignore_case: bool, fresh: bool = False) -> None:
        self._clock = clock
        self._ignore_case = ignore_case
        self._fresh = fresh

    def put(self, tx: WriteTransaction, objects: Iterable[tuple[int, TrashedObject]]) -> None:
        """Show deleted tracks, and note where."""
        directories = self._directories(tx)
        for object_id, trashed in objects:
            served = tx.as_served(object_id, trashed.record)
            *folders, own_name = (fit(part.decode("utf-8", "surrogateescape")) for part in _parts(trashed.virtual_path))
            directory = directories.ensure((TRASH_NAME, *folders))
            stem, suffix = split_suffix(own_name.decode("utf-8", "surrogateescape"))
            name = directories.free_name(directory, stem, suffix)
            inode = directories.inode_for(directory, name, content_version(served))
            directories.put(
                Node(inode, NodeKind.TRASHED, TRASH_VIEW, directory, served.size, served.mtime_ns, object_id, 0, name)
            )
            tx.set_trashed_inode(object_id, inode)
        root = directories.get((TRASH_NAME,))
        if root:
            self._put_markers(tx, directories, root)
        directories.finish()

    def remove(self, tx: WriteTransaction, objects: Iterable[tuple[int, TrashedObject]]) -> None:
        """Show them no more."""
        directories = self._directories(tx)
        for object_id, trashed in objects:
            node = tx.node(trashed.inode) if trashed.inode else None
            if node is not None and (node.kind, node.ref) == (NodeKind.TRASHED, object_id):
                directories.remove(node)
                tx.set_trashed_inode(object_id, 0)
        directories.finish()
        self._end_if_empty(tx)

    def _put_markers(self, tx: WriteTransaction, directories: Directories, root: int) -> None:
        if all(tx.entry(root, name) is not None for name in MARKER_NAMES):
            return
        tx.put_blob(_MARKERS_ID, MARKER_DATA)
        for name in MARKER_NAMES:
            inode = directories.inode_for(root, name, MARKER_DATA)
            directories.put(Node(inode, NodeKind.BLOB, TRASH_VIEW, root, len(MARKER_DATA), 0, _MARKERS_ID, 0, name))

    def _end_if_empty(self, tx: WriteTransaction) -> None:
        directories = self._directories(tx)
        root = directories.get((TRASH_NAME,))
        entries = list(tx.entries_of(root)) if root else []
        if any(name not in MARKER_NAMES for name, _, _ in entries):
            return
        for _, inode, _ in entries:
            node = tx.node(inode)
            if node is not None:
                directories.remove(node)
        if root:
            tx.remove_blob(_MARKERS_ID)
        directories.finish()

    def _directories(self, tx: WriteTransaction) -> Directories:
        return Directories(tx, TRASH_VIEW, self._clock.time_ns(), ignore_case=self._ignore_case, fresh=self._fresh)


def carry_over(tx: WriteTransaction, clock: Clock, *, ignore_case: bool) -> None:
    """Show in the new tree that ``tx`` writes all that is in the trash."""
    shelf = TrashShelf(clock, ignore_case=ignore_case, fresh=True)
    start = 0
    while batch := tx.trashed_from(start, _AT_ONCE):
        start = batch[-1][0] + 1
        shelf.put(tx, [pair for pair in batch if not pair[1].is_restored])


_AT_ONCE = 1000


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part] or [b"_"]
