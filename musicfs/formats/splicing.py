"""From a file and a change of its tags to the file with that change: planned by its container's module, then proven.

The proof is that the planned file, read as any file is, says what was asked for: the edited fields have their new values,
all others what they had; the audio is the same bytes, every picture that was not to change is still there. A plan that
does not hold this is never served.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.fields import VORBIS, VORBIS_ALIASES
from musicfs.formats.pictures import extract_picture
from musicfs.formats.plans import Edit, Plan
from musicfs.formats.probing import probe_at
from musicfs.formats.reader import read
from musicfs.formats.source import MALFORMED, RangeReader, View
from musicfs.formats.splice_aiff import splice_aiff
from musicfs.formats.splice_flac import splice_flac
from musicfs.formats.splice_mp3 import splice_adts, splice_mp3
from musicfs.formats.splice_mp4 import splice_mp4
from musicfs.formats.splice_ogg import splice_ogg
from musicfs.formats.splice_riff import splice_wav
from musicfs.formats.spliced import SplicedSource
from musicfs.model import Facts, Picture

_FRONT_COVER = 3

# container -> (view, where it begins, own facts, edit) -> plan; FormatError if it cannot be spliced safely.
Splicer = Callable[[View, int, Facts, Edit], Plan]
_SPLICERS: Mapping[str, Splicer] = {
    "flac": splice_flac,
    "ogg": splice_ogg,
    "mp3": splice_mp3,
    "mp4": splice_mp4,
    "adts": splice_adts,
    "wav": splice_wav,
    "aiff": splice_aiff,
}


def splice(source: RangeReader, name: str, edit: Edit) -> Plan:
    """The file ``source``, called ``name`` (only the suffix matters), with ``edit``.

    Raises FormatError, for people, when the file is not understood well enough to change it and lose nothing, and whatever
    ``source`` raises. Reads what lies before the audio and behind it, nothing of the audio but its edges.
    """
    return splice_known(source, name, edit, read(source, name))


def splice_known(source: RangeReader, name: str, edit: Edit, own: Facts) -> Plan:
    """As :func:`splice`, for a file whose facts are known."""
    try:
        view = View(source)
        found = probe_at(view.head, name)
        splicer = _SPLICERS.get(found[0]) if found is not None else None
        if found is None or splicer is None:
            raise FormatError(f"tags of {own.layout.container} files cannot be changed")
        plan = splicer(view, found[1], own, edit)
        _prove(plan, source, name, own, edit)
    except FormatError:
        raise
    except (*MALFORMED, struct.error) as error:
        raise FormatError(f"{name} is damaged: {error}") from error
    return plan


def _prove(plan: Plan, source: RangeReader, name: str, own: Facts, edit: Edit) -> None:
    """Raise FormatError unless the planned file says what it should."""
    made = read(SplicedSource(plan, source), name)
    changed = {field for field in edit.fields if field not in plan.unfit}
    for field in sorted(own.tags.keys() | made.tags.keys() | changed):
        wanted = edit.fields[field] if field in changed else own.tags.get(field, ())
        if field not in changed and field not in made.tags and VORBIS_ALIASES.get(field, VORBIS.get(field)) in changed:
            continue  # a second name of a field says nothing new beside it any more
        if made.tags.get(field, ()) != tuple(wanted):
            raise FormatError(f"with the change its {field} would be read as {made.tags.get(field, ())!r}")
    if made.audio_id != own.audio_id or made.format != own.format:
        raise FormatError("with the change its audio would be taken for another")
    if msgspec.structs.replace(made.technical, bitrate=0) != msgspec.structs.replace(own.technical, bitrate=0):
        raise FormatError("with the change its technical data would be read differently")
    _prove_pictures(made, SplicedSource(plan, source), own, edit, plan)


def _prove_pictures(made: Facts, spliced: RangeReader, own: Facts, edit: Edit, plan: Plan) -> None:
    """Raise FormatError unless the pictures that were not to change are there, and the one that was given."""
    is_given = edit.cover is not None and "cover" not in plan.unfit
    kept = list(own.pictures)
    if is_given or edit.remove_cover:
        fronts = [one for one in kept if one.kind == _FRONT_COVER]
        kept = [one for one in kept if one.kind != _FRONT_COVER and (fronts or one.kind)]
    missing = Counter((one.kind, one.mime, one.stop - one.start) for one in kept)
    missing -= Counter((one.kind, one.mime, one.stop - one.start) for one in made.pictures)
    # The base64 of an Ogg's picture is as long in the file as the pages' headers that it spans make it.
    if missing.total() and not all(coding.startswith("ogg") for coding in {one.coding for one in kept}):
        raise FormatError(f"with the change {missing.total()} of its pictures would be lost")
    if len(made.pictures) < len(kept) + is_given:
        raise FormatError(f"with the change {len(made.pictures)} of its {len(kept) + is_given} pictures would be found")
    if edit.cover is not None and is_given:
        data = edit.cover.data
        if not any(_is_image(spliced, picture, data) for picture in made.pictures):
            raise FormatError("with the change its new cover would not be found")


def _is_image(source: RangeReader, picture: Picture, data: bytes) -> bool:
    # What it takes to be read tells most others apart, and spares reading them.
    if picture.coding == "raw" and picture.stop - picture.start != len(data):
        return False
    return extract_picture(source, picture) == data
