"""What each container calls the fields of :mod:`musicfs.model`: tables, and nothing else.

Names follow MusicBrainz Picard's tag mapping (https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html). Keys that
compare without case are lower-cased here. What no table names becomes a custom tag under its own name in lower case; for
containers with coded names (ID3 frames, MP4 atoms) the tables translate to the Vorbis name, so that a custom tag is called
the same whatever file it came from. An *alias* is a second name some programs write: it counts when the first is absent.
"""

from __future__ import annotations

from collections.abc import Mapping

VORBIS: Mapping[str, str] = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "album_artist", "tracknumber": "track",
    "tracktotal": "track_total", "discnumber": "disc", "disctotal": "disc_total", "date": "date", "genre": "genre",
    "composer": "composer", "comment": "comment", "lyrics": "lyrics", "copyright": "copyright",
    "compilation": "compilation", "label": "label", "artistsort": "artist_sort",
    "albumartistsort": "album_artist_sort", "albumsort": "album_sort", "titlesort": "title_sort",
    "musicbrainz_trackid": "mb_recording_id", "musicbrainz_releasetrackid": "mb_track_id",
    "musicbrainz_albumid": "mb_album_id", "musicbrainz_artistid": "mb_artist_id",
    "musicbrainz_albumartistid": "mb_album_artist_id", "musicbrainz_releasegroupid": "mb_release_group_id",
    "replaygain_track_gain": "replaygain_track_gain", "replaygain_track_peak": "replaygain_track_peak",
    "replaygain_album_gain": "replaygain_album_gain", "replaygain_album_peak": "replaygain_album_peak",
    "bpm": "bpm", "isrc": "isrc", "encodedby": "encoder",
}  # fmt: skip
VORBIS_ALIASES: Mapping[str, str] = {
    "album artist": "album_artist", "album_artist": "album_artist", "totaltracks": "track_total",
    "totaldiscs": "disc_total", "track": "track", "disc": "disc", "year": "date", "description": "comment",
    "unsyncedlyrics": "lyrics", "unsynced lyrics": "lyrics", "organization": "label", "publisher": "label",
    "encoder": "encoder", "encoded-by": "encoder", "itunescompilation": "compilation",
}  # fmt: skip

# ID3v2.3 and v2.4 text frames (id3.org: "ID3 tag version 2.4.0 - Native Frames", 4.2).
ID3_TEXT: Mapping[str, str] = {
    "TIT2": "title", "TPE1": "artist", "TALB": "album", "TPE2": "album_artist", "TRCK": "track", "TPOS": "disc",
    "TDRC": "date", "TCON": "genre", "TCOM": "composer", "TCOP": "copyright", "TCMP": "compilation", "TPUB": "label",
    "TSOP": "artist_sort", "TSO2": "album_artist_sort", "TSOA": "album_sort", "TSOT": "title_sort", "TBPM": "bpm",
    "TSRC": "isrc", "TENC": "encoder",
    "TIT1": "grouping", "TIT3": "subtitle", "TPE3": "conductor", "TPE4": "remixer", "TEXT": "lyricist",
    "TKEY": "key", "TLAN": "language", "TMED": "media", "TMOO": "mood", "TSST": "discsubtitle",
    "TDOR": "originaldate", "TORY": "originaldate", "TOAL": "originalalbum", "TOPE": "originalartist",
    "TOFN": "originalfilename", "TSOC": "composersort", "TSSE": "encodersettings", "TDTG": "taggingdate",
    "TDRL": "releasedate", "GRP1": "grouping", "MVNM": "movementname", "MVIN": "movement",
}  # fmt: skip
# Frames that describe the file rather than the music, or whose value the technical data has.
ID3_IGNORED = frozenset({"TLEN", "TFLT", "TSIZ", "TDLY", "TDEN", "TIME", "TRDA"})
ID3_URLS: Mapping[str, str] = {"WOAR": "website", "WCOP": "license"}
# Involvements of TIPL and IPLS with a tag of their own; any other is a performer.
ID3_ROLES: Mapping[str, str] = {
    "arranger": "arranger", "engineer": "engineer", "producer": "producer", "dj-mix": "djmixer", "mix": "mixer",
}  # fmt: skip
# ID3v2.2 frames by their later names (id3.org: "ID3 tag version 2", 4; TCP and TS* are iTunes').
ID3_V22: Mapping[str, str] = {
    "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TP1": "TPE1", "TP2": "TPE2", "TP3": "TPE3", "TP4": "TPE4",
    "TCM": "TCOM", "TXT": "TEXT", "TLA": "TLAN", "TCO": "TCON", "TAL": "TALB", "TPA": "TPOS", "TRK": "TRCK",
    "TRC": "TSRC", "TYE": "TYER", "TDA": "TDAT", "TIM": "TIME", "TRD": "TRDA", "TMT": "TMED", "TFT": "TFLT",
    "TBP": "TBPM", "TCP": "TCMP", "TCR": "TCOP", "TPB": "TPUB", "TEN": "TENC", "TSS": "TSSE", "TOF": "TOFN",
    "TLE": "TLEN", "TSI": "TSIZ", "TDY": "TDLY", "TKE": "TKEY", "TOT": "TOAL", "TOA": "TOPE", "TOR": "TORY",
    "TST": "TSOT", "TSP": "TSOP", "TSA": "TSOA", "TS2": "TSO2", "TSC": "TSOC", "TXX": "TXXX", "COM": "COMM",
    "ULT": "USLT", "UFI": "UFID", "PIC": "APIC", "IPL": "IPLS", "WAR": "WOAR", "WCP": "WCOP",
}  # fmt: skip
ID3_UFID_OWNER = "http://musicbrainz.org"
# TXXX descriptions, lower-cased, whose Vorbis name is not the description itself.
ID3_USER_TEXT: Mapping[str, str] = {
    "musicbrainz release track id": "mb_track_id", "musicbrainz album id": "mb_album_id",
    "musicbrainz artist id": "mb_artist_id", "musicbrainz album artist id": "mb_album_artist_id",
    "musicbrainz release group id": "mb_release_group_id", "musicbrainz track id": "mb_recording_id",
    "musicbrainz album status": "releasestatus", "musicbrainz album type": "releasetype",
    "musicbrainz album release country": "releasecountry", "musicbrainz work id": "musicbrainz_workid",
    "musicbrainz disc id": "musicbrainz_discid", "musicbrainz trm id": "musicbrainz_trmid",
    "musicbrainz original album id": "musicbrainz_originalalbumid",
    "musicbrainz original artist id": "musicbrainz_originalartistid",
    "acoustid id": "acoustid_id", "acoustid fingerprint": "acoustid_fingerprint", "musicip puid": "musicip_puid",
}  # fmt: skip

