"""FLAC's metadata blocks with changed tags: what a native file and the header packets of Ogg FLAC have in common.

Sources: RFC 9639, 8.1 (blocks), 8.6 (comments), 8.8 (pictures).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.comments_edit import (
    FRONT_COVER,
    CommentList,
    EditedComments,
    edit_comments,
    front_covers,
    picture_kind,
)
from musicfs.formats.flac import COMMENT, PICTURE
from musicfs.formats.plans import Edit, Extra, Image, Literal, Piece, Range, joined
from musicfs.model import Tags

MAX_BLOCK_BYTES = (1 << 24) - 1
_VENDOR = b"MusicFS"  # of a list that this program made
_PICTURE_NAME = b"METADATA_BLOCK_PICTURE="
_KEPT_AS_RANGE_BYTES = 256  # shorter runs of what stays are cheaper within a literal than as a piece
_KINDS = 21  # RFC 9639, table 13


class SourceBlock(msgspec.Struct, frozen=True):
    """A block as it is: ``read(start, stop)`` gives bytes of its body."""

    kind: int
    size: int
    read: Callable[[int, int], bytes]


class MadeBlock(msgspec.Struct, frozen=True):
    """A block as it becomes. Ranges in ``body`` are positions in the body of the source block ``source``; -1: a new block."""

    kind: int
    source: int
    body: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes in the body."""
        return sum(piece.size for piece in self.body)


class MadeBlocks(msgspec.Struct, frozen=True):
    """All blocks in order; ``extra`` and ``unfit`` are those of the plan."""

    blocks: tuple[MadeBlock, ...]
    extra: bytes
    unfit: dict[str, str]

    def __post_init__(self) -> None:
        for block in self.blocks:
            if block.size > MAX_BLOCK_BYTES:
                raise FormatError(f"a FLAC metadata block would have {block.size} bytes; at most {MAX_BLOCK_BYTES} fit")


def edit_blocks(sources: Sequence[SourceBlock], own: Tags, edit: Edit) -> MadeBlocks:
    """``edit`` over the blocks ``sources``, the first of them STREAMINFO, whose tags are read as ``own``."""
    lists = {
        index: CommentList(source.read(0, source.size))
        for index, source in enumerate(sources)
        if source.kind == COMMENT
    }
    comments = [comment for one in lists.values() for comment in one.comments]
    edited = edit_comments(comments, own, edit)
    covers = _covers(sources, lists) if edit.cover is not None or edit.remove_cover else []
    replaced = dict(edited.replaced) | {index: () for _, index in covers if index >= 0}
    edited = EditedComments(replaced, edited.added, edited.unfit)
    made: list[MadeBlock] = []
    gone = {block for block, comment in covers if comment < 0}
    picture_at = min(gone, default=-1)
    first = 0
    for index, source in enumerate(sources):
        if index in lists:
            body = edited_body(lists[index], edited, first)
            first += len(lists[index].comments)
            edited = EditedComments(edited.replaced, (), edited.unfit)  # what is added goes to the first list
            made.append(MadeBlock(source.kind, index, body))
        elif index not in gone:
            made.append(MadeBlock(source.kind, index, _whole(source)))
        if edit.cover is not None and index == picture_at:
            made.append(_picture(edit.cover))
    if edited.added:
        made.insert(1, MadeBlock(COMMENT, -1, (Literal(new_list(edited.added)),)))
    if edit.cover is not None and picture_at < 0:
        last = max((at for at, block in enumerate(made) if block.kind == COMMENT), default=0)
        made.insert(last + 1, _picture(edit.cover))
    return MadeBlocks(tuple(made), edit.cover.data if edit.cover is not None else b"", dict(edited.unfit))


