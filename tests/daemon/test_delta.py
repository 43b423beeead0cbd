"""Changed files between a scan, the store and an origin that fails or lies."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import mutagen
import pytest

from musicfs.clock import SystemClock
from musicfs.content.keys import Source, content_of
from musicfs.content.origins import Access
from musicfs.daemon.delta import DeltaSync, Mode
from musicfs.daemon.delta_verify import QUIET_S, DeltaVerification
from musicfs.daemon.upkeep import Upkeep
from musicfs.errors import UnreachableError
from musicfs.library.scan import Scanner
from musicfs.origins.contract import Origin
from musicfs.origins.memory import MemoryOrigin
from musicfs.origins.wrappers.wrapper import Operation, Wrapper
from musicfs.store.chunks_schema import BLOCK_BYTES, Content
from musicfs.store.schema import ChangeOp
from musicfs.store.transaction import WriteTransaction
from musicfs.testing.audio import make_audio
from musicfs.testing.faults import FaultyOrigin
from tests.formats.building import flac_block, picture_block, vorbis_comments
from tests.library.collection import Collection
from tests.library.test_scan_remote import CAPS
from tests.store.chunk_world import World, noise
from tests.vfs.world import Ticking

PATH = "A/1.flac"
AUDIO = b"\xff\xf8" + noise(1, 1 << 20)
ACCESS = Access(direct=False, keep=True, stable_version=False)
CAPS_OF_SIZE_AND_TIME = msgspec.structs.replace(CAPS, stable_version=False)


def flac(
    title: str, *, audio: bytes = AUDIO, md5: bytes = b"m" * 16, padding: int = 8000, picture: bytes = b""
) -> bytes:
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + (44100 << 44 | 1 << 41 | 15 << 36 | 441_000).to_bytes(8) + md5
    comments = vorbis_comments(f"TITLE={title}".encode(), b"ALBUM=A")
    blocks = [flac_block(0, info), flac_block(4, comments)]
    blocks += [flac_block(6, picture_block(picture))] if picture else []
    return b"fLaC" + b"".join(blocks) + flac_block(1, bytes(padding), last=True) + audio


class Counting(Wrapper):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        self.read_bytes += stop - start
        return super().read(path, start, stop, version)


class Library:
    """One origin, its catalog, a content store, and a scanner that adopts."""

    def __init__(self, folder: Path, mode: Mode = "auto", path: str = PATH, data: bytes = b"") -> None:
        self.path = path
        self.memory = MemoryOrigin("memory", {path: data or flac("Before")}, caps=CAPS_OF_SIZE_AND_TIME)
        self.collection = Collection(folder / "catalog", self.memory)
        self.world = World(folder / "chunks")
        self.upkeep = Upkeep(self.world.store, 1 << 30, 1 << 28, frozenset, SystemClock())
        self.upkeep.start()
        collection = self.collection
        self.delta = DeltaSync(collection.catalog, lambda _: ACCESS, self.world.store, self.upkeep, mode)
        self.scanner = Scanner(collection.publisher, collection.pool, collection.clock, 20, lambda *_: None, self.delta)
        self.scan(self.memory)

    def scan(self, origin: Origin) -> int:
        """Scan through ``origin``; the bytes that were read."""
        counting = Counting(origin)
        self.collection.clock.now_ns += 10**9
        self.scanner.scan(counting, self.collection.record)
        return counting.read_bytes

    def content(self) -> Content:
        entry = self.memory.stat(self.path)
        assert entry is not None
        return content_of(Source("memory", self.path, entry.version, entry.size), stable_version=False)

    def data(self) -> bytes:
        entry = self.memory.stat(self.path)
        assert entry is not None
        return self.memory.read(self.path, 0, entry.size, "")

    def store(self, *numbers: int) -> Content:
        """Have the file's content stored, or some blocks of it."""
        content, data = self.content(), self.data()
        self.world.put(content, data, *numbers)
        return content

    def missing(self) -> list[tuple[int, int]]:
        """What is missing of the file's content; what is not is right."""
        found, missing = self.world.read(self.content())
        expected = bytearray(self.data())
        for start, stop in missing:
            expected[start:stop] = bytes(stop - start)
        assert found == expected
        return missing

    @property
    def title(self) -> str:
        return self.collection.shown()[0].rpartition("/")[2]

    def close(self) -> None:
        self.upkeep.close()
        self.world.check()
        self.world.close()
        self.collection.close()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    yield made
    made.close()


