"""WAV with changed tags: the ID3 chunk says them, INFO follows where it is.

Programs read one or the other, or prefer ID3: so a file without an ID3 chunk gets one behind its last chunk, which repeats
what INFO says. INFO holds one text an item: several values are joined, and read as they are from ID3.
"""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.chunks_edit import FORM_HEADER_BYTES, HEADER_BYTES, MAX_SIZE, Chunk, Order, kept, made, walk
from musicfs.formats.fields import RIFF_INFO
from musicfs.formats.fitting import fit
from musicfs.formats.id3_chunk import ChunkTags
from musicfs.formats.id3_text import NUMBERED
from musicfs.formats.plans import Edit, Literal, Piece, Plan, Range, joined
from musicfs.formats.riff import ID3_NAMES, read_wav
from musicfs.formats.source import View
from musicfs.formats.spliced import SplicedSource
from musicfs.model import Facts, Tags

_LITTLE: Order = "little"
_DS64_SIZES_BYTES = 24
_NAMES = {field: name for name, field in reversed(tuple(RIFF_INFO.items()))} | {"track": b"ITRK"}
_NUMBER_OF_TOTAL = {total: number for number, total in NUMBERED.items()}


def splice_wav(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for the WAVE form at ``start``. FormatError if its chunks do not fill the file, as in streams cut short."""

    def plan(wanted: Edit, repeated: Tags) -> Plan:
        pieces = _Wave(view, start).edited(ChunkTags(view, own, wanted, repeated), wanted, own.tags)
        return Plan(joined(pieces), wanted.cover.data if wanted.cover is not None else b"")

    return fit(
        view, edit, own.tags, plan, lambda new: read_wav(View(SplicedSource(new, view)), start).tags, "its ID3 tag"
    )


class _Wave:
    """One form: its header's size, and its chunks."""

    def __init__(self, view: View, start: int) -> None:
        self._view = view
        self._start = start
        head = view.read(start, start + FORM_HEADER_BYTES)
        self._head = head
        self._size = int.from_bytes(head[4:8], _LITTLE)
        self._is_long = self._size == MAX_SIZE
        first = start + FORM_HEADER_BYTES
        long_sizes: dict[bytes, int] = {}
        if self._is_long:
            # EBU Tech 3306, 3.5: ds64 stands first, and has the sizes of the form and of the data.
            ds64 = view.read(first, first + HEADER_BYTES + _DS64_SIZES_BYTES)
            if head[:4] == b"RIFF" or ds64[:4] != b"ds64":
                raise FormatError("the WAV file was written as a stream and has no size")
            self._size = int.from_bytes(ds64[8:16], _LITTLE)
            long_sizes[b"data"] = int.from_bytes(ds64[16:24], _LITTLE)
        missing = start + HEADER_BYTES + self._size - view.size
        if missing and not (missing in (1, -1) and self._size % 2 == (missing == -1)):
            raise FormatError("the size in the header of the WAV file is not that of the file")
        self._chunks = walk(view, first, view.size, _LITTLE, long_sizes)

    def edited(self, tags: ChunkTags, edit: Edit, own: Tags) -> list[Piece]:
        """The whole file with an edit."""
        info = next((chunk for chunk in self._chunks if self._is_info(chunk)), None)
        body: list[Piece] = []
        for chunk in self._chunks:
            new = tags.edited(chunk) if chunk.name in ID3_NAMES else None
            if self._is_info(chunk):
                new = self._edit_info(chunk, edit, own, says=chunk is info)
            body += kept(chunk) if new is None else made(chunk.name, new, _LITTLE)
        missing = tags.missing()
        if missing:
            body += made(b"id3 ", missing, _LITTLE)
        return [Range(0, self._start), *self._with_size(body)]

    def _with_size(self, body: list[Piece]) -> list[Piece]:
        size = 4 + sum(piece.size for piece in body)
        kind = self._head[8:12]
        if not self._is_long:
            if size >= MAX_SIZE:
                raise FormatError("with the change the WAV file would be larger than a RIFF file can be")
            return [Literal(self._head[:4] + size.to_bytes(4, _LITTLE) + kind), *body]
        # The first chunk is ds64, kept as it is but for the size of the form.
        first = self._chunks[0]
        size_at = first.body
        rest = [*kept(first)]
        head = self._view.read(first.start, size_at) + size.to_bytes(8, _LITTLE)
        tail = self._view.read(size_at + 8, first.stop)
        return [Literal(self._head + head + tail), *rest[1:], *body[len(rest) :]]

    def _is_info(self, chunk: Chunk) -> bool:
        return chunk.name == b"LIST" and self._view.read_some(chunk.body, min(chunk.stop, chunk.body + 4)) == b"INFO"

    def _edit_info(self, chunk: Chunk, edit: Edit, own: Tags, *, says: bool) -> list[Piece]:
        """The contents of an INFO list with the edit; fields it lacks are added to the first list."""
        items = walk(self._view, chunk.body + 4, chunk.body + chunk.size, _LITTLE)
        cells: list[list[Piece]] = [kept(item) for item in items]
        for field in dict.fromkeys(_NUMBER_OF_TOTAL.get(field, field) for field in edit.fields):
            name = _NAMES.get(field)
            if name is None:
                continue
            places = [index for index, item in enumerate(items) if RIFF_INFO.get(item.name) == field]
            text = _text(field, edit, own) if says else ""
            new: list[Piece] = []
            if text:
                model = items[places[0]] if places else items[0] if items else None
                raw = text.encode() + (b"\0" if model is None or self._is_terminated(model) else b"")
                new = made(items[places[0]].name if places else name, [Literal(raw)], _LITTLE)
            for index in places:
                cells[index] = []
            if places:
                cells[places[0]] = new
            else:
                cells.append(new)
        return [Literal(b"INFO"), *(piece for cell in cells for piece in cell)]

    def _is_terminated(self, item: Chunk) -> bool:
        end = item.body + item.size
        return self._view.read_some(end - 1, end) == b"\0"


def _text(field: str, edit: Edit, own: Tags) -> str:
    values = edit.values(own, field)
    if field in NUMBERED and (totals := edit.values(own, NUMBERED[field])):
        return f"{values[0] if values else ''}/{totals[0]}"
    return "; ".join(values)
