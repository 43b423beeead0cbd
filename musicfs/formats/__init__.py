"""Containers: from bytes to tags, technical data, layout and pictures. Pure functions of the bytes they are given.

Owns what every audio container looks like, and the tables of field names; nothing else in the package knows either. It
promises three things about :func:`read`:

* It reads a few ranges at the head and the tail of a file, never the audio or a picture: usually one read of 64 KiB, for
  Ogg and MP3 a second one at the end. Over a network a :class:`HeadTail` says which further range is needed.
* Malformed input raises :class:`~musicfs.errors.FormatError` and nothing else, in bounded time and memory: every length is
  checked against the file, and everything that is counted has a limit.
* Audio whose tags are damaged still has its technical data and layout.

Parsers are written for this bounded view; mutagen, which wants whole files, is what the tests compare them with.
Imports floor 0 only, anyone above may import it. No threads, no state: every function may run on any thread or process.

``probing`` tells containers apart; ``reader`` dispatches to a module per container; ``vorbis``, ``id3``, ``apev2`` are the
tag systems that containers share; ``fields`` has the names; ``source`` says how bytes are asked for; ``pictures`` fetches
an image that was noted; ``segments`` names what a change of the tags leaves as it is.

:func:`splice` plans a file with changed tags (``plans`` has the words), through a module per container (``splice_*``) that
keeps all it does not change; the plan is proven by reading the file it makes (``splicing``). ``spliced`` reads a file
through its plan, ``oggrenumber`` pages that got other numbers.

What is named here is loaded when it is first asked for: the mount process reads through plans, and needs no parser.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from musicfs.formats.images import describe_image as describe_image
    from musicfs.formats.images import image_kind as image_kind
    from musicfs.formats.pictures import extract_picture as extract_picture
    from musicfs.formats.pictures import to_jpeg as to_jpeg
    from musicfs.formats.probing import AUDIO_SUFFIXES as AUDIO_SUFFIXES
    from musicfs.formats.probing import is_audio as is_audio
    from musicfs.formats.probing import probe as probe
    from musicfs.formats.reader import read as read
    from musicfs.formats.segments import AUDIO as AUDIO
    from musicfs.formats.segments import PADDING as PADDING
    from musicfs.formats.segments import Segment as Segment
    from musicfs.formats.segments import find_segments as find_segments
    from musicfs.formats.segments import stream_identity as stream_identity
    from musicfs.formats.source import HEAD_BYTES as HEAD_BYTES
    from musicfs.formats.source import HeadTail as HeadTail
    from musicfs.formats.source import LocalSource as LocalSource
    from musicfs.formats.source import NeedRange as NeedRange
    from musicfs.formats.source import RangeReader as RangeReader
    from musicfs.formats.splicing import splice as splice

_HOMES = {
    "images": ("describe_image", "image_kind"),
    "pictures": ("extract_picture", "to_jpeg"),
    "probing": ("AUDIO_SUFFIXES", "is_audio", "probe"),
    "reader": ("read",),
    "segments": ("AUDIO", "PADDING", "Segment", "find_segments", "stream_identity"),
    "source": ("HEAD_BYTES", "HeadTail", "LocalSource", "NeedRange", "RangeReader"),
    "splicing": ("splice",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 # written down once, above


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found
