"""``musicfs doctor``: each check in front of a system that is as it should be, and of one that is not."""

from __future__ import annotations

import json
import os
import resource
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from musicfs.api.client import Client
from musicfs.cli.doctor import cache, daemon, extras, fuse, limits, mounts, secrets, storage, webhooks
from musicfs.cli.doctor.finding import Check, Examination, Finding, Level, System
from musicfs.config.settings import CacheSettings, MountSettings, OriginSettings, Settings, WebhookSettings
from musicfs.errors import ConfigError, NoDaemonError, UnreachableError
from tests.api.backend import PROBLEMS, STATUS, FakeBackend, serving
from tests.api.metadata_backend import track
from tests.cli.conftest import Run

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /mnt/nas rw shared:2 - nfs4 nas:/music rw
31 22 0:26 / {mount} ro,nosuid - fuse.musicfs musicfs ro
32 22 0:27 / /tmp/with\\040space ro - fuse.sshfs x: ro
"""


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A machine on which everything is right."""
    (tmp_path / "bin").mkdir()
    helper = tmp_path / "bin" / "fusermount"
    helper.write_text("")
    helper.chmod(0o4755)
    (tmp_path / "fuse.conf").write_text("# user_allow_other in a comment\n  user_allow_other  \n")
    (tmp_path / "inotify").mkdir()
    (tmp_path / "inotify" / "max_user_watches").write_text("100\n")
    (tmp_path / "inotify" / "max_queued_events").write_text("16384\n")
    (tmp_path / "mountinfo").write_text(MOUNTINFO.format(mount=tmp_path / "elsewhere"))
    (tmp_path / "device").write_text("")
    return System(
        fuse_device=str(tmp_path / "device"),
        fuse_conf=str(tmp_path / "fuse.conf"),
        mountinfo=str(tmp_path / "mountinfo"),
        inotify=str(tmp_path / "inotify"),
        apparmor_profiles=str(tmp_path / "profiles"),
        search_path=str(tmp_path / "bin"),
        is_root=False,
    )


def no_daemon() -> Client:
    raise NoDaemonError("none")


@pytest.fixture
def healthy(system: System, tmp_path: Path) -> Examination:
    for name in ("mnt", "cache", "state", "music/a/b"):
        (tmp_path / name).mkdir(parents=True)
    settings = Settings(
        mount_point=str(tmp_path / "mnt"),
        cache_dir=str(tmp_path / "cache"),
        state_dir=str(tmp_path / "state" / "not" / "yet"),
        origins=(OriginSettings(id="m", path=str(tmp_path / "music")),),
        mount=MountSettings(allow_other=True),
    )
    return Examination(settings, no_daemon, {"HOME": str(tmp_path)}, system)


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level.value for finding in findings]


def only(check: Check, examination: Examination) -> Finding:
    """The one finding of a check; one that is not ok says what to do."""
    [finding] = check(examination)
    assert bool(finding.remedy) is (finding.level is not Level.OK)
    return finding


def with_settings(examination: Examination, **changes: object) -> Examination:
    return replace(examination, settings=msgspec.structs.replace(examination.settings, **changes))


def with_system(examination: Examination, **changes: object) -> Examination:
    return replace(examination, system=replace(examination.system, **changes))  # type: ignore[arg-type]


ALL: list[Check] = [
    fuse.device, fuse.helper, fuse.binding, fuse.allow_other, mounts.stale_mounts, mounts.mount_point, limits.open_files,
    limits.inotify, extras.extras, daemon.daemon,
]  # fmt: skip


@pytest.mark.parametrize("check", ALL, ids=lambda check: str(check.__name__))
def test_a_healthy_system_is_ok(check: Check, healthy: Examination) -> None:
    assert only(check, healthy).level is Level.OK


def test_healthy_folders_are_ok(healthy: Examination) -> None:
    assert levels(list(storage.folders(healthy))) == ["ok", "ok"]


def test_fuse_device(healthy: Examination) -> None:
    finding = only(fuse.device, with_system(healthy, fuse_device="/nowhere"))
    assert finding.level is Level.FAIL
    assert "modprobe" in finding.remedy