def test_a_changed_title_costs_what_changed(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After, and longer"))
    assert library.scan(library.memory) < 4000
    assert library.title.startswith("After")
    assert library.missing() == []
    assert library.delta.saved_bytes > len(AUDIO)
    assert [note.key for note in library.upkeep.adopted()] == [library.content().key]


def test_a_picture_moves_along(library: Library) -> None:
    picture = b"\xff\xd8\xff" + noise(3, 100_000)
    library.memory.put(PATH, flac("Before", picture=picture))
    library.scan(library.memory)
    library.store()
    library.memory.put(PATH, flac("After, and longer", picture=picture, padding=1000))
    assert library.scan(library.memory) < 8000
    assert library.missing() == []


def test_what_is_not_stored_is_not_adopted_and_not_compared(library: Library) -> None:
    library.store(0, 1, 2, 5)
    library.memory.put(PATH, flac("After, and longer"))
    assert library.scan(library.memory) < 8000
    shift = len(flac("After, and longer")) - len(flac("Before"))
    assert library.missing() == [
        (3 * BLOCK_BYTES + shift, 5 * BLOCK_BYTES + shift),
        (6 * BLOCK_BYTES + shift, len(library.data()) - 128),  # the scan had looked for a tag there
    ]


def test_only_a_flac_that_is_the_same_by_its_own_word_is_compared(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After", md5=b"o" * 16))
    assert library.scan(library.memory) < 4000
    assert library.title == "After.flac"
    assert library.missing() == [(0, len(library.data()))]
    assert not library.upkeep.adopted()


def test_a_flac_without_md5_is_compared_if_that_is_asked_for(tmp_path: Path) -> None:
    for mode, expected in (("auto", 0), ("probe", len(AUDIO))):
        library = Library(tmp_path / mode, mode)  # type: ignore[arg-type] # one of the two
        library.memory.put(PATH, flac("Before", md5=bytes(16)))
        library.scan(library.memory)
        library.store()
        library.memory.put(PATH, flac("After", md5=bytes(16)))
        library.scan(library.memory)
        assert library.delta.saved_bytes >= expected
        assert bool(library.missing()) == (mode == "auto")
        library.close()


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "opus", "m4a"])
@pytest.mark.parametrize("title", ["B", "A much longer title" * 2000])
def test_real_files_of_other_formats_if_that_is_asked_for(tmp_path: Path, suffix: str, title: str) -> None:
    """Whatever is adopted is right. An Ogg whose pages are numbered anew has nothing to adopt."""
    file = make_audio(tmp_path / f"1.{suffix}", seconds=20, tags={"title": "A", "album": "A"}, seed=1)
    library = Library(tmp_path, "probe", f"A/1.{suffix}", file.read_bytes())
    library.store()
    tagged = mutagen.File(file, easy=True)
    tagged["title"] = title
    tagged.save()
    library.memory.put(library.path, file.read_bytes())
    read_bytes = library.scan(library.memory)
    assert library.title == ("B." + suffix if len(title) == 1 else library.title)
    size, missing = len(library.data()), sum(stop - start for start, stop in library.missing())
    if suffix not in ("ogg", "opus") or len(title) == 1:
        assert library.delta.saved_bytes > size // 2
        assert read_bytes + missing < 60_000 + 2 * len(title)  # an Ogg is looked at from its end
    library.close()


