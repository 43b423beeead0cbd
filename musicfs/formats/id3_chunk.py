"""The ID3v2 tag in a chunk of a WAV or AIFF file, with an edit."""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.chunks_edit import Chunk
from musicfs.formats.id3 import HEADER_BYTES, tag_stop
from musicfs.formats.id3_frames_edit import FRONT_COVER, edit_tag, new_tag
from musicfs.formats.id3_parts import VERSIONS, take_apart
from musicfs.formats.plans import Edit, Piece, Range
from musicfs.formats.source import View
from musicfs.model import Facts, Tags


class ChunkTags:
    """Edits the ID3 chunks of one file in turn: the first says the edited fields, further ones say nothing of them."""

    def __init__(self, view: View, own: Facts, edit: Edit, repeated: Tags) -> None:
        self._view = view
        self._own = own.tags
        self._edit = edit
        self._repeated = repeated
        self._any_front = any(picture.kind == FRONT_COVER for picture in own.pictures)
        self._said = False

    def edited(self, chunk: Chunk) -> list[Piece] | None:
        """The new contents of a chunk; None if it holds no tag. FormatError if the tag is longer than the chunk."""
        head = self._view.read_some(chunk.body, chunk.body + HEADER_BYTES)
        try:
            stop = tag_stop(head, chunk.body)
        except FormatError:
            return None
        end = chunk.body + chunk.size
        if head[3] not in VERSIONS:
            return None
        if stop > end:
            raise FormatError(f"the ID3 tag at byte {chunk.body} is longer than its chunk")
        tag = take_apart(self._view, chunk.body)
        pieces = edit_tag(tag, self._edit, self._own, says=not self._said, any_front=self._any_front)
        self._said = True
        return [*pieces, Range(stop, end)]

    def missing(self) -> list[Piece]:
        """A tag for a new chunk if there was none and one is needed: it repeats all that the file says elsewhere."""
        if self._said or not (any(self._edit.fields.values()) or self._edit.cover is not None):
            return []
        return new_tag(self._edit, self._repeated, padding_bytes=0)
