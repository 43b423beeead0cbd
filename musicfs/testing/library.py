"""Sample music libraries on disk: a small one that shows everything, and a generated one of any size."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from musicfs.testing.audio import KINDS, make_audio
from musicfs.testing.images import make_jpeg, make_png

Tags = Mapping[str, tuple[str, ...]]

# (origin path, kind, tags, embedded picture) of the small library's tracks; values with several entries are multi-value.
Fields = dict[str, str | tuple[str, ...]]
_ALBUM: Fields = {
    "album_artist": "Pixel Harbour",
    "album": "Salt and Static",
    "date": "2019-05-17",
    "genre": ("Rock", "Shoegaze"),
}
_MIX: Fields = {"album_artist": "Various Artists", "album": "Night Bus Mixtape", "date": "1994", "compilation": "1"}
_DISCS: Fields = {
    "artist": "The Long Division",
    "album": "Remainders",
    "date": "1983",
    "genre": "Jazz",
    "disc_total": "2",
}
_SAMPLE: tuple[tuple[str, str, Fields, str], ...] = (
    ("Pixel Harbour/Salt and Static/01 Low Tide.flac", "flac",
     _ALBUM | {"title": "Low Tide", "artist": "Pixel Harbour", "track": "1", "track_total": "3", "mood": "calm",
               "mb_album_id": "5f2a7f0e-6d0e-4b5e-9a39-0a6f3f9f1c11", "replaygain_track_gain": "-6.20 dB"}, "jpeg"),
    ("Pixel Harbour/Salt and Static/02 Signal Fire.flac", "flac",
     _ALBUM | {"title": "Signal Fire", "artist": ("Pixel Harbour", "Ada Quist"), "track": "2", "track_total": "3",
               "composer": "Ada Quist"}, "jpeg"),
    ("Pixel Harbour/Salt and Static/03 Undertow.flac", "flac",
     _ALBUM | {"title": "Undertow", "artist": "Pixel Harbour", "track": "3", "track_total": "3",
               "comment": "Recorded live", "lyrics": "Down we go\nDown we go"}, ""),
    ("Björk/Glóð/1 - Ísbrú.mp3", "mp3",
     {"title": "Ísbrú", "artist": "Björk", "album": "Glóð", "date": "2001-08-27", "genre": "Electronic", "track": "1"},
     "jpeg"),
    ("Björk/Glóð/2 - Sól ☀️.mp3", "mp3",
     {"title": "Sól ☀️", "artist": "Björk", "album": "Glóð", "date": "2001-08-27", "genre": "Electronic", "track": "2"}, ""),
    ("東京スカイライン/夜の電車/01 終電.m4a", "m4a",
     {"title": "終電", "artist": "東京スカイライン", "album": "夜の電車", "date": "2015", "genre": "City Pop", "track": "1",
      "track_total": "2", "artist_sort": "Tokyo Skyline"}, "png"),
    ("東京スカイライン/夜の電車/02 始発.m4a", "alac",
     {"title": "始発", "artist": "東京スカイライン", "album": "夜の電車", "date": "2015", "genre": "City Pop", "track": "2",
      "track_total": "2", "artist_sort": "Tokyo Skyline"}, ""),
    ("Compilations/Night Bus Mixtape/01.ogg", "ogg",
     _MIX | {"title": "Last Stop", "artist": "Nora Field", "genre": "Soul", "track": "1"}, "jpeg"),
    ("Compilations/Night Bus Mixtape/02.opus", "opus",
     _MIX | {"title": "Sodium Lights", "artist": "DJ Ampersand & Co", "genre": "House", "track": "2"}, "png"),
    ("Compilations/Night Bus Mixtape/03.mp3", "mp3",
     _MIX | {"title": "Window Seat", "artist": "Pixel Harbour", "genre": "Rock", "track": "3"}, ""),
    ("The Long Division/Remainders/CD1/01 - Quotient.ogg", "ogg",
     _DISCS | {"title": "Quotient", "track": "1", "disc": "1"}, ""),
    ("The Long Division/Remainders/CD1/02 - Carry the One.ogg", "ogg",
     _DISCS | {"title": "Carry the One", "track": "2", "disc": "1"}, ""),
    ("The Long Division/Remainders/CD2/01 - Long Tail.oga", "oga",
     _DISCS | {"title": "Long Tail", "track": "1", "disc": "2"}, ""),
    ("The Long Division/Remainders/CD2/02 - 22⁄7.oga", "oga", _DISCS | {"title": "22/7", "track": "2", "disc": "2"}, ""),
    ("Audiobooks/Ida Marsh/The Lighthouse Ledger.m4b", "m4b",
     {"title": "The Lighthouse Ledger", "artist": "Ida Marsh", "album": "The Lighthouse Ledger", "date": "2011",
      "genre": "Audiobook"}, "jpeg"),
    ("Field Recordings/rain.wav", "wav",
     {"title": "Rain on Tin", "artist": "Field Recordings", "album": "Weather", "track": "1"}, ""),
    ("Field Recordings/wind.aiff", "aiff",
     {"title": "Wind in Wires", "artist": "Field Recordings", "album": "Weather", "track": "2"}, "png"),
    ("Field Recordings/station.aac", "aac",
     {"title": "Station 🚉", "artist": "Field Recordings", "album": "Weather", "track": "3"}, ""),
    ("Unsorted/recording 2021-07-03.wav", "wav", {}, ""),
)  # fmt: skip

_LYRICS = "[ar:Pixel Harbour]\n[ti:Low Tide]\n[00:00.10]Low tide, slow tide\n"
_CUE = 'PERFORMER "Pixel Harbour"\nFILE "01 Low Tide.flac" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n'
_LOG = "Extraction log of Salt and Static\n\nTrack 1\n     Copy OK\n\nNo errors occurred\n"


@dataclass(frozen=True, slots=True)
class MadeTrack:
    """One audio file: its path below the library's root, its kind, tags, and embedded picture (jpeg, png or empty)."""

    path: str
    kind: str
    tags: Tags
    picture: str = ""


