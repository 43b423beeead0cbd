from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.origins.compose import REMOTE_MANNERS
from musicfs.origins.contract import Anchored, LocalPaths, Origin, Watchable
from musicfs.origins.registry import KINDS, Kind, kind_of, open_origin
from musicfs.origins.wrappers.breaker import Breaker
from musicfs.origins.wrappers.trace import Tally
from musicfs.origins.wrappers.wrapper import Operation


def test_open_local(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"1")
    (tmp_path / "b.iso").write_bytes(b"1")
    origin = open_origin(OriginSettings(id="disk", path=str(tmp_path), exclude=("*.iso",), watch=False))
    assert origin.id == "disk"
    for power in (Origin, LocalPaths, Anchored, Watchable):
        assert isinstance(origin, power)
    assert [entry.path for folder in origin.list() for entry in folder.files] == ["a.flac"]
    assert isinstance(origin, Watchable)
    watch = origin.watch(lambda _change: None)
    assert watch.wait_armed(10)
    assert watch.unwatched == ("",)  # watch = false
    watch.close()


def test_an_origin_is_traced_on_request(tmp_path: Path) -> None:
    tally = Tally()
    origin = open_origin(OriginSettings(id="disk", path=str(tmp_path)), tally=tally)
    assert isinstance(origin, LocalPaths)
    list(origin.list())
    assert tally.snapshot()[Operation.LIST].calls == 1


def test_the_manners_of_a_kind_are_kept(tmp_path: Path) -> None:
    remote = Kind(KINDS["local"].module, KINDS["local"].factory, manners=REMOTE_MANNERS)
    origin = open_origin(OriginSettings(id="disk", path=str(tmp_path)), kinds={"local": remote})
    assert isinstance(origin, Breaker)
    assert isinstance(origin, Watchable)


def test_an_origin_that_is_down_opens(tmp_path: Path) -> None:
    open_origin(OriginSettings(id="disk", path=str(tmp_path / "nowhere")))


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "needs_sdk.py").write_text("import an_sdk_that_nobody_has\n")
    settings = OriginSettings(id="disk", path="/music")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        kinds = {"local": Kind("needs_sdk", "open_it", extra="s3")}
        with pytest.raises(ConfigError, match="needs the package 'an_sdk_that_nobody_has'") as raised:
            open_origin(settings, kinds=kinds)
        assert raised.value.remedy == "pip install 'musicfs[s3]'"
        with pytest.raises(ModuleNotFoundError):  # no extra would help
            open_origin(settings, kinds={"local": Kind("needs_sdk", "open_it")})


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown origin_type 'local'") as raised:
        open_origin(OriginSettings(id="disk", path="/music"), kinds={"s3": Kind("x", "y", hint="a bucket")})
    assert "s3 (a bucket)" in raised.value.remedy


_SETTINGS = {
    "local": {"path": "/nowhere"},
    "nfs": {"host": "nas.invalid", "export": "/music"},
    "smb": {"host": "nas.invalid", "share": "music"},
    "s3": {"bucket": "music", "endpoint": "http://nas.invalid"},
    "sftp": {"host": "nas.invalid", "path": "music"},
    "webdav": {"url": "http://nas.invalid/music"},
}


def test_every_type_can_be_opened() -> None:
    names = get_args(get_type_hints(OriginSettings)["origin_type"])
    assert set(names) == set(KINDS) - {"mounted"} == set(_SETTINGS)
    for name in names:
        open_origin(msgspec.convert({"id": "x", "origin_type": name, **_SETTINGS[name]}, OriginSettings)).close()


@pytest.mark.parametrize("name", ["nfs", "smb"])
def test_a_mounted_share_is_a_kind_of_its_own(name: str) -> None:
    assert kind_of(msgspec.convert({"id": "x", "origin_type": name, "path": "/mnt"}, OriginSettings)) == "mounted"
    assert kind_of(msgspec.convert({"id": "x", "origin_type": name, **_SETTINGS[name]}, OriginSettings)) == name


def test_a_local_origin_needs_no_watchdog_until_it_watches(tmp_path: Path) -> None:
    script = (
        "import sys; from musicfs.origins.registry import open_origin; from musicfs.config.settings import OriginSettings\n"
        "list(open_origin(OriginSettings(id='x', path=sys.argv[1])).list())\n"
        "print([name for name in sys.modules if name.startswith('watchdog')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
