"""Files that are made rather than found: ``cover.jpg`` in every album folder, and a playlist if asked for.

Candidates for a cover are noted as tracks and images are placed (table ``art``, best rank first), so that choosing one is
one lookup however large the folder. A JPEG is served as a range of the file it lies in; anything else is converted once
and kept as a blob.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import xxhash

from musicfs.model import FIELDS, Picture
from musicfs.store.corrections import GIVEN_CODING
from musicfs.store.records import (
    COLLECTIONS_VIEW,
    Node,
    NodeKind,
    ObjectKind,
    ObjectRecord,
    StoredFacts,
    tag,
    unpack_stored,
)
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.directories import Directories
from musicfs.vfs.names import fit

COVER_NAME = b"cover.jpg"
_IMAGE_STEMS = (b"cover", b"folder", b"front", b"albumart", b"album")
_IMAGE_SUFFIXES = (b"jpg", b"jpeg", b"png", b"webp", b"gif", b"bmp")
_FRONT_COVER, _OTHER_PICTURE = 3, 0  # ID3v2 APIC picture types, used by FLAC and Ogg as well
_RANK_FRONT, _RANK_OTHER = 100, 150
EMBEDDED_RANKS = (_RANK_FRONT, _RANK_OTHER)

# (origin number, path there, size, picture or None for the file itself) -> a JPEG, empty if there can be none. May block,
# or raise PendingCover.
CoverMaker = Callable[[int, bytes, int, Picture | None], bytes]


class PendingCover(Exception):  # not an error: an answer that is not known yet
    """The picture must be fetched first; the whole batch is written again when it is there."""


def folder_image_rank(name: bytes) -> int | None:
    """How good an image file of this name is as its folder's cover: lower is better; None if it is not one."""
    stem, _, suffix = name.lower().rpartition(b".")
    if suffix not in _IMAGE_SUFFIXES or stem not in _IMAGE_STEMS:
        return None
    return _IMAGE_STEMS.index(stem) * len(_IMAGE_SUFFIXES) + _IMAGE_SUFFIXES.index(suffix)


def picture_rank(facts: StoredFacts | None) -> int | None:
    """How good a track's embedded pictures are as a cover; None if it has none."""
    if facts is None or not facts.pictures:
        return None
    return _RANK_FRONT if any(picture.kind == _FRONT_COVER for picture in facts.pictures) else _RANK_OTHER


def best_picture(facts: StoredFacts) -> Picture | None:
    """The front cover among a track's pictures, else its first picture."""
    fronts = [picture for picture in facts.pictures if picture.kind == _FRONT_COVER]
    return next(iter(fronts or facts.pictures), None)


class _Choice(msgspec.Struct, frozen=True):
    """What a cover is made of: a range of an object, or a blob."""

    kind: int
    ref: int
    start: int
    size: int
    mtime_ns: int


