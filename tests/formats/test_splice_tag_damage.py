"""Damaged tags of MP3, ADTS, WAV and AIFF files with changes: a plan that holds, or FormatError, in bounded time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from musicfs.errors import FormatError
from musicfs.formats import read
from musicfs.formats.plans import Edit, Image
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.testing.audio import KINDS, make_audio
from musicfs.testing.images import make_jpeg
from tests.formats.building import chunk, id3_frame, id3_tag, mp3_frames, text_frame, unsync, wav_file
from tests.formats.reading import CountingSource, read_bytes
from tests.formats.splices import overlaid
from tests.formats.test_damage import CRAFTED, MAX_READ_BYTES, TAGS, mutated
from tests.formats.test_mp3 import ape_tag, id3v1
from tests.formats.test_riff_and_aiff import info

MUTATIONS_PER_FILE = 800
EDITS = (
    Edit(
        {
            "title": ("Új cím",),
            "artist": ("a", "b"),
            "track": ("9",),
            "producer": ("P",),
            "comment": (),
            "date": ("1999-05",),
        }
    ),
    Edit({"album": ("Album",), "disc_total": ("2",)}, Image(b"\xff\xd8\xff" + bytes(500), "image/jpeg")),
    Edit({"lyrics": ("new",), "custom": ("x",)}, remove_cover=True),
)
KINDS_HERE = ("mp3", "aac", "wav", "aiff")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    files: dict[str, bytes] = {}
    for kind in KINDS_HERE:
        suffix = KINDS[kind].suffix
        path = make_audio(Path(folder, f"x.{suffix}"), kind, tags=TAGS, picture=make_jpeg(), seconds=0.2)
        files[path.name] = path.read_bytes()
    frames = (
        text_frame("TIT2", "t", version=3),
        id3_frame("IPLS", b"\0mix\0M", version=3),
        id3_frame("TYER", b"\x002001", version=3),
    )
    whole = id3_tag(unsync(b"".join(frames)), version=3, flags=0x80)
    files["tags.mp3"] = (
        whole + id3_tag(text_frame("TPE1", "a")) + mp3_frames(30) + ape_tag((b"Title", b"t", 0)) + id3v1()
    )
    crc = b"\x00\x00\x00\x0a\x80\0\0\0\0\x00" + bytes(4)
    files["extended.mp3"] = id3_tag(crc, *frames, version=3, flags=0x40) + mp3_frames(30)
    files["info.wav"] = wav_file(
        info((b"INAM", b"t"), (b"IART", b"a")), chunk(b"id3 ", id3_tag(text_frame("TIT2", "t"))), data=bytes(4000)
    )
    return files


FILES = ("x.mp3", "x.aac", "x.wav", "x.aiff", "tags.mp3", "extended.mp3", "info.wav")


def check_damaged(data: bytes, name: str, edit: Edit) -> bool:
    """Splice; whatever is made must say what was asked for. Whether there is a plan."""
    source = CountingSource(data)
    try:
        own = read(source, name)
        plan = splice(source, name, edit)
    except FormatError:
        return False
    finally:
        assert source.bytes_read <= 3 * MAX_READ_BYTES
    made = SplicedSource(plan, source)
    facts = read_bytes(made.read(0, made.size), name)
    wanted = overlaid(own, edit, plan)
    # A second name of an edited field may be gone: it says nothing new any more.
    assert {field: facts.tags.get(field) for field in edit.fields} == {
        field: wanted.get(field) for field in edit.fields
    }
    assert facts.audio_id == own.audio_id
    return True


@pytest.mark.parametrize("name", FILES)
def test_mutations(name: str, originals: dict[str, bytes]) -> None:
    choice = random.Random(name)
    planned = 0
    for number in range(MUTATIONS_PER_FILE):
        planned += check_damaged(mutated(originals[name], choice), name, EDITS[number % len(EDITS)])
    assert planned > MUTATIONS_PER_FILE // 10


@pytest.mark.parametrize("name", FILES)
def test_every_short_beginning(name: str, originals: dict[str, bytes]) -> None:
    data = originals[name]
    for size in (*range(0, 300, 3), *range(300, len(data), max(1, len(data) // 100))):
        check_damaged(data[:size], name, EDITS[size % len(EDITS)])


@pytest.mark.parametrize("case", [case for case in CRAFTED if CRAFTED[case][0] in ("x.mp3", "x.wav")])
def test_crafted_files_are_bounded(case: str) -> None:
    name, build = CRAFTED[case]
    data = build()
    begun = time.monotonic()
    check_damaged(data, name, EDITS[0])
    assert time.monotonic() - begun < 20
