"""Files fresh from the encoders and taggers that people use, each with the tags its program writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mutagen.apev2 import APEv2

from musicfs.testing.images import make_jpeg, make_png

_TIMEOUT_S = 60
_CHAPTERS = """;FFMETADATA1
title=A book
artist=Its reader
track=2/9
[CHAPTER]
TIMEBASE=1/1000
START=0
END=900
title=First
[CHAPTER]
TIMEBASE=1/1000
START=900
END=2000
title=Zweites
"""
_CUESHEET = """FILE "in.wav" WAVE
  TRACK 01 AUDIO
    INDEX 01 00:00:00
  TRACK 02 AUDIO
    INDEX 01 00:01:00
"""
_TAGGED = (
    "-metadata",
    "title=Titel ö",
    "-metadata",
    "artist=Someone",
    "-metadata",
    "track=3/12",
    "-metadata",
    "date=2001",
)


class Bench:
    """A folder with a tone, pictures, chapters and a cue sheet to make files from; each file is named by its recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound("in.wav", "-c:a", "pcm_s16le")
        (folder / "front.jpg").write_bytes(make_jpeg(size_bytes=20_000))
        (folder / "back.png").write_bytes(make_png(3))
        (folder / "chapters.txt").write_text(_CHAPTERS, encoding="utf-8")
        (folder / "in.cue").write_text(_CUESHEET, encoding="utf-8")

    def run(self, *command: str) -> None:
        """Run a program in the folder; AssertionError with what it said if it fails."""
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr).decode(errors='replace')}"

    def sound(self, name: str, *options: str) -> None:
        """Two seconds of a tone by ffmpeg."""
        tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=44100")
        self.run("ffmpeg", "-nostdin", "-v", "error", "-y", *tone, "-ac", "2", *options, name)

    def ffmpeg(self, name: str, *options: str, book: bool = False) -> None:
        """The tone as another format, with the tags of ``options``, or as a book with chapters."""
        chapters = ("-i", "chapters.txt", "-map_metadata", "1", "-map_chapters", "1") if book else ()
        self.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", "in.wav", *chapters, "-map", "0:a", *options, name)

    def ffmpeg_cover(self, name: str, *options: str) -> None:
        """The tone with tags and an attached picture."""
        picture = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic")
        self.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", "in.wav", "-i", "front.jpg", *picture, *options, name)

    def lame(self, name: str, *options: str) -> None:
        """The tone as MP3 with tags."""
        tags = ("--tt", "Titel ö", "--ta", "Someone", "--tl", "Album", "--ty", "2001", "--tn", "3/12", "--tg", "Rock")
        self.run("lame", "--quiet", *tags, "--tc", "said", *options, "in.wav", name)


def _flac(bench: Bench, name: str) -> None:
    tags = ("--tag=TITLE=Titel ö", "--tag=ARTIST=One", "--tag=ARTIST=Two", "--tag=TRACKNUMBER=3/12", "--tag=Date=2001")
    blocks = ("--picture=front.jpg", "--picture=4|||8x8x24|back.png", "--cuesheet=in.cue", "-S", "1s", "-P", "500")
    bench.run("flac", "--silent", "-f", *tags, *blocks, "in.wav", "-o", name)


def _metaflac(bench: Bench, name: str) -> None:
    bench.run("flac", "--silent", "-f", "--no-padding", "in.wav", "-o", name)
    bench.run("metaflac", "--set-tag=TITLE=T", "--set-tag=Comment=c", "--add-replay-gain", name)
    bench.run("metaflac", "--import-picture-from=front.jpg", "--add-padding=77", name)


def _ogg_flac(bench: Bench, name: str) -> None:
    bench.run("flac", "--silent", "-f", "--ogg", "--tag=TITLE=Titel ö", "--picture=front.jpg", "in.wav", "-o", name)


def _oggenc(bench: Bench, name: str) -> None:
    tags = ("-t", "Titel ö", "-a", "One", "-l", "Album", "-N", "3", "-G", "Rock", "-d", "2001", "-c", "MOOD=calm")
    bench.run("oggenc", "--quiet", "--utf8", *tags, "in.wav", "-o", name)


def _vorbiscomment(bench: Bench, name: str) -> None:
    bench.run("oggenc", "--quiet", "in.wav", "-o", f"plain-{name}")
    tags = [part for tag in ("title=Titel ö", "ARTIST=One", "ARTIST=Two", "x=y=z") for part in ("-t", tag)]
    bench.run("vorbiscomment", "-R", "-w", *tags, f"plain-{name}", name)


def _opusenc(bench: Bench, name: str) -> None:
    tags = ("--title", "Titel ö", "--artist", "One", "--comment", "MOOD=calm", "--tracknumber", "3", "--date", "2001")
    bench.run("opusenc", "--quiet", *tags, "--picture", "front.jpg", "--padding", "700", "in.wav", name)


def _atomic_parsley(bench: Bench, name: str) -> None:
    bench.ffmpeg(f"plain-{name}", "-c:a", "aac")
    tags = ("--title", "Titel ö", "--artist", "One", "--genre", "Rock", "--tracknum", "3/12", "--year", "2001")
    more = ("--comment", "said", "--bpm", "120", "--compilation", "true", "--artwork", "front.jpg", "--lyrics", "la")
    bench.run("AtomicParsley", f"plain-{name}", *tags, *more, "-o", name)


