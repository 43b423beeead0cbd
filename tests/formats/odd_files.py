"""What is known of mutagen's test files (:mod:`tests.corpus`): which are read, which refuse, and who reads them otherwise."""

from __future__ import annotations

from collections.abc import Mapping

_NO_AUDIO = "is no audio file of a known kind"
_OTHER_OGG = "no Vorbis, Opus or FLAC stream begins in this Ogg file"

# Files that are not read, and what is said of them.
UNREAD: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "145-invalid-item-count.apev2", "brokentag.apev2", "oldtag.apev2",  # tags without audio
            "2822400-1ch-0s-silence.dff", "5644800-2ch-s01-silence-dst.dff", "5644800-2ch-s01-silence.dff",  # DSD
            "2822400-1ch-0s-silence.dsf", "5644800-2ch-s01-silence.dsf", "with-id3.dsf", "without-id3.dsf",
            "64bit.mp4",  # metadata without audio; its name is not that of audio
            "click.mpc", "sv4_header.mpc", "sv5_header.mpc", "sv8_header.mpc",
            "dsd.wv", "no_length.wv", "silence-44-s.wv",
            "empty.ofr", "empty.ofs", "silence-2s-44100-16.ofr", "silence-2s-44100-16.ofs",
            "empty.tta", "has-tags.tak", "silence-44-s.tak", "mac-390-hdr.ape", "mac-396.ape", "mac-399.ape",
            "image.jpg", "sample.mid", "silence-44-s.ac3", "silence-44-s.eac3",
            "issue_29.wma", "silence-1.wma", "silence-2.wma", "silence-3.wma",
        ),
        _NO_AUDIO,
    ),
    **dict.fromkeys(("empty.spx", "multiplexed.spx", "sample.oggtheora", "sample_bitrate.oggtheora"), _OTHER_OGG),
    "adif.aac": "no ADTS frames were found",
    # ID3 tags with nothing, or nothing that is MPEG audio, behind them.
    "almostempty.mpc": "the file ends before any MPEG audio",
    "emptyfile.mp3": "the file ends before any MPEG audio",
    "id3v24_extended_header.id3": "the file ends before any MPEG audio",
    "id3v23_unsynch.id3": "no MPEG audio frames were found",
    "too-short.mp3": "no MPEG audio frames were found",
    # Cut off within a block that says it is much longer.
    "ooming-header.flac": "bytes 86 to 90 are referred to, but the file has 86",
}  # fmt: skip

_UUID = "an MP4 extension (uuid) may refer to something that would have to move"
_GROWING = ("one", "several", "numbers", "lyrics", "jpeg", "png")
# Edits that are refused. This one has a box of a telephone company's before its audio, in which positions may be written.
REFUSED: Mapping[str, Mapping[str, str]] = {"no-tags.3g2": dict.fromkeys(_GROWING, _UUID)}

# Edits of each container: planned and refused.
SHARES: Mapping[str, tuple[int, int]] = {
    "flac": (64, 0), "ogg": (48, 0), "mp3": (160, 0), "mp4": (66, 6), "adts": (8, 0), "wav": (24, 0), "aiff": (48, 0),
}  # fmt: skip

# Files that some programs cannot read as they are, or find damaged, and so cannot judge.
BLIND: Mapping[str, frozenset[str]] = {
    name: frozenset(programs.split())
    for name, programs in {
        "106-invalid-streaminfo.flac": "mutagen ffprobe ffmpeg validator",  # STREAMINFO is too short
        "106-short-picture-block-size.flac": "ffprobe taglib ffmpeg validator",  # no picture begins where it should
        "52-overwritten-metadata.flac": "ffmpeg validator",  # no audio
        "52-too-short-block-size.flac": "validator",  # comments are longer than their block
        "flac_application.flac": "ffmpeg validator",  # no audio
        "variable-block.flac": "validator",  # cut off
        "empty.oggflac": "validator",  # an old mapping: a header page has a position
        "sample_length.oggtheora": "taglib validator",  # a film; the first stream is not its sound
        "bad-POPM-frame.mp3": "ffprobe ffmpeg validator",  # two frames of audio
        "truncated-64bit.mp4": "ffmpeg",
        # MPEG audio that was cut off, or tags behind it that mp3val does not know.
        **dict.fromkeys(
            (
                "apev2-lyricsv2.mp3", "audacious-trailing-id32-apev2.mp3", "audacious-trailing-id32-id31.mp3",
                "bad-xing.mp3", "id3v1v2-combined.mp3", "id3v22-test.mp3", "issue_21.id3", "lame-peak.mp3", "lame.mp3",
                "lame397v9short.mp3", "no-tags.mp3", "silence-44-s-mpeg2.mp3", "silence-44-s-mpeg25.mp3", "vbri.mp3",
                "xing.mp3",
            ),
            "validator",
        ),
    }.items()
}  # fmt: skip

