"""MP4 with changed tags: new items in ``moov.udta.meta.ilst``, everything else as it is.

Where a ``free`` box in or behind ``moov`` can take up the difference nothing else moves, as with the usual taggers. Else what
lies behind moves, and every offset in the file follows (:mod:`musicfs.formats.mp4_offsets`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from musicfs.errors import FormatError
from musicfs.formats.images import image_kind
from musicfs.formats.mp4_edit import edit_items
from musicfs.formats.mp4_item import COVERS, Item
from musicfs.formats.mp4_offsets import Shift, move_offsets
from musicfs.formats.mp4_tree import Changes, Node, children, make_box, meta_skip, top_level
from musicfs.formats.plans import Edit, Extra, Image, Literal, Piece, Plan
from musicfs.formats.source import View
from musicfs.model import Facts

_FREE = frozenset({b"free", b"skip"})
_IDLE = _FREE | {b"wide"}
_IMAGE_TYPES = {"jpeg": 13, "png": 14}
# More room than this is not kept free: a removed cover would leave a hole of its size.
_FREE_BYTES_MAX = 64 * 1024
# The handler of Apple's metadata: version and flags, a reserved word, type and manufacturer, flags, an empty name.
_HANDLER = make_box(b"hdlr", bytes(8), b"mdirappl", bytes(9))


def splice_mp4(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for ``edit``; FormatError when the boxes are not understood. Reads ``moov``, tables only where data moves."""
    if start:
        raise FormatError("something stands before the first MP4 box")
    movie = _Movie(view)
    changes = Changes(view.size)
    items = edit_items([one.items for one in movie.lists], own.tags, edit)
    unfit = dict(items.unfit)
    for item, new in items.replaced.items():
        changes.replace(item.node.parent, item.node.start, item.node.stop, [Literal(new)] if new is not None else [])
    added: list[Piece] = [Literal(new) for new in items.added]
    covers = _Covers(view, movie, changes)
    if edit.remove_cover:
        covers.remove()
    if edit.cover is not None:
        kind = _IMAGE_TYPES.get(image_kind(edit.cover.data[:12]) or "")
        if kind is None:
            unfit["cover"] = "an MP4 file holds JPEG and PNG pictures"
        else:
            added += covers.put(edit.cover, kind)
    if added:
        movie.append(changes, added)
    if changes.delta and not _absorbed(changes, movie):
        behind = movie.top[movie.top.index(movie.node) + 1 :]
        if any(node.name not in _IDLE for node in behind) and not _freed(changes, movie):
            move_offsets(view, movie.top, changes, Shift(changes.start, changes.stop, changes.delta), movie.is_cut)
    return Plan(changes.pieces(), edit.cover.data if edit.cover is not None and "cover" not in unfit else b"", unfit)


@dataclass(frozen=True, slots=True)
class _List:
    """A metadata list and its items."""

    node: Node
    items: list[Item]