def test_fuse_helper(healthy: Examination, tmp_path: Path) -> None:
    nothing = with_system(healthy, search_path=str(tmp_path / "none"))
    assert only(fuse.helper, nothing).level is Level.FAIL
    assert only(fuse.helper, with_system(nothing, is_root=True)).level is Level.WARN
    helper = tmp_path / "bin" / "fusermount"
    helper.chmod(0o755)
    assert "not setuid" in only(fuse.helper, healthy).message
    assert only(fuse.helper, with_system(healthy, is_root=True)).level is Level.OK
    helper.rename(helper.with_name("fusermount3"))
    assert "not under the name fusermount" in only(fuse.helper, healthy).message


def test_allow_other(healthy: Examination, tmp_path: Path) -> None:
    (tmp_path / "fuse.conf").write_text("#user_allow_other\n")
    assert only(fuse.allow_other, healthy).level is Level.FAIL
    assert only(fuse.allow_other, with_system(healthy, is_root=True)).level is Level.OK
    assert list(fuse.allow_other(with_settings(healthy, mount=MountSettings()))) == []
    (tmp_path / "fuse.conf").unlink()
    assert only(fuse.allow_other, healthy).level is Level.FAIL


def test_apparmor(healthy: Examination, tmp_path: Path) -> None:
    assert list(fuse.apparmor(healthy)) == []
    (tmp_path / "profiles").write_text("docker-default (enforce)\n")
    assert list(fuse.apparmor(healthy)) == []
    (tmp_path / "profiles").write_text("docker-default (enforce)\nfusermount3 (enforce)\n")
    assert only(fuse.apparmor, healthy).level is Level.OK
    finding = only(fuse.apparmor, with_settings(healthy, mount_point="/srv/music"))
    assert finding.level is Level.FAIL
    assert "/mnt" in finding.remedy


def test_mountinfo_is_read(healthy: Examination, tmp_path: Path) -> None:
    found = mounts.mounts(healthy.system.mountinfo)
    assert [(mounted.path, mounted.kind) for mounted in found] == [
        ("/", "ext4"),
        ("/mnt/nas", "nfs4"),
        (str(tmp_path / "elsewhere"), "fuse.musicfs"),
        ("/tmp/with space", "fuse.sshfs"),
    ]


def test_a_stale_mount(healthy: Examination, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "is_stale", lambda path: path == str(tmp_path / "elsewhere"))
    finding = only(mounts.stale_mounts, healthy)
    assert finding.level is Level.FAIL
    assert f"fusermount -u {tmp_path}/elsewhere" in finding.remedy
    assert only(mounts.stale_mounts, with_system(healthy, mountinfo="/nowhere")).level is Level.WARN


def _missing(path: Path) -> None:
    path.rmdir()


def _file(path: Path) -> None:
    path.rmdir()
    path.write_text("")


def _full(path: Path) -> None:
    (path / "x").write_text("")


def _mode_0(path: Path) -> None:
    path.chmod(0)


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        (_missing, "fail", "does not exist"),
        (_file, "fail", "is not a folder"),
        (_full, "fail", "is not empty"),
        (_mode_0, "warn", "died without unmounting"),
    ],
)
def test_the_mount_point(healthy: Examination, change: Callable[[Path], None], level: str, said: str) -> None:
    change(Path(healthy.settings.mount_point))
    finding = only(mounts.mount_point, healthy)
    assert finding.level == level
    assert said in finding.message


def test_no_mount_point_and_one_that_is_another_mount(healthy: Examination, tmp_path: Path) -> None:
    assert only(mounts.mount_point, with_settings(healthy, mount_point="")).level is Level.WARN
    (tmp_path / "mountinfo").write_text(MOUNTINFO.format(mount="/x").replace("/mnt/nas", "/proc"))
    finding = only(mounts.mount_point, with_settings(healthy, mount_point="/proc"))
    assert "is a mount of nfs4" in finding.message
    (tmp_path / "mountinfo").write_text(MOUNTINFO.format(mount="/proc"))
    assert only(mounts.mount_point, with_settings(healthy, mount_point="/proc")).level is Level.OK


