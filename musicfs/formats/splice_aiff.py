"""AIFF and AIFF-C with changed tags: the ID3 chunk says them, text chunks follow where they are.

A file without an ID3 chunk gets one behind its last chunk, which repeats what the text chunks say.
"""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.aiff import ID3_NAMES, read_aiff
from musicfs.formats.chunks_edit import FORM_HEADER_BYTES, HEADER_BYTES, MAX_SIZE, Chunk, Order, kept, made, walk
from musicfs.formats.fields import AIFF_TEXT
from musicfs.formats.fitting import fit
from musicfs.formats.id3_chunk import ChunkTags
from musicfs.formats.plans import Edit, Literal, Piece, Plan, Range, joined
from musicfs.formats.source import View
from musicfs.formats.spliced import SplicedSource
from musicfs.model import Facts, Tags

_BIG: Order = "big"
# The only text chunk that a form may have several of (AIFF 1.3, "Text Chunks"): one a value.
_SEVERAL = b"ANNO"


def splice_aiff(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for the AIFF or AIFC form at ``start``. FormatError if its chunks do not fill the file."""

    def plan(wanted: Edit, repeated: Tags) -> Plan:
        pieces = _edited(view, start, ChunkTags(view, own, wanted, repeated), wanted)
        return Plan(joined(pieces), wanted.cover.data if wanted.cover is not None else b"")

    return fit(
        view, edit, own.tags, plan, lambda new: read_aiff(View(SplicedSource(new, view)), start).tags, "its ID3 tag"
    )


def _edited(view: View, start: int, tags: ChunkTags, edit: Edit) -> list[Piece]:
    head = view.read(start, start + FORM_HEADER_BYTES)
    size = int.from_bytes(head[4:8])
    missing = start + HEADER_BYTES + size - view.size
    if missing and not (missing in (1, -1) and size % 2 == (missing == -1)):
        raise FormatError("the size in the header of the AIFF file is not that of the file")
    body: list[Piece] = []
    texts: set[bytes] = set()
    for chunk in walk(view, start + FORM_HEADER_BYTES, view.size, _BIG):
        body += _edit_chunk(chunk, tags, edit, first=chunk.name not in texts)
        texts.add(chunk.name)
    added = tags.missing()
    if added:
        body += made(b"ID3 ", added, _BIG)
    size = 4 + sum(piece.size for piece in body)
    if size > MAX_SIZE:
        raise FormatError("with the change the AIFF file would be larger than one can be")
    return [Range(0, start), Literal(head[:4] + size.to_bytes(4) + head[8:]), *body]


def _edit_chunk(chunk: Chunk, tags: ChunkTags, edit: Edit, *, first: bool) -> list[Piece]:
    if chunk.name in ID3_NAMES:
        new = tags.edited(chunk)
        return kept(chunk) if new is None else made(chunk.name, new, _BIG)
    field = AIFF_TEXT.get(chunk.name)
    if field is None or field not in edit.fields:
        return kept(chunk)
    values = edit.fields[field] if first else ()
    if chunk.name != _SEVERAL and values:
        values = ("; ".join(values),)
    return [piece for value in values for piece in made(chunk.name, [Literal(value.encode())], _BIG)]
