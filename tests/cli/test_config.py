"""``musicfs config``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from musicfs.config.settings import Settings
from musicfs.errors import StoreError
from tests.cli.conftest import Run


@pytest.fixture
def preview(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What the library is said to hold; an empty list at first."""
    pairs: list[tuple[str, str]] = []

    def preview_of(settings: Settings, limit: int = 10) -> list[tuple[str, str]]:
        assert isinstance(settings, Settings)
        return pairs[:limit]

    module = ModuleType("musicfs.daemon.preview")
    module.preview = preview_of  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musicfs.daemon.preview", module)
    yield pairs


def test_check_shows_what_templates_make_of_files(run: Run, preview: list[tuple[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("")
    done = run("--config", str(file), "config", "check")
    assert done.code == 0
    assert done.out == f"{file}: no problems\nno origins: nothing to show\n"
    preview += [(f"a/{number}.mp3", f"A/B/{number}.mp3") for number in range(20)]
    lines = run("--config", str(file), "config", "check").out.splitlines()
    assert lines[2:5] == ["what the templates make of your files:", "  a/0.mp3", "    A/B/0.mp3"]
    assert len(lines) == 3 + 2 * 10
    document = json.loads(run("--json", "--config", str(file), "config", "check").out)
    assert document == {
        "ok": True,
        "file": str(file),
        "problems": [],
        "warnings": [],
        "preview": [{"origin_path": origin, "virtual_path": virtual} for origin, virtual in preview[:10]],
    }


def test_check_reports_all_problems(run: Run, preview: list[tuple[str, str]], tmp_path: Path) -> None:
    assert preview == []
    file = tmp_path / "c.toml"
    file.write_text("x = 1\n[tree]\ntemplate = '$title<'\nnames = 'unix'\n[[origins]]\nid = 'a'\npath = '/nowhere'\n")
    done = run("--config", str(file), "config", "check")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0] == f"error: 4 problems with the configuration in {file}"
    assert [line.partition(": ")[0] for line in done.err.splitlines()[1:5]] == [
        f"  {file}:{line}" for line in (1, 3, 4, 7)
    ]
    assert "column 7" in done.err
    done = run("--json", "--config", str(file), "config", "check")
    document = json.loads(done.out)
    assert done.code == 2
    assert document["ok"] is False
    assert document["problems"][2] == {
        "place": f"{file}:4",
        "message": 'tree.names = "unix" is not allowed',
        "suggestion": 'allowed: one of "posix", "windows"',
    }
    assert set(document) == {"ok", "file", "problems", "warnings", "preview"}


def test_check_shows_warnings(run: Run, preview: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert preview == []
    monkeypatch.setenv("MUSICFS_CACHEDIR", "/x")
    done = run("config", "check")
    assert done.code == 0
    assert done.out.startswith("warning: MUSICFS_CACHEDIR: ")


def test_check_without_a_library(run: Run, preview: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert preview == []

    def broken(_settings: Settings, _limit: int = 10) -> list[tuple[str, str]]:
        raise StoreError("the catalog is of another version")

    monkeypatch.setattr(sys.modules["musicfs.daemon.preview"], "preview", broken)
    done = run("config", "check")
    assert done.code == 0
    assert "no preview: the catalog is of another version" in done.out


def test_show(run: Run, monkeypatch: pytest.MonkeyPatch, user: Path) -> None:
    monkeypatch.setenv("MUSICFS_SCAN__WORKERS", "3")
    done = run("config", "show", "-l", "debug")
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert f'cache_dir = "{user}/.cache/musicfs" # default' in lines
    assert "workers = 3 # env MUSICFS_SCAN__WORKERS" in lines
    assert 'level = "debug" # flag --level' in lines
    document = json.loads(run("--json", "config", "show").out)
    assert document["file"] is None
    assert document["settings"]["scan"]["workers"] == 3
