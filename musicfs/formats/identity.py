"""What tells one recording's audio from another's, whatever tags stand around it: 64 bits from a few bytes of a file.

An id is *probable* evidence, not proof. It covers the container, the codec, the exact number of audio bytes, and the codec's
own checksum of the decoded audio where there is one (FLAC's STREAMINFO); elsewhere the first and the last
:data:`EDGE_BYTES` of the audio (for MP4 the sizes of its last frames instead of these, which cost no read of their own). Two
encodings that begin and end alike over exactly as many bytes, such as uncompressed recordings of one length with silence at
both ends, have one id. It therefore joins only files that agree in name as well, and whoever mixes the bytes of two files
compares them first. Different ids of one container mean different audio, or audio that was encoded or packed differently.
"""

from __future__ import annotations

from typing import NamedTuple

import xxhash

from musicfs.formats.source import View
from musicfs.model import Layout

EDGE_BYTES = 1024
MD5_BYTES = 16

_NEXT_HEADER_BYTES = 8  # of a RIFF, IFF or MP4 chunk: parsers that stepped over the audio look there next


class Edges(NamedTuple):
    """The first and the last bytes of the audio, :data:`EDGE_BYTES` of each; the same bytes if there are no more."""

    head: bytes
    tail: bytes


def read_edges(view: View, start: int, stop: int) -> Edges:
    """The edges of the audio ``[start, stop)``.

    A parser calls it where it steps over the audio: the tail is then one read with what the parser looks at next.
    """
    return Edges(read_head(view, start, stop), read_tail(view, start, stop))


def read_head(view: View, start: int, stop: int) -> bytes:
    """The first bytes of the audio ``[start, stop)``."""
    return view.read_some(start, min(stop, start + EDGE_BYTES))


def read_tail(view: View, start: int, stop: int) -> bytes:
    """The last bytes of the audio ``[start, stop)``, and a look at the header behind them that is not returned."""
    edge = max(start, stop - EDGE_BYTES)
    return view.read_some(edge, stop + _NEXT_HEADER_BYTES)[: stop - edge]


def id_by_md5(layout: Layout, codec: str, md5: bytes) -> int:
    """The id of audio whose codec has a checksum of the decoded samples; 0 if that is not set, or without audio."""
    return _digest(layout, codec, md5) if any(md5) else 0


def id_by_edges(layout: Layout, codec: str, edges: Edges) -> int:
    """The id of audio with these edges; 0 without audio."""
    return _digest(layout, codec, b"%d\0%s%s" % (len(edges.head), edges.head, edges.tail))


def _digest(layout: Layout, codec: str, evidence: bytes) -> int:
    audio_bytes = layout.audio_stop - layout.audio_start
    if audio_bytes <= 0:
        return 0
    known = f"{layout.container}\0{codec}\0{audio_bytes}\0".encode()
    return xxhash.xxh3_64_intdigest(known + evidence) or 1  # 0 means unknown