def test_folders(healthy: Examination, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, said in (
        ("/mnt/nas/cache", "network filesystem (nfs4)"),
        (str(tmp_path / "file" / "x"), "is not a folder"),
    ):
        if path.startswith("/mnt/nas"):
            (tmp_path / "mountinfo").write_text(
                f"22 1 0:1 / / rw - ext4 a rw\n23 1 0:2 / {tmp_path} rw - ext4 a rw\n24 1 0:3 / {tmp_path} rw - nfs4 a rw\n"
            )
            path = str(tmp_path / "cache")  # noqa: PLW2901 - a folder that exists
        first, _ = storage.folders(with_settings(healthy, cache_dir=path))
        assert first.level is Level.FAIL
        assert said in first.message
        (tmp_path / "mountinfo").write_text(MOUNTINFO.format(mount="/x"))


def test_folders_on_a_full_disk(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(free: int, inodes: int) -> None:
        values = (4096, 4096, 1000, free, free, 1000, inodes, inodes, 0, 255)
        monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))

    disk(0, 5)
    assert [finding.message.partition(": ")[2] for finding in storage.folders(healthy)] == ["the disk is full"] * 2
    disk(10, 5)
    assert levels(list(storage.folders(healthy))) == ["warn", "warn"]
    disk(1 << 30, 0)
    assert ["no inodes" in finding.message for finding in storage.folders(healthy)] == [True, True]


def test_folders_of_another_user(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert levels(list(storage.folders(healthy))) == ["fail", "fail"]


def test_limits(healthy: Examination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inotify" / "max_user_watches").write_text("2")
    finding = only(limits.inotify, healthy)
    assert "3 folders or more to watch, but the limit is 2" in finding.message
    assert "max_user_watches=8" in finding.remedy
    (tmp_path / "inotify" / "max_user_watches").write_text("3")
    (tmp_path / "inotify" / "max_queued_events").write_text("5")
    assert "queues only 5 events" in only(limits.inotify, healthy).message
    (tmp_path / "inotify" / "max_queued_events").unlink()
    assert only(limits.inotify, healthy).level is Level.WARN
    assert list(limits.inotify(with_settings(healthy, origins=()))) == []
    capped = OriginSettings(id="m", path=str(tmp_path / "music"), watch_limit=1)
    assert limits._folders([(capped.path, capped.watch_limit)], 100) == (1, True)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 1024))
    assert only(limits.open_files, healthy).level is Level.WARN
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, resource.RLIM_INFINITY))
    assert only(limits.open_files, healthy).level is Level.OK


