"""Finds what of an edit a container can hold: plans it, reads what that makes, and leaves out what reads back otherwise."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.plans import Edit, Plan, Range, joined
from musicfs.formats.source import View
from musicfs.model import Tags

_MAX_ATTEMPTS = 8

# (what to edit, the file's own tags as far as a new tag can repeat them) -> pieces
PlanPieces = Callable[[Edit, Tags], Plan]


def fit(view: View, edit: Edit, own: Tags, plan: PlanPieces, reading: Callable[[Plan], Tags], system: str) -> Plan:
    """The plan with all of the edit that reads back as it was given; the rest is in its ``unfit``.

    ``system`` is what people call the tags. FormatError if that does not settle.
    """
    unfit = {field: reason for field, values in edit.fields.items() if (reason := _reason(field, values))}
    repeated = dict(own)
    for _ in range(_MAX_ATTEMPTS):
        wanted = {field: values for field, values in edit.fields.items() if field not in unfit}
        if not wanted and edit.cover is None and not edit.remove_cover:
            return Plan(joined([Range(0, view.size)]), unfit=unfit)
        made = plan(msgspec.structs.replace(edit, fields=wanted), repeated)
        tags = reading(made)
        wrong = [field for field, values in wanted.items() if tags.get(field, ()) != tuple(values)]
        strange = [field for field in repeated if field not in wanted and tags.get(field) != own[field]]
        if not wrong and not strange:
            return msgspec.structs.replace(made, unfit=unfit)
        for field in wrong:
            unfit[field] = f"{system} would have it read as {', '.join(tags.get(field, ())) or 'nothing'}"
        if not wrong:
            # What a new tag cannot repeat is still said by the tag it came from.
            for field in strange:
                del repeated[field]
    raise FormatError("no way was found to write this change so that it is read as it was given")


def _reason(field: str, values: tuple[str, ...]) -> str:
    """Why no ID3 tag can hold these values; empty if nothing is known against it."""
    if len(set(values)) < len(values):
        return "the same value is given twice"
    if any(not value or value.isspace() for value in values):
        return "a value is empty"
    if any("\0" in value for value in values):
        return "a value has a NUL character in it"
    if any("\ud800" <= char <= "\udfff" for value in values for char in value):
        return "a value is not text"
    if field == "mb_recording_id" and (len(values) > 1 or not all(value.isascii() for value in values)):
        return "an ID3 tag has room for one plain identifier of the recording"
    if field in ("track_total", "disc_total") and (len(values) > 1 or not all(value.isdigit() for value in values)):
        return "a total is one number"
    return ""
