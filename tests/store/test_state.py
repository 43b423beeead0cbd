"""What the user made survives restarts; what is damaged is put aside, what is newer left alone."""

from __future__ import annotations

from pathlib import Path

import lmdb
import msgspec
import pytest

from musicfs.errors import MusicFSError
from musicfs.store.environment import mark_clean
from musicfs.store.state import Pin, State, prepare_state


def test_pins_are_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    assert prepare_state(path) is None
    state = State(path)
    long = b"/" + b"x" * 2000
    pins = [Pin(b"/A", 1, (("nas", b"a/1.flac"),)), Pin(b"/A/B", 2), Pin(long, 3), Pin(long + b"y", 4)]
    for pin in reversed(pins):
        state.put_pin(pin)
    assert state.pins() == pins
    assert state.remove_pin(b"/A/B")
    assert not state.remove_pin(b"/A/B")
    state.close()
    mark_clean(path)
    assert prepare_state(path) is None
    state = State(path)
    assert [pin.path for pin in state.pins()] == [b"/A", long, long + b"y"]
    state.close()


@pytest.mark.expects_log("put aside")
def test_a_damaged_state_is_put_aside_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state"
    prepare_state(str(path))
    (path / "data.mdb").write_bytes(b"not a database" * 1000)
    aside = prepare_state(str(path))
    assert aside is not None
    assert (Path(aside) / "data.mdb").read_bytes().startswith(b"not a database")
    State(str(path)).close()


def test_a_newer_state_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state"
    prepare_state(str(path))
    with lmdb.open(str(path), max_dbs=8) as env, env.begin(env.open_db(b"meta"), write=True) as txn:
        txn.put(b"schema", msgspec.msgpack.encode(1000))
    mark_clean(str(path))
    with pytest.raises(MusicFSError, match="newer version"):
        prepare_state(str(path))
    assert list(tmp_path.iterdir()) == [path]
