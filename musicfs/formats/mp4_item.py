"""One item of an MP4 file's metadata list: which fields it carries, and the item with other values.

The inverse of :mod:`musicfs.formats.mp4tags`. What of an item is no value stays: the types and locales of its data atoms,
atoms between them, the spelling of a free-form name, the bytes around a track number.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from musicfs.formats.fields import (
    MP4_FREE_FORM,
    MP4_INTEGERS,
    MP4_PAIRS,
    MP4_TEXT,
    VORBIS,
    VORBIS_ALIASES,
)
from musicfs.formats.mp4_tree import Node, make_box
from musicfs.formats.mp4tags import (
    IMPLICIT,
    ITUNES,
    ITUNES_OWN,
    UTF8,
    UTF16,
    data_kind,
    free_form_name,
    free_form_text,
    walk_data,
)
from musicfs.formats.source import MALFORMED, View
from musicfs.formats.tagset import MAX_VALUE_BYTES
from musicfs.model import Tags

FREE_FORM, COVERS, GENRE_NUMBER = b"----", b"covr", b"gnre"
_NO_FIELDS = frozenset({COVERS, b"free", b"skip", b"stik"})
_SINGLE = frozenset({*MP4_TEXT, *MP4_PAIRS, *MP4_INTEGERS, GENRE_NUMBER})  # have one meaning only
_INTEGER = 21  # the well-known type of a signed big-endian integer
# In new items, as iTunes writes them.
_PAIR_BYTES = {b"trkn": 8, b"disk": 6}
_INTEGER_BYTES = {b"tmpo": 2, b"\xa9mvi": 2, b"\xa9mvc": 2}
_WIDTHS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An item as it is. ``body`` is empty where readers pass over it; ``key`` is a free-form item's name, lower-cased."""

    node: Node
    name: bytes
    body: bytes
    key: str = ""
    data_start: int = 0

    @classmethod
    def read(cls, view: View, node: Node) -> Item:
        """The item in ``node``; of a picture, and of what is too large to be a tag, nothing is read."""
        if node.name == COVERS or node.stop - node.body > MAX_VALUE_BYTES:
            return cls(node, node.name, b"")
        body = view.read(node.body, node.stop)
        if node.name != FREE_FORM:
            return cls(node, node.name, body)
        try:
            _, name, data_start = free_form_name(body)
        except MALFORMED:
            return cls(node, node.name, body)
        return cls(node, node.name, body, name.lower(), data_start)

    def fields(self, own: Tags) -> tuple[str, ...]:
        """The fields that it says something about, in a file whose tags are ``own``."""
        if self.name == FREE_FORM:
            return self._free_form_fields(own)
        if self.name in MP4_TEXT:
            return (MP4_TEXT[self.name],)
        if self.name in MP4_PAIRS:
            return MP4_PAIRS[self.name], f"{MP4_PAIRS[self.name]}_total"
        if self.name in MP4_INTEGERS:
            return (MP4_INTEGERS[self.name],)
        if self.name == GENRE_NUMBER:
            return ("genre",)
        return (self.name.decode("latin-1").lower(),) if self.name not in _NO_FIELDS and self._values() else ()

    def _free_form_fields(self, own: Tags) -> tuple[str, ...]:
        values = self._values()
        if not values or not self.key:
            return ()
        if self.key in MP4_FREE_FORM:
            return (MP4_FREE_FORM[self.key],)
        field = VORBIS.get(self.key) or VORBIS_ALIASES.get(self.key) or self.key
        # A second name for a field that has another value is shown as a field of its own.
        texts = [self._text(start, stop) for start, stop in values]
        if field != self.key and self.key in own and not all(_is_said(text, own.get(field, ())) for text in texts):
            return (self.key,)
        return (field,)

    def _text(self, start: int, stop: int) -> str:
        return free_form_text(data_kind(self.body, start), self.body[start + 16 : stop]) or ""

    def _values(self) -> list[tuple[int, int]]:
        """Where the data atoms lie whose values count."""
        atoms = walk_data(self.body, self.data_start)
        if self.name == FREE_FORM:
            if self.key.startswith(ITUNES_OWN.lower()) and self._is_itunes_own():
                return []
            body = self.body
            return [
                one for one in atoms if free_form_text(data_kind(body, one[0]), body[one[0] + 16 : one[1]]) is not None
            ]
        if self.name in MP4_TEXT or self.name in MP4_PAIRS or self.name in MP4_INTEGERS:
            return list(atoms)
        return [one for one in atoms if data_kind(self.body, one[0]) == UTF8]

    def _is_itunes_own(self) -> bool:
        mean, name, _ = free_form_name(self.body)
        return mean == ITUNES and name.startswith(ITUNES_OWN)

    def with_texts(self, values: Sequence[str]) -> bytes | None:
        """The item with these values; None if nothing is left of it."""
        atoms = self._values()
        datas = [self.body[start + 8 : stop] for start, stop in atoms]
        like = datas[0][:8] if datas else struct.pack(">II", UTF8, 0)
        made = [_text_data(data[:8], value) for data, value in zip(datas, values, strict=False)]
        made += [_text_data(like, value) for value in values[len(datas) :]]
        if not made and (self.name in _SINGLE or len(atoms) == len(list(walk_data(self.body, self.data_start)))):
            return None
        return self._with(atoms, made)

    def with_pair(self, numbers: Mapping[int, int]) -> bytes | None:
        """The item with ``numbers`` by their place in its data; None if no number is left in it."""
        atoms = self._values()
        datas = [self.body[start + 8 : stop] for start, stop in atoms] or [struct.pack(">II", IMPLICIT, 0) + bytes(8)]
        made = []
        for index, data in enumerate(datas):
            payload = bytearray(data[8:].ljust(6, b"\0"))
            for at, number in numbers.items():
                payload[at : at + 2] = (0 if index else number).to_bytes(2)
            if any(payload[2:6]):
                made.append(data[:8] + bytes(payload))
        return self._with(atoms, made) if made else None

    def with_integer(self, value: int) -> bytes:
        """The item with this value, as wide as it was where that is enough."""
        atoms = self._values()
        if not atoms:
            return new_integer(self.name, value)
        start, stop = atoms[0]
        width = stop - start - 16
        if not 0 < width <= 8 or not _fits(value, width):
            width = next(one for one in _WIDTHS if _fits(value, one))
        return self._with(atoms, [self.body[start + 8 : start + 16] + value.to_bytes(width, signed=True)])

    def _with(self, atoms: list[tuple[int, int]], datas: list[bytes]) -> bytes:
        """The item with these contents in the place of its data atoms ``atoms``: more behind the last, or fewer."""
        parts: list[bytes] = []
        position = self.data_start
        parts.append(self.body[:position])
        for index, (start, stop) in enumerate(atoms):
            parts.append(self.body[position:start])
            last = len(datas) if index == len(atoms) - 1 else index + 1
            parts += (make_box(b"data", data) for data in datas[index:last])
            position = stop
        if not atoms:
            parts += (make_box(b"data", data) for data in datas)
        return make_box(self.name, *parts, self.body[position:])


