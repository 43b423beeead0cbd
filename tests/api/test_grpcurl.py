"""Every call of the contract against a live mount, as another program makes it: grpcurl, which knows what reflection says.

Where an answer can be compared, our own client gives the same.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from musicfs.api.client import Client
from musicfs.api.generated import musicfs_pb2 as pb
from musicfs.api.tokens import load_token
from musicfs.errors import UnreachableError
from tests.api.network import free_port
from tests.faults.living import accept_originals, wait_for
from tests.mounting import Mounted, mount

Messages = list[dict[str, Any]]
UNAUTHENTICATED = 64 + 16  # grpcurl's exit code is 64 and the status


@dataclass(frozen=True, slots=True)
class Grpcurl:
    """Runs it against one address. The token is in its environment: others can read arguments."""

    address: str
    token: str = field(repr=False)

    def run(self, *arguments: str, has_token: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        shown = ["-expand-headers", "-H", "authorization: Bearer ${MUSICFS_TEST_TOKEN}"] if has_token else []
        return subprocess.run(
            [grpcurl_path(), "-plaintext", *shown, *arguments],
            env={**os.environ, "MUSICFS_TEST_TOKEN": self.token},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def call(self, method: str, request: Mapping[str, object] | None = None) -> Messages:
        """All that is answered; fails when the call does."""
        done = self.run("-emit-defaults", "-d", json.dumps(request or {}), self.address, f"musicfs.v1.{method}")
        assert done.returncode == 0, done.stderr
        return documents(done.stdout)

    def one(self, method: str, request: Mapping[str, object] | None = None) -> dict[str, Any]:
        [message] = self.call(method, request)
        return message


def grpcurl_path() -> str:
    """The program, which its package installs beside the interpreter."""
    return str(Path(sys.executable).with_name("grpcurl"))


def documents(text: str) -> Messages:
    """The JSON documents in ``text``, one behind the other."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(text.rstrip()):
        document, place = decoder.raw_decode(text, place)
        found.append(document)
        place += len(text[place:]) - len(text[place:].lstrip())
    return found


@dataclass(frozen=True, slots=True)
class World:
    """A mount, and the two ways to ask it."""

    mounted: Mounted
    grpcurl: Grpcurl
    client: Client

    @property
    def track(self) -> str:
        """A track, by its virtual path."""
        return min(track.path for track in self.client.tracks() if track.format == "flac")

    @property
    def track_id(self) -> int:
        return self.client.metadata(self.track).file_id


