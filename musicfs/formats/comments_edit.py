"""Vorbis comments with some fields changed: whatever else the list holds stays byte for byte, and in its place.

What a field is called, and which of its names counts, is the reader's business (``tagset``); an edit must leave a list that
the reader, and any player, understands the same way. Each name that carries a field, or only echoes it, keeps its spelling
and gets the new values; the container's own name is added where it is missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.fields import VORBIS, VORBIS_ALIASES
from musicfs.formats.plans import Edit
from musicfs.formats.tagset import MAX_ITEMS, MAX_VALUE_BYTES, MAX_VALUES_PER_FIELD, TagSet, says_all
from musicfs.formats.vorbis import NOT_TEXT, base64_picture
from musicfs.model import FIELDS, Tags

FRONT_COVER, _OTHER = 3, 0  # kinds of pictures: RFC 9639, table 13

_PRIMARY: Mapping[str, str] = {field: name for name, field in VORBIS.items()}
_NUMBERS: Mapping[str, str] = {"track": "track_total", "disc": "disc_total"}
_NUMBER_OF_TOTAL: Mapping[str, str] = {total: number for number, total in _NUMBERS.items()}
_YEAR_DIGITS = 4
_PICTURE_NAME = "metadata_block_picture"
_PREFIX_BYTES = 1024  # of a picture's text: its header


class Comment(msgspec.Struct, frozen=True, gc=False):
    """One comment of a list: ``[start, stop)`` of the list's bytes, its length not included.

    ``name`` is lower-cased as readers compare it, empty when there is no ``=``; ``value`` is empty for pictures and for what
    the reader takes for too large.
    """

    start: int
    stop: int
    key: bytes
    name: str
    value: str


class CommentList:
    """A comment list: vendor, comments, and from ``stop`` on what follows them (in Ogg the framing bit, padding)."""

    __slots__ = ("comments", "data", "stop", "vendor_stop")

    def __init__(self, data: bytes, start: int = 0) -> None:
        """Parse the list that begins at ``start`` of ``data``; FormatError unless it is wholly there."""
        self.data = data
        try:
            self.vendor_stop = start + 4 + struct.unpack_from("<I", data, start)[0]
            (count,) = struct.unpack_from("<I", data, self.vendor_stop)
            if count > MAX_ITEMS:
                raise FormatError(f"the file has {count} comments, more than {MAX_ITEMS}")
            at = self.vendor_stop + 4
            self.comments: list[Comment] = []
            for _ in range(count):
                stop = at + 4 + struct.unpack_from("<I", data, at)[0]
                self.comments.append(_parse(data, at + 4, stop))
                at = stop
        except struct.error as error:
            raise FormatError("the comments of the file are cut short") from error
        self.stop = at
        if at > len(data):
            raise FormatError("the comments of the file are cut short")


def _parse(data: bytes, start: int, stop: int) -> Comment:
    key, equals, _ = data[start : min(stop, start + _PREFIX_BYTES)].partition(b"=")
    if not equals:
        key, equals, _ = data[start:stop].partition(b"=")
    name = key.decode("utf-8", "replace").lower() if equals else ""
    if not name or name in NOT_TEXT or stop - start > MAX_VALUE_BYTES:
        return Comment(start, stop, key, name, "")
    return Comment(start, stop, key, name, data[start + len(key) + 1 : stop].decode("utf-8", "replace"))


class EditedComments(msgspec.Struct, frozen=True):
    """What becomes of the comments of all lists, counted through.

    ``replaced`` maps those that change to what stands there instead (nothing: removed), ``added`` follows the first list.
    ``unfit`` is that of :class:`~musicfs.formats.plans.Plan`.
    """

    replaced: Mapping[int, tuple[bytes, ...]]
    added: tuple[bytes, ...]
    unfit: Mapping[str, str]


def edit_comments(comments: Sequence[Comment], own: Tags, edit: Edit) -> EditedComments:
    """``edit`` over the ``comments`` of all of a file's lists, in order, that the reader reads as ``own``."""
    unfit: dict[str, str] = {}
    wanted = dict(edit.fields)
    names = {one.name for one in comments}
    for field, values in edit.fields.items():
        reason = _unfit_reason(field, values, names)
        if reason:
            unfit[field] = reason
            del wanted[field]
    while True:
        made = _Editing(comments, own, wanted)
        blamed = _blamed(made.read_back(), own, wanted)
        if not blamed:
            return EditedComments(made.replaced, tuple(made.added), unfit)
        for field in blamed:
            unfit[field] = "another comment of the file would then be read differently"
            del wanted[field]


def _blamed(made: Tags, own: Tags, wanted: Tags) -> list[str]:
    """The fields of the edit that are not read back, or whose names other fields are read from."""
    expected = {field: values for field, values in {**own, **wanted}.items() if values}
    wrong = {field for field in made.keys() | expected.keys() if made.get(field) != expected.get(field)}
    # Names of one field share a fate: an alias is a tag of its own only beside the container's own name.
    families = {_family(field) for field in wrong}
    return [field for field in wanted if _family(field) in families]


def _family(field: str) -> str:
    field = VORBIS_ALIASES.get(field, field)
    return _NUMBER_OF_TOTAL.get(field, field)


