"""Loading: what wins over what, what paths become, and everything that can be wrong, each with its line."""

# ruff: noqa: E501 - configurations and their problems are quoted in one line each

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musicfs.config.load import load, read
from musicfs.config.settings import OriginSettings, Settings, ViewSettings
from musicfs.config.show import show
from musicfs.config.toml_text import format_value
from musicfs.errors import ConfigError, Problem

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

Write = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration; its path."""

    def write_file(text: str) -> str:
        path = tmp_path / "test.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_file


def problems_of(path: str | None, environment: Mapping[str, str], **flags: object) -> list[str]:
    """The problems as one would read them, without the name of the file."""
    found = read(path, environment=environment, flags=flags).problems
    return [str(problem).replace(f"{path}:", "") for problem in found]


def test_without_anything_there_are_the_defaults(environment: dict[str, str], home: Path) -> None:
    found = load(None, environment=environment, flags={})
    assert found == Settings(cache_dir=f"{home}/.cache/musicfs", state_dir=f"{home}/.local/share/musicfs")


def test_the_users_file_is_found(environment: dict[str, str], home: Path) -> None:
    file = home / ".config" / "musicfs" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[scan]\nworkers = 3\n")
    loaded = read(None, environment=environment, flags={})
    assert loaded.file == str(file)
    assert loaded.settings.scan.workers == 3
    assert loaded.settings.instance == "config"


def test_flags_beat_environment_beats_file_beats_defaults(write: Write, environment: dict[str, str]) -> None:
    path = write('[tree]\nnames = "windows"\n[scan]\nworkers = 2\ndebounce_s = 2\n[logging]\nlevel = "error"\n')
    environment |= {"MUSICFS_SCAN__WORKERS": "3", "MUSICFS_LOGGING__LEVEL": "warning", "MUSICFS_TREE__M3U8": "true"}
    loaded = read(path, environment=environment, flags={"logging.level": "debug", "mount.allow_other": None})
    found = loaded.settings
    assert (found.tree.names, found.scan.workers, found.logging.level) == ("windows", 3, "debug")
    assert found.tree.m3u8 is True
    assert found.scan.debounce_s == 2.0
    sources = {
        ("tree", "names"): ("file", f"{path}:2"),
        ("scan", "debounce_s"): ("file", f"{path}:5"),
        ("scan", "workers"): ("env", "MUSICFS_SCAN__WORKERS"),
        ("logging", "level"): ("flag", "--level"),
        ("tree", "folders"): ("default", ""),
        ("mount", "allow_other"): ("default", ""),
    }
    assert {key: (loaded.source(key).kind, loaded.source(key).place) for key in sources} == sources


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("false", False), ("0", False)],
)
def test_truth_in_variables(environment: dict[str, str], text: str, value: bool) -> None:
    environment["MUSICFS_TREE__FOLDERS"] = text
    assert load(None, environment=environment, flags={}).tree.folders is value


def test_origins_in_a_variable(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    environment["MUSICFS_ORIGINS"] = f"{tmp_path}/a:{tmp_path}"
    found = load(None, environment=environment, flags={}).origins
    assert [(origin.id, origin.path) for origin in found] == [("a", f"{tmp_path}/a"), (tmp_path.name, str(tmp_path))]
    environment["MUSICFS_ORIGINS"] = f'[{{id = "x", path = "{tmp_path}", priority = 1}}]'
    environment["MUSICFS_VIEWS"] = '[{name = "V"}]'
    both = load(None, environment=environment, flags={})
    assert (both.origins[0].id, both.origins[0].priority, both.views[0].name) == ("x", 1, "V")


def test_an_empty_variable_is_not_set(environment: dict[str, str]) -> None:
    environment["MUSICFS_SCAN__WORKERS"] = ""
    assert load(None, environment=environment, flags={}).scan.workers == 0


def test_a_variable_that_sets_nothing_is_a_warning(environment: dict[str, str]) -> None:
    environment |= {"MUSICFS_CACHEDIR": "/x", "MUSICFS_PORT_80_TCP": "tcp://x", "MUSICFS_CONFIG": "/x", "OTHER": "1"}
    warnings = [str(warning) for warning in read(None, environment=environment, flags={}).warnings]
    assert len(warnings) == 2
    assert warnings[0] == (
        'MUSICFS_CACHEDIR: no setting has this variable; it is ignored (did you mean "MUSICFS_CACHE_DIR"?)'
    )


def test_origins_by_flag_get_ids_from_their_folders(environment: dict[str, str], tmp_path: Path) -> None:
    names = ["a/Music", "b/Music", "c/Müsik (alt)", "d/日本", "e/" + "x" * 200, "f/" + "x" * 200]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    found = load(None, environment=environment, flags={"origins": [tmp_path / name for name in names]}).origins
    assert [origin.id for origin in found] == ["Music", "Music-2", "Musik--alt", "origin", "x" * 64, "x" * 62 + "-2"]
    assert load(None, environment=environment, flags={"origins": ["/"]}).origins[0].id == "origin"


def test_origins_by_flag_replace_those_of_the_file(write: Write, environment: dict[str, str], tmp_path: Path) -> None:
    path = write('[[origins]]\nid = "away"\npath = "/nowhere"\npriority = 3\n')
    loaded = read(path, environment=environment, flags={"origins": (str(tmp_path),)})
    assert loaded.problems == ()
    assert [origin.path for origin in loaded.settings.origins] == [str(tmp_path)]
    assert loaded.source(("origins", 0, "path")).kind == "flag"
    assert loaded.source(("origins", 0, "priority")).kind == "default"


def test_paths_are_expanded_and_absolute(
    write: Write, environment: dict[str, str], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "A$AP").mkdir()
    (elsewhere / "flagged").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    path = write(
        'mount_point = "mnt"\ncache_dir = "$CACHES/x"\nstate_dir = "~/state"\n[logging]\nlog_dir = "../${LOGS}"\n'
        '[grpc]\nimport_folders = ["in", "~/tags", "$CACHES/z"]\n[[origins]]\nid = "a"\npath = "A$AP"\n'
    )
    environment |= {"CACHES": "/caches", "LOGS": "logs"}
    found = load(path, environment=environment, flags={})
    assert found.mount_point == str(tmp_path / "mnt")
    assert found.cache_dir == "/caches/x"
    assert found.state_dir == str(home / "state")
    assert found.logging.log_dir == str(tmp_path.parent / "logs")
    assert found.grpc.import_folders == (str(tmp_path / "in"), str(home / "tags"), "/caches/z")
    assert found.origins[0].path == str(tmp_path / "A$AP")
    environment |= {"MUSICFS_CACHE_DIR": "$CACHES/y", "MUSICFS_GRPC__IMPORT_FOLDERS": "tags:/srv/tags"}
    found = load(path, environment=environment, flags={"origins": ["flagged"], "state_dir": "a/$CACHES"})
    assert found.cache_dir == "/caches/y"
    assert found.grpc.import_folders == (str(elsewhere / "tags"), "/srv/tags")
    assert found.origins[0].path == str(elsewhere / "flagged")
    assert found.state_dir == str(elsewhere / "a" / "$CACHES")


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("home.toml", "home"),
        ("my music.toml", "my-music"),
        (".hidden.toml", "hidden"),
        ("...", "musicfs"),
        ("a@b", "a@b"),
    ],
)
def test_the_instance_is_called_like_the_file(
    tmp_path: Path, environment: dict[str, str], name: str, instance: str
) -> None:
    (tmp_path / name).write_text("")
    assert load(str(tmp_path / name), environment=environment, flags={}).instance == instance


def test_the_instance_can_be_set(write: Write, environment: dict[str, str]) -> None:
    assert load(write('instance = "x"'), environment=environment, flags={}).instance == "x"
    environment["MUSICFS_INSTANCE"] = "y"
    assert load(write(""), environment=environment, flags={}).instance == "y"


# A configuration, and the problems that are expected of it; {tmp} stands for an existing folder.
_WRONG: list[tuple[str, list[str]]] = [
    ("mount_pont = 1", ['1: mount_pont is not a setting (did you mean "mount_point"?)']),
    ("\ntemplate = 'x'", ['2: template is not a setting (did you mean "tree.template"?)']),
    (
        "[robots]\ntimeout_ms = 1",
        [
            "1: robots is not a setting (allowed here: mount_point, cache_dir, state_dir, instance, origins, views, tree, collections, mount, scan, cache, health, metrics, webhooks, prefetch, trash, grpc, logging)"
        ],
    ),
    ("[tree]\nnames = 'unix'", ['2: tree.names = "unix" is not allowed (allowed: one of "posix", "windows")']),
    (
        "[tree]\nnames = 'window'",
        ['2: tree.names = "window" is not allowed (did you mean "windows"? Allowed: one of "posix", "windows")'],
    ),
    ("tree = 5", ["1: 5 stands where a table is expected (write [tree])"]),
    ("[scan]\nworkers = 65", ["2: scan.workers = 65 is not allowed (allowed: a whole number from 0 to 64)"]),
    ("[scan]\nworkers = 1.5", ["2: scan.workers = 1.5 is not allowed (allowed: a whole number from 0 to 64)"]),
    ("scan.workers = '3'", ['1: scan.workers = "3" is not allowed (allowed: a whole number from 0 to 64)']),
    (
        "[mount]\numask = 0o1000\nallow_other = 1",
        [
            "2: mount.umask = 512 is not allowed (allowed: a whole number from 0 to 511)",
            "3: mount.allow_other = 1 is not allowed (allowed: true or false)",
        ],
    ),
    (
        "[mount]\ndrain_timeout_s = inf",
        ["2: mount.drain_timeout_s = inf is not allowed (allowed: a number from 0 to 31536000)"],
    ),
    ("[cache]\nmetadata_cache_mb = 0", ["2: cache.metadata_cache_mb = 0 is not allowed (allowed: a whole number of at least 1)"]),
    ("[trash]\nkeep = '30'", ['2: trash.keep = "30" is not allowed (allowed: a number and one of s, m, h, d, w, as in 30d)']),
    ("cache_dir = ['a']", ['1: cache_dir = ["a"] is not allowed (allowed: text)']),
    ("mount_point = \"a\\u0000\"", ["1: mount_point contains a NUL character (no path can)"]),
    (
        "mount_point = '$NOT_SET/x'",
        ["1: mount_point names $NOT_SET, which is not set (set it, or write the path in full)"],
    ),
    ("[origins]\nid = 'x'", ["1: origins is a list of tables (write [[origins]] before each)"]),
    ("[[origin]]\nid = 'x'", ['1: origin is not a setting (did you mean "origins"?)']),
    ("\n[[origins]]\nid = 'x'", ['2: origin "x": path is missing (a local origin needs path)']),
    (
        "[[origins]]\nid = 'a b'\npath = '{tmp}'\ninclude = 'x'",
        [
            '2: origins[0].id = "a b" is not allowed (allowed: 1 to 64 letters, digits, dots, dashes, underscores)',
            '4: origins[0].include = "x" is not allowed (allowed: a list, each text)',
        ],
    ),
    ("origins = [\n{{id = 'a', path = '{tmp}'}},\n{{id = 'a'}}]", ['3: origin id "a" is used twice (first at 2; ids must differ)', '3: origin "a": path is missing (a local origin needs path)']),
    (
        "[[origins]]\nid = 'a'\npath = '{tmp}'\n[[origins]]\nid = 'a'\npath = '{tmp}/../x'",
        ['5: origin id "a" is used twice (first at 2; ids must differ)', '6: origin "a": {parent}/x does not exist (create it, mount it, or correct the path)'],
    ),
    (
        "[[origins]]\nid = 'r'\norigin_type = 'sftp'\npath = 'music'\nbucket = 'b'",
        [
            '1: origin "r": host is missing (an sftp origin needs host)',
            '5: origin "r": bucket means nothing for an sftp origin (allowed: host, key_file, key_passphrase, known_hosts, password, path, port, user, username)',
        ],
    ),
    (
        "[[origins]]\nid = 'r'\norigin_type = 's3'\nbucket = 'b'\nsecret_access_key = 'hunter2'",
        ['5: origins[0].secret_access_key is no reference to a secret (allowed: env:NAME, file:PATH or keyring:SERVICE/USER)'],
    ),
    ("mount_point = '/'", [f"1: {name} {{parent}}/home/{folder} lies inside the mount point / (the mount would cover it)" for name, folder in (("cache_dir", ".cache/musicfs"), ("state_dir", ".local/share/musicfs"))]),
    ("[[origins]]\nid = 'f'\npath = '{tmp}/file'", ['3: origin "f": {tmp}/file is not a folder (create it, mount it, or correct the path)']),
    ("[[views]]\nname = 'a/b'", ['2: view name "a/b" contains a slash or NUL (a view is one folder at the root of the mount)']),
    ("[[views]]\nname = '..'", ['2: view name ".." begins with a dot (a view is one folder at the root of the mount)']),
    ("[[views]]\nname = 'A'\n[[views]]\nname = 'A'", ['4: view name "A" is used twice (names of views must differ)']),
    ("[[views]]\nname = ''", ['2: views[0].name = "" is not allowed (allowed: text that is not empty)']),
    (
        "tree.names = 'windows'\n[[views]]\nname = 'A'\n[[views]]\nname = 'a'",
        ['5: view name "a" is used twice (names of views must differ)'],
    ),
    (
        "mount_point = '{tmp}/mnt'\n[[origins]]\nid = 'a'\npath = '{tmp}'",
        ['1: mount_point {tmp}/mnt lies inside origin "a" (the mount would show itself; keep the two apart)'],
    ),
    (
        "mount_point = '{tmp}'\n[[origins]]\nid = 'a'\npath = '{tmp}/sub'",
        ['4: origin "a" lies inside the mount point {tmp} (the mount would show itself; keep the two apart)'],
    ),
    (
        "cache_dir = '{tmp}'\nmount_point = '{tmp}/mnt'\n[[origins]]\nid = 'a'\npath = '{tmp}/sub'",
        [
            "2: mount_point {tmp}/mnt lies inside cache_dir {tmp} (mount somewhere else)",
            '5: origin "a" lies inside cache_dir {tmp} (choose another cache_dir)',
        ],
    ),
    ("mount_point = '{tmp}'\nstate_dir = '{tmp}/s'", ["2: state_dir {tmp}/s lies inside the mount point {tmp} (the mount would cover it)"]),
    (
        "mount_point = '{tmp}/m'\n[[origins]]\nid = 'a'\npath = '{tmp}/link'",
        ['1: mount_point {tmp}/m lies inside origin "a" (the mount would show itself; keep the two apart)'],
    ),
    ("a = 1\nb = [1,\n", ["3:1: is not TOML: Invalid value (see https://toml.io)"]),
    ("a = 1\na = 2\n", ["2:6: is not TOML: Cannot overwrite a value (see https://toml.io)"]),
    ("x = 'a", ['1:7: is not TOML: Expected "\'" (see https://toml.io)']),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), _WRONG, ids=[text.replace("\n", " ") for text, _ in _WRONG])
def test_what_is_wrong_is_said_with_its_line(
    write: Write, environment: dict[str, str], tmp_path: Path, text: str, expected: list[str]
) -> None:
    folder = tmp_path / "music"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("")
    (folder / "link").symlink_to(folder)
    path = write(text.format(tmp=folder) if "{tmp}" in text or "{{" in text else text)
    assert problems_of(path, environment) == [
        line.format(tmp=folder, parent=tmp_path) if "{tmp}" in line or "{parent}" in line else line for line in expected
    ]


def test_everything_is_said_at_once_in_the_order_of_the_file(write: Write, environment: dict[str, str]) -> None:
    path = write(
        "mount_pont = 1\ncache_dir = 5\n[tree]\nnames = 'unix'\n[[origins]]\nid = 'a b'\npath = '/'\n[[origins]]\n"
        "id = 'late'\npath = '$NOT_SET'\n[[views]]\nname = 'a/b'\n"
    )
    environment |= {"MUSICFS_SCAN__WORKERS": "many"}
    with pytest.raises(ConfigError) as caught:
        load(path, environment=environment, flags={"logging.level": "loud"})
    places = [problem.place.removeprefix(path) for problem in caught.value.problems]
    assert places == ["--level", ":1", ":2", ":4", ":6", ":10", ":12", "MUSICFS_SCAN__WORKERS"]
    assert str(caught.value) == f"8 problems with the configuration in {path}"
    assert caught.value.exit_code == 2
    assert "origins[1].path" in caught.value.problems[5].message


def test_what_is_right_is_kept(write: Write, environment: dict[str, str]) -> None:
    loaded = read(
        write("cache_dir = '/c'\nstate_dir = 5\n[scan]\nworkers = 3\nx = 1\n"), environment=environment, flags={}
    )
    assert loaded.settings.cache_dir == "/c"
    assert loaded.settings.scan.workers == 3
    assert len(loaded.problems) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a = 1\nb = '\xff'", ":2: is not UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, ": is nested too deeply"),
        (b"a = " + b"9" * 5000, ": is not TOML"),
        (b"#" * (5 << 20), ": is too large"),
        (None, ": cannot be read: No such file or directory"),
    ],
    ids=["utf8", "nested", "number", "large", "missing"],
)
def test_files_that_are_none(tmp_path: Path, environment: dict[str, str], content: bytes | None, expected: str) -> None:
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)
    environment["MUSICFS_SCAN__WORKERS"] = "x"  # still said
    found = [str(problem) for problem in read(str(path), environment=environment, flags={}).problems]
    assert len(found) == 2
    assert found[0].startswith(f"{path}{expected}")


def test_a_folder_is_no_file(tmp_path: Path, environment: dict[str, str]) -> None:
    assert "Is a directory" in str(read(str(tmp_path), environment=environment, flags={}).problems[0])


def test_templates_are_checked_by_who_knows_them(write: Write, environment: dict[str, str]) -> None:
    path = write(
        "[tree]\ntemplate = 'bad 1'\n[[views]]\nname = 'A'\ntemplate = 'bad 2'\n[[views]]\nname = 'B'\nfolders = true\n"
        "template = 'bad but unused'\n"
    )

    def check(text: str) -> Problem | None:
        return Problem("column 3", "no such variable", "try $title") if text.startswith("bad") else None

    found = read(path, environment=environment, flags={}, check_template=check).problems
    assert [str(problem).removeprefix(path) for problem in found] == [
        ':2: template "bad 1": column 3: no such variable (try $title)',
        ':5: template "bad 2": column 3: no such variable (try $title)',
    ]
    assert read(path, environment=environment, flags={}).problems == ()


def test_doubtful_folders_are_warnings(write: Write, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "music" / "jazz").mkdir(parents=True)
    path = write(
        f"cache_dir = '{tmp_path}/music/cache'\n[[origins]]\nid = 'all'\npath = '{tmp_path}/music'\n[[origins]]\nid = 'jazz'\n"
        f"path = '{tmp_path}/music/jazz'\n"
    )
    loaded = read(path, environment=environment, flags={})
    assert loaded.problems == ()
    assert [warning.place.removeprefix(path) for warning in loaded.warnings] == [":1", ":7"]
    assert "will see its own files" in loaded.warnings[0].message
    assert 'origins "all" and "jazz" overlap' in loaded.warnings[1].message


def test_an_origin_may_be_away_once_it_was_there(write: Write, environment: dict[str, str], tmp_path: Path) -> None:
    path = write(f"cache_dir = '{tmp_path}/cache'\n[[origins]]\nid = 'usb'\npath = '{tmp_path}/usb'\n")
    assert "does not exist" in problems_of(path, environment)[0]
    (tmp_path / "cache" / "catalog").mkdir(parents=True)
    loaded = read(path, environment=environment, flags={})
    assert loaded.problems == ()
    assert "does not exist" in loaded.warnings[0].message


def test_an_origin_that_is_off_is_not_looked_at(write: Write, environment: dict[str, str]) -> None:
    path = write("[[origins]]\nid = 'usb'\npath = '/nowhere'\nenabled = false\n")
    assert problems_of(path, environment) == []


def test_without_a_look_at_the_disk_nothing_on_it_is_judged(write: Write, environment: dict[str, str]) -> None:
    path = write("[[origins]]\nid = 'usb'\npath = '/nowhere'\n")
    assert read(path, environment=environment, flags={}, on_disk=False).problems == ()


def test_what_is_shown_can_be_loaded_again(write: Write, environment: dict[str, str], tmp_path: Path) -> None:
    path = write(
        f'mount_point = "{tmp_path}/m\\u00fc\\"\\\\\\u007f"\n[[origins]]\nid = "a"\npath = "/srv"\nexclude = ["*.tmp", "x/**"]\n'
        '[[views]]\nname = "V"\n[mount]\numask = 0o027\n'
    )
    environment["MUSICFS_TREE__NAMES"] = "windows"
    loaded = read(path, environment=environment, flags={"logging.level": "debug"}, on_disk=False)
    assert loaded.problems == ()
    shown = show(loaded)
    assert load(write(shown), environment={}, flags={}, on_disk=False) == loaded.settings
    comments = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in shown.splitlines() if " = " in line}
    assert comments["mount_point"] == f"file {path}:1"
    assert comments["exclude"] == f"file {path}:5"
    assert comments["names"] == "env MUSICFS_TREE__NAMES"
    assert comments["level"] == "flag --level"
    assert comments["workers"] == "default"
    assert "umask = 0o027" in shown


def test_the_example_is_the_defaults(environment: dict[str, str], home: Path) -> None:
    found = load(str(EXAMPLE), environment=environment, flags={})
    expected = Settings(
        cache_dir=f"{home}/.cache/musicfs", state_dir=f"{home}/.local/share/musicfs", instance="config.example"
    )
    assert found == expected


def test_the_example_documents_every_setting(write: Write, environment: dict[str, str]) -> None:
    """Settings that are commented out begin with ``#`` and no space; with them the file says everything there is."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in lines)
    loaded = read(write(text), environment=environment, flags={}, on_disk=False)
    assert loaded.problems == ()
    assert loaded.settings.origins == (OriginSettings(id="music", path="/srv/music"),)
    assert loaded.settings.views == (ViewSettings(name="By Genre"),)
    assert loaded.settings.instance == Settings().instance
    missing = [line for line in show(loaded).splitlines() if " = " in line and "# default" in line]
    assert missing == []


