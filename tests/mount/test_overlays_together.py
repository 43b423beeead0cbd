"""Corrections beside everything else that goes on: other clients, prefetching, odd names, a scan."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import mutagen
import pytest

from musicfs.config.settings import OriginSettings
from musicfs.testing.audio import make_audio
from tests.correcting import Tagger, overlay_names, tagging
from tests.faults.living import album, digest, restart, track, tree, wait_for
from tests.mounting import Mounted, Place, mount

CLIENTS = 4


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def remote_like(tmp_path: Path, home: Path) -> Iterator[Mounted]:
    """An album that is cached and prefetched as one of another machine would be."""
    root = tmp_path / "origin"
    for number in (1, 2, 3):
        tags = {"artist": "A", "album": "B", "title": f"T{number}", "track": str(number)}
        make_audio(root / f"{number}.wav", seconds=15.0, seed=number, tags=tags)
    mounted = mount({"o": Place(root, OriginSettings(id="o", path=str(root), cache="on"))}, home)
    yield mounted
    mounted._abandon()


def test_what_is_prefetched_and_pushed_is_the_corrected_file(remote_like: Mounted) -> None:
    mounted = remote_like
    with tagging(mounted) as tagger:
        for number in (1, 2, 3):
            tagger.set(mounted.point / "A" / "B [WAV]" / f"0{number} - T{number}.wav", title=f"A longer title {number}")
    paths = sorted(mounted.point.rglob("*.wav"))
    played = []
    for path in paths:  # as a player reads, so that the next one is fetched, and given to the kernel
        with path.open("rb", buffering=0) as stream:
            played.append(b"".join(iter(partial(stream.read, 1 << 17), b"")))
    for path, data in zip(paths, played, strict=True):
        assert len(data) == path.stat().st_size
        assert (mounted.point / ".prefetch" / path.relative_to(mounted.point)).read_bytes() == data
        assert mutagen.File(path).tags["TIT2"].text == [path.stem.partition(" - ")[2]]
        assert os.getxattr(path, "user.musicfs.cached_percent") == b"100"
    mounted.close()
    again = restart(mounted)  # nobody has read anything yet
    try:
        assert [path.read_bytes() for path in paths] == played
    finally:
        again.close()


def test_several_clients_at_once_lose_nothing(tmp_path: Path, home: Path) -> None:
    """Each client corrects a field of its own, of the same tracks, and takes every third correction back."""
    for number in range(3):
        album(tmp_path / "origin", f"Album {number}", 2)
    settings = '[tree]\ntemplate = "$artist/$album/$track.$format"\n'
    mounted = mount({"o": tmp_path / "origin"}, home, settings)
    tracks = [mounted.point / path for path in tree(mounted)]
    failed: list[BaseException] = []
    rounds = 4

    def correct(client: int) -> None:
        try:
            with tagging(mounted) as tagger:
                for turn in range(rounds):
                    for path in tracks:
                        tagger.set(path, {f"field {client}": (f"turn {turn}",)})
        except BaseException as error:  # shown by the test
            failed.append(error)

    try:
        threads = [threading.Thread(target=correct, args=(client,)) for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for number in range(5):  # while a scan writes, too
            track(tmp_path / "origin", f"New/{number}.mp3", title=f"New {number}", album="New", track=str(number))
        for thread in threads:
            thread.join(60)
        assert not failed
        expected = {f"field {client}": (f"turn {rounds - 1}",) for client in range(CLIENTS)}
        with tagging(mounted) as tagger:
            for path in tracks:
                assert tagger.get(path).overlay == expected
                wait_for("its bytes", partial(_has, path, expected))
                history = tagger.client.metadata_log(tagger.virtual(path), 100)
                assert len(history) == CLIENTS * rounds
                assert [entry.sequence for entry in history] == sorted(
                    (entry.sequence for entry in history), reverse=True
                )
        wait_for("what was new", lambda: len(list(mounted.point.rglob("*.mp3"))) == 5)
    finally:
        for number in range(5):
            (tmp_path / "origin" / f"New/{number}.mp3").unlink(missing_ok=True)
        (tmp_path / "origin" / "New").rmdir()
        mounted.close()


def _has(path: Path, expected: Mapping[str, tuple[str, ...]]) -> bool:
    tags = mutagen.File(path)
    return {field: tuple(tags.get(field, ())) for field in expected} == expected


def test_names_that_are_no_text(tmp_path: Path, home: Path) -> None:
    """A file whose name is not UTF-8 keeps its corrections, over a restart as well."""
    root = tmp_path / "origin"
    made = track(root, "plain.flac", title="T")
    name = b"caf\xe9 \x01.flac"
    os.rename(os.fsencode(made), os.fsencode(root) + b"/" + name)
    mounted = mount({"o": root}, home)
    with tagging(mounted) as tagger:
        path = tagger.set(mounted.point / "A" / "B [FLAC]" / "01 - T.flac", title="Right")
        assert os.getxattr(path, "user.musicfs.origin_path") == name
        known = digest(path)
    mounted.close()
    mounted = restart(mounted)
    try:
        assert digest(path) == known
        assert overlay_names(path) == {"title"}
        tagger = Tagger(mounted)
        assert tagger.get(path).origin_path == "caf\\xe9 \x01.flac", "escaped, for there is no text for it"
        assert tagger.undo(path).name == "01 - T.flac"
        tagger.close()
    finally:
        mounted.close()