@dataclass(frozen=True, slots=True)
class MadeLibrary:
    """What was made: ``tracks`` and ``sidecars`` (paths) lie below ``root``, in the order they were written."""

    root: Path
    tracks: tuple[MadeTrack, ...]
    sidecars: tuple[str, ...]


def make_sample_library(root: str | os.PathLike[str], *, seconds: float = 1.0) -> MadeLibrary:
    """Make a library of about twenty tracks that has one of everything; an existing file of the same name is replaced.

    Every format; covers as a folder's JPEG or PNG, and embedded; a compilation; an album on two discs; lyrics, cue sheet
    and log beside the music; names in several scripts; a file without tags.
    """
    base = Path(root)
    tracks = []
    for seed, (path, kind, fields, picture) in enumerate(_SAMPLE, start=1):
        tags = {field: (value,) if isinstance(value, str) else value for field, value in fields.items()}
        tracks.append(_make_track(base, MadeTrack(path, kind, tags, picture), seed, seconds))
    sidecars = {
        "Pixel Harbour/Salt and Static/cover.jpg": make_jpeg("navy", width=96, height=96),
        "Pixel Harbour/Salt and Static/01 Low Tide.lrc": _LYRICS.encode(),
        "Pixel Harbour/Salt and Static/Salt and Static.cue": _CUE.encode(),
        "Pixel Harbour/Salt and Static/Salt and Static.log": _LOG.encode(),
        "The Long Division/Remainders/folder.png": make_png(7),
    }
    _write_sidecars(base, sidecars)
    return MadeLibrary(base, tuple(tracks), tuple(sidecars))


def make_library(root: str | os.PathLike[str], tracks: int, seed: int = 0, *, seconds: float = 0.5) -> MadeLibrary:
    """Make ``tracks`` tagged files as artist/album folders, every format among them when there are at least 11.

    The same arguments make the same library. Every file's audio is its own. About half of the albums embed a picture,
    a third have a folder image.
    """
    base = Path(root)
    choice = random.Random(seed)
    made: list[MadeTrack] = []
    sidecars: dict[str, bytes] = {}
    made_of_kind: Counter[str] = Counter()
    kinds = list(KINDS)
    number = 0
    while len(made) < tracks:
        kind = kinds[number % len(kinds)]
        length = min(choice.randint(6, 12), max(1, tracks // len(kinds)), tracks - len(made))
        folder, planned = _plan_album(choice, number, kind, length)
        number += 1
        for track in planned:
            made_of_kind[kind] += 1
            made.append(_make_track(base, track, made_of_kind[kind], seconds))
        if number % 3 == 0:
            sidecars[f"{folder}/cover.jpg"] = make_jpeg(choice.choice(_COLOURS))
    _write_sidecars(base, sidecars)
    return MadeLibrary(base, tuple(made), tuple(sidecars))


def _make_track(base: Path, track: MadeTrack, seed: int, seconds: float) -> MadeTrack:
    picture = {"": None, "jpeg": make_jpeg("darkred"), "png": make_png(1)}[track.picture]
    make_audio(base / track.path, track.kind, seconds=seconds, tags=track.tags, picture=picture, seed=seed)
    return track


def _write_sidecars(base: Path, sidecars: Mapping[str, bytes]) -> None:
    for path, data in sidecars.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(data)


_COLOURS = ("navy", "darkgreen", "orange", "purple", "teal")
_GENRES = ("Rock", "Jazz", "Electronic", "Folk", "Metal", "Classical", "Hip-Hop", "Ambient")
_HEADS = ("Silver", "Hollow", "Northern", "Paper", "Golden", "Quiet", "Électrique", "Blå", "Зимний", "青い")
_TAILS = ("Rivers", "Machines", "Garden", "Orchestra", "Kids", "Harbour", "Letters", "Nuit", "Skog", "Песни")
_WORDS = ("Light", "Rain", "Morning", "Glass", "Road", "Winter", "Echo", "Stone", "Fire", "Sleep", "Ocean", "Dust")


def _plan_album(choice: random.Random, number: int, kind: str, length: int) -> tuple[str, list[MadeTrack]]:
    """The folder and the tracks of album ``number``; an artist has about three albums."""
    taste = random.Random(number // 3)
    artist = f"{taste.choice(_HEADS)} {taste.choice(_TAILS)}"
    date = str(choice.randint(1965, 2024))
    album = f"{choice.choice(_WORDS)} and {choice.choice(_WORDS)} {number + 1}"
    shared = {
        "artist": (artist,),
        "album_artist": (artist,),
        "album": (album,),
        "date": (date,),
        "genre": (choice.choice(_GENRES),),
        "track_total": (str(length),),
    }
    folder = f"{artist}/{date} - {album}"
    picture = ("", "jpeg", "", "png")[number % 4]
    tracks = []
    for track in range(1, length + 1):
        title = f"{choice.choice(_WORDS)} {choice.choice(_TAILS)}"
        tags = shared | {"title": (title,), "track": (str(track),)}
        path = f"{folder}/{track:02} - {title}.{KINDS[kind].suffix}"
        tracks.append(MadeTrack(path, kind, tags, picture))
    return folder, tracks
