"""Shorthands for files with changed tags, and what other programs read in them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from musicfs.formats.plans import Edit, Image, Plan
from musicfs.formats.spliced import SplicedSource
from musicfs.formats.splicing import splice
from musicfs.model import Facts, Tags
from musicfs.testing.audio import run_ffmpeg
from tests.formats.reading import CountingSource, read_bytes

Fields = dict[str, tuple[str, ...]]


def spliced(data: bytes, edit: Edit, name: str = "x.mp3") -> tuple[bytes, Plan]:
    """The whole file with the edit, and its plan."""
    source = CountingSource(data)
    plan = splice(source, name, edit)
    made = SplicedSource(plan, source)
    return made.read(0, made.size), plan


def edited(data: bytes, fields: Fields, name: str = "x.mp3", cover: Image | None = None) -> bytes:
    """The file with these fields, all of which must fit."""
    made, plan = spliced(data, Edit(fields, cover), name)
    assert plan.unfit == {}
    return made


def overlaid(own: Facts, edit: Edit, plan: Plan) -> Tags:
    """What the file should say: the edit over its own tags."""
    held = {field: values for field, values in edit.fields.items() if field not in plan.unfit}
    return {field: values for field, values in {**own.tags, **held}.items() if values}


def check(data: bytes, edit: Edit, name: str = "x.mp3") -> bytes:
    """The file with the edit; it must say just that, and have the same audio."""
    own = read_bytes(data, name)
    made, plan = spliced(data, edit, name)
    facts = read_bytes(made, name)
    assert facts.tags == overlaid(own, edit, plan)
    assert (
        made[slice(facts.layout.audio_start, facts.layout.audio_stop)]
        == data[own.layout.audio_start : own.layout.audio_stop]
    )
    return made


def audio_hash(path: Path) -> str:
    """Of the packets, undecoded."""
    return hashlib.sha256(run_ffmpeg(["-i", str(path), "-map", "0:a", "-c", "copy", "-f", "hash", "-"])).hexdigest()


def decoded_md5(path: Path) -> bytes:
    return run_ffmpeg(["-i", str(path), "-map", "0:a", "-f", "md5", "-"])


def ffprobe_tags(path: Path) -> dict[str, str]:
    """The container's tags as ffprobe shows them, names in lower case."""
    command = ["ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", str(path)]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return {name.lower(): value for name, value in shown["format"].get("tags", {}).items()}


def taglib_tags(path: Path) -> dict[str, list[str]]:
    """The properties TagLib finds."""
    import taglib

    with taglib.File(path) as file:
        return {name: list(values) for name, values in file.tags.items()}