# Atoms of moov.udta.meta.ilst that hold text; ``\xa9`` is the copyright sign in Mac Roman and Latin-1.
MP4_TEXT: Mapping[bytes, str] = {
    b"\xa9nam": "title", b"\xa9ART": "artist", b"\xa9alb": "album", b"aART": "album_artist", b"\xa9day": "date",
    b"\xa9gen": "genre", b"\xa9wrt": "composer", b"\xa9cmt": "comment", b"\xa9lyr": "lyrics", b"cprt": "copyright",
    b"soar": "artist_sort", b"soaa": "album_artist_sort", b"soal": "album_sort", b"sonm": "title_sort",
    b"\xa9too": "encoder",
    b"soco": "composersort", b"\xa9grp": "grouping", b"\xa9wrk": "work", b"\xa9mvn": "movementname", b"\xa9dir": "director",
    b"tvsh": "show", b"sosn": "showsort", b"desc": "description", b"ldes": "longdescription", b"purl": "podcasturl",
    b"catg": "category", b"keyw": "keywords",
}  # fmt: skip
MP4_INTEGERS: Mapping[bytes, str] = {
    b"tmpo": "bpm", b"cpil": "compilation", b"pgap": "gapless", b"shwm": "showmovement", b"\xa9mvi": "movement",
    b"\xa9mvc": "movementtotal",
}  # fmt: skip
MP4_PAIRS: Mapping[bytes, str] = {b"trkn": "track", b"disk": "disc"}
# Names of ``----`` atoms of com.apple.iTunes, lower-cased: as ID3's descriptions.
MP4_FREE_FORM: Mapping[str, str] = {**ID3_USER_TEXT, "label": "label", "isrc": "isrc", "initialkey": "key"}

# APEv2 item keys, lower-cased, where Picard's differ from the Vorbis names.
APEV2: Mapping[str, str] = {
    **VORBIS, "album artist": "album_artist", "track": "track", "disc": "disc", "year": "date",
    "mixartist": "remixer", "mixedby": "mixer",
}  # fmt: skip

# RIFF INFO chunks (Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", 2-14; ITRK is in wide use).
RIFF_INFO: Mapping[bytes, str] = {
    b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICMT": "comment", b"ICRD": "date", b"IGNR": "genre",
    b"ITRK": "track", b"IPRT": "track", b"ICOP": "copyright", b"ISFT": "encoder", b"IMUS": "composer",
    b"IENG": "engineer", b"ILNG": "language", b"ISRC": "source", b"ISBJ": "subject", b"IKEY": "keywords",
    b"ITCH": "technician", b"IMED": "media",
}  # fmt: skip

# Text chunks of "Audio Interchange File Format AIFF-C" (Apple, 1991).
AIFF_TEXT: Mapping[bytes, str] = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"ANNO": "comment"}
