"""The wire contract: what clients have been using stays as it is, and the generated code is that of ``proto/``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

from musicfs.api import regenerate
from musicfs.api.generated import musicfs_pb2 as pb

# Message -> its fields as older clients know them: name, number and type ("*" repeated, "?" optional).
_CONTRACT = {
    "StatusResponse": (
        "version 1 string, uptime_secs 2 uint64, mount_point 3 string, state 4 MountState, open_file_handles 5 uint32, "
        "fuse_ops_total 6 uint64, files_indexed 7 uint64, cache_size_bytes 8 uint64, origins 9 OriginStatus*"
    ),
    "OriginStatus": "id 1 string, origin_type 2 string, health 3 HealthStatus, files_count 4 uint64",
    "ShutdownRequest": "graceful 1 bool, timeout_secs 2 uint32",
    "OriginsResponse": "origins 1 OriginInfo*",
    "OriginInfo": (
        "id 1 string, origin_type 2 string, display_name 3 string, root_path 4 string, health 5 HealthStatus, "
        "files_count 6 uint64, total_size_bytes 7 uint64"
    ),
    "OriginRequest": "origin_id 1 string, subdir 2 string?",
    "OriginHealthResponse": "origin_id 1 string, status 2 HealthStatus, message 3 string?, last_check_secs 4 uint64",
    "SyncProgress": (
        "phase 1 string, current 2 uint32, total 3 uint32, current_path 4 string, bytes_synced 5 uint64, "
        "new_files 6 SyncedFile*"
    ),
    "EventFilter": "event_types 1 string*, origin_id 2 string?",
    "SyncedFile": "path 1 string, file_id 2 int64, virtual_path 3 string",
    "SearchRequest": "query 1 string, limit 2 uint32?, offset 3 uint32?, origin_id 4 string?",
    "SearchResponse": "results 1 SearchResult*, total_matches 2 uint64, query_time_ms 3 uint32",
    "SearchResult": (
        "file_id 1 int64, virtual_path 2 string, artist 3 string?, album 4 string?, title 5 string?, score 6 float, "
        "highlights 7 HighlightsEntry*"
    ),
    "TierStats": "entries 1 uint64, size_bytes 2 uint64, hits 3 uint64, misses 4 uint64",
    "CacheStats": (
        "total_size_bytes 1 uint64, used_size_bytes 2 uint64, size_limit_bytes 3 uint64, chunk_count 4 uint64, "
        "chunks_unique 5 uint64, dedup_ratio 6 double, hit_count 7 uint64, miss_count 8 uint64, hit_ratio 9 double, "
        "metadata_entries 10 uint64, metadata_bytes 11 uint64, l1_metadata 12 TierStats, l2_headers 13 TierStats, "
        "l3_chunks 14 TierStats"
    ),
    "ClearCacheRequest": "origin_id 1 string?, clear_metadata 2 bool, clear_chunks 3 bool",
    "ClearCacheResponse": "bytes_cleared 1 uint64, chunks_cleared 2 uint64",
    "PrefetchRequest": "paths 1 string*, origin_id 2 string?",
    "PrefetchProgress": "current_path 1 string, completed 2 uint32, total 3 uint32, bytes_fetched 4 uint64",
    "GetMetadataRequest": "virtual_path 1 string",
    "MetadataResponse": (
        "file_id 1 int64, title 2 string?, artist 3 string?, album 4 string?, album_artist 5 string?, year 6 uint32?, "
        "track 7 uint32?, disc 8 uint32?, genre 9 string?, format 10 string?, duration_ms 11 uint64?, bitrate 12 uint64?, "
        "track_total 13 uint32?, disc_total 14 uint32?, date 15 string?, composer 16 string?, comment 17 string?, "
        "lyrics 18 string?, copyright 19 string?, compilation 20 bool?, artist_sort 21 string?, "
        "album_artist_sort 22 string?, album_sort 23 string?, title_sort 24 string?, mb_recording_id 25 string?, "
        "mb_album_id 26 string?, mb_artist_id 27 string?, mb_album_artist_id 28 string?, mb_release_group_id 29 string?, "
        "replaygain_track_gain 30 float?, replaygain_track_peak 31 float?, replaygain_album_gain 32 float?, "
        "replaygain_album_peak 33 float?, channels 34 uint32?, bits_per_sample 35 uint32?, encoder 36 string?, "
        "label 40 string?, album_type 41 string?, cover_url 42 string?, custom_tags 50 CustomTagsEntry*"
    ),
    "UpdateMetadataRequest": (
        "file_id 1 int64, title 2 string?, artist 3 string?, album 4 string?, album_artist 5 string?, "
        "track_number 6 uint32?, disc_number 7 uint32?, date 8 string?, genre 9 string?, composer 10 string?, "
        "comment 11 string?, lyrics 12 string?, copyright 13 string?, compilation 14 bool?, artist_sort 15 string?, "
        "album_artist_sort 16 string?, album_sort 17 string?, title_sort 18 string?, mb_recording_id 20 string?, "
        "mb_album_id 21 string?, mb_artist_id 22 string?, replaygain_track_gain 30 float?, "
        "replaygain_track_peak 31 float?, replaygain_album_gain 32 float?, replaygain_album_peak 33 float?, "
        "label 40 string?, album_type 41 string?, cover_url 42 string?, custom_tags 50 CustomTagsEntry*"
    ),
    "UpdateMetadataResponse": "file_id 1 int64, success 2 bool, error_message 3 string?",
    "ClearOverlayRequest": "file_id 1 int64",
    "ClearOverlayResponse": "file_id 1 int64, success 2 bool, error_message 3 string?",
    "BatchUpdateRequest": "items 1 BatchUpdateItem*",
    "BatchUpdateItem": "file_id 1 int64, metadata 2 UpdateMetadataRequest",
    "BatchUpdateProgress": ("completed 1 uint32, total 2 uint32, current_file_id 3 int64?, error_message 4 string?"),
    "ImportMetadataRequest": "source_path 1 string, format 2 string?",
    "ImportProgress": "imported 1 uint32, total 2 uint32, current_file 3 string?, error_message 4 string?",
}
_ENUMS = {
    "MountState": ["UNKNOWN", "MOUNTING", "READY", "SYNCING", "DEGRADED", "UNMOUNTING"],
    "HealthStatus": ["UNKNOWN", "HEALTHY", "DEGRADED", "UNHEALTHY"],
}
_METHODS = {
    "MusicFS": {
        "Search": ("SearchRequest", "SearchResponse", False),
        "SearchStream": ("SearchRequest", "SearchResult", True),
        "GetStatus": ("Empty", "StatusResponse", False),
        "Shutdown": ("ShutdownRequest", "Empty", False),
        "ListOrigins": ("Empty", "OriginsResponse", False),
        "GetOriginHealth": ("OriginRequest", "OriginHealthResponse", False),
        "SubscribeEvents": ("EventFilter", "Event", True),
        "RescanOrigin": ("OriginRequest", "SyncProgress", True),
        "GetCacheStats": ("Empty", "CacheStats", False),
        "ClearCache": ("ClearCacheRequest", "ClearCacheResponse", False),
        "Prefetch": ("PrefetchRequest", "PrefetchProgress", True),
    },
    "MetadataService": {
        "GetMetadata": ("GetMetadataRequest", "MetadataResponse", False),
        "UpdateMetadata": ("UpdateMetadataRequest", "UpdateMetadataResponse", False),
        "ClearOverlay": ("ClearOverlayRequest", "ClearOverlayResponse", False),
        "BatchUpdateMetadata": ("BatchUpdateRequest", "BatchUpdateProgress", True),
        "ImportMetadata": ("ImportMetadataRequest", "ImportProgress", True),
    },
}
_ADDED = {
    "MusicFS": {
        "ConfirmOrigin", "ListProblems", "Pin", "Unpin", "ListPins", "VerifyCache", "ListCollections", "GetCollection",
        "CreateCollection", "DeleteCollection", "GetMetrics", "ReloadConfig", "BackupState", "ListTrash", "RestoreTrash",
        "EmptyTrash", "LibraryHealth",
    },
    "MetadataService": {"ExportMetadata", "UndoMetadata", "MetadataLog", "ListHeldMetadata"},
}  # fmt: skip
_FIRST_FREE = {"MetadataResponse": 100, "UpdateMetadataRequest": 100}  # 20 in any other
REPOSITORY = Path(__file__).parents[2]
_TYPES = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FLOAT: "float",
}


def describe(field: FieldDescriptorProto) -> str:
    kind = _TYPES[field.type] if not field.type_name else field.type_name.rpartition(".")[2]
    mark = "*" if field.label == FieldDescriptorProto.LABEL_REPEATED else "?" if field.proto3_optional else ""
    return f"{field.name} {field.number} {kind}{mark}"


@pytest.mark.parametrize("name", _CONTRACT)
def test_fields_keep_their_numbers(name: str) -> None:
    message = DescriptorProto()
    pb.DESCRIPTOR.message_types_by_name[name].CopyToProto(message)
    known = [describe(field) for field in message.field if field.number < _FIRST_FREE.get(name, 20)]
    assert ", ".join(known) == _CONTRACT[name]


@pytest.mark.parametrize("name", _ENUMS)
def test_enums_keep_their_numbers(name: str) -> None:
    values = pb.DESCRIPTOR.enum_types_by_name[name].values
    prefix = name.removesuffix("State").removesuffix("Status").upper()
    assert [(value.name, value.number) for value in values] == [
        (f"{prefix}_{word}", number) for number, word in enumerate(_ENUMS[name])
    ]


@pytest.mark.parametrize("name", _METHODS)
def test_methods_keep_their_types(name: str) -> None:
    service = pb.DESCRIPTOR.services_by_name[name]
    assert service.full_name == f"musicfs.v1.{name}"
    found = {
        method.name: (method.input_type.name, method.output_type.name, method.server_streaming)
        for method in service.methods
    }
    assert {name: found[name] for name in _METHODS[name]} == _METHODS[name]
    assert set(found) == set(_METHODS[name]) | _ADDED[name]


def test_the_generated_code_is_that_of_the_contract(tmp_path: Path) -> None:
    """Compared as descriptors: the text of generated code differs between releases of protoc."""
    regenerate.compile_proto(f"--descriptor_set_out={tmp_path / 'set'}", f"--pyi_out={tmp_path}")
    compiled = FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file[0]
    for message in [*compiled.message_type, *(entry for one in compiled.message_type for entry in one.nested_type)]:
        for field in message.field:
            field.ClearField("json_name")  # protoc writes it into a set, but not into generated code
    assert compiled == FileDescriptorSet.FromString(_as_set(pb.DESCRIPTOR.serialized_pb)).file[0]
    stub = (tmp_path / "musicfs" / "v1" / "musicfs_pb2.pyi").read_text()
    committed = Path(pb.__file__).with_suffix(".pyi").read_text()
    assert _names(stub) == _names(committed)


def test_the_generated_code_runs_with_the_oldest_protobuf_that_is_admitted() -> None:
    """protobuf refuses code that was generated for a newer release."""
    text = Path(pb.__file__).read_text()
    generated = re.search(r"^# Protobuf Python Version: ([\d.]+)$", text, re.MULTILINE)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    [oldest] = [found[1] for one in project["dependencies"] if (found := re.match(r"protobuf>=([\d.]+)", one))]
    assert generated is not None
    assert _release(generated[1]) <= _release(oldest)


def _release(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(".")]
    return numbers + [0] * (3 - len(numbers))


def _as_set(file: bytes) -> bytes:
    message = FileDescriptorSet()
    message.file.add().MergeFromString(file)
    return message.SerializeToString()


def _names(stub: str) -> list[str]:
    """The attributes and classes that a stub declares."""
    lines = (line.strip() for line in stub.splitlines())
    return [line.partition(":")[0] for line in lines if line.startswith("class ") or (": " in line and "(" not in line)]
