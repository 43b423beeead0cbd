"""Programs that read a file from its first byte to its last: ffmpeg, mpv, flac."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import MountLibrary
from tests.mounting import ServedFile
from tests.players.programs import run

FORMATS = {".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wav", ".aiff"}


def test_the_library_has_every_format(one_of_each: dict[str, ServedFile]) -> None:
    assert one_of_each.keys() >= FORMATS


def test_ffmpeg_decodes_every_track(tracks: tuple[ServedFile, ...]) -> None:
    for track in tracks:
        run("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", track.virtual, "-map", "0:a", "-f", "null", "-")


def test_ffprobe_sees_the_same_as_in_the_original(one_of_each: dict[str, ServedFile]) -> None:
    for track in one_of_each.values():
        asked = (
            "ffprobe",
            "-v",
            "error",
            "-show_streams",
            "-show_entries",
            "format=duration,size,bit_rate:format_tags",
        )
        seen, expected = (
            json.loads(run(*asked, "-of", "json", path)) for path in (track.virtual, track.origin)
        )  # the file's name is not among the entries asked for
        assert seen == expected


def test_flac_verifies_the_audio_of_every_flac(tracks: tuple[ServedFile, ...]) -> None:
    flacs = [track.virtual for track in tracks if track.virtual.suffix == ".flac"]
    assert flacs
    run("flac", "--test", "--silent", "--warnings-as-errors", *flacs, timeout_s=300)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_mpv_plays_to_the_end(suffix: str, one_of_each: dict[str, ServedFile]) -> None:
    said = run(
        "mpv", "--no-config", "--ao=null", "--ao-null-untimed=yes", "--vo=null", "--no-terminal", "--msg-level=all=error",
        "--really-quiet=no", one_of_each[suffix].virtual,
    )  # fmt: skip
    assert said == ""


def test_mpv_seeks(tracks: tuple[ServedFile, ...]) -> None:
    """From the middle on: what a player asks for then is not where a sequential reader would be."""
    longest = max(tracks, key=lambda track: track.virtual.stat().st_size)
    run(
        "mpv",
        "--no-config",
        "--ao=null",
        "--ao-null-untimed=yes",
        "--vo=null",
        "--start=50%",
        "--no-terminal",
        longest.virtual,
    )


@pytest.mark.real_music
def test_real_music_decodes(real_music: Path, mount_library: MountLibrary) -> None:
    mounted = mount_library({"wesnoth": real_music})
    tracks = [file for file in mounted.files() if file.virtual.suffix == ".ogg"]
    assert {track.origin for track in tracks} == set(real_music.rglob("*.ogg"))
    for track in tracks:
        assert track.virtual.stat().st_size == track.origin.stat().st_size
        run(
            "ffmpeg",
            "-nostdin",
            "-v",
            "error",
            "-xerror",
            "-i",
            track.virtual,
            "-map",
            "0:a",
            "-c",
            "copy",
            "-f",
            "null",
            "-",
        )
    played = min(tracks, key=lambda track: track.virtual.stat().st_size)
    run("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", played.virtual, "-f", "null", "-")
