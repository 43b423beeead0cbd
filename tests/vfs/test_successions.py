"""What followed what is learned, bounded, kept, and never in the way."""

from __future__ import annotations

from pathlib import Path

from musicfs.vfs.successions import Successions
from tests.origins.clocks import FakeClock


def test_what_followed_is_known_the_next_time(tmp_path: Path) -> None:
    clock = FakeClock()
    path = str(tmp_path / "successions")
    learned = Successions(path, clock)
    assert [learned.note(inode) for inode in (1, 7, 3)] == [0, 0, 0]
    assert learned.note(1) == 7
    assert learned.note(7) == 3
    learned.save()
    again = Successions(path, clock)
    assert again.note(1) == 7
    assert again.note(9) == 0
    assert again.note(1) == 9  # the newest counts


def test_a_long_pause_parts(tmp_path: Path) -> None:
    clock = FakeClock()
    learned = Successions(str(tmp_path / "successions"), clock)
    learned.note(1)
    clock.now += 7200
    learned.note(2)
    assert learned.note(1) == 0


def test_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "successions"
    path.write_bytes(b"\xc1 nonsense")
    learned = Successions(str(path), FakeClock())
    learned.note(1)
    learned.note(2)
    learned.save()
    assert Successions(str(path), FakeClock()).note(1) == 2
    Successions(str(tmp_path / "no" / "folder"), FakeClock()).save()
