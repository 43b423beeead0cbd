"""The frames of an ID3v2 tag with the fields and the cover of an edit."""

from __future__ import annotations

from collections.abc import Sequence

from musicfs.formats import id3_involved
from musicfs.formats.id3 import picture_header
from musicfs.formats.id3_edit import NEW_PADDING_BYTES, NewFrame, Slot, render, render_new
from musicfs.formats.id3_parts import Tag
from musicfs.formats.id3_text import NUMBERED, Model, choose_encoding, encode, fields_of, frames_for
from musicfs.formats.plans import Edit, Image, Piece
from musicfs.model import Tags

FRONT_COVER = 3
_PICTURE_HEADER_BYTES = 1024
_NUMBER_OF_TOTAL = {total: number for number, total in NUMBERED.items()}


def edit_tag(tag: Tag, edit: Edit, own: Tags, *, says: bool, any_front: bool) -> list[Piece]:
    """The tag with the edit: its frames of the edited fields are replaced, or only left out unless it ``says`` them.

    ``own`` is what the whole file says; ``any_front`` whether any of its pictures is called a front cover: otherwise one of
    no kind counts as that.
    """
    frames = _Frames(tag, edit, own, says=says)
    frames.edit_involved()
    for field in edit.fields:
        frames.edit_field(field)
    if edit.cover is not None or edit.remove_cover:
        frames.edit_cover(any_front)
    return render(tag, frames.slots())


def new_tag(edit: Edit, own: Tags, padding_bytes: int = NEW_PADDING_BYTES) -> list[Piece]:
    """A new v2.4 tag that says all that ``own`` does, with the edit."""
    return render_new(new_frames(edit, own), padding_bytes)


def new_frames(edit: Edit, own: Tags) -> list[NewFrame]:
    """The v2.4 frames that say all that ``own`` does, with the edit."""
    frames: list[NewFrame] = []
    pairs: dict[str, id3_involved.Involved] = {}
    for field in {**own, **edit.fields}:
        values = edit.values(own, field)
        if field in id3_involved.FIELDS:
            name = id3_involved.home(field, 4, ())
            pairs.setdefault(name, id3_involved.Involved(name)).replace(field, values)
        elif field in NUMBERED:
            frames += frames_for(field, _numbered(field, edit, own), 4, None)
        elif field in _NUMBER_OF_TOTAL:
            if not edit.values(own, _NUMBER_OF_TOTAL[field]):
                number = _NUMBER_OF_TOTAL[field]
                frames += frames_for(number, _numbered(number, edit, own), 4, None)
        else:
            frames += frames_for(field, values, 4, None)
    frames += [_involved_frame(one, 4, None) for one in pairs.values() if one.pairs]
    return [*frames, _picture_frame(edit.cover, 4, None)] if edit.cover is not None else frames