class Artwork:
    """Keeps the made files of one view's folders in step with their candidates."""

    def __init__(self, tx: WriteTransaction, view: int, directories: Directories, make_cover: CoverMaker) -> None:
        self._tx = tx
        self._view = view
        self._directories = directories
        self._make_cover = make_cover

    def displace(self, directory: int, name: bytes) -> None:
        """Remove the made cover or playlist of this name, if there is one: a real file wants the name."""
        node = self.made(directory, name)
        if node is not None:
            self._drop(node)

    def made(self, directory: int, name: bytes) -> Node | None:
        """The entry of this name if it was made rather than found."""
        entry = self._tx.entry(directory, name)
        if entry is None or entry[1] == NodeKind.FOLDER:
            return None
        node = self._tx.node(entry[0])
        if node is None or node.view == COLLECTIONS_VIEW:
            return None
        if node.kind == NodeKind.OBJECT and self._tx.place(node.ref, self._view) == node.inode:
            return None
        return node

    def settle_cover(self, directory: int) -> None:
        """Make, replace or remove ``cover.jpg`` so that it is the best candidate's."""
        current = self.made(directory, COVER_NAME)
        if current is None and self._directories.taken(directory, COVER_NAME):
            return
        try:
            choice = self._choose(directory)
        except PendingCover:
            return
        if choice is None:
            if current is not None:
                self._drop(current)
            return
        version = b"%d\0%d\0%d\0%d" % (choice.ref, choice.start, choice.size, choice.mtime_ns)
        if choice.kind == NodeKind.OBJECT:  # not the object's id: it differs between machines
            version = b"%d\0%d\0%d" % (choice.start, choice.size, choice.mtime_ns)
        inode = self._directories.inode_for(directory, COVER_NAME, version)
        if current is not None:
            if current.inode == inode and current.ref == choice.ref:
                return
            self._drop(current, keep_blob=choice.ref)
        self._directories.put(
            Node(
                inode,
                choice.kind,
                self._view,
                directory,
                choice.size,
                self._directories.time_of_made(inode, choice.mtime_ns, current),
                choice.ref,
                choice.start,
                COVER_NAME,
            )
        )

    def _choose(self, directory: int) -> _Choice | None:
        for object_id in self._tx.art_candidates(directory):
            record = self._tx.served(object_id)
            if record is None:
                continue
            choice = self._from(directory, object_id, record)
            if choice is not None:
                return choice
        return None

    def _from(self, directory: int, object_id: int, record: ObjectRecord) -> _Choice | None:
        picture: Picture | None = None
        if record.kind == ObjectKind.SIDECAR:
            if record.name.lower().endswith((b".jpg", b".jpeg")) and record.size:
                return _Choice(NodeKind.OBJECT, object_id, 0, record.size, record.mtime_ns)
        else:
            facts = unpack_stored(record.facts)
            picture = best_picture(facts) if facts is not None else None
            if picture is None:
                return None
            if not picture.coding.startswith(GIVEN_CODING):
                record = self._tx.object(object_id) or record  # it lies in the original, whatever else is corrected
            if picture.coding == "raw" and picture.mime in ("image/jpeg", "image/jpg"):
                return _Choice(NodeKind.OBJECT, object_id, picture.start, picture.stop - picture.start, record.mtime_ns)
        blob_id, size = self._converted(directory, record, picture)
        return _Choice(NodeKind.BLOB, blob_id, 0, size, record.mtime_ns) if size else None

    def _converted(self, directory: int, record: ObjectRecord, picture: Picture | None) -> tuple[int, int]:
        where = (picture.start, picture.stop) if picture is not None else (0, record.size)
        # The folder is part of the id, so that a blob has one holder and goes with it.
        identity = b"%d\0%d\0%d\0%s\0%d\0%d" % (directory, record.size, record.mtime_ns, record.version, *where)
        if picture is not None and picture.coding.startswith(GIVEN_CODING):
            identity = b"%d\0%s" % (directory, picture.coding.encode())
        blob_id = xxhash.xxh3_64_intdigest(b"cover\0" + identity)
        data = self._tx.blob(blob_id)
        if data is None:
            folder = self._tx.folder(record.folder)
            path = (folder.path + b"/" if folder.path else b"") + record.name
            data = self._make_cover(folder.origin, path, record.size, picture)
            if data:
                self._tx.put_blob(blob_id, data)
        return blob_id, len(data)

    def settle_playlist(self, directory: int, *, wanted: bool) -> None:
        """Make, replace or remove the folder's ``.m3u8``: its tracks in the order of their names."""
        path = self._directories.path_of(directory)
        if not path:
            return
        name = fit(path[-1].decode("utf-8", "surrogateescape"), ".m3u8")
        current = self.made(directory, name)
        if current is None and self._directories.taken(directory, name):
            return
        lines, newest = self._playlist(directory) if wanted else ([], 0)
        if not lines:
            if current is not None:
                self._drop(current)
            return
        data = "\n".join(("#EXTM3U", *lines, "")).encode("utf-8", "surrogateescape")
        blob_id = xxhash.xxh3_64_intdigest(b"m3u8\0" + b"/".join(path) + b"\0" + data)
        inode = self._directories.inode_for(directory, name, b"%d" % blob_id)
        if current is not None:
            if current.inode == inode:
                return
            self._drop(current)
        self._tx.put_blob(blob_id, data)
        mtime_ns = self._directories.time_of_made(inode, newest, current)
        self._directories.put(Node(inode, NodeKind.BLOB, self._view, directory, len(data), mtime_ns, blob_id, 0, name))

    def _playlist(self, directory: int) -> tuple[list[str], int]:
        lines: list[str] = []
        newest = 0
        for name, inode, kind in self._tx.entries_of(directory):
            node = self._tx.node(inode) if kind == NodeKind.OBJECT else None
            record = self._tx.served(node.ref) if node is not None else None
            if node is None or record is None or record.kind != ObjectKind.AUDIO:
                continue
            if self._tx.place(node.ref, self._view) != inode:
                continue  # a cover that is a range of a track
            facts = unpack_stored(record.facts)
            newest = max(newest, node.mtime_ns)
            if facts is not None:
                label = " - ".join(filter(None, (tag(facts.tags, FIELDS["artist"]), tag(facts.tags, FIELDS["title"]))))
                seconds = round(facts.technical.duration_ms / 1000) or -1
                lines.append(f"#EXTINF:{seconds},{' '.join(label.split())}")
            lines.append(name.decode("utf-8", "surrogateescape"))
        return lines, newest

    def _drop(self, node: Node, keep_blob: int = 0) -> None:
        self._directories.remove(node)
        if node.kind == NodeKind.BLOB and node.ref != keep_blob:
            self._tx.remove_blob(node.ref)