class _Movie:
    """The ``moov`` box down to the items: where ``udta``, ``meta`` and lists are that readers look at."""

    def __init__(self, view: View) -> None:
        self.top, self.is_cut = top_level(view)
        movies = [node for node in self.top if node.name == b"moov"]
        if len(movies) != 1:
            raise FormatError(f"the MP4 file has {len(movies)} movie boxes")
        self.node = movies[0]
        self.boxes: dict[Node, list[Node]] = {self.node: children(view, self.node)}
        self.user_data = [node for node in self.boxes[self.node] if node.name == b"udta"]
        self.metas: list[Node] = []
        self.lists: list[_List] = []
        for udta in self.user_data:
            self.boxes[udta] = children(view, udta)
            self.metas += (node for node in self.boxes[udta] if node.name == b"meta")
        for meta in self.metas:
            self._read_meta(view, meta)

    def _read_meta(self, view: View, meta: Node) -> None:
        inner = self.boxes[meta] = children(view, meta, skip=meta_skip(view, meta))
        for node in inner:
            is_keyed = node.name == b"hdlr" and view.read_some(node.body + 8, node.body + 12) == b"mdta"
            if is_keyed or node.name == b"keys":
                raise FormatError("the MP4 file names its tags in a table of keys (mdta), which is not supported")
            if node.name == b"ilst":
                nodes = self.boxes[node] = children(view, node)
                self.lists.append(_List(node, [Item.read(view, one) for one in nodes]))

    def append(self, changes: Changes, pieces: list[Piece]) -> None:
        """Put new items behind those of the first list; a list, and what it lies in, is made where there is none."""
        if self.lists:
            self._append_to(changes, self.lists[0].node, pieces)
            return
        made = _boxed(b"ilst", pieces)
        if self.metas:
            # The handler stands first (ISO/IEC 14496-12, 8.11.1).
            inner = self.boxes[self.metas[0]]
            at = next((node.stop for node in inner if node.name == b"hdlr"), None)
            self._append_to(changes, self.metas[0], made, at)
            return
        made = _boxed(b"meta", [Literal(bytes(4) + _HANDLER), *made])
        if self.user_data:
            self._append_to(changes, self.user_data[0], made)
        else:
            self._append_to(changes, self.node, _boxed(b"udta", made))

    def _append_to(self, changes: Changes, node: Node, pieces: list[Piece], at: int | None = None) -> None:
        inner = self.boxes[node]
        if at is None or (inner and inner[-1].to_end and at == inner[-1].stop):
            if inner:
                at = inner[-1].start if inner[-1].to_end else inner[-1].stop
            else:
                at = node.body + (4 if node.name == b"meta" else 0)
        if at > node.stop:
            raise FormatError(f"the MP4 box {node.title} ends early")
        changes.replace(node, at, at, pieces)

    def free_boxes(self) -> Iterator[Node]:
        """The free boxes that can take up a difference, the innermost first; the last ones lie right behind ``moov``."""
        for node in (*(one.node.parent for one in self.lists), *self.user_data, self.node):
            if node is not None:
                yield from (one for one in self.boxes[node] if one.name in _FREE)
        for node in self.top[self.top.index(self.node) + 1 :]:
            if node.name not in _FREE:
                return
            yield node


class _Covers:
    """The images in ``covr`` items. MP4 knows no types: all of them are front covers."""

    def __init__(self, view: View, movie: _Movie, changes: Changes) -> None:
        self._view = view
        self._changes = changes
        self._items = [item.node for one in movie.lists for item in one.items if item.name == COVERS]
        self._removed = False

    def remove(self) -> None:
        """Remove the items."""
        self._removed = True
        for node in self._items:
            self._changes.replace(node.parent, node.start, node.stop, [])

    def put(self, image: Image, kind: int) -> list[Piece]:
        """Put ``image`` in the place of the first one. Returns the pieces of a new item if there is none to put it in."""
        if self._removed or not self._items:
            return _boxed(COVERS, self._data(image, struct.pack(">II", kind, 0)))
        for node in self._items:
            for atom in children(self._view, node):
                if atom.name == b"data" and atom.stop - atom.start > 16:
                    locale = self._view.read(atom.body + 4, atom.body + 8)
                    pieces = self._data(image, struct.pack(">I", kind) + locale)
                    self._changes.replace(node, atom.start, atom.stop, pieces)
                    return []
        first = self._items[0]
        self._changes.replace(first, first.body, first.body, self._data(image, struct.pack(">II", kind, 0)))
        return []

    @staticmethod
    def _data(image: Image, head: bytes) -> list[Piece]:
        return _boxed(b"data", [Literal(head), Extra(0, len(image.data))])


def _boxed(name: bytes, pieces: list[Piece]) -> list[Piece]:
    """A box of these pieces."""
    size = 8 + sum(piece.size for piece in pieces)
    return [Literal(struct.pack(">I4s", size, name)), *pieces]


def _absorbed(changes: Changes, movie: _Movie) -> bool:
    """Whether a free box took up the whole difference: it becomes smaller, disappears, or grows by what is reasonable."""
    delta = changes.delta
    for node in movie.free_boxes():
        size = node.stop - node.start - delta
        if not size:
            changes.replace(node.parent, node.start, node.stop, [])
        elif size < node.body - node.start or node.to_end or -delta > _FREE_BYTES_MAX:
            continue
        elif delta > 0:
            changes.replace(node, node.stop - delta, node.stop, [])
        else:
            changes.replace(node, node.stop, node.stop, [Literal(bytes(-delta))])
        return True
    return False


def _freed(changes: Changes, movie: _Movie) -> bool:
    """Whether a new free box behind the list could be put where the tags became shorter."""
    lists = [one.node for one in movie.lists if not one.node.to_end]
    if not lists or not 8 <= -changes.delta <= _FREE_BYTES_MAX:
        return False
    node = lists[0]
    changes.replace(node.parent, node.stop, node.stop, [Literal(make_box(b"free", bytes(-changes.delta - 8)))])
    return True
