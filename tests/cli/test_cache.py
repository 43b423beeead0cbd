"""``musicfs cache`` in front of a running daemon: in a pipe, as JSON, and on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from musicfs.api.backend import CacheStats, PrefetchProgress, Tier, VerifyProgress
from musicfs.cli import progress
from musicfs.cli.virtual_path import virtual_paths
from musicfs.errors import ConfigError, UnreachableError
from musicfs.index.help import QUERY_HELP
from tests.api.backend import CACHE, PREFETCH, STATUS, VERIFICATION, FakeBackend
from tests.cli.conftest import Run, on_terminal


def test_stats(run: Run, backend: FakeBackend) -> None:
    done = run("cache", "stats")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "used     1.5 GiB of 10.0 GiB, 256.0 MiB of it for ends of files\n"
        "files    30 whole, 10 in part\n"
        "chunks   2000, named 3000 times (saves 20 %)\n"
        "reads    1000, 93 % of them without an origin\n"
        "fetched  2.0 GiB, 1.0 MiB saved after files had changed\n"
        "evicted  3.0 GiB to make room\n"
        "pins     2\n"
        "catalog  1000 files, 5.0 MiB\n"
        "damaged  1 piece so far; fetched again when read\n"
    )
    backend.cache = CacheStats(metadata_entries=7)
    assert run("cache", "stats").out == (
        "content  nothing is kept: no origin needs it, or content_cache_gb is 0\ncatalog  7 files, 0 B\n"
    )
    backend.cache = CacheStats(limit_bytes=1)
    assert "chunks   0, named 0 times (saves 0 %)\nreads    none yet\n" in run("cache", "stats").out


def test_stats_as_json_have_a_stable_shape(run: Run, backend: FakeBackend) -> None:
    assert backend
    assert json.loads(run("--json", "cache", "stats").out) == {
        "limit_bytes": 10 << 30,
        "used_bytes": 3 << 29,
        "chunk_count": 3000,
        "chunks_unique": 2000,
        "dedup_ratio": 1.25,
        "hits": 930,
        "misses": 70,
        "hit_ratio": 0.93,
        "edge_bytes": 1 << 28,
        "contents": 40,
        "contents_complete": 30,
        "fetched_bytes": 2 << 30,
        "saved_bytes": 1 << 20,
        "pins": 2,
        "damaged": 1,
        "metadata_entries": 1000,
        "metadata_bytes": 5 << 20,
        "evictions": 4,
        "evicted_bytes": 3 << 30,
    }


def test_a_status_without_a_content_cache_says_nothing_of_it(run: Run, backend: FakeBackend) -> None:
    backend.state = msgspec.structs.replace(STATUS, cache=CacheStats())
    assert "content" not in run("status").out
    backend.state = msgspec.structs.replace(STATUS, cache=CacheStats(limit_bytes=1 << 30))
    assert "content      0 B of 1.0 GiB, no reads yet, 0 B fetched, 0 B saved\n" in run("status").out


def test_clear(run: Run, backend: FakeBackend) -> None:
    assert run("cache", "clear").out == "removed 120.0 MiB of 12 files\n"
    assert run("cache", "clear", "nas", "--tier", "edges", "--dry-run").out == "would remove 120.0 MiB of 12 files\n"
    assert backend.calls == [("clear_cache", "", Tier.ALL, False), ("clear_cache", "nas", Tier.EDGES, True)]
    assert json.loads(run("--json", "cache", "clear", "--dry-run").out) == {
        "size_bytes": 120 << 20,
        "files": 12,
        "dry_run": True,
    }
    done = run("cache", "clear", "nowhere")
    assert (done.code, done.out) == (4, "")
    assert run("cache", "clear", "--tier", "l2").code == 2


def test_prefetch_in_a_pipe(run: Run, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("cache", "prefetch", "/A/B", "C/", "--origin", "nas")
    assert done.code == 1, "one file failed"
    assert done.out == "2 files are in the cache, 9.0 MiB of them fetched now; 1 could not be fetched\n"
    assert backend.calls[-1] == ("prefetch", "/A/B", "/C", "nas")
    monkeypatch.setattr(progress, "_LINE_INTERVAL_S", -1.0)
    assert run("cache", "prefetch", "/A").out.splitlines()[:3] == [
        "0",
        "0 of 3 (0 %) 1\\x1b[2J\\xff.flac",
        "1 of 3 (33 %) 2.flac",
    ]
    backend.prefetched = (PrefetchProgress(completed=1, total=1),)
    done = run("cache", "prefetch", "/A")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 file is in the cache, 0 B of them fetched now")


def test_prefetch_as_json(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("--json", "cache", "prefetch", "/A")
    assert done.code == 1
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[-1] == {"current_path": "", "completed": 2, "total": 3, "failed": 1, "fetched_bytes": 9 << 20}
    assert len(lines) == len(PREFETCH)
    assert lines[1]["current_path"] == "/A/B/1\x1b[2J\\xff.flac"


def test_prefetch_on_a_terminal_has_a_bar(backend: FakeBackend) -> None:
    assert backend
    code, out = on_terminal("cache", "prefetch", "/A")
    assert code == 1
    assert "looking for files" in out and "0:00" in out
    assert "\x1b[2J" not in out
    assert out.endswith("2 files are in the cache, 9.0 MiB of them fetched now; 1 could not be fetched\r\n")


def test_what_goes_wrong(run: Run, backend: FakeBackend) -> None:
    for verb in ("prefetch", "pin", "unpin"):
        done = run("cache", verb, "/nowhere/x")
        assert (done.code, done.out) == (4, "")
        assert done.err == ("error: there is no '/nowhere/x' in the mount\n  give a path from the root of the mount\n")
        assert run("cache", verb).code == 2
        assert run("cache", verb, "").code == 2
    assert run("cache", "prefetch", "/A", "--origin", "nowhere").code == 4
    backend.error = UnreachableError("the store is away", remedy="wait")
    for arguments in (("stats",), ("clear",), ("pins",), ("verify",)):
        done = run("cache", *arguments)
        assert (done.code, done.err) == (1, "error: the store is away\n  wait\n")


def test_pins(run: Run, backend: FakeBackend) -> None:
    assert run("cache", "pin", "/A", "B").out == "pinned 3 files, 30.0 MiB\n"
    assert run("cache", "unpin", "/A\udcff").out == "unpinned 1 file, 10.0 MiB\n"
    assert [call for call in backend.calls if call != ("status",)] == [("pin", "/A", "/B"), ("unpin", "/A\\xff")]
    assert json.loads(run("--json", "cache", "pin", "/A").out) == {"files": 3, "size_bytes": 30 << 20}
    assert run("cache", "pins").out.splitlines() == [
        "PATH      FILES  SIZE      CACHED  SINCE",
        "/A/B\\xff  3      30.0 MiB  33 %    2023-11-14",
        "/C        0      0 B       100 %   2020-09-13",
    ]
    assert json.loads(run("--json", "cache", "pins").out)[0] == {
        "path": "/A/B\\xff",
        "files": 3,
        "size_bytes": 30 << 20,
        "cached_bytes": 10 << 20,
        "added_ms": 1_700_000_000_000,
    }
    code, out = on_terminal("cache", "pins")
    assert code == 0
    assert "\x1b[" in out and "/C" in out
    backend.pinned = ()
    assert run("cache", "pins").out == "nothing is pinned\n"


@pytest.mark.parametrize("verb", ["prefetch", "pin", "unpin"])
def test_queries(run: Run, backend: FakeBackend, verb: str) -> None:
    origin = [""] * (verb == "prefetch")
    run("cache", verb, "--query", "artist:Björk added:>30d")
    run("cache", verb, "/A", "--query", "x")
    asked = [call for call in backend.calls if call != ("status",)]
    assert asked == [(verb, *origin, "query artist:Björk added:>30d"), (verb, "/A", *origin, "query x")]
    done = run("cache", verb, "--query", "artsit:x")
    assert (done.code, done.out) == (2, "")
    assert 'column 1: there is no field "artsit"' in done.err
    assert "did you mean artist:?" in done.err
    assert run("cache", verb, "--query", "").code == 2
    done = run("cache", verb)
    assert (done.code, "give a PATH, or a --query" in done.err) == (2, True)
    shown = run("cache", verb, "--help").out
    assert QUERY_HELP in shown
    assert f"musicfs cache {verb} --query" in shown


def test_verify(run: Run, backend: FakeBackend) -> None:
    done = run("cache", "verify")
    assert (done.code, done.out) == (1, "2 pieces were damaged, and are fetched again when they are read\n")
    lines = [json.loads(line) for line in run("--json", "cache", "verify").out.splitlines()]
    assert len(lines) == len(VERIFICATION)
    assert lines[-1] == {"checked": 1000, "total": 1000, "damaged": 2, "complete": True}
    backend.verified = (VerifyProgress(checked=7, total=7, complete=True),)
    done = run("cache", "verify")
    assert (done.code, done.out) == (0, "7 pieces are as they were written\n")
    backend.verified = (VerifyProgress(checked=3, total=7),)
    assert run("cache", "verify").code == 1, "the daemon ended before everything was checked"
    backend.verified = VERIFICATION
    code, out = on_terminal("cache", "verify")
    assert code == 1
    assert "verifying" in out and "2 pieces were damaged" in out


MOUNT = "/mnt/music"


@pytest.mark.parametrize(
    ("path", "working_folder", "expected"),
    [
        ("/Artist/Album", "/home/u", "/Artist/Album"),
        ("Artist/Album/", "/home/u", "/Artist/Album"),
        ("/", "/home/u", "/"),
        ("/mnt/music/Artist", "/home/u", "/Artist"),
        ("/mnt/music", "/home/u", "/"),
        ("/mnt/music/", "/home/u", "/"),
        ("/mnt/musicians", "/home/u", "/mnt/musicians"),
        ("../../mnt/music/Artist/", "/home/u", "/Artist"),
        ("Album", "/mnt/music/Artist", "/Artist/Album"),
        ("../Other", "/mnt/music/Artist", "/Other"),
        (".", "/mnt/music/Artist", "/Artist"),
        ("..", "/mnt/music/Artist", "/"),
        ("/Artist", "/mnt/music/Artist", "/Artist"),
        ("../../Artist", "/home/u", "/Artist"),
        ("*", "/mnt/music", "/*"),
    ],
)
def test_paths_as_users_name_them(path: str, working_folder: str, expected: str) -> None:
    assert virtual_paths([path], MOUNT, working_folder) == [expected]


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        virtual_paths(["/a", ""], MOUNT, "/")


def test_paths_through_links(tmp_path: Path) -> None:
    point = tmp_path / "mnt"
    (point / "Artist").mkdir(parents=True)
    (tmp_path / "music").symlink_to(point)
    link, real = str(tmp_path / "music"), str(point)
    assert virtual_paths([f"{link}/Artist", "x"], real, f"{real}/Artist") == ["/Artist", "/Artist/x"]
    assert virtual_paths([f"{real}/Artist", "x"], link, f"{real}/Artist") == ["/Artist", "/Artist/x"]


def test_paths_in_the_working_folder_reach_the_daemon(
    run: Run, backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnt" / "Artist").mkdir(parents=True)
    backend.state = msgspec.structs.replace(STATUS, mount_point=str(tmp_path / "mnt"))
    monkeypatch.chdir(tmp_path / "mnt" / "Artist")
    assert run("cache", "pin", "Album", "..").code == 0
    assert backend.calls[-1] == ("pin", "/Artist/Album", "/")


def test_figures_are_rounded_for_people() -> None:
    from musicfs.cli.output import percent

    assert [percent(ratio) for ratio in (0, 0.0001, 0.5, 0.996, 1)] == ["0 %", "1 %", "50 %", "99 %", "100 %"]
    assert CACHE.hit_ratio == 0.93
