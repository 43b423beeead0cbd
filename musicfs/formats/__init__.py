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

``probe`` tells containers apart; ``reader`` dispatches to a module per container; ``vorbis``, ``id3``, ``apev2`` are the tag
systems that containers share; ``fields`` has the names; ``source`` says how bytes are asked for; ``pictures`` fetches an
image that was noted; ``segments`` names what a change of the tags leaves as it is.
"""

from __future__ import annotations

from musicfs.formats.images import image_kind
from musicfs.formats.pictures import extract_picture, to_jpeg
from musicfs.formats.probe import AUDIO_SUFFIXES, is_audio, probe
from musicfs.formats.reader import read
from musicfs.formats.segments import AUDIO, PADDING, Segment, find_segments, stream_identity
from musicfs.formats.source import (
    HEAD_BYTES,
    HeadTail,
    LocalSource,
    NeedRange,
    RangeReader,
)

__all__ = [
    "AUDIO",
    "AUDIO_SUFFIXES",
    "HEAD_BYTES",
    "PADDING",
    "HeadTail",
    "LocalSource",
    "NeedRange",
    "RangeReader",
    "Segment",
    "extract_picture",
    "find_segments",
    "image_kind",
    "is_audio",
    "probe",
    "read",
    "stream_identity",
    "to_jpeg",
]
