"""Corrections stay with their files, whatever becomes of these at their origin."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mutagen
import pytest

from musicfs.testing.audio import make_audio
from tests.conftest import MountLibrary
from tests.correcting import Tagger, overlay_names, retag
from tests.faults.living import accept_originals, album, digest, origin_of, restart, tree, wait_for
from tests.mounting import Mounted
from tests.players.programs import run

SETTINGS = "[prefetch]\nnext_track = false\n[scan]\ndebounce_s = 0.1\n[health]\ncheck_interval_secs = 1\n"
FIELDS = {"title": ("Corrected",), "album": ("Right",)}
PATH = "A/Right [FLAC]/01 - Corrected.flac"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    album(root, "One", 3)
    return root


@pytest.fixture
def tagger(origin: Path, mount_library: MountLibrary) -> Iterator[Tagger]:
    """A mount whose first track is corrected."""
    tagger = Tagger(mount_library({"o": origin}, SETTINGS))
    path = tagger.set(tagger.mounted.point / "A" / "One [FLAC]" / "01 - One 1.flac", FIELDS)
    assert path == tagger.mounted.point / PATH
    yield tagger
    tagger.close()


def served_from(mounted: Mounted, virtual: str, origin: Path) -> bool:
    """Whether a path of the mount is that original now."""
    try:
        return origin_of(mounted, mounted.point / virtual) == origin
    except FileNotFoundError:
        return False


def corrected_from(mounted: Mounted, origin: Path) -> bool:
    """Whether the corrected file comes from there, and says so in its bytes; its audio is the original's."""
    path = mounted.point / PATH
    if not served_from(mounted, PATH, origin) or overlay_names(path) != FIELDS.keys():
        return False
    if not _quiet(lambda: mutagen.File(path)["title"] == ["Corrected"]):
        return False  # the tree has it already, the bytes not yet
    assert samples(path) == samples(origin)
    return True


def samples(path: Path) -> str:
    return run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:a", "-f", "md5", "-")


def listed(mounted: Mounted) -> list[str]:
    return sorted(tree(mounted))


def test_moved_and_its_folder_renamed(tagger: Tagger, origin: Path) -> None:
    mounted = tagger.mounted
    known, status = digest(mounted.point / PATH), (mounted.point / PATH).stat()
    (origin / "Else").mkdir()
    for source, target in (("One/01.flac", "Else/x.flac"), ("Else", "Other name")):
        (origin / source).rename(origin / target)
        at = origin / ("Else/x.flac" if target.endswith("flac") else "Other name/x.flac")
        wait_for("it follows", partial(corrected_from, mounted, at))
        now = (mounted.point / PATH).stat()
        assert (digest(mounted.point / PATH), now.st_ino, now.st_mtime_ns) == (known, status.st_ino, status.st_mtime_ns)
    assert tagger.undo(mounted.point / PATH).name == "01 - One 1.flac"
    accept_originals(mounted)


def test_replaced_by_another_recording_at_its_path(tagger: Tagger, origin: Path) -> None:
    mounted, file = tagger.mounted, origin / "One/01.flac"
    before = (mounted.point / PATH).stat()
    make_audio(origin / "beside", "flac", seed=77, seconds=1.5, tags={"title": "Else", "artist": "A", "track": "1"})
    (origin / "beside").rename(file)
    wait_for("the new audio with the old corrections", lambda: corrected_from(mounted, file) and (
        mounted.point / PATH).stat().st_ino != before.st_ino)  # fmt: skip
    assert (mounted.point / PATH).stat().st_mtime_ns > before.st_mtime_ns
    assert tagger.get(PATH).own["title"] == ("Else",)
    assert tagger.clear(mounted.point / PATH).read_bytes() == file.read_bytes()
    accept_originals(mounted)


def test_touched(tagger: Tagger, origin: Path) -> None:
    mounted, file = tagger.mounted, origin / "One/01.flac"
    known, before = digest(mounted.point / PATH), (mounted.point / PATH).stat()
    later_ns = time.time_ns() + 5_000_000_000
    os.utime(file, ns=(later_ns, later_ns))
    wait_for("its time", lambda: (mounted.point / PATH).stat().st_mtime_ns == later_ns)
    wait_for("its bytes", lambda: _quiet(lambda: digest(mounted.point / PATH) == known))
    os.utime(file, ns=(1, 1))
    wait_for("its bytes", lambda: _quiet(lambda: digest(mounted.point / PATH) == known))
    assert (mounted.point / PATH).stat().st_mtime_ns >= before.st_mtime_ns
    accept_originals(mounted)


def test_retagged_in_place_beside_readers(tagger: Tagger, origin: Path) -> None:
    """The overlay stays on top of what the file says now; nobody reads the new file through the old plan."""
    mounted, file = tagger.mounted, origin / "One/01.flac"
    seen: set[str] = {digest(mounted.point / PATH)}
    ending = threading.Event()

    def read() -> None:
        while not ending.is_set():
            try:
                seen.add(digest(mounted.point / PATH))
            except OSError:
                continue  # ESTALE and EIO in between are honest

    def is_seen(number: int) -> bool:
        tags = mutagen.File(mounted.point / PATH)
        return bool(tags["comment"] == [f"turn {number}"] and tags["title"] == ["Corrected"])

    reader = threading.Thread(target=read)
    reader.start()
    possible = set(seen)
    try:
        for number in range(5):
            retag(mounted, file, comment=f"turn {number}", title=f"Own {number} " * (1 + 500 * number))
            possible.add(digest(file))  # as it is, until its head was looked at
            wait_for("the new tags, corrected", partial(_quiet, partial(is_seen, number)))
            possible.add(digest(mounted.point / PATH))
            assert samples(mounted.point / PATH) == samples(file)
    finally:
        ending.set()
        reader.join(10)
    assert seen <= possible, "something was served that nobody made"
    found = tagger.get(PATH)
    assert (found.own["title"], found.effective["title"]) == (("Own 4 " * 2001,), ("Corrected",))
    assert found.own["comment"] == found.effective["comment"] == ("turn 4",)


