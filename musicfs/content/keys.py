"""What names one version of one file in the content store."""

from __future__ import annotations

import os

import msgspec
import xxhash

from musicfs.store.chunks_schema import Content


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where the bytes of one version of a file can be had; of one that ``is_gone`` from its origin: what was stored."""

    origin_id: str
    path: str
    version: str
    size: int
    is_gone: bool = False


def content_of(source: Source, *, stable_version: bool) -> Content:
    """The name under which a version of a file is kept: equal names mean equal bytes, as far as the origin can tell.

    Where an equal version proves equal bytes (``stable_version``), a file that was moved keeps its content.
    """
    where = b"" if stable_version else os.fsencode(source.path)
    parts = (source.origin_id.encode(), source.version.encode(), b"%d" % source.size, where)
    return Content(xxhash.xxh3_128_digest(b"\0".join(parts)), source.size)
