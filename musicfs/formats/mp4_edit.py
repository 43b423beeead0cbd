"""The metadata list of an MP4 file with changed fields: which items change, go and come.

A draft is read back the way files are read. A field that does not come back as it was given does not fit, and keeps what
the file has; the reasons are for people.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from musicfs.formats.fields import VORBIS, VORBIS_ALIASES
from musicfs.formats.mp4_item import (
    COVERS,
    FREE_FORM,
    GENRE_NUMBER,
    Item,
    new_free_form,
    new_integer,
    new_pair,
    new_text,
)
from musicfs.formats.mp4_names import INTEGER_ITEMS, PAIR_ITEMS, TEXT_ITEMS, free_form_spelling
from musicfs.formats.mp4tags import ItemList
from musicfs.formats.plans import Edit
from musicfs.formats.source import MALFORMED
from musicfs.formats.tagset import MAX_VALUE_BYTES
from musicfs.model import Tags

_INTEGER = re.compile("-?[1-9][0-9]{0,17}")
_NUMBER_MAX = 0xFFFF
_NUMBER_AT, _TOTAL_AT = 2, 4  # in the data of trkn and disk
_AS_GIVEN = "an MP4 file cannot hold it as it was given"


class _Unfit(Exception):
    """A field cannot be held; the message says why."""


@dataclass(frozen=True, slots=True)
class ListEdit:
    """``replaced`` has the whole new item, or None where it goes; ``added`` come behind the first list's items."""

    replaced: dict[Item, bytes | None] = field(default_factory=dict)
    added: list[bytes] = field(default_factory=list)
    unfit: dict[str, str] = field(default_factory=dict)


def edit_items(lists: Sequence[Sequence[Item]], own: Tags, edit: Edit) -> ListEdit:
    """What the change of fields makes of the items of all lists in a file, whose tags are ``own``. Covers are left alone."""
    wanted = {name: tuple(values) for name, values in edit.fields.items() if tuple(values) != own.get(name, ())}
    unfit: dict[str, str] = {}
    while True:
        draft = _Draft(lists, own, {name: values for name, values in wanted.items() if name not in unfit})
        failed = draft.unfit or dict.fromkeys(draft.misread(), _AS_GIVEN)
        if not failed:
            return ListEdit(draft.replaced, draft.added, unfit)
        unfit.update(failed)