def _quiet(condition: Callable[[], bool]) -> bool:
    """False while the file changes under our hands."""
    try:
        return condition()
    except (OSError, mutagen.MutagenError):
        return False


def test_deleted_and_returned(tagger: Tagger, origin: Path) -> None:
    mounted, file = tagger.mounted, origin / "One/01.flac"
    known, before = digest(mounted.point / PATH), (mounted.point / PATH).stat()
    data = file.read_bytes()
    file.unlink()
    wait_for("it is gone", lambda: len(listed(mounted)) == 2)
    assert not (mounted.point / PATH).exists()
    file.write_bytes(data)
    wait_for("it is back", lambda: corrected_from(mounted, file))
    assert digest(mounted.point / PATH) == known
    assert (mounted.point / PATH).stat().st_mtime_ns >= before.st_mtime_ns
    assert tagger.undo(mounted.point / PATH).read_bytes() == data
    accept_originals(mounted)


@pytest.mark.parametrize("order", ["copied, then deleted", "deleted, then copied"])
def test_copied_elsewhere(tagger: Tagger, origin: Path, order: str) -> None:
    """Another file of another time with the same audio: it is the track if the old one is gone, and it is the only one."""
    mounted, file, copy = tagger.mounted, origin / "One/01.flac", origin / "Elsewhere" / "copy.flac"
    known, data = digest(mounted.point / PATH), file.read_bytes()
    copy.parent.mkdir()
    if order.startswith("copied"):
        copy.write_bytes(data)
        wait_for("both are there", lambda: len(listed(mounted)) == 4)
        assert overlay_names(mounted.point / "A" / "One [FLAC]" / "01 - One 1.flac") == set(), "a copy is another track"
    file.unlink()
    if order.startswith("deleted"):
        wait_for("it is gone", lambda: len(listed(mounted)) == 2)
        copy.write_bytes(data)
    wait_for("the copy is corrected", lambda: corrected_from(mounted, copy))
    assert digest(mounted.point / PATH) == known
    assert len(listed(mounted)) == 3
    assert tagger.undo(mounted.point / PATH).read_bytes() == data
    accept_originals(mounted)


def test_two_copies_are_two_too_many(tagger: Tagger, origin: Path) -> None:
    """Nobody can say which of them it is: the overlay waits for one of them, or the file, and doctor says so."""
    mounted, file = tagger.mounted, origin / "One/01.flac"
    data = file.read_bytes()
    for name in ("x", "y"):
        make_audio(origin / f"{name}.flac", seed=1, seconds=0.2,
                   tags={"artist": "A", "album": "B", "title": name, "track": "1"})  # fmt: skip
    wait_for("all are there", lambda: len(listed(mounted)) == 5)
    file.unlink()
    names = ["A/B [FLAC]/01 - x.flac", "A/B [FLAC]/01 - y.flac"]
    wait_for("only the copies are left", lambda: listed(mounted) == sorted([
        *names, "A/One [FLAC]/02 - One 2.flac", "A/One [FLAC]/03 - One 3.flac"]))  # fmt: skip
    mounted.command("origin", "rescan", "o", "--wait")
    assert [overlay_names(mounted.point / name) for name in names] == [set(), set()]
    said = mounted.command("doctor").stdout
    assert "One/01.flac" in said, said
    file.write_bytes(data)
    wait_for("it is back at its place", lambda: corrected_from(mounted, file))
    accept_originals(mounted)


def test_the_folder_is_away_for_a_while(tagger: Tagger, origin: Path) -> None:
    """An origin that is gone takes nothing with it; edits meanwhile move the tree."""
    mounted = tagger.mounted
    mounted.allow_log("cannot be read|open:|read:|away")
    away = origin.with_name("away")
    origin.rename(away)
    try:
        moved = tagger.set(mounted.point / PATH, title="While away")
        assert moved.name == "01 - While away.flac"
        found = tagger.get(moved)
        assert found.served == "pending", found.reason
        assert found.effective["title"] == ("While away",)
    finally:
        away.rename(origin)
    wait_for("its bytes", lambda: _quiet(lambda: mutagen.File(moved)["title"] == ["While away"]), 30)
    assert shutil.which("flac")
    run("flac", "--test", "--silent", moved)


def test_a_catalog_that_is_built_anew_gives_it_to_no_copy(tagger: Tagger, origin: Path) -> None:
    """The copy is listed first, when the file itself is not known yet."""
    mounted, file = tagger.mounted, origin / "One/01.flac"
    known = digest(mounted.point / PATH)
    (origin / "Aaa").mkdir()
    shutil.copyfile(file, origin / "Aaa/copy.flac")
    wait_for("both are there", lambda: len(listed(mounted)) == 4)
    accept_originals(mounted)
    tagger.close()
    mounted.close()
    shutil.rmtree(mounted.folder / "cache")
    again = restart(mounted)
    try:
        wait_for("the file itself", partial(corrected_from, again, file))
        assert digest(again.point / PATH) == known
        assert len(listed(again)) == 4
        assert overlay_names(again.point / "A" / "One [FLAC]" / "01 - One 1.flac") == set()
    finally:
        again.close()
