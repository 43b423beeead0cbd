"""What new items of an MP4 file's metadata list are called: :mod:`musicfs.formats.fields` the other way round.

Free-form names are spelled as MusicBrainz Picard spells them
(https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html).
"""

from __future__ import annotations

from collections.abc import Mapping

from musicfs.formats.fields import MP4_INTEGERS, MP4_PAIRS, MP4_TEXT

TEXT_ITEMS: Mapping[str, bytes] = {field: name for name, field in MP4_TEXT.items()}
INTEGER_ITEMS: Mapping[str, bytes] = {field: name for name, field in MP4_INTEGERS.items()}
PAIR_ITEMS: Mapping[str, bytes] = {field: name for name, field in MP4_PAIRS.items()}

_SPELLED: Mapping[str, str] = {
    "mb_recording_id": "MusicBrainz Track Id", "mb_track_id": "MusicBrainz Release Track Id",
    "mb_album_id": "MusicBrainz Album Id", "mb_artist_id": "MusicBrainz Artist Id",
    "mb_album_artist_id": "MusicBrainz Album Artist Id", "mb_release_group_id": "MusicBrainz Release Group Id",
    "musicbrainz_workid": "MusicBrainz Work Id", "musicbrainz_discid": "MusicBrainz Disc Id",
    "musicbrainz_trmid": "MusicBrainz TRM Id", "musicbrainz_originalalbumid": "MusicBrainz Original Album Id",
    "musicbrainz_originalartistid": "MusicBrainz Original Artist Id",
    "releasestatus": "MusicBrainz Album Status", "releasetype": "MusicBrainz Album Type",
    "releasecountry": "MusicBrainz Album Release Country", "acoustid_id": "Acoustid Id",
    "acoustid_fingerprint": "Acoustid Fingerprint", "musicip_puid": "MusicIP PUID", "key": "initialkey",
}  # fmt: skip
_CAPITAL = frozenset({
    "label", "isrc", "replaygain_track_gain", "replaygain_track_peak", "replaygain_album_gain", "replaygain_album_peak",
    "arranger", "artists", "asin", "barcode", "catalognumber", "conductor", "discsubtitle", "djmixer", "engineer",
    "language", "license", "lyricist", "media", "mixer", "mood", "originaldate", "performer", "producer", "remixer",
    "script", "subtitle", "website",
})  # fmt: skip


def free_form_spelling(field: str) -> str:
    """The name of a new free-form item for ``field``."""
    return _SPELLED.get(field) or (field.upper() if field in _CAPITAL else field)
