"""One range of a file, by its handle: pieces that travel together, each proven to be of the version that was asked for."""

from __future__ import annotations

from musicfs.origins import nfs_protocol as nfs
from musicfs.origins.nfs_listing import make_version
from musicfs.origins.nfs_protocol import Attributes, Piece
from musicfs.origins.nfs_rpc import StatusError
from musicfs.origins.nfs_server import NfsServer


class Outdated(Exception):
    """The handle does not lead to that version (any more): look the file up again."""


def read_range(server: NfsServer, handle: bytes, start: int, stop: int, version: str) -> bytes:
    """Exactly the bytes ``[start, stop)`` of ``version``. Raises Outdated, or StatusError and what the server raises."""
    try:
        if start == stop:
            _prove(server.call(nfs.getattr_(handle)), version)
            return b""
        return _read_pieces(server, handle, start, stop, version)
    except StatusError as error:
        if error.status in nfs.STALE_HANDLE:
            raise Outdated from error
        raise


def _read_pieces(server: NfsServer, handle: bytes, start: int, stop: int, version: str) -> bytes:
    size = server.mount().limits.read
    missing = [(at, min(at + size, stop)) for at in range(start, stop, size)]
    pieces: dict[int, memoryview] = {}
    while missing:
        ranges, missing = missing, []
        outcomes = server.call_all([nfs.read(handle, first, last) for first, last in ranges])
        for (first, last), piece in zip(ranges, outcomes, strict=True):
            if isinstance(piece, StatusError):
                raise piece
            _prove(piece.attributes or server.call(nfs.getattr_(handle)), version)
            pieces[first] = piece.data
            if len(piece.data) < last - first:
                missing.append(_rest(piece, first, last))
    return b"".join(pieces[at] for at in sorted(pieces))


def _rest(piece: Piece, first: int, last: int) -> tuple[int, int]:
    """What a server that gave less than it was asked for is asked again."""
    if piece.end_of_file or not piece.data:
        raise Outdated  # shorter than the version says
    return first + len(piece.data), last


def _prove(attributes: Attributes, version: str) -> None:
    """Raise Outdated unless these are of ``version``, and of a file that still has a name."""
    if not attributes.links or make_version(attributes) != version:
        raise Outdated
