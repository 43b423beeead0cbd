"""A day in the life of a library server, from the installation of its unit to its stop, with a real systemd around it."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicfs.store.state_upgrade import kept_backups
from tests.faults.living import digest, wait_for
from tests.players.programs import need
from tests.servers.systemd import missing
from tests.service.day import BUCKET_ALBUM, BUCKET_TRACKS, DISK_ALBUM, DISK_TRACKS, KEEP_DAYS, Day
from tests.service.machine import is_mounted
from tests.store.state_world import make_older

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WARNING = 4  # syslog(3)
MIDNIGHT_IN_S = 15
# What may be said at WARNING or above on such a day.
EXPECTED = re.compile(
    r"origin '?bucket|/Remote/|"  # it was away
    r"the configuration is not reloaded|nonsense|"
    r"asked for: |"  # by SIGUSR1
    r"musicfs\.service: (Main process exited, code=killed|Failed with result 'signal')"  # it was killed
)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    day = Day(tmp_path)
    try:
        day.start()
        yield day
    finally:
        day.stop()


def test_a_day(day: Day) -> None:
    install_and_start(day)
    scan(day)
    play(day)
    edit_and_search(day)
    origin_dies_and_comes_back(day)
    delete_and_restore(day)
    reload(day)
    midnight(day)
    crash(day)
    upgrade(day)
    look_for_secrets(day)
    stop(day)
    look_at_the_log(day)


def install_and_start(day: Day) -> None:
    machine, systemd = day.machine, day.machine.systemd
    secret = machine.path("/etc/musicfs/hook-secret")
    secret.touch(mode=0o600)
    secret.write_text(day.hook_secret)
    url = f"http://127.0.0.1:{day.hook.port}/{day.hook_token}"
    assert (
        machine.install("musicfs.service", environment={"HOOK_URL": url, "TZ": zone(MIDNIGHT_IN_S)})
        == "musicfs.service"
    )
    machine.configure("nonsense = 1\n")
    assert systemd.run("systemctl", "start", "musicfs").returncode == 1
    assert any("config.toml:1: nonsense" in entry["MESSAGE"] for entry in systemd.journal("--priority=err"))
    assert systemd.shown("musicfs", "NRestarts")["NRestarts"] == "0"  # it would not get better
    day.forget_the_journal()
    machine.configure(day.configuration())
    assert machine.documents("config", "check")[0]["ok"]
    systemd.systemctl("enable", "--now", "musicfs")
    assert is_mounted(day.point)


def zone(seconds: float) -> str:
    """A time zone in which the next day begins in so many seconds, as POSIX writes it (tzset(3))."""
    west = int(time.time() + seconds) % 86_400
    return f"TST{west // 3600}:{west // 60 % 60:02}:{west % 60:02}"


def scan(day: Day) -> None:
    day.machine.wait_for_status("all tracks", state="ready", tracks=DISK_TRACKS + BUCKET_TRACKS)
    assert len(list((day.point / DISK_ALBUM).iterdir())) == DISK_TRACKS
    assert len(list((day.point / BUCKET_ALBUM).iterdir())) == BUCKET_TRACKS
    assert "Serving" in day.machine.systemd.shown("musicfs", "StatusText")["StatusText"]


def play(day: Day) -> None:
    """A file of the disk is played at its pace; one of the bucket is read to its end, and so is here from now on."""
    song = f"{DISK_ALBUM}/01 - Song 1.flac"
    listener = day.machine.begin("--json", "events", "--type", "file_accessed")
    player = day.machine.systemd.run(
        need("ffmpeg"), "-v", "error", "-re", "-i", str(day.library / song), "-f", "null", "-"
    )
    assert player.returncode == 0, player.stderr
    wait_for("the play is told by webhook", lambda: f"/{song}" in day.hooked("file_accessed"), 20)
    assert listener.stdout is not None
    assert json.loads(listener.stdout.readline())["path"] == f"/{song}"
    listener.terminate()
    listener.wait(10)
    assert digest(day.point / BUCKET_ALBUM / "01 - Far 1.flac") == digest(day.machine.folder / "made/1.flac")


def edit_and_search(day: Day) -> None:
    machine = day.machine
    machine.musicfs("metadata", "set", f"/{DISK_ALBUM}/02 - Song 2.flac", "--title", "Second", "--genre", "Jazz")
    wait_for("the corrected name", (day.point / DISK_ALBUM / "02 - Second.flac").exists)
    wait_for("what was corrected is found", lambda: found(day, "genre:jazz") == ["Second"], 20)
    (link,) = (day.point / ".search/genre:jazz").iterdir()
    assert os.path.basename(os.readlink(link)) == "02 - Second.flac"


def found(day: Day, query: str) -> list[str]:
    done = day.machine.try_musicfs("--json", "search", query)
    return [hit["title"] for hit in json.loads(done.stdout)["results"]] if done.returncode == 0 else []


def origin_dies_and_comes_back(day: Day) -> None:
    day.weed.kill()
    day.machine.wait_for_status("the outage is noticed", state="degraded")
    wait_for("the outage is told", lambda: day.hooked("origin_disconnected"), 20)
    assert len(list((day.point / BUCKET_ALBUM).iterdir())) == BUCKET_TRACKS
    assert digest(day.point / BUCKET_ALBUM / "01 - Far 1.flac") == digest(day.machine.folder / "made/1.flac")
    with pytest.raises(OSError, match="Input/output"):
        (day.point / BUCKET_ALBUM / "03 - Far 3.flac").read_bytes()  # 2 was fetched ahead
    assert metric(day, 'musicfs_origin_health{origin="bucket"}') == 0
    day.weed.start()
    day.machine.wait_for_status("the origin is back", state="ready")
    assert digest(day.point / BUCKET_ALBUM / "03 - Far 3.flac") == digest(day.machine.folder / "made/3.flac")


def metric(day: Day, name: str) -> float:
    with urllib.request.urlopen(f"http://{day.metrics}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    [value] = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def delete_and_restore(day: Day) -> None:
    machine, name = day.machine, "03 - Song 3.flac"
    (day.music / "Local/3.flac").rename(machine.folder / "deleted.flac")
    wait_for("the track is gone", lambda: not (day.point / DISK_ALBUM / name).exists())
    [[entry]] = machine.documents("trash", "list")
    assert entry["path"] == f"/{DISK_ALBUM}/{name}"
    assert (day.point / ".trash" / DISK_ALBUM / name).exists()
    machine.musicfs("trash", "restore", f"/{DISK_ALBUM}/{name}")
    wait_for("the restored track", (day.point / DISK_ALBUM / name).exists)
    (machine.folder / "deleted.flac").rename(day.music / "Local/3.flac")
    wait_for("its file", lambda: machine.documents("trash", "list") == [[]], 20)
    assert digest(day.point / DISK_ALBUM / name) == digest(day.music / "Local/3.flac")
    wait_for("that it went is told", lambda: f"/{DISK_ALBUM}/{name}" in day.hooked("file_removed"), 20)


def reload(day: Day) -> None:
    """Another origin, and more in the log, while a file is open; then a mistake, which changes nothing."""
    machine = day.machine
    more = machine.folder / "more"
    day.album(more, "More")
    before = machine.systemd.shown("musicfs", "MainPID")
    with (day.point / DISK_ALBUM / "04 - Song 4.flac").open("rb") as playing:
        head = playing.read(1000)
        origin = f'[[origins]]\nid = "more"\npath = "{more}"'
        machine.configure(day.configuration(more=origin, level="musicfs.library=debug,info"))
        machine.systemd.systemctl("reload", "musicfs")
        wait_for("the other origin", (day.point / "A/More [FLAC]").exists, 20)
        assert head + playing.read() == (day.music / "Local/4.flac").read_bytes()
    machine.configure(day.configuration() + "nonsense = 1\n")
    refused = machine.try_musicfs("config", "reload")
    assert (refused.returncode, "nonsense" in refused.stderr) == (2, True)
    machine.configure(day.configuration())
    [outcome] = machine.documents("config", "reload")
    assert "origin more: removed" in outcome["applied"]
    wait_for("the other origin goes", lambda: not (day.point / "A/More [FLAC]").exists(), 20)
    machine.wait_for_status("as before", state="ready", tracks=DISK_TRACKS + BUCKET_TRACKS)
    assert machine.systemd.shown("musicfs", "MainPID") == before


def midnight(day: Day) -> None:
    """Two days have files, and what is too old has gone."""
    (today, tomorrow) = wait_for("the next day's log", lambda: day.log_files(2), MIDNIGHT_IN_S + 60)
    assert today.read_text() and tomorrow.read_text()
    assert not day.old_log.exists(), f"older than {KEEP_DAYS} days"


def crash(day: Day) -> None:
    """Nobody who looks while it is down sees an empty folder."""
    looks: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                looks.add(str(len(os.listdir(day.point))))
            except OSError as error:
                looks.add(os.strerror(error.errno or 0))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        day.machine.systemd.systemctl("kill", "--kill-who=main", "--signal=KILL", "musicfs")
        wait_for(
            "it is started again", lambda: day.machine.systemd.shown("musicfs", "NRestarts")["NRestarts"] == "1", 20
        )
        day.machine.wait_for_status("it is back", state="ready", tracks=DISK_TRACKS + BUCKET_TRACKS)
    finally:
        done.set()
        looking.join()
    assert "0" not in looks, looks
    assert (day.point / DISK_ALBUM / "02 - Second.flac").exists()


def upgrade(day: Day) -> None:
    """A start with a state of the version that knew no trash, which is backed up before."""
    day.machine.systemd.systemctl("stop", "musicfs")
    folder = day.machine.path("/var/lib/musicfs/config")
    make_older(folder)
    day.machine.systemd.systemctl("start", "musicfs")
    assert (day.point / DISK_ALBUM / "02 - Second.flac").exists()  # at once
    day.machine.wait_for_status("it is back", state="ready", tracks=DISK_TRACKS + BUCKET_TRACKS)
    [(kept, schema)] = kept_backups(str(folder))
    assert schema == 3
    assert sum(os.path.basename(kept) in str(entry["MESSAGE"]) for entry in day.machine.systemd.journal()) == 1
    assert day.machine.documents("metadata", "diff", "/")[0]["path"] == f"/{DISK_ALBUM}/02 - Second.flac"


def look_for_secrets(day: Day) -> None:
    told = day.everything_told()
    assert len(told) > 10
    for place, text in told.items():
        for name, secret in day.secrets().items():
            assert secret not in text, f"{place} has the secret of: {name}"


def stop(day: Day) -> None:
    day.machine.systemd.systemctl("stop", "musicfs")
    assert day.machine.systemd.shown("musicfs", "Result", "ActiveState") == {
        "Result": "success",
        "ActiveState": "inactive",
    }
    assert not is_mounted(day.point)
    assert stat.S_IMODE(day.point.stat().st_mode) == 0o755


def look_at_the_log(day: Day) -> None:
    entries = [
        entry
        for entry in day.machine.systemd.journal()
        if int(entry["PRIORITY"]) <= WARNING and "musicfs" in str(entry)
    ]
    unexpected = [entry["MESSAGE"] for entry in entries if not EXPECTED.search(entry["MESSAGE"])]
    assert unexpected == []
    logged = [line for path in day.log_files(0) for line in path.read_text().splitlines()]
    assert [
        line for line in logged if re.search(r" (WARNING|ERROR|CRITICAL) ", line) and not EXPECTED.search(line)
    ] == []
