"""A backup is whole or refused, taken while the state is in use, and restored in one step."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from musicfs.errors import MusicFSError, NotFoundError, StoreError
from musicfs.store.backup import backup_stopped, check_backup, restore_backup
from musicfs.store.overlays import Pin
from musicfs.store.state import State, open_state


def write(path: Path, pieces: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(pieces))
    return path


def pinned(state: State) -> list[bytes]:
    return [pin.path for pin in state.pins()]


def pin(state: State, *names: bytes) -> None:
    state.put_pins(Pin(path=name, added_ns=1) for name in names)


def test_what_is_changed_during_a_backup_is_not_in_it(tmp_path: Path) -> None:
    state = open_state(str(tmp_path / "state"))
    picture = state.put_image(b"picture" * 100_000)
    pin(state, b"a")
    pieces = state.backup("1.0")
    pin(state, b"b")
    state._engine.verify()
    backup = write(tmp_path / "backup", pieces)
    lineage = state.lineage
    state.close()
    about = check_backup(str(backup))
    assert about.musicfs == "1.0"
    assert set(about.members) == {"journal", f"images/{picture}"}
    assert restore_backup(str(backup), str(tmp_path / "other")) == ""
    restored = open_state(str(tmp_path / "other"))
    assert pinned(restored) == [b"a"]
    assert restored.image(picture) == b"picture" * 100_000
    assert restored.lineage not in {0, lineage}
    assert restored.verify() == []
    restored.close()


def test_the_old_state_is_kept_beside_the_restored_one(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    state = open_state(str(folder))
    pin(state, b"a")
    with pytest.raises(StoreError, match="in use"):
        list(backup_stopped(str(folder), "1.0"))
    state.close()
    backup = write(tmp_path / "backup", backup_stopped(str(folder), "1.0"))
    state = open_state(str(folder))
    pin(state, b"b")
    with pytest.raises(StoreError, match="in use"):
        restore_backup(str(backup), str(folder))
    state.close()
    kept = restore_backup(str(backup), str(folder))
    state = open_state(str(folder))
    assert pinned(state) == [b"a"]
    state.close()
    (tmp_path / "again").mkdir()
    os.rename(Path(kept) / "journal", tmp_path / "again" / "journal")
    state = open_state(str(tmp_path / "again"))
    assert pinned(state) == [b"a", b"b"]
    state.close()
    assert not (folder / "restore.new").exists()


def test_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        list(backup_stopped(str(tmp_path), "1.0"))


def test_any_tar_unpacks_it(tmp_path: Path) -> None:
    state = open_state(str(tmp_path / "state"))
    pin(state, b"a")
    backup = write(tmp_path / "backup", state.backup("1.0"))
    state.close()
    with tarfile.open(backup) as archive:
        assert archive.getnames() == ["journal", "backup.json"]
        assert all(info.mode == 0o600 for info in archive)


def test_a_damaged_backup_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    state = open_state(str(tmp_path / "state"))
    state.put_image(b"picture")
    pin(state, b"a")
    data = b"".join(state.backup("1.0"))
    state.close()
    path = tmp_path / "backup"
    refused = 0
    for position in range(0, len(data), 97):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            about = check_backup(str(path))
        except MusicFSError:
            refused += 1
            continue
        # What a tar pads with, or says of dates and owners, is nothing of ours.
        assert set(about.members) == set(check_backup(str(write(path, [data]))).members)
    assert refused > 10
    for stop in (0, 100, 512, 1024, len(data) // 2, len(data) - 1500):
        path.write_bytes(data[:stop])
        with pytest.raises(MusicFSError):
            restore_backup(str(path), str(tmp_path / "other"))
        assert not (tmp_path / "other" / "journal").exists()


def test_what_does_not_belong_into_a_backup_is_refused(tmp_path: Path) -> None:
    for name in ("../evil", "/etc/passwd", "images/../../x", "state.lock"):
        path = tmp_path / "backup"
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        with pytest.raises(StoreError, match="does not belong"):
            check_backup(str(path))
