"""A state of an older version is backed up before it is changed; one of a newer version says how to go on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import lmdb
import pytest

from musicfs import __version__
from musicfs.errors import DiskFullError, MusicFSError
from musicfs.store import environment, frames, state_recovery, state_tables, whole_file
from musicfs.store.backup import check_backup, restore_backup
from musicfs.store.overlays import Kind, Pin, StoredCollection
from musicfs.store.state import open_state
from musicfs.store.state_lock import read_writer
from musicfs.store.state_upgrade import kept_backups
from tests.store.state_world import StateWorld, overlay
from tests.store.test_state import old_state

PINS = [Pin(b"/A", 1), Pin(b"/B", 2)]
_MISSING = {2: (Kind.COLLECTION, Kind.PLAY, Kind.TRASH), 3: (Kind.TRASH,)}


def older(folder: Path, schema: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state as the version with this schema left it, with :data:`PINS` in it."""
    folder.mkdir(exist_ok=True)
    if schema == 1:
        old_state(folder, PINS)
        return
    with monkeypatch.context() as then:
        then.setattr(state_tables, "SCHEMA", schema)
        then.setattr(frames, "VERSION", 1 if schema == 2 else 2)
        world = StateWorld(folder)
        world.put(overlay(1, "a"))
        for pin in PINS:
            world.pin(pin)
        world.state.close()
    with lmdb.open(str(folder / "state"), max_dbs=16) as env:
        for kind in _MISSING[schema]:
            table = env.open_db(state_tables._RECORD_TABLES[kind])
            with env.begin(write=True) as txn:
                txn.drop(table)
    assert state_tables.schema_of(str(folder / "state")) == schema
    (folder / "state" / "clean").unlink()
    environment.mark_clean(str(folder / "state"))


@pytest.mark.parametrize("lost", ["", "journal", "state"])
@pytest.mark.parametrize("schema", range(1, state_tables.SCHEMA))
@pytest.mark.expects_log("nothing is lost")
def test_every_older_schema_is_kept_before_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, schema: int, lost: str
) -> None:
    if (lost and schema == 1) or (lost, schema) == ("state", 3):
        return  # there was no journal then; nothing tells a journal of the third schema from one of ours
    folder = tmp_path / "state"
    older(folder, schema, monkeypatch)
    journal = (folder / "journal").read_bytes() if schema > 1 else b""
    if lost:
        (folder / lost).rename(tmp_path / "lost")
    caplog.set_level(logging.INFO)
    for number in range(3):
        state = open_state(str(folder))
        assert state.pins() == PINS
        if number == 1:
            state.put_collection(StoredCollection(1, "c"))
        state.close()
    ((kept, of),) = kept_backups(str(folder))
    assert of == schema
    assert caplog.text.count(kept) == 1
    assert check_backup(kept).musicfs == __version__
    assert os.stat(kept).st_mode & 0o777 == 0o600
    if journal and lost != "journal":
        assert journal in Path(kept).read_bytes(), "the version that wrote it can read it"
    restore_backup(kept, str(tmp_path / "restored"))
    restored = open_state(str(tmp_path / "restored"))
    assert restored.pins() == PINS
    assert restored.collections() == []
    restored.close()
    assert not list(folder.glob("*.new")) and not list(folder.glob("journal.*"))


def test_an_upgrade_whose_backup_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(tmp_path, 3, monkeypatch)
    before = (tmp_path / "journal").read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as then:
        then.setattr(whole_file, "write_all", full)
        with pytest.raises(DiskFullError, match="before-upgrade"):
            open_state(str(tmp_path))
    assert (tmp_path / "journal").read_bytes() == before
    assert state_tables.schema_of(str(tmp_path / "state")) == 3
    assert not list(tmp_path.glob("before-upgrade*"))
    environment.mark_clean(str(tmp_path / "state"))
    open_state(str(tmp_path)).close()
    assert len(kept_backups(str(tmp_path))) == 1


def test_old_ones_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 6):
        (tmp_path / f"before-upgrade-2020010{day}-120000-schema-2.tar").write_bytes(b"")
    (tmp_path / "before-upgrade-mine.tar").write_bytes(b"")
    older(tmp_path, 3, monkeypatch)
    open_state(str(tmp_path)).close()
    kept = [(Path(path).name[15:23], schema) for path, schema in kept_backups(str(tmp_path))]
    assert kept[1:] == [("20200105", 2), ("20200104", 2)]
    assert kept[0][1] == 3
    assert (tmp_path / "before-upgrade-mine.tar").exists()


def test_a_newer_state_names_its_version_and_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is done, and the program opens what it kept."""
    older(tmp_path, 3, monkeypatch)
    open_state(str(tmp_path)).close()
    assert read_writer(str(tmp_path)) == (__version__, state_tables.SCHEMA)
    # The program of today becomes that of yesterday.
    monkeypatch.setattr(state_tables, "SCHEMA", 3)
    monkeypatch.setattr(state_recovery, "SCHEMA", 3)
    with pytest.raises(MusicFSError, match="newer version") as caught:
        open_state(str(tmp_path))
    ((kept, _),) = kept_backups(str(tmp_path))
    assert caught.value.remedy == (
        f"install MusicFS {__version__} or later again, or go back to what was before, without what was made since: "
        f"musicfs restore {kept}"
    )
    restore_backup(kept, str(tmp_path))
    assert read_writer(str(tmp_path)) == ("", 0)
    state = open_state(str(tmp_path))
    assert state.pins() == PINS
    state.close()


def test_a_lock_of_another_form_says_nothing(tmp_path: Path) -> None:
    for text in (b"", b"4711\n", b"MusicFS 1.0 schema x\n", b"\xff" * 1000):
        (tmp_path / "state.lock").write_bytes(text)
        assert read_writer(str(tmp_path)) == ("", 0)
