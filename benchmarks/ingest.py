"""Row 19: what the content store takes in, and what it gives.

    python -m benchmarks.ingest [--megabytes N] [--rounds N] [--folder DIR] [--json FILE]

In MB/s of content, by the wall, durable (every transaction is synced): a content that arrives in order and is new; the same
when all its chunks are known; shifted by a header; as fetched blocks; those blocks re-cut into chunks. And reading 128 KiB
at a time out of the page cache: from chunks verified before in this process, from chunks for the first time, from
blocks, beside ``preadv`` of a plain file with the same bytes. The disk is a large part of the first kind: its own speed at
writing and syncing the same bytes as one file stands beside. ``cut`` is FastCDC by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.report import Result, met, table
from musicfs.content.chunker import Chunker
from musicfs.store.chunks import ChunkStore
from musicfs.store.chunks_schema import BLOCK_BYTES, Content
from musicfs.store.chunks_tables import prepare_chunks
from musicfs.store.chunks_upkeep import ChunkUpkeep

NEW_GOAL_MB_S = 300.0
KNOWN_GOAL_MB_S = 1500.0
READ_GOAL_MB_S = 4000.0
_FILE_BYTES = 32_000_000
_BLOCKS_AT_ONCE = 32  # 4 MiB a transaction
_PIECE_BYTES = 4 << 20


class _Timed:
    """Wall and CPU seconds of a piece of work."""

    def __init__(self, work: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall_s = time.perf_counter() - wall
        self.cpu_s = time.process_time() - cpu


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]


def _put_blocks(store: ChunkStore, content: Content, data: bytes) -> None:
    numbers = range(-(-len(data) // BLOCK_BYTES))
    for first in numbers[::_BLOCKS_AT_ONCE]:
        some = numbers[first : first + _BLOCKS_AT_ONCE]
        store.put_blocks(content, [(one, data[one * BLOCK_BYTES : (one + 1) * BLOCK_BYTES]) for one in some])


def _write_files(path: Path, datas: list[bytes]) -> None:
    for data in datas:
        with path.open("wb", buffering=0) as stream:
            for piece in _pieces(data):
                stream.write(piece)
                os.fdatasync(stream.fileno())


def _read_all(store: ChunkStore, contents: list[Content]) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    for content in contents:
        stored = store.open(content)
        for start in range(0, content.size - BLOCK_BYTES, BLOCK_BYTES):
            if stored.read_into(buffer, start):
                raise RuntimeError("something is missing")


def _read_file(path: Path, size: int, times: int) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(times):
        for start in range(0, size - BLOCK_BYTES, BLOCK_BYTES):
            os.preadv(descriptor, [buffer], start)
    os.close(descriptor)


def _one_round(folder: Path, files: int, seed: int) -> dict[str, _Timed]:
    """One new store, all measurements in it."""
    path = str(folder / f"{seed}" / "chunks")
    prepare_chunks(path)
    store = ChunkStore(path, limit_bytes=8 * files * _FILE_BYTES)
    keep, cut = ChunkUpkeep(store), Chunker()
    choice = random.Random(seed)
    datas = [choice.randbytes(_FILE_BYTES) for _ in range(files)]
    arriving = [_pieces(data) for data in datas]
    shifted = [_pieces(b"a new header" * 400 + data) for data in datas]
    kinds = {
        kind: [Content(choice.randbytes(16), _FILE_BYTES + 4800 * (kind == "shifted")) for _ in datas]
        for kind in ("new", "known", "shifted", "blocks")
    }

    def ingest(kind: str, coming: list[list[bytes]]) -> None:
        for content, pieces in zip(kinds[kind], coming, strict=True):
            keep.ingest(content, pieces, cut)

    def put() -> None:
        for content, data in zip(kinds["blocks"], datas, strict=True):
            _put_blocks(store, content, data)

    def recut() -> None:
        for content in kinds["blocks"]:
            keep.recut(content, cut)

    plain = folder / "plain"
    timed = {"file": _Timed(lambda: _write_files(plain, datas))}
    timed["blocks"] = _Timed(put)
    timed["read blocks first"] = _Timed(lambda: _read_all(store, kinds["blocks"]))
    timed["read blocks"] = _Timed(lambda: _read_all(store, kinds["blocks"]))
    timed["recut"] = _Timed(recut)
    keep.clear()
    timed["new"] = _Timed(lambda: ingest("new", arriving))
    timed["known"] = _Timed(lambda: ingest("known", arriving))
    timed["shifted"] = _Timed(lambda: ingest("shifted", shifted))
    timed["cut"] = _Timed(lambda: [cut(window, True) for pieces in arriving for window in pieces])
    _read_all(store, kinds["new"])  # what the kernel does for a page that is mapped for the first time
    store.close()
    store = ChunkStore(path, limit_bytes=8 * files * _FILE_BYTES)
    timed["read chunks first"] = _Timed(lambda: _read_all(store, kinds["new"]))
    timed["read chunks"] = _Timed(lambda: _read_all(store, kinds["new"]))
    timed["read file"] = _Timed(lambda: _read_file(plain, _FILE_BYTES, files))
    store.close()
    os.unlink(os.path.join(path, "data.mdb"))
    return timed


def measure_store(folder: Path, megabytes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by kind: ``mb_s``, ``cpu_us`` for 128 KiB."""
    files = max(1, megabytes * 1_000_000 // _FILE_BYTES)
    size = files * _FILE_BYTES
    all_rounds = [_one_round(folder, files, seed) for seed in range(rounds + 1)][1:]  # the first warms up
    return {
        kind: {
            "mb_s": size / 1e6 / statistics.median(one[kind].wall_s for one in all_rounds),
            "cpu_us": statistics.median(one[kind].cpu_s for one in all_rounds) * 1e6 * BLOCK_BYTES / size,
        }
        for kind in all_rounds[0]
    }


def results(found: dict[str, dict[str, float]]) -> list[Result]:
    """The rows for the table of all promises."""

    def row(number: str, what: str, kind: str, goal: float, beside: str) -> Result:
        speed = found[kind]["mb_s"]
        measured = f"{speed:.0f} MB/s, {found[kind]['cpu_us']:.0f} us CPU for 128 KiB"
        return Result(
            number, what, f">= {goal:.0f} MB/s", measured, f"{beside}: {found[beside]['mb_s']:.0f} MB/s",
            met(speed >= goal), {f"{kind}_{name}": value for name, value in found[kind].items()},
        )  # fmt: skip

    return [
        row("19a", "ingest of new content, durable", "new", NEW_GOAL_MB_S, "file"),
        row("19b", "ingest of known content", "known", KNOWN_GOAL_MB_S, "cut"),
        row("19c", "ingest of fetched blocks, durable", "blocks", NEW_GOAL_MB_S, "file"),
        row("19d", "reading chunks verified before", "read chunks", READ_GOAL_MB_S, "read file"),
    ]


def measure(bench: Bench) -> Iterator[Result]:
    with bench.room("ingest") as room:
        yield from results(measure_store(room, bench.size(256, 64), bench.rounds))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables; 0 if every goal is met."""
    parser = argparse.ArgumentParser(prog="benchmarks.ingest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256, help="content of each kind (default 256)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, after one to warm up (default 5)")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the stores are made")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="musicfs-bench-", dir=options.folder) as folder:
        found = measure_store(Path(folder), options.megabytes, options.rounds)
    print(f"{'kind':18} {'MB/s':>8} {'CPU us for 128 KiB':>20}")
    for kind, numbers in found.items():
        print(f"{kind:18} {numbers['mb_s']:8.0f} {numbers['cpu_us']:20.1f}")
    rows = results(found)
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps({"ingest": found}, indent=1), encoding="utf-8")
    return 0 if all(one.verdict == "met" for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