_SHOWN = ("title", "album", "artist", "composer", "date", "genre", "my tag", "disc_total", "track", "track_total",
          "comment", "lyrics")  # fmt: skip
# In the first WAV's way: ffprobe looks no further than INFO, which has no place for these, and no name for IMUS.
_INFO_ALONE = ("ffprobe rest", "ffprobe composer", "ffprobe my tag", "ffprobe disc_total", "ffprobe lyrics")

# Where a program shows something else, and why.
DEVIATIONS: Mapping[str, tuple[str, ...]] = {
    # The original's comment block says it is shorter than it is. The made one is right, so programs see more of it; and
    # ffmpeg took the rest of the comments for a packet.
    "52-too-short-block-size.flac": ("ffprobe rest", "taglib rest", "audio"),
    # The tag begins with empty frames, where TagLib stops.
    "bad-POPM-frame.mp3": tuple(f"taglib {field}" for field in _SHOWN),
    # It has an extended header by its flags alone, and ffmpeg looks no further.
    "issue_21.id3": tuple(f"ffprobe {field}" for field in _SHOWN),
    # With its two fields removed the ID3v2 tag is empty, and both show the ID3v1 tag, whose album the edit did not touch.
    "bad-TYER-frame.mp3": ("ffprobe rest", "taglib rest"),
    # ffmpeg cuts off what the encoder filled up with, if the size of the file is about that of the Xing header: the tags
    # behind the audio count, and become smaller.
    "audacious-trailing-id32-apev2.mp3": ("audio",),
    # The last frame is cut off, so that ffmpeg takes the ID3v1 tag for its rest.
    "id3v1v2-combined.mp3": ("audio",),
    # Frames of ID3v2.2 that ffprobe has no names for, or does not show; a date of which TagLib shows the year.
    "id3v22-test.mp3": ("ffprobe rest", "ffprobe composer", "ffprobe disc_total", "ffprobe lyrics", "taglib date"),
    # mutagen shows no picture blocks of Ogg FLAC, where the format has them.
    "empty.oggflac": ("mutagen pictures",),
    # ffprobe shows the item called ``des`` as the comment if there is none.
    "nero-chapters.m4b": ("ffprobe comment",),
    "silence-2s-PCM-16000-08-ID3v23.wav": _INFO_ALONE,
    "silence-2s-PCM-44100-16-ID3v23.wav": _INFO_ALONE,
}  # fmt: skip

READ = (
    "106-invalid-streaminfo.flac", "106-short-picture-block-size.flac", "11k-1ch-2s-silence.aif",
    "48k-2ch-s16-silence.aif", "52-overwritten-metadata.flac", "52-too-short-block-size.flac",
    "8k-1ch-1s-silence.aif", "8k-1ch-3.5s-silence.aif", "8k-4ch-1s-silence.aif", "97-unknown-23-update.mp3",
    "alac.m4a", "apev2-lyricsv2.mp3", "audacious-trailing-id32-apev2.mp3", "audacious-trailing-id32-id31.mp3",
    "bad-POPM-frame.mp3", "bad-TYER-frame.mp3", "bad-xing.mp3", "covr-with-name.m4a", "empty.aac", "empty.ogg",
    "empty.oggflac", "ep7.m4b", "ep9.m4b", "example.opus", "flac_application.flac", "has-tags.m4a",
    "id3v1v2-combined.mp3", "id3v22-test.mp3", "issue_21.id3", "lame-peak.mp3", "lame.mp3", "lame397v9short.mp3",
    "multipage-setup.ogg", "multipagecomment.ogg", "nero-chapters.m4b", "no-tags.3g2", "no-tags.flac", "no-tags.m4a",
    "no-tags.mp3", "sample_length.oggtheora", "silence-2s-PCM-16000-08-ID3v23.wav",
    "silence-2s-PCM-16000-08-notags.wav", "silence-2s-PCM-44100-16-ID3v23.wav", "silence-44-s-mpeg2.mp3",
    "silence-44-s-mpeg25.mp3", "silence-44-s-v1.mp3", "silence-44-s.flac", "silence-44-s.mp3", "truncated-64bit.mp4",
    "variable-block.flac", "vbri.mp3", "with-id3.aif", "xing.mp3",
)  # fmt: skip
