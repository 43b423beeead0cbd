"""Row 16: searching a million tracks, in Python, over gRPC and as folders; how soon a change is found; memory beside.

The catalog is made by the project's own writer, the index by a running daemon. What the index finds is compared with the
reference meaning of each query on a sample of the tracks before anything is timed.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Catalog
from benchmarks.libraries import files_below, make_tiny_library
from benchmarks.measure import memory_of, percentile
from benchmarks.report import Result, met
from benchmarks.servers import MusicFS
from musicfs.api.metadata import MetadataChange
from musicfs.index.evaluate import compile_query
from musicfs.index.finding import Sort
from musicfs.index.parser import parse
from musicfs.index.reader import IndexReader
from musicfs.library.track_query import CatalogTrack
from musicfs.store.catalog import Catalog as StoredCatalog
from musicfs.store.records import unpack_stored

TRACKS = 1_000_000
SAMPLE = 20_000
RESULTS = 1000
SEARCH_MS, FOLDER_MS, FOUND_S = 20, 60, 2.0
CHANGES = 20
_DEADLINE_S = 30.0
MB = 1 << 20

# Kinds of queries, each with what varies from one to the next: words of the generated library, and its numbers.
_WORDS = ("river", "window", "engine", "harvest", "signal", "slow", "bright", "golden", "electric", "rock", "jazz")
KINDS: Mapping[str, Callable[[random.Random, int], str]] = {
    "word": lambda rnd, _: rnd.choice(_WORDS),
    "words": lambda rnd, _: " ".join(rnd.sample(_WORDS, 3)),
    "rare word": lambda rnd, tracks: f"{rnd.randrange(tracks // 48):07d}",
    "field": lambda rnd, _: f"genre:{rnd.choice(('rock', 'jazz', 'folk', 'metal'))}",
    "phrase": lambda rnd, _: f'"{rnd.choice(_WORDS[:5])} of the {rnd.choice(_WORDS[5:9])}"',
    "phrase in a field": lambda rnd, tracks: f'artist:"Artist {rnd.randrange(tracks // 48):07d}"',
    "fuzzy": lambda rnd, _: f"{rnd.choice(_WORDS[:9])[:-1]}x~{rnd.randrange(1, 3)}",
    "prefix": lambda rnd, _: f"{rnd.choice(_WORDS)[:3]}*",
    "short prefix": lambda rnd, _: f"{rnd.choice('rweshbg0')}*",
    "prefix of numbers": lambda rnd, _: f"00{rnd.randrange(10)}*",
    "phrase with a prefix": lambda rnd, _: f'"of the {rnd.choice(_WORDS[5:9])[:2]}"*',
    "range": lambda rnd, _: f"year:[{rnd.randrange(1960, 1990)} TO {rnd.randrange(1990, 2019)}]",
    "comparison": lambda rnd, _: f"track:>={rnd.randrange(1, 12)}",
    "age": lambda rnd, _: f"added:>{rnd.randrange(1, 60)}d",
    "boolean": lambda rnd, _: f"genre:Metal AND NOT year:[1980 TO {rnd.randrange(1981, 2000)}]",
    "or": lambda rnd, _: " OR ".join(rnd.sample(_WORDS, 3)),
    "negation": lambda rnd, _: f"-{rnd.choice(_WORDS)}",
    "present": lambda rnd, _: rnd.choice(("*", "label:*", "-lyrics:*")),
    "keyword": lambda rnd, _: rnd.choice(("format:flac", "codec:flac")),
}


def measure(bench: Bench) -> Iterator[Result]:
    tracks = bench.size(TRACKS, 50_000)
    catalog = bench.catalog(tracks)
    with bench.room("search") as room:
        server = catalog.server(room / "musicfs")
        began = time.perf_counter()
        with bench.serving(server):  # ready when the index is
            built_s = time.perf_counter() - began
            queries = _queries(tracks, bench.size(20, 5))
            _compare(catalog, bench.size(SAMPLE, 5_000))
            idle = memory_of([server.mount_pid]), memory_of(server.pids())
            yield _timed("16a", "Python, in a process of its own", _in_python(catalog, queries), SEARCH_MS)
            yield _timed("16b", "gRPC", _over_grpc(server, queries), SEARCH_MS)
            yield _timed("16c", "ls of a folder not seen before", _as_folders(server, queries), FOLDER_MS)
            yield _timed("16d", "ls of a folder seen before", _as_folders(server, queries), FOLDER_MS)
            after = memory_of([server.mount_pid]), memory_of(server.pids())
        index = sum(entry.stat().st_size for entry in os.scandir(catalog.cache / "search.idx"))
    yield Result(
        "16e", f"memory beside, {tracks:,} tracks", "", f"mount {after[0].pss / MB:.0f} MB PSS, {after[0].anonymous / MB:.0f}"
        f" anonymous; all {after[1].pss / MB:.0f} MB PSS",
        f"before the first search {idle[0].pss / MB:.0f}, {idle[0].anonymous / MB:.0f}; {idle[1].pss / MB:.0f}", met(True),
        {"mount_pss_mb": after[0].pss / MB, "mount_anonymous_mb": after[0].anonymous / MB, "all_pss_mb": after[1].pss / MB,
         "index_bytes_per_track": index / tracks, "index_built_s": built_s},
    )  # fmt: skip
    yield _found_soon(bench)


def _queries(tracks: int, each: int) -> dict[str, list[str]]:
    rnd = random.Random(16)
    return {kind: [make(rnd, tracks) for _ in range(each)] for kind, make in KINDS.items()}


def _compare(catalog: Catalog, size: int) -> None:
    """Every kind of query finds, among a sample of the tracks, exactly those that it means."""
    stored = StoredCatalog(str(catalog.cache / "catalog"), readonly=True)
    reader = IndexReader(str(catalog.cache / "search.idx"))
    ids = {record.number: origin_id for origin_id, record in stored.origins().items()}
    now_ns = time.time_ns()
    try:
        step = max(catalog.tracks // size, 1)
        sample = {}
        for object_id in range(1, catalog.tracks + 1, step):
            record = stored.served(object_id)
            facts = unpack_stored(record.facts) if record is not None else None
            if facts is not None:
                sample[object_id] = CatalogTrack(stored, ids, facts, partial(stored.track_of, object_id))
        for kind, texts in _queries(catalog.tracks, 2).items():
            for text in texts:
                matches = compile_query(parse(text), now_ns)
                wanted = {object_id for object_id, track in sample.items() if matches(track)}
                found = sample.keys() & set(reader.ids(parse(text), now_ns=now_ns))
                if found != wanted:
                    raise RuntimeError(f"{kind}: {text} finds {len(found)} of the sample, and means {len(wanted)}")
    finally:
        stored.close()


def _in_python(catalog: Catalog, queries: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """Warm: each query was asked once before."""
    reader = IndexReader(str(catalog.cache / "search.idx"))
    now_ns = time.time_ns()

    def ask(text: str) -> float:
        query = parse(text)
        began = time.perf_counter()
        reader.search(query, now_ns=now_ns, limit=RESULTS)
        return time.perf_counter() - began

    took = {kind: [min(ask(text), ask(text)) for text in texts] for kind, texts in queries.items()}
    began = time.perf_counter()
    reader.search(parse("*"), now_ns=now_ns, limit=RESULTS, sort=Sort("added", is_descending=True))
    return took | {"newest of all": [time.perf_counter() - began]}


def _over_grpc(server: MusicFS, queries: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    client = server.client()

    def ask(text: str) -> float:
        began = time.perf_counter()
        client.search(text, limit=RESULTS)
        return time.perf_counter() - began

    ask("*")
    return {kind: [ask(text) for text in texts] for kind, texts in queries.items()}


def _as_folders(server: MusicFS, queries: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """By a real ``ls``, whose own start (1 to 2 ms) counts."""

    def list_folder(text: str) -> float:
        folder = server.point / ".search" / text.replace("/", "%2F")
        began = time.perf_counter()
        subprocess.run(["ls", "-U", str(folder)], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    list_folder("nothing")
    return {kind: [list_folder(text) for text in texts] for kind, texts in queries.items()}


def _timed(row: str, how: str, took: Mapping[str, Sequence[float]], goal_ms: int) -> Result:
    everything = [seconds for times in took.values() for seconds in times]
    p50, p99 = percentile(everything, 0.5) * 1000, percentile(everything, 0.99) * 1000
    slowest = sorted(took, key=lambda kind: -max(took[kind]))[:3]
    return Result(
        row, f"search, {how}: {len(everything)} queries of {len(took)} kinds, {RESULTS} results", f"p99 <= {goal_ms} ms",
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        "slowest: " + ", ".join(f"{kind} {max(took[kind]) * 1000:.1f} ms" for kind in slowest), met(p99 <= goal_ms),
        {"p50_ms": p50, "p99_ms": p99}
        | {f"{kind.replace(' ', '_')}_max_ms": max(times) * 1000 for kind, times in took.items()},
    )  # fmt: skip


def _found_soon(bench: Bench) -> Result:
    """From a corrected title until the search folder of it has the track; and from a new file."""
    with bench.room("found") as room:
        make_tiny_library(room / "music", bench.size(2_000, 300))
        server = MusicFS(room / "music", room / "musicfs")
        with bench.serving(server):
            files = files_below(server.point, ".flac")[: bench.size(CHANGES, 5)]
            corrected = [_until_found(server, path, number) for number, path in enumerate(files)]
            added = [_added_until_found(server, room / "music", number) for number in range(len(files))]
    slowest = max(*corrected, *added)
    return Result(
        "16f", f"a change is found: {len(corrected)} corrections, {len(added)} new files", f"<= {FOUND_S:.0f} s",
        f"corrected p50 {percentile(corrected, 0.5):.2f} s, new p50 {percentile(added, 0.5):.2f} s, slowest {slowest:.2f} s",
        "", met(slowest <= FOUND_S),
        {"corrected_p50_s": percentile(corrected, 0.5), "new_p50_s": percentile(added, 0.5), "slowest_s": slowest},
    )  # fmt: skip


def _until_found(server: MusicFS, path: Path, number: int) -> float:
    word = f"zebra{number}"
    began = time.perf_counter()
    (result,) = server.client().change_metadata(
        [MetadataChange(path="/" + str(path.relative_to(server.point)), set={"title": (word,)})]
    )
    if result.error:
        raise RuntimeError(f"{path} was not corrected: {result}")
    return _wait_for(server, word, began)


def _added_until_found(server: MusicFS, source: Path, number: int) -> float:
    """A copy of a track whose name says more than its tags; the query asks for that."""
    template = files_below(source, ".flac")[0]
    word = f"giraffe{number}"
    copy = template.with_name(f"{word}.flac")
    began = time.perf_counter()
    copy.write_bytes(template.read_bytes())
    return _wait_for(server, f"path:{word}", began)


def _wait_for(server: MusicFS, query: str, began: float) -> float:
    folder = server.point / ".search" / query
    while not os.listdir(folder):
        if time.perf_counter() - began > _DEADLINE_S:
            raise RuntimeError(f"{query} finds nothing")
        time.sleep(0.005)
    return time.perf_counter() - began