class _Frames:
    """The frames of one tag while they are edited: one cell for each there was, and one for what is new."""

    def __init__(self, tag: Tag, edit: Edit, own: Tags, *, says: bool) -> None:
        self._tag = tag
        self._edit = edit
        self._own = own
        self._says = says
        self._cells: list[list[Slot]] = [[frame] for frame in tag.frames]
        self._new: list[Slot] = []
        self._done: set[str] = set()
        # The fields that each frame has a part in; the text of frames is read only where that depends on it.
        self._fields = [
            fields_of(frame.name, tag.content(frame) if frame.name in _DESCRIBED else b"", own) for frame in tag.frames
        ]

    def slots(self) -> list[Slot]:
        """The frames as they are now."""
        return [slot for cell in self._cells for slot in cell] + self._new

    def edit_field(self, field: str) -> None:
        """Give one field of the edit its values."""
        if field in self._done:
            return
        number = _NUMBER_OF_TOTAL.get(field, field)
        if number in NUMBERED:
            touched = {one for one in (number, NUMBERED[number]) if one in self._edit.fields}
            values: Sequence[str] = _numbered(number, self._edit, self._own)
        else:
            touched, values = {field}, self._edit.fields[field]
        self._done |= touched
        self._replace(number, touched, values)

    def _replace(self, field: str, touched: set[str], values: Sequence[str]) -> None:
        carriers = [index for index, fields in enumerate(self._fields) if fields & touched]
        model = self._model(carriers[0]) if carriers else None
        new = list(frames_for(field, values, self._tag.version, model)) if self._says else []
        for index in carriers:
            self._cells[index] = []
        if carriers:
            self._cells[carriers[0]] = [*new]
        else:
            self._new += new

    def _model(self, index: int) -> Model:
        frame = self._tag.frames[index]
        return Model.of(frame.name, self._tag.content(frame), frame.status, self._tag.group(frame))

    def edit_involved(self) -> None:
        """Give the fields that are pairs of a role and a person their values, where they are pairs."""
        edited = [field for field in self._edit.fields if field in id3_involved.FIELDS]
        if not edited:
            return
        places = [index for index, frame in enumerate(self._tag.frames) if id3_involved.is_involved(frame.name)]
        present = {
            index: id3_involved.Involved.of(self._tag.frames[index].name, self._tag.content(self._tag.frames[index]))
            for index in places
        }
        added: dict[str, id3_involved.Involved] = {}
        changed: set[int] = set()
        for field in edited:
            values = self._edit.fields[field] if self._says else ()
            if not any(one.places(field) for one in present.values()):
                if any(field in fields for fields in self._fields):
                    continue  # it is said in another way, which stays
                name = id3_involved.home(field, self._tag.version, [one.name for one in present.values()])
                at = next((index for index, one in present.items() if one.name == name), None)
                one = present[at] if at is not None else added.setdefault(name, id3_involved.Involved(name))
                if one.replace(field, values) and at is not None:
                    changed.add(at)
            else:
                changed |= self._replace_pairs(present, field, values)
                self._replace(field, {field}, ())
            self._done.add(field)
        for index in changed:
            pairs = present[index]
            self._cells[index] = [_involved_frame(pairs, self._tag.version, self._model(index))] if pairs.pairs else []
        self._new += [_involved_frame(one, self._tag.version, None) for one in added.values() if one.pairs]

    @staticmethod
    def _replace_pairs(present: dict[int, id3_involved.Involved], field: str, values: Sequence[str]) -> set[int]:
        changed = set()
        for index, one in present.items():
            if one.places(field):
                if one.replace(field, values):
                    changed.add(index)
                values = ()
        return changed

    def edit_cover(self, any_front: bool) -> None:
        """Replace or remove the front cover."""
        kinds = {index: self._picture_kind(index) for index in range(len(self._cells))}
        fronts = [index for index, kind in kinds.items() if kind == FRONT_COVER]
        if not any_front and not fronts:
            fronts = [index for index, kind in kinds.items() if kind == 0][:1]
        new: list[Slot] = []
        if self._edit.cover is not None and self._says:
            head = self._picture_head(fronts[0]) if fronts else None
            new = [_picture_frame(self._edit.cover, self._tag.version, head)]
        for index in fronts:
            self._cells[index] = []
        if fronts:
            self._cells[fronts[0]] = new
        else:
            self._new += new

    def _picture_head(self, index: int) -> bytes:
        return self._tag.content(self._tag.frames[index], _PICTURE_HEADER_BYTES)

    def _picture_kind(self, index: int) -> int | None:
        if self._tag.frames[index].name != "APIC":
            return None
        found = picture_header(self._picture_head(index), self._tag.version)
        return found[0] if found is not None else None


_DESCRIBED = frozenset({"TXXX", "WXXX", "COMM", "UFID"})


def _numbered(number: str, edit: Edit, own: Tags) -> list[str]:
    """``track`` or ``disc`` with the total behind the first: ``3/12``."""
    numbers, totals = edit.values(own, number), edit.values(own, NUMBERED[number])
    if not totals:
        return list(numbers)
    return [f"{numbers[0] if numbers else ''}/{totals[0]}", *numbers[1:]]


def _involved_frame(pairs: id3_involved.Involved, version: int, model: Model | None) -> NewFrame:
    texts = pairs.texts()
    encoding = choose_encoding(texts, version, model.encoding if model is not None else -1)
    data = bytes((encoding,)) + encode(texts, encoding)
    if model is None:
        return NewFrame(pairs.name, data)
    return NewFrame(pairs.name, data, status=model.status, group=model.group)


def _picture_frame(cover: Image, version: int, replaced: bytes | None) -> NewFrame:
    """A picture frame for the front cover, with the description of the one it replaces, of which this is the beginning."""
    encoding, description = b"\0", b"\0"
    found = picture_header(replaced, version) if replaced else None
    if replaced and found is not None:
        # Kind and description stand between the declared type and the image.
        kind_at = 4 if version == 2 else replaced.index(b"\0", 1) + 1
        encoding, description = replaced[:1], replaced[kind_at + 1 : found[2]]
    declared = cover.mime.rpartition("/")[2][:3].upper().replace("JPE", "JPG") if version == 2 else f"{cover.mime}\0"
    head = encoding + declared.ljust(3).encode("latin-1") + bytes((FRONT_COVER,)) + description
    return NewFrame("APIC", head, cover.data)
