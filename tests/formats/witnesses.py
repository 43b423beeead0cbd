"""What other programs read in a file, in a form in which two files can be compared: mutagen, ffmpeg, TagLib, validators."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import mutagen
from mutagen.aac import AAC
from mutagen.aiff import AIFF
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, ID3NoHeaderError, ParseID3v1
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

_TIMEOUT_S = 60
_FRONT, _OTHER = 3, 0


class Item(NamedTuple):
    """One thing a program shows. ``field`` is our name for it, empty if it has none; ``key`` is the program's."""

    field: str
    key: str
    value: object


class Image(NamedTuple):
    """An embedded picture, as a program shows it."""

    kind: int
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one program shows of a file's tags, in its order. ``others`` is what no edit may change.

    ``system`` is what no edit may change of the tags, None where there are none yet: their version, their vendor.
    """

    items: Sequence[Item]
    images: Sequence[Image] = ()
    others: object = None
    system: object = None

    def rest(self, touched: Iterable[str]) -> list[tuple[str, object]]:
        """What is shown of everything but these fields."""
        without = set(touched)
        return [(item.key, item.value) for item in self.items if item.field not in without]

    def said(self, touched: Iterable[str]) -> dict[str, list[list[object]]]:
        """What is shown of these fields: for each name that one has there, the values."""
        found: dict[str, dict[str, list[object]]] = {field: {} for field in touched}
        for item in self.items:
            if item.field in found:
                found[item.field].setdefault(item.key, []).append(item.value)
        return {field: list(names.values()) for field, names in found.items()}


def with_cover(images: Sequence[Image], cover: Image | None, *, kinds: bool) -> list[Image]:
    """The pictures with the front cover replaced, or removed: all that are called that, else the first if it is of no kind.

    Without ``kinds``, in MP4, where all are called front covers, a new one replaces the first alone.
    """
    fronts = [index for index, image in enumerate(images) if image.kind == _FRONT]
    fronts = fronts if kinds or cover is None else fronts[:1]
    fronts = fronts or [index for index, image in enumerate(images[:1]) if image.kind == _OTHER]
    kept = [image for index, image in enumerate(images) if index not in fronts]
    place = fronts[0] if fronts else len(images)
    return kept if cover is None else [*kept[:place], cover, *kept[place:]]


# Names that programs use for the fields which the tests edit.
_VORBIS = {
    "title": "title", "artist": "artist", "album": "album", "genre": "genre", "composer": "composer", "date": "date",
    "comment": "comment", "lyrics": "lyrics", "tracknumber": "track", "tracktotal": "track_total", "my tag": "my tag",
    "discnumber": "disc", "disctotal": "disc_total", "unsyncedlyrics": "lyrics", "year": "date", "track": "track",
    "totaltracks": "track_total", "totaldiscs": "disc_total", "disc": "disc", "description": "comment",
}  # fmt: skip
_FRAMES = {
    "TIT2": "title", "TPE1": "artist", "TALB": "album", "TCOM": "composer", "TCON": "genre", "TYER": "date",
    "TDAT": "date", "TIME": "date", "TDRC": "date", "TRCK": "track", "TPOS": "disc", "USLT": "lyrics",
}  # fmt: skip
_ATOMS = {
    "\xa9nam": "title", "\xa9ART": "artist", "\xa9alb": "album", "\xa9wrt": "composer", "\xa9gen": "genre",
    "\xa9day": "date", "\xa9cmt": "comment", "\xa9lyr": "lyrics", "trkn": "track", "disk": "disc",
    "----:com.apple.iTunes:MY TAG": "my tag", "----:com.apple.iTunes:my tag": "my tag",
}  # fmt: skip


def _named(field: str, key: str, value: str) -> list[Item]:
    """One item, or two if it is a number with its total."""
    number, slash, total = value.partition("/")
    if field not in ("track", "disc") or not slash:
        return [Item(field, key, value)]
    parts = [Item(field, key, number), Item(f"{field}_total", key, total)]
    return [part for part in parts if part.value not in ("", "0")]


def by_mutagen(path: Path, container: str) -> Reading | None:
    """What mutagen reads; None where it reads nothing."""
    try:
        return _MUTAGEN[container](path)
    except mutagen.MutagenError:
        return None


def _of_comments(comments: Any) -> tuple[list[Item], list[Image]]:
    items: list[Item] = []
    images: list[Image] = []
    for key, value in comments or ():
        if key.lower() == "metadata_block_picture":
            picture = Picture(base64.b64decode(value))
            images.append(Image(picture.type, picture.mime, picture.data))
        else:
            items += _named(_VORBIS.get(key.lower(), ""), key, value)
    return items, images


def _flac(path: Path) -> Reading:
    file = FLAC(path)
    items, images = _of_comments(file.tags)
    images += [Image(one.type, one.mime, one.data) for one in file.pictures]
    blocks = [(block.code, block.write()) for block in file.metadata_blocks if block.code not in (4, 6)]
    return Reading(items, images, (blocks, file.info.pprint()), file.tags.vendor if file.tags is not None else None)


def _ogg(path: Path) -> Reading:
    # A film's sound has tags of its own, and the film too: mutagen chooses by the first page alone, so it is told which.
    head = path.read_bytes()[:4096]
    kind = OggVorbis if b"\1vorbis" in head else OggOpus if b"OpusHead" in head else OggFLAC
    file = kind(path)
    items, images = _of_comments(file.tags)
    return Reading(items, images, (file.tags.vendor, file.info.pprint()))


def _of_id3(tags: ID3) -> tuple[list[Item], list[Image], object]:
    items: list[Item] = []
    images: list[Image] = []
    for frame in tags.values():
        name, key = frame.FrameID, frame.HashKey
        if name == "APIC":
            mime = {"JPG": "image/jpeg", "PNG": "image/png"}.get(frame.mime, frame.mime)  # v2.2 has these
            images.append(Image(int(frame.type), mime, frame.data))
        elif name == "COMM" and not frame.desc:
            items += [Item("comment", "COMM", text) for text in frame.text]
        elif name == "TXXX":
            items += [Item(frame.desc.lower(), key, text) for text in frame.text]
        elif name == "USLT":
            items += [Item("lyrics", key, text) for text in frame.text.split("\0")]
        elif name == "TCON":
            items += [Item("genre", key, genre) for genre in frame.genres]
        elif name in ("TDAT", "TIME"):
            continue  # with their year, below
        elif name == "TYER":
            day = [one.text[0] for one in tags.getall("TDAT")]
            items += [Item("date", key, "-".join([str(frame), *(f"{one[2:]}-{one[:2]}" for one in day)]))]
        elif name in _FRAMES:
            items += [one for text in frame.text for one in _named(_FRAMES[name], key, str(text))]
        else:
            items.append(Item("", key, repr(frame)))
    return items, images, (tags.version, tags.unknown_frames)


def _mpeg(path: Path) -> Reading:
    """The first ID3v2 tag and the APEv2 tag; what ID3v1 has place for is cut to that, and compared elsewhere."""
    items: list[Item] = []
    images: list[Image] = []
    other: object = None
    with contextlib.suppress(ID3NoHeaderError):
        items, images, other = _of_id3(ID3(path, translate=False, load_v1=False))
    try:
        ape = APEv2(path)
    except APENoHeaderError:
        ape = {}
    for key, value in ape.items():
        texts = list(value) if value.kind == 0 else [repr(value)]
        for one in (one for text in texts for one in _named(_VORBIS.get(key.lower(), ""), f"APE:{key}", text)):
            items.append(one._replace(field=f"ape:{one.field}" if one.field else ""))
    info = AAC(path).info if path.suffix == ".aac" else MP3(path).info
    # The length of a stream that has none is guessed from the size of the file.
    return Reading(items, images, (info.sample_rate, info.channels, info.bitrate), other)


def id3v1(path: Path) -> dict[str, str]:
    """The fields mutagen finds in an ID3v1 tag at the end of the file, each as much of it as fits."""
    data = path.read_bytes()[-128:]
    frames = ParseID3v1(data) if data[:3] == b"TAG" else None
    found = {_FRAMES.get(key, "comment"): frame for key, frame in (frames or {}).items()}
    return {field: frame.genres[0] if field == "genre" else str(frame) for field, frame in found.items()}


def _chunked(kind: Callable[[Path], Any]) -> Callable[[Path], Reading]:
    def reading(path: Path) -> Reading:
        file = kind(path)
        items, images, other = _of_id3(file.tags) if file.tags is not None else ([], [], None)
        return Reading(items, images, file.info.pprint(), other)

    return reading


def _mp4(path: Path) -> Reading:
    file = MP4(path)
    items: list[Item] = []
    images: list[Image] = []
    for key, value in (file.tags or {}).items():
        field = _ATOMS.get(key, "")
        if key == "covr":
            mimes = {13: "image/jpeg", 14: "image/png"}
            images += [Image(_FRONT, mimes.get(int(one.imageformat), ""), bytes(one)) for one in value]
        elif key in ("trkn", "disk"):
            for number, total in value:
                items += [Item(field, key, str(number))] if number else []
                items += [Item(f"{field}_total", key, str(total))] if total else []
        else:
            values = value if isinstance(value, list) else [value]
            items += [Item(field, key, one.decode() if isinstance(one, bytes) and field else one) for one in values]
    chapters = [(one.start, one.title) for one in file.chapters or ()]
    return Reading(items, images, (chapters, file.info.pprint()))


_MUTAGEN: Mapping[str, Callable[[Path], Reading]] = {
    "flac": _flac, "ogg": _ogg, "mp3": _mpeg, "adts": _mpeg, "mp4": _mp4, "wav": _chunked(WAVE), "aiff": _chunked(AIFF),
}  # fmt: skip


def by_ffprobe(path: Path) -> Reading | None:
    """The tags ffprobe shows of the container and its audio; None where it does not know the file."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "format_tags:stream_tags:stream=codec_type,codec_name,sample_rate",
    ]
    done = _run([*command, "-show_chapters", "-select_streams", "a", "-of", "json", path])
    if done.returncode:
        return None
    shown = json.loads(done.stdout)
    items: list[Item] = []
    streams = shown.get("streams", [])
    tables = [shown.get("format", {}).get("tags", {}), *(one.pop("tags", {}) for one in streams)]
    for key, value in (pair for table in tables for pair in table.items()):
        name = key.lower()
        field = "lyrics" if name.startswith("lyrics") else _VORBIS.get(name) or _FRAMES.get(key, "")
        items += _named(field, name if field else key, value)
    return Reading(items, (), (streams, shown.get("chapters")))


