"""Changing tags of damaged files: FormatError, or a file that holds what was asked for, within bounds.

The cases run in a process of their own, whose memory is limited: a crafted length must not become an allocation.
"""

from __future__ import annotations

import random
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from musicfs.errors import FormatError
from musicfs.formats import read
from musicfs.formats.plans import Edit, Image, Plan, Range
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.testing.audio import KINDS, make_audio, run_ffmpeg
from musicfs.testing.images import make_jpeg
from tests.formats.reading import CountingSource
from tests.formats.test_damage import MAX_READ_BYTES, mutated

CASES_PER_KIND = 250
SOAK_CASES = 100_000
MAX_CASE_S = 2  # of processor time
MAX_CASE_BYTES = 200 * 1024 * 1024

TAGS = {
    "title": "Title", "artist": ("One", "Two"), "track": "3", "track_total": "12", "lyrics": "la " * 50, "mood": "x",
    "genre": "Rock", "date": "2001-02-03",
}  # fmt: skip
EDITS = (
    Edit({"title": ("Ein anderer Titel",)}),
    Edit({"artist": (), "track_total": ("99",), "own": ("1", "2")}),
    Edit({"track": ("A1",), "lyrics": ("x" * 20_000,), "genre": ("Jazz", "Own")}),
    Edit({"mood": ("y",), "date": ("1999",)}, Image(b"\xff\xd8\xff\xe0" + bytes(3000), "image/jpeg", 1, 1, 24)),
    Edit(dict.fromkeys(TAGS, ()), remove_cover=True),
)
# Names beside those of KINDS: other layouts, by ffmpeg's flags.
LAYOUTS = {"movie first": "+faststart", "fragments": "+frag_keyframe+empty_moov", "chapters": "+faststart+rtphint"}
NAMES = {**{kind: f"x.{made.suffix}" for kind, made in KINDS.items()}, **dict.fromkeys(LAYOUTS, "x.m4a")}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the cases of one kind; ``findings`` should be empty."""

    planned: int
    refused: int
    slowest_s: float
    findings: list[str]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    paths = {
        kind: make_audio(folder / f"{kind}.{made.suffix}", kind, tags=TAGS, picture=make_jpeg(), seconds=0.3)
        for kind, made in KINDS.items()
    }
    for name, flags in LAYOUTS.items():
        paths[name] = folder / f"{name}.m4a"
        run_ffmpeg(
            ["-i", str(paths["m4a"]), "-map", "0:a", "-c", "copy", "-movflags", flags, "-f", "mp4", str(paths[name])]
        )
    return {kind: Path(path).read_bytes() for kind, path in paths.items()}


def limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MAX_CASE_BYTES, size + MAX_CASE_BYTES))


def run_cases(original: bytes, kind: str, first: int, count: int) -> Outcome:
    """Cases ``first`` to ``first + count``; each is made from its number alone."""
    planned, slowest_s, findings = 0, 0.0, []
    audio = read(CountingSource(original), NAMES[kind]).layout
    spans = [
        (start, stop) for start, stop in ((0, audio.audio_start), (audio.audio_stop, len(original))) if start < stop
    ]
    for number in range(first, first + count):
        choice = random.Random(f"{kind} {number}")
        data = nudged(original, spans, choice) if choice.randrange(2) else mutated(original, choice)
        edit = choice.choice(EDITS)
        source = CountingSource(data)
        began = time.process_time()
        try:
            plan = splice(source, NAMES[kind], edit)
        except FormatError:
            plan = None
        except Exception as error:  # any kind of it is what is looked for
            findings.append(f"{kind} {number}: {error!r}")
            continue
        finally:
            slowest_s = max(slowest_s, time.process_time() - began)
        if source.bytes_read > 4 * MAX_READ_BYTES or slowest_s > MAX_CASE_S:
            findings.append(f"{kind} {number}: {source.bytes_read} bytes read, {slowest_s} s")
        if plan is not None:
            planned += 1
            if wrong := what_is_wrong(plan, data, NAMES[kind], edit):
                findings.append(f"{kind} {number}: {wrong}")
    return Outcome(planned, count - planned, slowest_s, findings)


def nudged(data: bytes, spans: list[tuple[int, int]], choice: random.Random) -> bytes:
    """``data`` with a few numbers changed among its metadata, which is in ``spans``: most of the structure stays whole."""
    out = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 3))):
        at = choice.randrange(*choice.choice(spans))
        width = min(choice.choice((1, 1, 2, 4)), len(out) - at)
        near = (int.from_bytes(out[at : at + width]) + choice.randint(-9, 9)) % (1 << 8 * width)
        number = choice.choice((near, near, 0, (1 << 8 * width) - 1, choice.randrange(1 << 8 * width)))
        out[at : at + width] = number.to_bytes(width, choice.choice(("big", "little")))
    return bytes(out)


def what_is_wrong(plan: Plan, data: bytes, name: str, edit: Edit) -> str:
    """Of the file that a plan makes; empty if all is well."""
    if any(isinstance(one, Range) and not 0 <= one.start < one.stop <= len(data) for one in plan.pieces):
        return "a piece lies outside of the file"
    source = SplicedSource(plan, CountingSource(data))
    made = source.read(0, source.size)
    own, facts = read(CountingSource(data), name), read(CountingSource(made), name)
    if len(made) != plan.size:
        return "another size"
    if facts.audio_id != own.audio_id:
        return "another audio"
    for field, values in edit.fields.items():
        if facts.tags.get(field, ()) != (own.tags.get(field, ()) if field in plan.unfit else values):
            return f"{field} is {facts.tags.get(field, ())}"
    if facts.layout.container not in ("ogg", "mp4"):
        audio, before = facts.layout, own.layout
        if made[audio.audio_start : audio.audio_stop] != data[before.audio_start : before.audio_stop]:
            return "the audio is not the same"
    return ""


def outcomes(originals: dict[str, bytes], first: int, count: int) -> dict[str, Outcome]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=limit_memory) as pool:
        running = {kind: pool.submit(run_cases, data, kind, first, count) for kind, data in originals.items()}
        return {kind: one.result() for kind, one in running.items()}


def test_damage(originals: dict[str, bytes]) -> None:
    found = outcomes(originals, 0, CASES_PER_KIND)
    assert [text for one in found.values() for text in one.findings] == []
    for one in found.values():
        assert one.planned > CASES_PER_KIND // 4
        assert one.refused > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_damage_at_length(originals: dict[str, bytes]) -> None:
    found = outcomes(originals, CASES_PER_KIND, SOAK_CASES // len(originals))
    for kind, one in found.items():
        print(f"{kind}: {one.planned} planned, {one.refused} refused, at most {one.slowest_s:.3f} s")
    assert [text for one in found.values() for text in one.findings] == []