@pytest.fixture(scope="module")
def world(sample_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("mounted")
    (folder / "import").mkdir()
    address = f"127.0.0.1:{free_port()}"
    settings = f'[grpc]\naddresses = ["{address}"]\nimport_folders = ["import"]\n'
    shutil.copytree(sample_library, folder / "music")  # our own: a call is about files that are deleted
    mounted = mount({"sample": folder / "music"}, folder, settings)
    try:
        token = load_token(str(folder / "state" / "token"))
        with Client(address, token=token) as client:
            wait_for("the search index", lambda: is_indexed(client), 60)
            yield World(mounted, Grpcurl(address, token), client)
    finally:
        mounted.close()


def is_indexed(client: Client) -> bool:
    """Whether every track can be found."""
    try:
        return client.search("*").total == client.status().tracks > 0
    except UnreachableError:  # there is no index yet
        return False


# MusicFS.


def search(world: World) -> None:
    found = world.grpcurl.one("MusicFS/Search", {"query": "format:flac", "limit": 5})
    page = world.client.search("format:flac", limit=5)
    assert int(found["total_matches"]) == page.total > 0
    assert [one["virtual_path"] for one in found["results"]] == [hit.path for hit in page.hits]


def search_stream(world: World) -> None:
    found = world.grpcurl.call("MusicFS/SearchStream", {"query": "*"})
    assert {int(one["file_id"]) for one in found} == {hit.file_id for hit in world.client.search_all("*")}


def get_status(world: World) -> None:
    status, ours = world.grpcurl.one("MusicFS/GetStatus"), world.client.status()
    assert status["mount_point"] == ours.mount_point == str(world.mounted.point)
    assert (int(status["tracks"]), status["pid"]) == (ours.tracks, world.mounted.process.pid)
    assert status["state"] == "MOUNT_READY"


def list_origins(world: World) -> None:
    [origin] = world.grpcurl.one("MusicFS/ListOrigins")["origins"]
    [ours] = world.client.origins()
    assert (origin["id"], origin["root_path"], origin["health"]) == (ours.id, ours.root_path, "HEALTH_HEALTHY")


def get_origin_health(world: World) -> None:
    health = world.grpcurl.one("MusicFS/GetOriginHealth", {"origin_id": "sample"})
    assert health["status"] == "HEALTH_HEALTHY"


def rescan_origin(world: World) -> None:
    steps = world.grpcurl.call("MusicFS/RescanOrigin", {"origin_id": "sample"})
    assert steps[-1]["phase"] == "complete"


def confirm_origin(world: World) -> None:
    assert world.grpcurl.one("MusicFS/ConfirmOrigin", {"origin_id": "sample"}) == {"removed": "0"}


def list_problems(world: World) -> None:
    answer, page = world.grpcurl.one("MusicFS/ListProblems"), world.client.problems()
    assert int(answer["total"]) == page.total
    assert [one["path"] for one in answer["problems"]] == [one.path for one in page.problems]


def subscribe_events(world: World) -> None:
    """Both hear of the same scan."""
    heard: list[str] = []
    done = threading.Event()

    def listen() -> None:
        answer = world.grpcurl.run(
            "-max-time", "10", "-d", '{"event_types": ["sync_completed"]}', world.grpcurl.address,
            "musicfs.v1.MusicFS/SubscribeEvents",
        )  # fmt: skip
        heard.extend(event["event_type"] for event in documents(answer.stdout))
        done.set()

    thread = threading.Thread(target=listen)
    thread.start()
    while not done.wait(0.5):  # until it has heard one: it says nowhere when it begins to listen
        list(world.client.rescan("sample"))
    thread.join(30)
    assert heard and set(heard) == {"sync_completed"}


def get_metrics(world: World) -> None:
    text = world.grpcurl.one("MusicFS/GetMetrics")["text"]
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert {"musicfs_tracks", "musicfs_fuse_ops_total", "musicfs_origin_health"} <= names


def get_cache_stats(world: World) -> None:
    stats, ours = world.grpcurl.one("MusicFS/GetCacheStats"), world.client.cache_stats()
    assert int(stats["size_limit_bytes"]) == ours.limit_bytes
    assert int(stats["metadata_entries"]) == ours.metadata_entries


def clear_cache(world: World) -> None:
    answer = world.grpcurl.one("MusicFS/ClearCache", {"clear_chunks": True, "dry_run": True})
    assert int(answer["bytes_cleared"]) == world.client.clear_cache(dry_run=True).size_bytes


def prefetch(world: World) -> None:
    steps = world.grpcurl.call("MusicFS/Prefetch", {"paths": [world.track]})
    assert (steps[-1]["completed"], steps[-1]["total"]) == (1, 1)


def pin_list_and_unpin(world: World) -> None:
    assert int(world.grpcurl.one("MusicFS/Pin", {"paths": [world.track]})["files"]) == 1
    [pin] = world.grpcurl.one("MusicFS/ListPins")["pins"]
    assert pin["path"] == world.track == world.client.pins()[0].path
    assert int(world.grpcurl.one("MusicFS/Unpin", {"paths": [world.track]})["files"]) == 1
    assert world.client.pins() == ()


def verify_cache(world: World) -> None:
    last = world.grpcurl.call("MusicFS/VerifyCache")[-1]
    assert last["complete"] is True
    assert last["damaged"] == "0"


def make_list_get_and_delete_a_collection(world: World) -> None:
    made = world.grpcurl.one("MusicFS/CreateCollection", {"name": "Mine", "query": "format:flac"})
    assert (made["name"], made["source"]) == ("Mine", "COLLECTION_USER")
    assert "Mine" in [one["name"] for one in world.grpcurl.one("MusicFS/ListCollections")["collections"]]
    found = world.grpcurl.one("MusicFS/GetCollection", {"name": "Mine", "limit": 1})
    assert found["collection"]["query"] == world.client.collection("Mine").collection.settings.query
    assert world.grpcurl.one("MusicFS/DeleteCollection", {"name": "Mine"}) == {}
    assert "Mine" not in [one.name for one in world.client.collections()]


# MetadataService.


def library_health(world: World) -> None:
    *_, last = world.grpcurl.call("MusicFS/LibraryHealth")
    *_, ours = world.client.library_health((), "", 10)
    assert last["complete"]
    assert {kind: int(count) for kind, count in last["counts"].items()} == dict(ours.counts)
    assert ours.counts["no_tags"] > 0


def list_restore_and_empty_the_trash(world: World) -> None:
    path = world.track
    deleted = world.mounted.folder / "music" / world.client.metadata(path).origin_path
    deleted.unlink()
    accept_originals(world.mounted)
    wait_for("the deleted track", lambda: world.client.trash().total == 1, 30)
    [entry] = world.grpcurl.one("MusicFS/ListTrash")["entries"]
    assert (entry["path"], entry["origin_id"]) == (path, "sample")
    *_, last = world.grpcurl.call("MusicFS/RestoreTrash", {"paths": [path]})
    assert (last["done"], last["complete"]) == (1, True)
    assert world.client.metadata(path).format == "flac"
    *_, last = world.grpcurl.call("MusicFS/EmptyTrash", {"selection": {"pattern": "*"}, "restored": True})
    assert (last["done"], last["complete"]) == (1, True)
    assert world.client.trash().total == 0


def reload_config(world: World) -> None:
    done = world.grpcurl.one("MusicFS/ReloadConfig")
    assert done["file"] == world.client.reload_config().file != ""
    assert [done["applied"], done["needs_restart"], done["problems"]] == [[], [], []]


def backup_state(world: World) -> None:
    data = b"".join(base64.b64decode(piece["data"]) for piece in world.grpcurl.call("MusicFS/BackupState"))
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as mine,
        tarfile.open(fileobj=io.BytesIO(b"".join(world.client.backup()))) as ours,
    ):
        assert mine.getnames() == ours.getnames() != []