def _covers(sources: Sequence[SourceBlock], lists: dict[int, CommentList]) -> list[tuple[int, int]]:
    """Where front covers are: (block, -1), or (block, comment counted through all lists)."""
    found: list[tuple[int, int]] = []
    kinds: list[tuple[int, int]] = []
    counted = 0
    for index, source in enumerate(sources):
        if source.kind == PICTURE and source.size >= 4:
            kind = int.from_bytes(source.read(0, 4))
            kinds.append((kind if kind < _KINDS else 0, len(found)))
            found.append((index, -1))
        for comment in lists[index].comments if index in lists else ():
            comment_kind = picture_kind(lists[index].data, comment)
            if comment_kind is not None:
                kinds.append((comment_kind, len(found)))
                found.append((index, counted))
            counted += 1
    return [found[one] for one in front_covers(kinds)]


def _whole(source: SourceBlock) -> tuple[Piece, ...]:
    return (Range(0, source.size),) if source.size else ()


def _picture(cover: Image) -> MadeBlock:
    return MadeBlock(PICTURE, -1, (Literal(picture_header(cover)), Extra(0, len(cover.data))))


def picture_header(cover: Image) -> bytes:
    """What stands before the image in a picture block: a front cover without description."""
    mime = cover.mime.encode("ascii", "replace")
    sizes = struct.pack(">IIIII", cover.width, cover.height, cover.depth, 0, len(cover.data))
    return struct.pack(">II", FRONT_COVER, len(mime)) + mime + bytes(4) + sizes


def picture_text(cover: Image) -> bytes:
    """The comment of a new cover: what a plan's ``extra`` holds for Ogg, the same for all tracks that get it."""
    return _PICTURE_NAME + base64.b64encode(picture_header(cover) + cover.data)


def new_list(comments: Sequence[bytes]) -> bytes:
    """A list of comments in a file that had none."""
    parts = [struct.pack("<I", len(_VENDOR)), _VENDOR, struct.pack("<I", len(comments))]
    return b"".join([*parts, *(part for comment in comments for part in (struct.pack("<I", len(comment)), comment))])


def edited_body(
    source: CommentList, edited: EditedComments, first: int = 0, *, cover_at: int = -1, cover_bytes: int = 0
) -> tuple[Piece, ...]:
    """The bytes that ``source`` was parsed from with its comments edited, the ``first`` of them counted through all lists.

    A cover of ``cover_bytes``, which is the plan's extra, stands at the place of the comment ``cover_at``, behind all if that
    is -1. Ranges are positions in those bytes.
    """
    pieces: list[Piece] = [Range(0, source.vendor_stop), Literal(b"")]
    count = 0
    cover: list[Piece] = [Literal(struct.pack("<I", cover_bytes)), Extra(0, cover_bytes)]
    for index, comment in enumerate(source.comments, first):
        if cover_bytes and index == cover_at:
            pieces += cover
            count += 1
        if index in edited.replaced:
            pieces += _written(edited.replaced[index])
            count += len(edited.replaced[index])
        else:
            pieces.append(Range(comment.start - 4, comment.stop))
            count += 1
    pieces += _written(edited.added)
    count += len(edited.added)
    if cover_bytes and cover_at < 0:
        pieces += cover
        count += 1
    pieces.append(Range(source.stop, len(source.data)))
    same = count == len(source.comments)
    pieces[1] = Range(source.vendor_stop, source.vendor_stop + 4) if same else Literal(struct.pack("<I", count))
    whole = joined(pieces)
    return whole if len(whole) == 1 else _shortened(whole, source.data)


def _shortened(pieces: Sequence[Piece], data: bytes) -> tuple[Piece, ...]:
    """The pieces with short ranges of ``data`` as literals."""
    written: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Range) and piece.size < _KEPT_AS_RANGE_BYTES:
            written.append(Literal(data[piece.start : piece.stop]))
        else:
            written.append(piece)
    return joined(written)


def _written(comments: Sequence[bytes]) -> list[Piece]:
    return [Literal(struct.pack("<I", len(comment)) + comment) for comment in comments]