def _mid3v2(bench: Bench, name: str) -> None:
    bench.ffmpeg(name, "-id3v2_version", "0", "-write_xing", "0")
    tags = ("-t", "Titel ö", "-a", "One", "-A", "Album", "-T", "3/12", "-y", "2001", "-c", "note:said:eng", "-g", "17")
    more = ("--TXXX", "MOOD:calm", "--USLT", "la la:words:eng", "-p", "front.jpg:front:3:image/jpeg")
    bench.run(_script("mid3v2"), *tags, *more, name)


def _mid3iconv(bench: Bench, name: str) -> None:
    bench.lame(name, "--id3v2-latin1", "--add-id3v2")
    bench.run(_script("mid3iconv"), "-e", "cp1251", "-d", name)


def _apev2(bench: Bench, name: str, *options: str) -> None:
    bench.lame(name, *options)
    tags = APEv2()
    tags["Title"], tags["Artist"], tags["Album"] = "Titel ö", ["One", "Two"], "Album"
    tags["Track"], tags["Year"], tags["Own"] = "3/12", "2001", "thing"
    tags.save(str(bench.folder / name))


def _gained(bench: Bench, name: str, *command: str) -> None:
    bench.ffmpeg(name, *_TAGGED)
    bench.run(*command, name)


def _script(name: str) -> str:
    """A program that comes with mutagen."""
    return str(Path(sys.executable).with_name(name))


RECIPES: Mapping[str, Callable[[Bench, str], None]] = {
    "flac.flac": _flac,
    "metaflac.flac": _metaflac,
    "flac.oga": _ogg_flac,
    "ffmpeg.flac": lambda bench, name: bench.ffmpeg_cover(name, *_TAGGED),
    "loudgain.flac": lambda bench, name: _gained(bench, name, "loudgain", "-q", "-s", "e"),
    "oggenc.ogg": _oggenc,
    "vorbiscomment.ogg": _vorbiscomment,
    "ffmpeg-chapters.ogg": lambda bench, name: bench.ffmpeg(name, book=True),
    "loudgain.ogg": lambda bench, name: _gained(bench, name, "loudgain", "-q", "-s", "e"),
    "opusenc.opus": _opusenc,
    "ffmpeg-chapters.opus": lambda bench, name: bench.ffmpeg(name, book=True),
    "loudgain.opus": lambda bench, name: _gained(bench, name, "loudgain", "-q", "-s", "e"),
    "lame.mp3": lambda bench, name: bench.lame(name),
    "lame-both.mp3": lambda bench, name: bench.lame(name, "--add-id3v2", "--ti", "front.jpg", "-V", "5"),
    "lame-latin1.mp3": lambda bench, name: bench.lame(name, "--id3v2-latin1", "--id3v2-only", "--tv", "TXXX=Own=thing"),
    "lame-utf16.mp3": lambda bench, name: bench.lame(name, "--id3v2-utf16", "--pad-id3v2-size", "3000"),
    "lame-v1.mp3": lambda bench, name: bench.lame(name, "--id3v1-only", "--space-id3v1"),
    "ffmpeg-v2.3.mp3": lambda bench, name: bench.ffmpeg_cover(name, *_TAGGED, "-id3v2_version", "3", "-write_id3v1", "1"),
    "ffmpeg-v2.4.mp3": lambda bench, name: bench.ffmpeg_cover(name, *_TAGGED, "-id3v2_version", "4"),
    "ffmpeg-chapters.mp3": lambda bench, name: bench.ffmpeg(name, book=True),
    "mid3v2.mp3": _mid3v2,
    "mid3iconv.mp3": _mid3iconv,
    "ape.mp3": lambda bench, name: _apev2(bench, name, "--id3v2-only"),
    "ape-and-v1.mp3": lambda bench, name: _apev2(bench, name, "--id3v1-only"),
    "mp3gain.mp3": lambda bench, name: _gained(bench, name, "mp3gain", "-q", "-r"),
    "mp3gain-id3.mp3": lambda bench, name: _gained(bench, name, "mp3gain", "-q", "-r", "-s", "i"),
    "loudgain.mp3": lambda bench, name: _gained(bench, name, "loudgain", "-q", "-s", "e", "-I", "3"),
    "ffmpeg.m4a": lambda bench, name: bench.ffmpeg_cover(name, *_TAGGED, "-c:a", "aac", "-f", "ipod"),
    "ffmpeg-faststart.m4a": lambda bench, name: bench.ffmpeg(name, *_TAGGED, "-c:a", "alac", "-movflags", "+faststart"),
    "ffmpeg-chapters.m4b": lambda bench, name: bench.ffmpeg(name, "-c:a", "aac", "-f", "ipod", book=True),
    "atomicparsley.m4a": _atomic_parsley,
    "loudgain.m4a": lambda bench, name: _gained(bench, name, "loudgain", "-q", "-s", "e"),
    "ffmpeg.aac": lambda bench, name: bench.ffmpeg(name, *_TAGGED, "-c:a", "aac", "-write_id3v2", "1", "-f", "adts"),
    "sox.wav": lambda bench, name: bench.run("sox", "in.wav", "--comment", "said", name),
    "ffmpeg.wav": lambda bench, name: bench.ffmpeg(name, *_TAGGED),
    "ffmpeg-rf64.wav": lambda bench, name: bench.ffmpeg(name, *_TAGGED, "-rf64", "always"),
    "sox.aiff": lambda bench, name: bench.run("sox", "in.wav", "--comment", "said", name),
    "sox.aifc": lambda bench, name: bench.run("sox", "in.wav", "--comment", "said", name),
    "ffmpeg.aiff": lambda bench, name: bench.ffmpeg_cover(name, *_TAGGED, "-write_id3v2", "1"),
}  # fmt: skip