def by_taglib(path: Path) -> Reading | None:
    """The properties TagLib finds, which have no order; None where it does not know the file."""
    import taglib

    try:
        with taglib.File(path) as file:
            found = {name: list(values) for name, values in file.tags.items()}
            unsupported = sorted(name for name in file.unsupported if name not in _NOT_PROPERTIES)
            others = (file.sampleRate, file.channels, unsupported)
    except OSError:
        return None
    items = [
        one
        for name in sorted(found)
        for value in found[name]
        for one in _named(_VORBIS.get(name.lower(), ""), name, value)
    ]
    return Reading(items, (), others)


# Pictures, and half a date of ID3v2.3.
_NOT_PROPERTIES = frozenset({"APIC", "covr", "UNKNOWN/TDAT", "UNKNOWN/TDA"})


def audio_hashes(path: Path) -> str | None:
    """Of the decoded samples, and of the packets as they are; None where ffmpeg does not decode it."""
    head: list[str | Path] = ["ffmpeg", "-nostdin", "-v", "error", "-i", path]
    done = _run([*head, "-map", "0:a", "-f", "md5", "-", "-map", "0:a", "-c", "copy", "-f", "hash", "-"])
    return done.stdout if done.returncode == 0 and "MD5=" in done.stdout and "SHA256=" in done.stdout else None