def _unfit_reason(field: str, values: Sequence[str], names: set[str]) -> str:
    """Why Vorbis comments cannot hold ``values`` as values of ``field``; empty if they can."""
    if not values:
        return ""
    name = _PRIMARY.get(field, field)
    # "Ogg Vorbis I format specification: comment field", Content vector format: 0x20 to 0x7D without "=".
    if name not in names and (not name or any(not " " <= char <= "}" or char == "=" for char in name)):
        return "a Vorbis comment cannot be called this"
    if len(values) > MAX_VALUES_PER_FIELD:
        return f"more than {MAX_VALUES_PER_FIELD} values"
    tags = TagSet()
    for value in values:
        try:
            size = len(name) + 1 + len(value.encode())
        except UnicodeEncodeError:
            return "a value is no Unicode text"
        if size > MAX_VALUE_BYTES:
            return f"a value is larger than {MAX_VALUE_BYTES // 1024} KiB"
        # An alias may be a tag of its own here; whether it is shows when all is read back.
        (tags.add if name in VORBIS_ALIASES else tags.add_named)(name, value)
    read = tags.finish()
    if name in NOT_TEXT or read != {field: tuple(values)}:
        return "Vorbis comments cannot hold these values: they would be read differently"
    return ""


class _Editing:
    """The changes being made: fields one by one, numbers with their totals."""

    def __init__(self, comments: Sequence[Comment], own: Tags, wanted: Tags) -> None:
        self._comments = comments
        self._by_name: dict[str, list[int]] = {}
        for index, one in enumerate(comments):
            if one.name:
                self._by_name.setdefault(one.name, []).append(index)
        self.replaced: dict[int, tuple[bytes, ...]] = {}
        self.added: list[bytes] = []
        for field, values in wanted.items():
            if field not in _NUMBERS and field not in _NUMBER_OF_TOTAL:
                self._put(self._names_of(field), values)
                self._add_primary(field, values)
        for number, total in _NUMBERS.items():
            if number in wanted or total in wanted:
                self._set_number(number, total, own, wanted)

    def read_back(self) -> dict[str, tuple[str, ...]]:
        """What the reader makes of it."""
        tags = TagSet()
        for index, one in enumerate(self._comments):
            if index not in self.replaced:
                if one.name and one.name not in NOT_TEXT:
                    tags.add_named(one.name, one.value)
                continue
            _read(self.replaced[index], tags)
        _read(self.added, tags)
        return tags.finish()

    def _values(self, names: Iterable[str]) -> list[str]:
        return [self._comments[index].value for name in names for index in self._by_name.get(name, ())]

    def _names_of(self, field: str) -> list[str]:
        """The names in this file that the reader takes for ``field``, whether it needs them or not."""
        primary = _PRIMARY.get(field, field)
        direct = [primary]
        if field != primary and field not in VORBIS and field not in VORBIS_ALIASES:
            direct.append(field)  # the reader's own word for it
        known = [value for value in self._values(direct) if value and not value.isspace()]
        names = [name for name in direct if name in self._by_name]
        for name in self._by_name:
            if VORBIS_ALIASES.get(name) != field or name in names:
                continue
            values = [value for value in self._values([name]) if value]
            if not known:
                known = [value for value in values if not value.isspace()]
                names.append(name)
            elif name in FIELDS or says_all(known, values):
                names.append(name)
        return names

    def _put(self, names: Sequence[str], values: Sequence[str]) -> None:
        """Give these names new values, each where it stands first."""
        for name in names:
            first, *others = self._by_name[name]
            self.replaced[first] = _raw(self._comments[first].key, _years(values) if name == "year" else values)
            self.replaced.update((index, ()) for index in others)

    def _add_primary(self, field: str, values: Sequence[str]) -> None:
        name = _PRIMARY.get(field, field)
        if name not in self._by_name:
            self.added += _raw(name.upper().encode(), values)

    def _set_number(self, number: str, total: str, own: Tags, wanted: Tags) -> None:
        """A number and its total: ``3/12`` stays of that form, as long as it can be read so."""
        numbers = wanted.get(number, own.get(number, ()))
        totals = wanted.get(total, own.get(total, ()))
        number_names, total_names = self._names_of(number), self._names_of(total)
        was_joined = any(_has_total(value) for value in self._values(number_names))
        joined = was_joined and bool(numbers) and len(totals) == 1 and all(_joins(one, totals[0]) for one in numbers)
        if number in wanted or was_joined:
            texts = [f"{one}/{totals[0]}" for one in numbers] if joined else numbers
            self._put(number_names, texts)
            self._add_primary(number, texts)
        if total in wanted:
            self._put(total_names, totals)
        if not joined and (total in wanted or not total_names):
            self._add_primary(total, totals)


def _read(raws: Iterable[bytes], tags: TagSet) -> None:
    for raw in raws:
        key, _, value = raw.decode("utf-8", "replace").partition("=")
        tags.add_named(key.lower(), value)


def _raw(key: bytes, values: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(b"%s=%s" % (key, value.encode()) for value in values)


def _years(dates: Sequence[str]) -> list[str]:
    """The years of these dates, each once; a date that does not begin with one as it is."""
    years = [date[:_YEAR_DIGITS] if date[:_YEAR_DIGITS].isdigit() else date for date in dates]
    return list(dict.fromkeys(years))


def _has_total(value: str) -> bool:
    return value.partition("/")[2].strip().isdigit()


def _joins(number: str, total: str) -> bool:
    """Whether ``number/total`` is read as these two."""
    return total.isdigit() and "/" not in number and number == number.strip() != ""


def front_covers(pictures: Sequence[tuple[int, int]]) -> list[int]:
    """Which of these (kind, index) are the front cover: all of that kind, else the first picture if it is of no kind."""
    fronts = [index for kind, index in pictures if kind == FRONT_COVER]
    return fronts or [index for kind, index in pictures[:1] if kind == _OTHER]


def picture_kind(data: bytes, comment: Comment) -> int | None:
    """The kind of the picture in ``comment`` of the list ``data``; None if it holds none."""
    if comment.name != _PICTURE_NAME:
        return None
    start = comment.start + len(comment.key) + 1
    picture = base64_picture(start, comment.stop, data[start : min(comment.stop, start + _PREFIX_BYTES)])
    return picture.kind if picture is not None else None
