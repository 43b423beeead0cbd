"""Write MusicFS's fields into files through mutagen: the names of Picard's tag mapping, written down a second time.

``formats`` has tables of its own; that these agree is what the tests of ``formats`` show.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from mutagen import aiff, flac, id3, mp3, mp4, oggflac, oggopus, oggvorbis, wave

Values = Mapping[str, tuple[str, ...]]
Writer = Callable[[Path, Values, bytes | None], None]

FRONT_COVER = 3

# https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html; names not listed are written as they are.
VORBIS = {
    "album_artist": "ALBUMARTIST", "track": "TRACKNUMBER", "track_total": "TRACKTOTAL", "disc": "DISCNUMBER",
    "disc_total": "DISCTOTAL", "artist_sort": "ARTISTSORT", "album_artist_sort": "ALBUMARTISTSORT",
    "album_sort": "ALBUMSORT", "title_sort": "TITLESORT", "mb_recording_id": "MUSICBRAINZ_TRACKID",
    "mb_track_id": "MUSICBRAINZ_RELEASETRACKID", "mb_album_id": "MUSICBRAINZ_ALBUMID",
    "mb_artist_id": "MUSICBRAINZ_ARTISTID", "mb_album_artist_id": "MUSICBRAINZ_ALBUMARTISTID",
    "mb_release_group_id": "MUSICBRAINZ_RELEASEGROUPID", "encoder": "ENCODEDBY",
}  # fmt: skip

ID3_TEXT = {
    "title": "TIT2", "artist": "TPE1", "album": "TALB", "album_artist": "TPE2", "date": "TDRC", "genre": "TCON",
    "composer": "TCOM", "copyright": "TCOP", "compilation": "TCMP", "label": "TPUB", "artist_sort": "TSOP",
    "album_artist_sort": "TSO2", "album_sort": "TSOA", "title_sort": "TSOT", "bpm": "TBPM", "isrc": "TSRC",
    "encoder": "TENC",
}  # fmt: skip
ID3_USER_TEXT = {
    "mb_track_id": "MusicBrainz Release Track Id", "mb_album_id": "MusicBrainz Album Id",
    "mb_artist_id": "MusicBrainz Artist Id", "mb_album_artist_id": "MusicBrainz Album Artist Id",
    "mb_release_group_id": "MusicBrainz Release Group Id", "replaygain_track_gain": "REPLAYGAIN_TRACK_GAIN",
    "replaygain_track_peak": "REPLAYGAIN_TRACK_PEAK", "replaygain_album_gain": "REPLAYGAIN_ALBUM_GAIN",
    "replaygain_album_peak": "REPLAYGAIN_ALBUM_PEAK",
}  # fmt: skip

MP4_ATOMS = {
    "title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "album_artist": "aART", "date": "\xa9day",
    "genre": "\xa9gen", "composer": "\xa9wrt", "comment": "\xa9cmt", "lyrics": "\xa9lyr", "copyright": "cprt",
    "artist_sort": "soar", "album_artist_sort": "soaa", "album_sort": "soal", "title_sort": "sonm", "encoder": "\xa9too",
}  # fmt: skip
MP4_FREE_FORM = {
    "label": "LABEL", "mb_recording_id": "MusicBrainz Track Id", "mb_track_id": "MusicBrainz Release Track Id",
    "mb_album_id": "MusicBrainz Album Id", "mb_artist_id": "MusicBrainz Artist Id",
    "mb_album_artist_id": "MusicBrainz Album Artist Id", "mb_release_group_id": "MusicBrainz Release Group Id",
    "isrc": "ISRC",
}  # fmt: skip


def picture_block(data: bytes) -> flac.Picture:
    """``data`` as a FLAC picture block for the front cover."""
    block = flac.Picture()
    block.type, block.mime, block.data = FRONT_COVER, _mime(data), data
    return block


def id3_frames(values: Values, picture: bytes | None) -> list[id3.Frame]:
    """ID3v2.4 frames in UTF-8."""
    frames: list[id3.Frame] = []
    for field, texts in values.items():
        if field in ID3_TEXT:
            frames.append(id3.Frames[ID3_TEXT[field]](encoding=3, text=list(texts)))
        elif field == "comment":
            frames.append(id3.COMM(encoding=3, lang="eng", desc="", text=list(texts)))
        elif field == "lyrics":
            frames.append(id3.USLT(encoding=3, lang="eng", desc="", text=texts[0]))
        elif field == "mb_recording_id":
            frames.append(id3.UFID(owner="http://musicbrainz.org", data=texts[0].encode()))
        elif field not in ("track", "track_total", "disc", "disc_total"):
            frames.append(id3.TXXX(encoding=3, desc=ID3_USER_TEXT.get(field, field), text=list(texts)))
    for number, frame in (("track", id3.TRCK), ("disc", id3.TPOS)):
        text = "/".join(value[0] for value in (values.get(number, ("",)), values.get(f"{number}_total")) if value)
        if text:
            frames.append(frame(encoding=3, text=[text]))
    if picture is not None:
        frames.append(id3.APIC(encoding=3, mime=_mime(picture), type=FRONT_COVER, desc="", data=picture))
    return frames


def _write_flac(path: Path, values: Values, picture: bytes | None) -> None:
    file = flac.FLAC(path)
    if file.tags is None:
        file.add_tags()
    _set_comments(file.tags, values)
    if picture is not None:
        file.add_picture(picture_block(picture))
    file.save()


def _ogg_writer(kind: type[oggvorbis.OggVorbis | oggopus.OggOpus | oggflac.OggFLAC]) -> Writer:
    def write(path: Path, values: Values, picture: bytes | None) -> None:
        file = kind(path)
        _set_comments(file.tags, values)
        if picture is not None:
            file.tags["METADATA_BLOCK_PICTURE"] = [base64.b64encode(picture_block(picture).write()).decode()]
        file.save()

    return write


def _id3_writer(kind: type[mp3.MP3 | wave.WAVE | aiff.AIFF]) -> Writer:
    def write(path: Path, values: Values, picture: bytes | None) -> None:
        file = kind(path)
        if file.tags is None:
            file.add_tags()
        for frame in id3_frames(values, picture):
            file.tags.add(frame)
        file.save()

    return write


def _write_adts(path: Path, values: Values, picture: bytes | None) -> None:
    tags = id3.ID3()
    for frame in id3_frames(values, picture):
        tags.add(frame)
    tags.save(path)


def _write_mp4(path: Path, values: Values, picture: bytes | None) -> None:
    file = mp4.MP4(path)
    if file.tags is None:
        file.add_tags()
    for field, texts in values.items():
        if field in MP4_ATOMS:
            file.tags[MP4_ATOMS[field]] = list(texts)
        elif field == "compilation":
            file.tags["cpil"] = texts[0] == "1"
        elif field == "bpm":
            file.tags["tmpo"] = [int(texts[0])]
        elif field not in ("track", "track_total", "disc", "disc_total"):
            name = MP4_FREE_FORM.get(field, field)
            file.tags[f"----:com.apple.iTunes:{name}"] = [mp4.MP4FreeForm(text.encode()) for text in texts]
    for number, atom in (("track", "trkn"), ("disc", "disk")):
        pair = tuple(int(values.get(field, ("0",))[0]) for field in (number, f"{number}_total"))
        if any(pair):
            file.tags[atom] = [pair]
    if picture is not None:
        image = mp4.MP4Cover.FORMAT_PNG if _mime(picture) == "image/png" else mp4.MP4Cover.FORMAT_JPEG
        file.tags["covr"] = [mp4.MP4Cover(picture, image)]
    file.save()


def _set_comments(comments: dict[str, list[str]], values: Values) -> None:
    for field, texts in values.items():
        comments[VORBIS.get(field, field.upper())] = list(texts)


def _mime(picture: bytes) -> str:
    return "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"


WRITERS: Mapping[str, Writer] = {
    "flac": _write_flac,
    "mp3": _id3_writer(mp3.MP3),
    "ogg": _ogg_writer(oggvorbis.OggVorbis),
    "opus": _ogg_writer(oggopus.OggOpus),
    "oga": _ogg_writer(oggflac.OggFLAC),
    "m4a": _write_mp4,
    "alac": _write_mp4,
    "m4b": _write_mp4,
    "aac": _write_adts,
    "wav": _id3_writer(wave.WAVE),
    "aiff": _id3_writer(aiff.AIFF),
}
