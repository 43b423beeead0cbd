"""What a day in the life of a library server takes: a machine, its music, an object store, somebody who is told things."""

from __future__ import annotations

import secrets
import urllib.request
from pathlib import Path

from tests.api.network import free_port
from tests.faults.living import track
from tests.mounting import Place
from tests.servers.receiver import Receiver
from tests.servers.weed import WeedServer
from tests.service.machine import Machine

DISK_ALBUM = "A/Local (1999) [FLAC]"
BUCKET_ALBUM = "B/Remote (2001) [FLAC]"
DISK_TRACKS = 8
BUCKET_TRACKS = 3
KEEP_DAYS = 7


class Day:
    """The machine, its servers, and what must be told to nobody."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.music = folder / "music"
        self.library = folder / "library"
        self.logs = folder / "logs"
        for path in (self.music, self.library, self.logs, folder / "weed"):
            path.mkdir()
        self.weed = WeedServer(folder / "weed")
        self.hook = Receiver()
        self.grpc, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.hook_secret = secrets.token_hex(20)
        self.hook_token = secrets.token_hex(20)
        self.old_log = self.logs / "config-2020-01-01.log"
        self.old_log.write_text("long ago\n")

    @property
    def point(self) -> Path:
        """The library, as this process can open it."""
        return self.machine.path(self.library)

    def configuration(self, *, more: str = "", level: str = "info") -> str:
        """What is in /etc/musicfs/config.toml; ``more`` is another origin."""
        lines = [
            f'mount_point = "{self.library}"',
            f'[grpc]\naddresses = ["{self.grpc}"]',
            f'[metrics]\naddress = "{self.metrics}"',
            f'[logging]\nlevel = "{level}"\nlog_dir = "{self.logs}"\nkeep_days = {KEEP_DAYS}',
            "[health]\ncheck_interval_secs = 1\ntimeout_ms = 1000",
            "[health.per_origin_thresholds]\ns3 = 1",
            "[collections]\nbuiltin = false",
            '[[webhooks]]\nurl = "env:HOOK_URL"\nsecret = "file:/etc/musicfs/hook-secret"',
            f'[[origins]]\nid = "disk"\npath = "{self.music}"',
            more,
            *Place(self.music, self.weed.settings("bucket")).table("bucket"),
        ]
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Have music and servers, and a machine on which nothing is installed."""
        for number in range(1, DISK_TRACKS + 1):
            track(self.music, f"Local/{number}.flac", artist="A", album="Local", date="1999", title=f"Song {number}",
                  track=str(number), seconds=5, seed=number)  # fmt: skip
        self.weed.start()
        self.hook.start()
        for number in range(1, BUCKET_TRACKS + 1):
            made = track(self.machine.folder / "made", f"{number}.flac", artist="B", album="Remote", date="2001",
                         title=f"Far {number}", track=str(number), seconds=40, seed=20 + number)  # fmt: skip
            self.weed.put(f"Remote/{number}.flac", made.read_bytes())
        self.machine.start()

    def stop(self) -> None:
        """End all of it."""
        self.machine.stop()
        self.hook.stop()
        self.weed.stop()

    def secrets(self) -> dict[str, str]:
        """What must be told to nobody, by what it is."""
        token = self.machine.path("/var/lib/musicfs/config/token")
        return {
            "S3": self.weed.secret_access_key,
            "webhook": self.hook_secret,
            "webhook's address": self.hook_token,
            "control": token.read_text().strip(),
        }

    def album(self, root: Path, name: str) -> None:
        """A folder with an album of two tracks."""
        for number in (1, 2):
            track(root, f"{name}/{number}.flac", artist="A", album=name, title=f"{name} {number}", track=str(number),
                  seed=40 + number)  # fmt: skip

    def hooked(self, kind: str) -> list[str]:
        """The paths of all events of a type that came by webhook."""
        events = [event for delivery in list(self.hook.deliveries) for event in delivery.events]
        return [event["path"] or event["origin_id"] for event in events if event["type"] == kind]

    def log_files(self, count: int) -> list[Path]:
        """The daily files, oldest first, once there are so many."""
        files = sorted(path for path in self.logs.glob("config-*.log") if path != self.old_log)
        return files if len(files) >= count else []

    def forget_the_journal(self) -> None:
        """What was said so far was asked for."""
        self.machine.systemd.run("journalctl", "--rotate")
        self.machine.systemd.run("journalctl", "--vacuum-time=1us")

    def everything_told(self) -> dict[str, str]:
        """Whatever anybody else may get to see, by its place."""
        machine = self.machine
        machine.systemd.systemctl("kill", "--kill-who=main", "--signal=USR1", "musicfs")  # state and stacks
        told = {
            "the journal": "\n".join(map(str, machine.systemd.journal())),
            "systemctl": machine.systemd.systemctl("status", "musicfs") + machine.systemd.systemctl("show", "musicfs"),
            "metrics": urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10).read().decode(),
            "webhooks": "\n".join(str((one.headers, one.body)) for one in self.hook.deliveries),
            "the manager": machine.systemd.log,
        }
        for command in ("status", "origin list", "config show", "config check", "doctor", "origin test bucket"):
            told[command] = machine.try_musicfs("--json", *command.split()).stdout
        for path in sorted(self.logs.iterdir()):
            told[str(path)] = path.read_text()
        for pid in machine.systemd.pids():
            told[f"process {pid}"] = Path(f"/proc/{pid}/cmdline").read_text()
        for root in ("/var/lib/musicfs", "/run"):
            for path in machine.path(root).rglob("*"):
                if path.is_file() and path.name != "token" and not path.is_symlink() and "over" not in path.parts:
                    told[str(path)] = path.read_bytes().decode("latin-1")
        return told
