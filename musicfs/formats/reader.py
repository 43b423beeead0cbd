"""Reads a file's facts: finds the container, and lets its module parse it."""

from __future__ import annotations

import msgspec

from musicfs.errors import FormatError
from musicfs.formats.adts import read_adts
from musicfs.formats.aiff import read_aiff
from musicfs.formats.flac import read_flac
from musicfs.formats.mp3 import read_mp3
from musicfs.formats.mp4 import read_mp4
from musicfs.formats.ogg import read_ogg
from musicfs.formats.probing import probe_at
from musicfs.formats.riff import read_wav
from musicfs.formats.source import MALFORMED, RangeReader, View
from musicfs.model import Facts

_READERS = {
    "flac": read_flac,
    "mp3": read_mp3,
    "ogg": read_ogg,
    "adts": read_adts,
    "wav": read_wav,
    "aiff": read_aiff,
}


MAX_PICTURES = 100


def read(source: RangeReader, name: str) -> Facts:
    """Everything the file says about itself, from its head and tail; ``name`` is its file name (only the suffix matters).

    Audio without tags has empty ``tags``; damaged tags are read as far as they go. Raises FormatError if this is no audio
    MusicFS knows, or too damaged to tell, and whatever ``source`` raises. Blocks as long as ``source`` does; reads a few
    ranges, never the audio or a picture.
    """
    try:
        view = View(source)
        found = probe_at(view.head, name)
        if found is None:
            raise FormatError(f"{name} is no audio file of a known kind")
        container, start = found
        facts = read_mp4(view, name) if container == "mp4" else _READERS[container](view, start)
    except FormatError:
        raise
    except MALFORMED as error:
        raise FormatError(f"{name} is damaged: {error}") from error
    if len(facts.pictures) > MAX_PICTURES:
        facts = msgspec.structs.replace(facts, pictures=facts.pictures[:MAX_PICTURES])
    return facts