def complaints(path: Path, container: str, codec: str) -> list[str]:
    """What the container's validators have to say against a file."""
    found: list[str] = []
    for command in _VALIDATORS.get(codec, _VALIDATORS.get(container, ())):
        done = _run([str(path) if part == "FILE" else part for part in command])
        said = [line for line in (done.stdout + done.stderr).splitlines() if any(one in line.lower() for one in _BAD)]
        found += [f"{command[0]}: {line}" for line in said]
        if done.returncode and not said:
            found.append(f"{command[0]}: exit code {done.returncode}")
    return found


_BAD = ("warning", "error", "illegal", "corrupt", "invalid")
_VALIDATORS: Mapping[str, Sequence[Sequence[str]]] = {
    "flac": (("flac", "--test", "--silent", "--warnings-as-errors", "FILE"), ("metaflac", "--list", "FILE")),
    "ogg": (("oggz-validate", "FILE"),),
    "vorbis": (("oggz-validate", "FILE"), ("ogginfo", "FILE")),
    "opus": (("oggz-validate", "FILE"), ("opusinfo", "FILE")),
    "mp3": (("mp3val", "-si", "FILE"),),
    "mp4": (("AtomicParsley", "FILE", "-T", "1"), ("AtomicParsley", "FILE", "-t")),
}  # keyed by container, or by codec where there is a program for it


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False, text=True, errors="replace",
    )  # fmt: skip