def get_metadata(world: World) -> None:
    found, ours = world.grpcurl.one("MetadataService/GetMetadata", {"virtual_path": world.track}), world.track_id
    assert int(found["file_id"]) == ours
    assert found["title"] == world.client.metadata(world.track).effective["title"][0]


def update_and_clear(world: World) -> None:
    request = {"file_id": world.track_id, "comment": "from elsewhere", "author": "grpcurl"}
    answer = world.grpcurl.one("MetadataService/UpdateMetadata", request)
    assert answer["success"] is True
    assert world.client.metadata(world.track).overlay == {"comment": ("from elsewhere",)}
    answer = world.grpcurl.one("MetadataService/ClearOverlay", {"file_id": world.track_id})
    assert answer["success"] is True
    assert world.client.metadata(world.track).overlay == {}


def batch_undo_and_log(world: World) -> None:
    item = {"metadata": {"path": world.track, "comment": "one of many"}}
    [step] = world.grpcurl.call("MetadataService/BatchUpdateMetadata", {"items": [item], "author": "grpcurl"})
    assert (step["completed"], step["total"]) == (1, 1)
    entry = world.grpcurl.call("MetadataService/MetadataLog", {"path": world.track, "limit": 1})[0]
    assert (entry["author"], entry["action"], entry["path"]) == ("grpcurl", "set", world.track)
    [undone] = world.grpcurl.call("MetadataService/UndoMetadata", {"paths": [world.track]})
    assert undone["error"] == ""
    assert world.client.metadata(world.track).overlay == {}


def import_metadata(world: World) -> None:
    file = world.mounted.folder / "import" / "tags.json"
    file.write_text(json.dumps([{"path": world.track, "comment": "imported"}]))
    steps = world.grpcurl.call("MetadataService/ImportMetadata", {"source_path": str(file), "dry_run": True})
    assert (steps[-1]["imported"], steps[-1]["total"]) == (1, 1)


def export_metadata(world: World) -> None:
    found = world.grpcurl.call("MetadataService/ExportMetadata")
    assert [one["path"] for one in found] == [track.path for track in world.client.tracks()]


def list_held_metadata(world: World) -> None:
    assert world.grpcurl.call("MetadataService/ListHeldMetadata") == []


