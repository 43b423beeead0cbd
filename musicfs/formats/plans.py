"""What a change of tags is, and what a file with changed tags is made of: values, and nothing else.

A :class:`Plan` is the whole file as a list of pieces, some written anew, the rest ranges of the original. Pieces are in the
file's order and without gaps, so the size is exact before a byte is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from musicfs.model import Tags


class Image(msgspec.Struct, frozen=True, gc=False):
    """A picture to embed. Width and height in pixels, depth in bits a pixel; 0 where unknown."""

    data: bytes
    mime: str
    width: int = 0
    height: int = 0
    depth: int = 0


class Edit(msgspec.Struct, frozen=True):
    """What to change: ``fields`` maps a field's (or custom tag's) name to its new values, none to remove it.

    ``cover`` replaces the front cover; ``remove_cover`` removes it. What is not named stays as it is.
    """

    fields: Mapping[str, tuple[str, ...]]
    cover: Image | None = None
    remove_cover: bool = False

    def touches(self, *fields: str) -> bool:
        """Whether one of these fields changes."""
        return any(field in self.fields for field in fields)

    def values(self, own: Tags, field: str) -> tuple[str, ...]:
        """What ``field`` has afterwards, in a file whose own tags are ``own``."""
        return self.fields[field] if field in self.fields else own.get(field, ())


class Literal(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Bytes written anew."""

    data: bytes

    @property
    def size(self) -> int:
        """How many bytes it makes."""
        return len(self.data)


class Range(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Bytes ``[start, stop)`` of the file as they are."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it makes."""
        return self.stop - self.start


class Pages(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Whole Ogg pages ``[start, stop)``, in which those of the stream ``serial`` are renumbered by ``shift``."""

    start: int
    stop: int
    serial: int
    shift: int

    @property
    def size(self) -> int:
        """How many bytes it makes: as many as it takes."""
        return self.stop - self.start


class Extra(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Bytes ``[start, stop)`` of the plan's ``extra``: a new picture, which the plans of an album's tracks share."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it makes."""
        return self.stop - self.start


# Reads exactly the bytes ``[start, stop)`` of the original.
ReadOriginal = Callable[[int, int], bytes | memoryview]

Piece = Literal | Range | Pages | Extra


def pack_pieces(pieces: tuple[Piece, ...]) -> bytes:
    """The pieces as they are kept."""
    return msgspec.msgpack.encode(pieces)


_decode_pieces = msgspec.msgpack.Decoder(tuple[Piece, ...]).decode


def unpack_pieces(raw: bytes) -> tuple[Piece, ...]:
    """Undo :func:`pack_pieces`."""
    return _decode_pieces(raw)


class Plan(msgspec.Struct, frozen=True):
    """A whole file with its changes.

    ``extra`` is what :class:`Extra` pieces refer to. ``unfit`` names the fields of the edit that this container cannot hold
    as they were given, each with the reason for people: these keep the file's own values in it.
    """

    pieces: tuple[Piece, ...]
    extra: bytes = b""
    unfit: Mapping[str, str] = {}

    @property
    def size(self) -> int:
        """The file's exact size."""
        return sum(piece.size for piece in self.pieces)


def joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces with empty ones left out, and neighbours that continue each other made one."""
    whole: list[Piece] = []
    for piece in pieces:
        last = whole[-1] if whole else None
        if not piece.size:
            continue
        if isinstance(piece, Literal) and isinstance(last, Literal):
            whole[-1] = Literal(last.data + piece.data)
        elif isinstance(piece, Range) and isinstance(last, Range) and last.stop == piece.start:
            whole[-1] = Range(last.start, piece.stop)
        else:
            whole.append(piece)
    return tuple(whole)


def shifted(pieces: Iterable[Piece], shift: int) -> list[Piece]:
    """The pieces, whose ranges count from byte ``shift`` of the file, with ranges of the file."""
    return [Range(one.start + shift, one.stop + shift) if isinstance(one, Range) else one for one in pieces]
