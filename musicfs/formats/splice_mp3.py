"""MP3 and ADTS AAC with changed tags.

Programs differ in which of a file's tags they look at: most at the first ID3v2 tag, mpd at an APEv2 tag before it, old ones
at ID3v1. So an edited field is said by the first ID3v2 tag, removed from all further ones, and follows in APEv2 and ID3v1
where these are. Without any ID3v2 tag before the audio one is put there, of version 2.4 since only that has room for days,
for several values, and for text in UTF-8; it repeats all that the other tags say, as who finds it looks no further.
Everything between the tags, and Lyrics3, stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable

from musicfs.errors import FormatError
from musicfs.formats.adts import read_adts
from musicfs.formats.apev2 import FOOTER_BYTES, ape_header_stop, ape_start
from musicfs.formats.apev2_edit import edit_ape
from musicfs.formats.fitting import fit
from musicfs.formats.id3 import HEADER_BYTES, tag_stop
from musicfs.formats.id3_frames_edit import FRONT_COVER, edit_tag, new_tag
from musicfs.formats.id3_parts import VERSIONS, take_apart
from musicfs.formats.id3v1 import ID3V1_BYTES
from musicfs.formats.id3v1_edit import edit_id3v1
from musicfs.formats.mp3 import MAX_TAGS, read_mp3, trailer_start
from musicfs.formats.plans import Edit, Literal, Piece, Plan, Range, joined
from musicfs.formats.source import View
from musicfs.formats.spliced import SplicedSource
from musicfs.model import Facts, Tags


def splice_mp3(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for an MP3 file whose tags begin at ``start``. FormatError if one of them is damaged."""
    return _splice(view, start, own, edit, _mp3_trailers, read_mp3)


def splice_adts(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for an ADTS stream whose tags begin at ``start``. FormatError if one of them is damaged."""
    return _splice(view, start, own, edit, _adts_trailers, read_adts)


def _splice(
    view: View,
    start: int,
    own: Facts,
    edit: Edit,
    trailers: Callable[[View, int], list[tuple[int, int]]],
    read: Callable[[View, int], Facts],
) -> Plan:
    def plan(wanted: Edit, repeated: Tags) -> Plan:
        file = _File(view, own, wanted, repeated)
        audio_start = file.edit_front(start)
        file.edit_back(audio_start, trailers(view, audio_start))
        return Plan(joined(file.pieces), wanted.cover.data if wanted.cover is not None else b"")

    return fit(
        view, edit, own.tags, plan, lambda made: read(View(SplicedSource(made, view)), start).tags, "its ID3 tag"
    )


class _File:
    """The pieces of one file."""

    def __init__(self, view: View, own: Facts, edit: Edit, repeated: Tags) -> None:
        self.pieces: list[Piece] = []
        self._view = view
        self._own = own.tags
        self._edit = edit
        self._repeated = repeated
        self._any_front = any(picture.kind == FRONT_COVER for picture in own.pictures)

    def edit_front(self, start: int) -> int:
        """Add what stands before the audio, with the edit; return where that ends."""
        position, said = start, False
        self.pieces.append(Range(0, start))
        for _ in range(MAX_TAGS):
            head = self._view.read_some(position, position + HEADER_BYTES)
            try:
                stop = tag_stop(head, position)
            except FormatError:
                break
            if head[3] in VERSIONS:
                self._edit_id3(position, says=not said)
                said = True
            else:
                self.pieces.append(Range(position, min(stop, self._view.size)))
            position = min(stop, self._view.size)
        if not said and (any(self._edit.fields.values()) or self._edit.cover is not None):
            self.pieces = [*new_tag(self._edit, self._repeated), *self.pieces]
        return position

    def edit_back(self, audio_start: int, trailers: list[tuple[int, int]]) -> None:
        """Add everything from the audio on, with the edit in the tags behind it."""
        audio_stop = trailers[0][0] if trailers else self._view.size
        self.pieces.append(Range(audio_start, audio_stop))
        for start, stop in trailers:
            head = self._view.read(start, min(stop, start + HEADER_BYTES))
            if stop - start == ID3V1_BYTES and head[:3] == b"TAG":
                tag = self._view.read(start, stop)
                new = edit_id3v1(tag, self._edit, self._own)
                self.pieces.append(Literal(new) if new != tag else Range(start, stop))
            elif ape_start(self._view.read_some(stop - FOOTER_BYTES, stop), stop) == start:
                self.pieces += edit_ape(self._view, start, stop, self._edit, self._own)
            elif head[:3] == b"ID3" and head[3] in VERSIONS:
                self._edit_id3(start, says=False)
            else:
                self.pieces.append(Range(start, stop))

    def _edit_id3(self, start: int, *, says: bool) -> None:
        tag = take_apart(self._view, start)
        self.pieces += edit_tag(tag, self._edit, self._own, says=says, any_front=self._any_front)


def _mp3_trailers(view: View, audio_start: int) -> list[tuple[int, int]]:
    """The tags behind the audio, in the file's order."""
    least = ape_header_stop(view.read_some(audio_start, audio_start + FOOTER_BYTES), audio_start) or audio_start
    found: list[tuple[int, int]] = []
    stop = view.size
    for _ in range(MAX_TAGS):
        start = trailer_start(view, stop, [], [])
        if start is None or start < least:
            break
        found.append((start, stop))
        stop = start
    return found[::-1]


def _adts_trailers(view: View, audio_start: int) -> list[tuple[int, int]]:
    stop = view.size
    is_tag = stop - ID3V1_BYTES >= audio_start and view.read(stop - ID3V1_BYTES, stop)[:3] == b"TAG"
    return [(stop - ID3V1_BYTES, stop)] if is_tag else []