def test_extras(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_EXTRAS", (("no_such_module", "Nothing", "nothing", "pip install nothing"),))
    finding = only(extras.extras, healthy)
    assert finding.level is Level.WARN
    assert finding.remedy == "run `pip install nothing`"


def nas(**keys: str | bool) -> OriginSettings:
    """An origin that is reached over a network."""
    return msgspec.convert({"id": "nas", "origin_type": "sftp", "host": "nas", **keys}, OriginSettings)


def test_extras_of_origins(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(extras.origin_extras(healthy)) == []
    origins = (nas(password="keyring:music/me"), nas(id="off", origin_type="smb", enabled=False))
    both = with_settings(healthy, origins=(*healthy.settings.origins, *origins))
    assert [finding.message for finding in extras.origin_extras(both)] == [
        "asyncssh (for nas)",
        "keyring (for nas)",
    ]
    monkeypatch.setattr(extras, "_MODULES", {"sftp": "no_such_module"})
    first, _ = extras.origin_extras(both)
    assert (first.level, first.message) == (Level.FAIL, "no_such_module is not installed: nas cannot be read")
    assert first.remedy == "run `pip install 'musicfs[sftp]'`"


def test_secrets(healthy: Examination, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush-hush\n")
    file.chmod(0o600)
    origin = nas(password=f"file:{file}", key_passphrase="env:PHRASE")
    examination = with_settings(healthy, origins=(*healthy.settings.origins, origin, nas(id="off", enabled=False)))
    found, missing = secrets.secrets(examination)
    assert (found.level, found.message) == (Level.OK, f"nas: password: found in file:{file}")
    assert (missing.level, missing.message) == (
        Level.WARN,  # the daemon may know it
        "nas: key_passphrase: the environment variable PHRASE is not set",
    )
    known = replace(examination, environment={"PHRASE": "mum"})
    assert levels(list(secrets.secrets(known))) == ["ok", "ok"]
    file.chmod(0o644)
    opened, _ = secrets.secrets(known)
    assert (opened.level, opened.remedy) == (Level.FAIL, f"chmod 600 {file}")
    for finding in (*secrets.secrets(examination), *secrets.secrets(known)):
        assert "hush" not in str(finding) and "mum" not in str(finding)


def test_webhooks(healthy: Examination, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush-hush\n")
    file.chmod(0o600)
    given = (
        WebhookSettings(url="http://home.example:8123/api/hush", secret=f"file:{file}"),
        WebhookSettings(url="env:HOOK", secret="file:/nonexistent"),
        WebhookSettings(url="env:PLAIN"),
        WebhookSettings(url="env:NEAR"),
        WebhookSettings(url="env:WRONG"),
    )
    examination = with_settings(healthy, webhooks=given)
    variables = {
        "PLAIN": "http://home.example/hush", "NEAR": "http://127.0.0.1:99/hush", "WRONG": "ftp://home.example/hush",
    }  # fmt: skip
    found = list(webhooks.webhooks(replace(examination, environment=variables)))
    assert [(finding.level.value, finding.message) for finding in found] == [
        ("ok", f"webhook 1: secret: found in file:{file}"),
        ("ok", "webhook 1: http://home.example:8123"),
        ("warn", "webhook 2: url: the environment variable HOOK is not set"),  # the daemon may know it
        ("fail", "webhook 2: secret: the secret in /nonexistent cannot be read: No such file or directory"),
        ("ok", "webhook 3: url: found in env:PLAIN"),
        ("warn", "webhook 3: its address is a secret, and http://home.example sends it readable by others on the way"),
        ("ok", "webhook 4: url: found in env:NEAR"),
        ("ok", "webhook 4: http://127.0.0.1:99"),
        ("ok", "webhook 5: url: found in env:WRONG"),
        ("fail", "webhook 5: the address of a webhook is not http://HOST/... or https://HOST/..."),
    ]
    assert all(bool(finding.remedy) is (finding.level is not Level.OK) for finding in found)
    assert "hush" not in str(found)


def test_a_keyring_that_waits_for_its_user(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr(secrets, "lookup_secret", lambda *_: asked.wait(30))
    monkeypatch.setattr(secrets, "_TIMEOUT_S", 0.05)
    finding = only(secrets.secrets, with_settings(healthy, origins=(nas(password="keyring:a/b"),)))
    assert (finding.level, finding.remedy) == (Level.WARN, "unlock the keyring")
    asked.set()


def test_the_content_cache(healthy: Examination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(cache.content(healthy)) == [], "files of this machine are read in place"
    remote = with_settings(healthy, origins=(nas(),), cache=CacheSettings(content_cache_gb=0.001))
    assert only(cache.content, remote).level is Level.OK
    store = tmp_path / "cache" / "chunks"
    store.mkdir()
    (store / "data.mdb").write_bytes(bytes(100_000))
    finding = only(cache.content, remote)
    assert f"{store}, 100.0 KiB of 1.0 MiB, " in finding.message
    off = only(cache.content, healthy)
    assert (off.level, off.remedy) == (Level.WARN, f"run `rm -r {store}`")
    values = (4096, 4096, 1000, 10, 10, 1000, 5, 5, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))
    tight = only(cache.content, remote)
    assert tight.level is Level.WARN
    assert "may take 1.0 MiB, but has 100.0 KiB and the disk only 40.0 KiB more" in tight.message
    nowhere = with_settings(remote, cache_dir=str(tmp_path / "not" / "yet"))
    assert only(cache.content, nowhere).level is Level.WARN


def test_damaged_stores_that_were_put_aside(healthy: Examination, tmp_path: Path) -> None:
    assert list(cache.put_aside(healthy)) == []
    (tmp_path / "state" / "not" / "yet").mkdir(parents=True)
    for name in ("cache/chunks.damaged-1", "cache/catalog.damaged-2", "state/not/yet/state.damaged-3", "cache/catalog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.mdb").write_bytes(bytes(8192))
    (tmp_path / "cache" / "chunks.damaged-file").touch()
    found = list(cache.put_aside(healthy))
    assert levels(found) == ["warn"] * 3
    names = ("cache/chunks.damaged-1", "cache/catalog.damaged-2", "state/not/yet/state.damaged-3")
    for finding, name in zip(found, names, strict=True):
        assert finding.message == f"{tmp_path / name} was found damaged and put aside; it takes 8.0 KiB"
        assert f"`rm -r {tmp_path / name}`" in finding.remedy
    assert "pinned" in found[2].remedy


def test_a_binding_that_cannot_be_imported(healthy: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llfuse", None)
    assert only(fuse.binding, healthy).level is Level.FAIL


def test_a_daemon(healthy: Examination, tmp_path: Path) -> None:
    backend = FakeBackend()
    with serving(backend, tmp_path / "s.sock"):
        findings = list(daemon.daemon(replace(healthy, connect=lambda: Client(str(tmp_path / "s.sock")))))
        assert [(finding.check, finding.level.value) for finding in findings] == [
            ("daemon", "warn"),  # it has something to say about its state
            ("daemon", "warn"),  # restarts
            ("origins", "warn"),  # held removals
            ("origins", "fail"),
            ("files", "warn"),
        ]
        assert PROBLEMS[0].reason in findings[-1].message
        backend.state = msgspec.structs.replace(STATUS, detail="", keeper_restarts=0)
        assert (
            next(iter(daemon.daemon(replace(healthy, connect=lambda: Client(str(tmp_path / "s.sock")))))).level
            is Level.OK
        )
        backend.error = UnreachableError("it hangs")
        finding = only(daemon.daemon, replace(healthy, connect=lambda: Client(str(tmp_path / "s.sock"))))
        assert (finding.level, finding.message) == (Level.FAIL, "it hangs")


def test_corrections_whose_files_are_gone_are_listed(healthy: Examination, tmp_path: Path) -> None:
    backend = FakeBackend()
    backend.held.append(msgspec.structs.replace(track(0, "", {}), origin_path="a/b.flac", overlay={"title": ("New",)}))
    with serving(backend, tmp_path / "s.sock"):
        findings = list(daemon.daemon(replace(healthy, connect=lambda: Client(str(tmp_path / "s.sock")))))
    found = [finding for finding in findings if finding.check == "corrections"]
    assert [finding.message for finding in found] == ["nas:a/b.flac is gone, and its corrected tags (title) are kept"]
    assert found[0].remedy


def test_a_daemon_that_cannot_be_looked_for(healthy: Examination) -> None:
    def connect() -> Client:
        raise ConfigError("3 problems")

    assert only(daemon.daemon, replace(healthy, connect=connect)).level is Level.WARN


def test_more_files_than_are_listed() -> None:
    findings = list(daemon._unreadable(5, ["a", "b"]))
    assert findings[-1].message == "3 more files could not be read"


def test_the_command_without_a_daemon(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    (tmp_path / "mnt").mkdir()
    file.write_text(f"mount_point = '{tmp_path}/mnt'\n")
    done = run("--config", str(file), "--json", "doctor")
    findings = json.loads(done.out)
    assert all(set(finding) == {"check", "level", "message", "remedy"} for finding in findings)
    assert {"configuration", "fuse device", "fusermount", "llfuse", "mount point", "cache_dir", "daemon"} <= {
        finding["check"] for finding in findings
    }
    assert done.code == (1 if "fail" in {finding["level"] for finding in findings} else 0)
    text = run("--config", str(file), "doctor").out
    assert f"ok    configuration  {file}" in text
    assert stat.S_IMODE((tmp_path / "mnt").stat().st_mode) == 0o755
    assert not (tmp_path / "home" / ".cache").exists(), "a look must not make anything"


def test_the_command_with_a_wrong_configuration(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("x = 1\n[scan]\nworkers = 1000\n")
    done = run("--config", str(file), "doctor")
    assert done.code == 1
    assert f"fail  configuration  {file}:1: x is not a setting\n" in done.out
    assert "allowed: a whole number from 0 to 64" in done.out
    assert "warn  daemon         none was found" in done.out


def test_the_command_with_a_daemon(run: Run, backend: FakeBackend) -> None:
    assert backend
    done = run("doctor")
    assert done.code == 1
    assert "fail  origins        usb: the folder is not there" in done.out
    assert "nas:A/broken\\xff.mp3 (no MPEG frame)" in done.out