def test_other_audio_with_the_same_streaminfo_is_noticed(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After", audio=b"\xff\xf8" + noise(2, 1 << 20)))
    library.scan(library.memory)
    assert library.title == "After.flac"
    assert library.missing() == [(0, len(library.data()))]
    assert library.delta.saved_bytes == 0


@pytest.mark.parametrize("script", ["RR" + "R" * 9 + "E" * 99, "RRT" + "E" * 99, "RRRC."])
def test_an_outage_in_the_middle_of_probing_adopts_nothing_and_loses_nothing(library: Library, script: str) -> None:
    old = library.store()
    library.memory.put(PATH, flac("After"))
    faulty = FaultyOrigin(library.memory, script, {Operation.CHECK: "E."} if "E" in script else None)
    with contextlib.suppress(UnreachableError):
        library.scan(faulty)
    assert faulty.taken
    assert library.title == "Before.flac"
    assert library.missing() == [(0, len(library.data()))]
    assert library.world.store.coverage(old).complete
    library.scan(library.memory)  # and when it is back
    assert library.title == "After.flac"
    assert library.missing() == []


def test_bytes_that_are_wrong_on_the_way_are_no_agreement(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(FaultyOrigin(library.memory, "RR" + "W" * 10 + "."))
    assert library.delta.saved_bytes == 0


def test_a_full_disk_costs_the_adoption_and_not_the_scan(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicfs.errors import DiskFullError

    def refuse(*_: object) -> int:
        raise DiskFullError("no space left", remedy="free some")

    monkeypatch.setattr("musicfs.store.chunks_recut.adopt", refuse)
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)
    assert library.title == "After.flac"
    assert library.missing() == [(0, len(library.data()))]


class Verified:
    """The comparison in the background, by hand: its clock, and whether the line is used."""

    def __init__(self, library: Library, origin: Origin | None = None) -> None:
        self.clock = Ticking()
        self.used = 0
        self.wrong: list[int] = []
        self.library = library
        self.origin = Counting(origin or library.memory)
        self.verification = DeltaVerification(
            library.world.store, library.upkeep, lambda _: self.origin, lambda: self.used, self._on_wrong, self.clock
        )

    def _on_wrong(self, object_id: int) -> None:
        self.wrong.append(object_id)
        with WriteTransaction(self.library.collection.catalog) as tx:
            tx.note_content(object_id)

    def wait(self, seconds: float) -> None:
        self.clock.now_ns += int(seconds * 1e9)


def lie(library: Library) -> None:
    """The same STREAMINFO, and audio that differs in one place, which probes miss all but surely."""
    library.store()
    audio = bytearray(AUDIO)
    audio[700_001] ^= 1
    library.memory.put(PATH, flac("After", audio=bytes(audio)))
    library.scan(library.memory)


@pytest.mark.expects_log("what was kept of the new version of 'A/1.flac' differs from it")
def test_a_difference_that_probes_missed_is_found_when_the_line_is_quiet(library: Library) -> None:
    lie(library)
    found, missing = library.world.read(library.content())
    assert not missing
    assert found != library.data(), "the probes met the one byte that differs"
    verified = Verified(library)
    before = library.collection.catalog.last_change()
    verified.wait(QUIET_S - 1)
    verified.verification.look()
    assert verified.origin.read_bytes == 0
    verified.wait(2)
    verified.verification.look()
    assert verified.wrong == [library.collection.ids()[PATH]]
    assert library.missing() == [(0, len(library.data()))]
    assert not library.upkeep.adopted()
    ops = [op for _, entries in library.collection.catalog.changes_after(before) for op, _, _, _ in entries]
    assert ops == [ChangeOp.CONTENT]
    read_bytes = verified.origin.read_bytes
    verified.verification.look()
    assert verified.origin.read_bytes == read_bytes


def test_what_is_right_is_compared_once_and_stays(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)
    verified = Verified(library)
    verified.wait(QUIET_S + 1)
    verified.verification.look()
    assert verified.origin.read_bytes >= len(AUDIO)
    assert not library.upkeep.adopted()
    assert library.missing() == []
    assert not verified.wrong


def test_whoever_reads_interrupts_the_comparison_which_goes_on_later(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)

    class Reader(Wrapper):
        reads = 0

        def read(self, path: str, start: int, stop: int, version: str) -> bytes:
            self.reads += 1
            verified.used += self.reads == 2
            return super().read(path, start, stop, version)

    verified = Verified(library, Reader(library.memory))
    verified.wait(QUIET_S + 1)
    verified.verification.look()
    interrupted = verified.origin.read_bytes
    assert 0 < interrupted < len(AUDIO)
    verified.wait(60)
    verified.verification.look()
    assert verified.origin.read_bytes == interrupted, "it was not quiet for long"
    verified.wait(QUIET_S)
    verified.verification.look()
    assert not library.upkeep.adopted()
    assert verified.origin.read_bytes < len(AUDIO) + 20_000, "what was right was read again"


def test_an_origin_that_is_away_is_asked_another_time(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)
    verified = Verified(library, FaultyOrigin(library.memory, "RE."))
    verified.wait(QUIET_S + 1)
    with pytest.raises(UnreachableError):
        verified.verification.look()
    assert library.upkeep.adopted()
    verified.verification.look()
    assert not library.upkeep.adopted()
    assert library.missing() == []


def test_a_version_that_is_gone_need_not_be_compared(library: Library) -> None:
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)
    library.memory.remove(PATH)
    verified = Verified(library)
    verified.wait(QUIET_S + 1)
    verified.verification.look()
    assert not library.upkeep.adopted()
    assert not verified.wrong


def test_the_thread_ends_when_it_is_told_to(library: Library) -> None:
    verification = DeltaVerification(
        library.world.store, library.upkeep, lambda _: None, lambda: 0, lambda _: None, SystemClock()
    )
    verification.start()
    verification.close()
    assert "verify" not in {thread.name for thread in threading.enumerate()}


def test_nothing_is_noted_where_nothing_is_compared(library: Library) -> None:
    collection = library.collection
    delta = DeltaSync(collection.catalog, lambda _: ACCESS, library.world.store, library.upkeep, "auto", verify=False)
    library.scanner = Scanner(collection.publisher, collection.pool, collection.clock, 20, lambda *_: None, delta)
    library.store()
    library.memory.put(PATH, flac("After"))
    library.scan(library.memory)
    assert library.missing() == []
    assert not library.upkeep.adopted()