def test_a_mount_imports_little(environment: dict[str, str], write: Write) -> None:
    """Of what is not needed for a configuration without problems, nothing is imported."""
    script = "import sys; from musicfs.config.load import load; load(sys.argv[1], environment={}, flags={}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, write("[scan]\nworkers = 1\n")],
        capture_output=True,
        text=True,
        check=True,
        cwd=EXAMPLE.parent,
    )
    loaded = set(done.stdout.split())
    heavy = {
        "pydantic",
        "click",
        "grpc",
        "rich",
        "llfuse",
        "lmdb",
        "mutagen",
        "difflib",
        "subprocess",
        "logging",
    }
    assert loaded & (heavy | {f"musicfs.config.{name}" for name in ("schema", "places", "diagnose", "show")}) == set()


_SCALARS: st.SearchStrategy[Any] = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(("/", "~", "$HOME", "..", "windows", "a"))
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_NAMES = st.sampled_from(
    ("mount_point", "cache_dir", "instance", "origins", "views", "tree", "mount", "scan", "logging", "names", "id", "path",
     "template", "name", "workers", "umask", "level", "orgins")
)  # fmt: skip
_DOCUMENTS = st.dictionaries(
    _NAMES, _TREES | st.dictionaries(_NAMES, _TREES, max_size=4) | st.lists(st.dictionaries(_NAMES, _TREES, max_size=4), max_size=3), max_size=6
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=_DOCUMENTS)
def test_any_document_is_settings_or_problems(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "any.toml"
    text = "\n".join(f"{format_value(key)} = {format_value(value)}" for key, value in document.items())
    path.write_text(text, encoding="utf-8")
    loaded = read(str(path), environment={"HOME": "/nowhere"}, flags={}, on_disk=False)
    for problem in loaded.problems:
        assert problem.place.startswith(f"{path}:")
    if not loaded.problems:
        assert msgspec.convert(msgspec.to_builtins(loaded.settings), Settings) == loaded.settings
    show(loaded)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(st.sampled_from("[]{}=.\"'#\\\n \tabt1,-"), max_size=60).map(str.encode))
def test_any_bytes_are_settings_or_problems(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(data)
    loaded = read(str(path), environment={}, flags={}, on_disk=False)
    assert loaded.problems or os.path.isabs(loaded.settings.cache_dir)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ("ORIGINS", "VIEWS", "SCAN__WORKERS", "TREE__TEMPLATE", "CACHE_DIR", "MOUNT__UMASK", "X", "")
        ).map(lambda name: f"MUSICFS_{name}"),
        st.text(max_size=20) | st.sampled_from(("[", "[{}]", "[1]", "[{id=1}]", "1", "~", "$X", ":", "/a:/a")),
    )
)
def test_any_variables_are_settings_or_problems(variables: dict[str, str]) -> None:
    loaded = read(os.devnull, environment=variables, flags={}, on_disk=False)
    assert loaded.problems or isinstance(loaded.settings, Settings)