def shutdown(world: World) -> None:
    assert world.grpcurl.one("MusicFS/Shutdown", {"graceful": True, "timeout_secs": 10}) == {}
    assert world.mounted.process.wait(30) == 0


# What makes which calls; the last one ends the mount.
MADE: Mapping[Callable[[World], None], tuple[str, ...]] = {
    search: ("MusicFS/Search",),
    search_stream: ("MusicFS/SearchStream",),
    get_status: ("MusicFS/GetStatus",),
    list_origins: ("MusicFS/ListOrigins",),
    get_origin_health: ("MusicFS/GetOriginHealth",),
    rescan_origin: ("MusicFS/RescanOrigin",),
    confirm_origin: ("MusicFS/ConfirmOrigin",),
    list_problems: ("MusicFS/ListProblems",),
    subscribe_events: ("MusicFS/SubscribeEvents",),
    get_metrics: ("MusicFS/GetMetrics",),
    get_cache_stats: ("MusicFS/GetCacheStats",),
    clear_cache: ("MusicFS/ClearCache",),
    prefetch: ("MusicFS/Prefetch",),
    pin_list_and_unpin: ("MusicFS/Pin", "MusicFS/ListPins", "MusicFS/Unpin"),
    verify_cache: ("MusicFS/VerifyCache",),
    make_list_get_and_delete_a_collection: (
        "MusicFS/CreateCollection",
        "MusicFS/ListCollections",
        "MusicFS/GetCollection",
        "MusicFS/DeleteCollection",
    ),
    library_health: ("MusicFS/LibraryHealth",),
    list_restore_and_empty_the_trash: ("MusicFS/ListTrash", "MusicFS/RestoreTrash", "MusicFS/EmptyTrash"),
    reload_config: ("MusicFS/ReloadConfig",),
    backup_state: ("MusicFS/BackupState",),
    get_metadata: ("MetadataService/GetMetadata",),
    update_and_clear: ("MetadataService/UpdateMetadata", "MetadataService/ClearOverlay"),
    batch_undo_and_log: (
        "MetadataService/BatchUpdateMetadata",
        "MetadataService/MetadataLog",
        "MetadataService/UndoMetadata",
    ),
    import_metadata: ("MetadataService/ImportMetadata",),
    export_metadata: ("MetadataService/ExportMetadata",),
    list_held_metadata: ("MetadataService/ListHeldMetadata",),
    shutdown: ("MusicFS/Shutdown",),
}


def test_no_call_is_forgotten() -> None:
    made = [name for names in MADE.values() for name in names]
    every = {
        f"{name}/{one.name}" for name, service in pb.DESCRIPTOR.services_by_name.items() for one in service.methods
    }
    assert set(made) == every
    assert len(made) == len(every)


def test_what_there_is_can_be_listed_and_described(world: World) -> None:
    listed = world.grpcurl.run(world.grpcurl.address, "list", has_token=False)
    assert {"musicfs.v1.MusicFS", "musicfs.v1.MetadataService", "grpc.health.v1.Health"} <= set(listed.stdout.split())
    for name, service in pb.DESCRIPTOR.services_by_name.items():
        listed = world.grpcurl.run(world.grpcurl.address, "list", service.full_name, has_token=False)
        assert set(listed.stdout.split()) == {f"musicfs.v1.{name}.{one.name}" for one in service.methods}
    for name in pb.DESCRIPTOR.message_types_by_name:
        described = world.grpcurl.run(world.grpcurl.address, "describe", f"musicfs.v1.{name}", has_token=False)
        assert described.returncode == 0, described.stderr


def test_a_call_without_the_token_says_what_is_missing(world: World) -> None:
    done = world.grpcurl.run(world.grpcurl.address, "musicfs.v1.MusicFS/Shutdown", has_token=False)
    assert done.returncode == UNAUTHENTICATED
    assert "token" in done.stderr
    done = world.grpcurl.run(world.grpcurl.address, "musicfs.v1.MusicFS/GetStatus", has_token=False)
    assert done.returncode == 0


def test_health(world: World) -> None:
    done = world.grpcurl.run(world.grpcurl.address, "grpc.health.v1.Health/Check", has_token=False)
    assert json.loads(done.stdout) == {"status": "SERVING"}


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_every_call(make: Callable[[World], None], world: World) -> None:
    make(world)