def new_text(name: bytes, values: Sequence[str]) -> bytes:
    """A new item of text."""
    return make_box(name, *(make_box(b"data", _text_data(struct.pack(">II", UTF8, 0), value)) for value in values))


def new_free_form(name: str, values: Sequence[str]) -> bytes:
    """A new free-form item of iTunes'."""
    head = make_box(b"mean", bytes(4), ITUNES) + make_box(b"name", bytes(4), name.encode())
    return make_box(FREE_FORM, head, new_text(b"", values)[8:])


def new_pair(name: bytes, number: int, total: int) -> bytes:
    """A new track or disc number."""
    data = struct.pack(">HHH", 0, number, total).ljust(_PAIR_BYTES[name], b"\0")
    return make_box(name, make_box(b"data", struct.pack(">II", IMPLICIT, 0), data))


def new_integer(name: bytes, value: int) -> bytes:
    """A new item that holds an integer of at most 64 bits."""
    width = next(one for one in _WIDTHS if one >= _INTEGER_BYTES.get(name, 1) and _fits(value, one))
    data = struct.pack(">II", _INTEGER, 0) + value.to_bytes(width, signed=True)
    return make_box(name, make_box(b"data", data))


def _text_data(like: bytes, value: str) -> bytes:
    """The contents of a data atom: type and locale of another one, whose type is kept if it is one for text."""
    kind = data_kind(bytes(8) + like, 0)
    if kind == UTF16:
        return like + value.encode("utf-16-be")
    return (like if kind in (IMPLICIT, UTF8) else struct.pack(">I", UTF8) + like[4:]) + value.encode()


def _is_said(text: str, values: Sequence[str]) -> bool:
    return any(value.startswith(text) for value in values)


def _fits(value: int, width: int) -> bool:
    return -(1 << width * 8 - 1) <= value < 1 << width * 8 - 1
