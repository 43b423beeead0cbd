"""What ``--json`` prints, command by command: the schema that programs rely on, and a check against it.

A shape is a type; a tuple of types of which one is it; a list of one shape, for an array; a dictionary for an object with
exactly these keys; :class:`Map` for an object with keys of its own; :class:`As` for what another command prints too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Shape = Any


@dataclass(frozen=True, slots=True)
class Map:
    """An object whose keys are data."""

    values: Shape


@dataclass(frozen=True, slots=True)
class As:
    """The shape of another command, to which the help refers."""

    command: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Lines:
    """One document a line."""

    shape: Shape


Values = Map([str])
CHANGES = [{"field": str, "before": [str], "after": [str]}]
CHANGED = {
    "file_id": int, "path": str, "new_path": str, "changes": CHANGES, "cover_changed": bool, "reason": str, "error": str,
    "remedy": str,
}  # fmt: skip
TRACK = {
    "file_id": int, "path": str, "origin_id": str, "origin_path": str, "format": str,
    "technical": {"duration_ms": int, "bitrate": int, "sample_rate": int, "channels": int, "bits_per_sample": int,
                  "codec": str},
    "own": Values, "overlay": Values, "effective": Values, "cover": str, "served": str, "reason": str,
    "unfit": Map(str), "changed_ms": int, "author": str,
}  # fmt: skip
DIFFERENCE = {
    "file_id": int, "path": str, "origin_id": str, "origin_path": str, "changes": CHANGES, "cover": str, "served": str,
    "reason": str, "unfit": Map(str), "changed_ms": int, "author": str,
}  # fmt: skip
CACHE = {
    "limit_bytes": int, "used_bytes": int, "chunk_count": int, "chunks_unique": int, "dedup_ratio": (float, int),
    "hits": int, "misses": int, "hit_ratio": (float, int), "edge_bytes": int, "contents": int, "contents_complete": int,
    "fetched_bytes": int, "saved_bytes": int, "pins": int, "damaged": int, "metadata_entries": int,
    "metadata_bytes": int, "evictions": int, "evicted_bytes": int,
}  # fmt: skip
STATUS = {
    "version": str, "instance": str, "uptime_s": int, "mount_point": str, "state": str, "pid": int, "keeper_pid": int,
    "keeper_restarts": int, "crash_reports": int, "open_file_handles": int, "fuse_ops_total": int,
    "files_indexed": int, "tracks": int, "problems": int, "cache_size_bytes": int, "cache": As("cache stats", CACHE),
    "detail": str,
    "origins": [{"id": str, "origin_type": str, "health": str, "files_count": int}],
    "work": [{"name": str, "done": int, "total": int, "unit": str, "detail": str}],
}  # fmt: skip
ORIGIN = {
    "id": str, "origin_type": str, "display_name": str, "root_path": str, "health": str, "files_count": int,
    "total_size_bytes": int, "held_removals": int, "last_scan_ms": int, "message": str,
}  # fmt: skip
SYNC = {
    "phase": str, "current": int, "total": int, "current_path": str, "bytes_synced": int, "added": int, "modified": int,
    "removed": int, "failed": int, "new_files": list,
}  # fmt: skip
HIT = {"file_id": int, "path": str, "artist": str, "album": str, "title": str, "duration_ms": int}
FOUND = HIT | {"score": (float, int), "highlights": Map(str)}
QUERIED = {
    "name": str,
    "query": str,
    "sort": str,
    "limit": int,
    "source": str,
    "count": int,
    "path": str,
    "changed_ms": int,
}
RULED = {("rule" if key == "query" else key): (dict if key == "query" else shape) for key, shape in QUERIED.items()}
MOUNTED = {"mount_point": str, "pid": int}
TRASHED = {
    "path": str, "origin_id": str, "origin_path": str, "deleted_ms": int, "size_bytes": int, "cached_bytes": int,
    "artist": str, "album": str, "title": str, "duration_ms": int, "trash_path": str, "restored_ms": int,
}  # fmt: skip
STEP = {"done": int, "total": int, "passed_over": int, "freed_bytes": int, "complete": bool}
PROBLEM = {"place": str, "message": str, "suggestion": str}

SHAPES: dict[str, Shape] = {
    "mount": MOUNTED,
    "status": STATUS,
    "shutdown": MOUNTED,
    "origin list": [ORIGIN],
    "origin health": {"origin_id": str, "health": str, "message": str, "last_check_s": int, "held_removals": int},
    "origin rescan": Lines(SYNC),
    "origin confirm": {"origin_id": str, "removed": int},
    "origin test": {
        "origin_id": str, "address": str, "ok": bool,
        "steps": [{"name": str, "ok": bool, "message": str, "remedy": str, "took_ms": int}],
    },
    "search": {"query": str, "total": int, "took_ms": int, "results": [FOUND]},
    "collection list": [(QUERIED, RULED)],
    "collection show": As("collection list", (QUERIED | {"entries": [HIT]}, RULED | {"entries": [HIT]})),
    "collection create": As("collection list", (QUERIED, RULED)),
    "collection delete": As("collection list", (QUERIED, RULED)),
    "metadata get": Lines(TRACK),
    "metadata set": Lines(CHANGED),
    "metadata diff": Lines(DIFFERENCE),
    "metadata clear": As("metadata set", Lines(CHANGED)),
    "metadata undo": As("metadata set", Lines(CHANGED)),
    "metadata import": Lines(CHANGED | {"row": int}),
    "metadata export": {"file": str, "format": str, "tracks": int},
    "metadata log": [
        {"sequence": int, "time_ms": int, "author": str, "action": str, "path": str, "origin_id": str,
         "origin_path": str, "changes": CHANGES, "cover": str}
    ],
    "cache stats": CACHE,
    "cache clear": {"size_bytes": int, "files": int, "dry_run": bool},
    "cache prefetch": Lines({"current_path": str, "completed": int, "total": int, "failed": int, "fetched_bytes": int}),
    "cache pin": {"files": int, "size_bytes": int},
    "cache unpin": {"files": int, "size_bytes": int},
    "cache pins": [{"path": str, "files": int, "size_bytes": int, "cached_bytes": int, "added_ms": int}],
    "cache verify": Lines({"checked": int, "total": int, "damaged": int, "complete": bool}),
    "trash list": [TRASHED],
    "trash restore": Lines(STEP),
    "trash empty": Lines(STEP),
    "events": Lines({"type": str, "time_ms": int, "origin_id": str, "path": str, "file_id": int, "details": Map(str)}),
    "config check": {
        "ok": bool, "file": (str, type(None)), "problems": [PROBLEM], "warnings": [PROBLEM],
        "preview": [{"origin_path": str, "virtual_path": str}],
    },
    "config reload": {"file": str, "applied": [str], "needs_restart": [str], "problems": [PROBLEM],
                      "warnings": [PROBLEM]},
    "backup": {"file": str, "size_bytes": int},
    "restore": {"state_dir": str, "kept": str, "created_ns": int, "musicfs": str},
    "config show": {"file": (str, type(None)), "settings": dict},
    "doctor": [{"check": str, "level": str, "message": str, "remedy": str}],
    "doctor --library": {
        "files": int, "counts": Map(int), "unchecked": Map(str),
        "issues": [{"kind": str, "origin_id": str, "paths": [str], "detail": str, "files": int}],
    },
}  # fmt: skip


def mistakes(value: object, shape: Shape, place: str = "$") -> Iterator[str]:  # noqa: PLR0912  # a table of shapes
    """Everything about a document that is not as its shape says, with its place."""
    if isinstance(shape, As | Lines):
        yield from mistakes(value, shape.shape, place)
    elif isinstance(shape, tuple):
        found = [list(mistakes(value, one, place)) for one in shape]
        if all(found):
            yield from min(found, key=len)
    elif isinstance(shape, Map):
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
            return
        for key, inner in value.items():
            yield from mistakes(inner, shape.values, f"{place}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no array"
            return
        for number, inner in enumerate(value):
            yield from mistakes(inner, shape[0], f"{place}[{number}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            different = set(value) ^ set(shape) if isinstance(value, dict) else value
            yield f"{place}: not these keys: {different}"
            return
        for key, inner in value.items():
            yield from mistakes(inner, shape[key], f"{place}.{key}")
    elif type(value) is not shape:  # True is no number
        yield f"{place}: {value!r} is no {shape.__name__}"


def words(shape: Shape) -> Iterator[str]:
    """What a help has to say of a shape: its keys, or the command that has them."""
    if isinstance(shape, As):
        yield f"musicfs --json {shape.command}" if not isinstance(shape.shape, Lines) else f"musicfs {shape.command}"
    elif isinstance(shape, Lines):
        yield from words(shape.shape)
    elif isinstance(shape, Map):
        yield from words(shape.values)
    elif isinstance(shape, list | tuple):
        for one in shape:
            yield from words(one)
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            yield key
            yield from words(inner)