class _Draft:
    """The items with ``fields`` changed, as far as each can be."""

    def __init__(self, lists: Sequence[Sequence[Item]], own: Tags, fields: Mapping[str, tuple[str, ...]]) -> None:
        self.replaced: dict[Item, bytes | None] = {}
        self.added: list[bytes] = []
        self.unfit: dict[str, str] = {}
        self._lists = lists
        self._own = own
        self._fields = fields
        self._carriers: dict[str, list[Item]] = {}
        for item in (item for items in lists for item in items):
            for name in item.fields(own):
                self._carriers.setdefault(name, []).append(item)
        numbers = {name: number for number in PAIR_ITEMS for name in (number, f"{number}_total")}
        for name, values in fields.items():
            try:
                if name in numbers:
                    _number(values)
                else:
                    self._set(name, values)
            except _Unfit as reason:
                self.unfit[name] = str(reason)
        for number in dict.fromkeys(numbers[name] for name in fields if name in numbers):
            self._set_pair(number)

    def _set(self, name: str, values: tuple[str, ...]) -> None:
        _check_text((name, *values))
        carriers = self._carriers.get(name, [])
        if not values:
            for item in carriers:
                self.replaced[item] = item.with_texts(())
            return
        home = next((item for item in carriers if item.name == self._item_name(name)), None)
        home = home or next(iter(carriers), None)
        for item in carriers:
            if item is not home:
                self.replaced[item] = item.with_texts(())
        if home is None:
            self.added.append(self._new(name, values))
        elif home.name == GENRE_NUMBER:
            self.replaced[home] = self._new(name, values)
        elif home.name == INTEGER_ITEMS.get(name):
            self.replaced[home] = home.with_integer(_integer(values))
        else:
            self.replaced[home] = home.with_texts(values)

    def _item_name(self, name: str) -> bytes:
        return TEXT_ITEMS.get(name) or INTEGER_ITEMS.get(name) or FREE_FORM

    def _new(self, name: str, values: tuple[str, ...]) -> bytes:
        if name in TEXT_ITEMS:
            return new_text(TEXT_ITEMS[name], values)
        if name in INTEGER_ITEMS:
            return new_integer(INTEGER_ITEMS[name], _integer(values))
        spelled = free_form_spelling(name)
        if any(item.key == spelled.lower() for items in self._lists for item in items):
            raise _Unfit("the file keeps something under that name that is no text")
        return new_free_form(spelled, values)

    def _set_pair(self, number: str) -> None:
        """Set the edited ones of a number and its total, which are one item; second names of what is edited go."""
        places = {number: _NUMBER_AT, f"{number}_total": _TOTAL_AT}
        edited = {at: _number(self._fields[name]) for name, at in places.items() if self._edits(name)}
        if not edited:
            return
        carriers = dict.fromkeys(item for name in places if self._edits(name) for item in self._carriers.get(name, []))
        home = next((item for item in carriers if item.name == PAIR_ITEMS[number]), None)
        if any(item.name == FREE_FORM for item in carriers):
            self._keep_beside(places, edited)
        for item in carriers:
            if item is home:
                self.replaced[item] = item.with_pair(edited)
            elif item.name == PAIR_ITEMS[number]:
                self.replaced[item] = item.with_pair(dict.fromkeys(edited, 0))
            else:
                self.replaced[item] = item.with_texts(())
        if home is None and any(edited.values()):
            self.added.append(new_pair(PAIR_ITEMS[number], edited.get(_NUMBER_AT, 0), edited.get(_TOTAL_AT, 0)))

    def _keep_beside(self, places: Mapping[str, int], edited: dict[int, int]) -> None:
        """A text such as ``3/12`` that goes takes along what is not edited, unless that is written elsewhere too."""
        for name, at in places.items():
            if at not in edited and not self._carriers.get(name):
                with contextlib.suppress(_Unfit):
                    edited[at] = _number(self._own.get(name, ()))

    def _edits(self, name: str) -> bool:
        return name in self._fields and name not in self.unfit

    def misread(self) -> list[str]:
        """The edited fields because of which the draft would not be read as it should be."""
        made = self._read()
        wrong = {
            name
            for name in {*self._own, *made, *self._fields}
            if made.get(name, ()) != self._fields.get(name, self._own.get(name, ()))
        }
        # A second name of an edited field may have nothing new to say beside it any more.
        wrong -= {
            name for name in wrong - made.keys() if _first_name(name) in self._fields and name not in self._fields
        }
        # Another field is wrong if what hid behind an edited one shows now, or the other way round.
        blamed = wrong | {_first_name(name) for name in wrong}
        blamed |= {f"{name}_total" for name in wrong} | {name.removesuffix("_total") for name in wrong}
        return [name for name in self._fields if name in wrong] or [name for name in self._fields if name in blamed]

    def _read(self) -> Tags:
        read = ItemList()
        for index, items in enumerate(self._lists or ((),)):
            bodies = []
            for item in items:
                new = self.replaced.get(item, b"")
                if new is not None:
                    bodies.append((item.name, item.body) if not new else (new[4:8], new[8:]))
            bodies += ((new[4:8], new[8:]) for new in self.added if not index)
            for name, body in bodies:
                try:
                    if name != COVERS and len(body) <= MAX_VALUE_BYTES:
                        read.add_body(name, body)
                except MALFORMED:
                    continue
        return read.tags.finish()


def _first_name(name: str) -> str:
    """The field of which ``name`` is a second name; ``name`` itself if it is none."""
    return VORBIS.get(name) or VORBIS_ALIASES.get(name) or name


def _check_text(values: tuple[str, ...]) -> None:
    try:
        "".join(values).encode()
    except UnicodeEncodeError as error:
        raise _Unfit("it is not valid Unicode text") from error


def _integer(values: tuple[str, ...]) -> int:
    if len(values) != 1 or not _INTEGER.fullmatch(values[0]):
        raise _Unfit("an MP4 file holds one whole number here")
    return int(values[0])


def _number(values: tuple[str, ...]) -> int:
    """A track or disc number, or how many there are; 0 for none."""
    if not values:
        return 0
    if len(values) > 1 or not _INTEGER.fullmatch(values[0]) or not 0 < int(values[0]) <= _NUMBER_MAX:
        raise _Unfit(f"an MP4 file holds one whole number from 1 to {_NUMBER_MAX} here")
    return int(values[0])
