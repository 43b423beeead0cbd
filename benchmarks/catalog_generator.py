"""A catalog of any size, filled through the project's own writer, as a scan of that many files would leave it.

    python benchmarks/catalog_generator.py --tracks 1000000 --cache-dir /tmp/cache --origin-path /tmp/music

The result can be mounted: ``musicfs mount MOUNTPOINT --origin /tmp/music --cache-dir /tmp/cache``. The files themselves do
not exist; an empty listing of an origin that had files is held back, so the tree stays. Albums have 12 tracks, artists four
albums; every track has the ten usual tags, every hundredth album two discs.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator

import msgspec
import xxhash

from musicfs.clock import SystemClock
from musicfs.config.settings import OriginSettings, Settings
from musicfs.library.plan import identity
from musicfs.library.protocol import ReadResult
from musicfs.library.publish import FinishedFolder, Learned, Publisher
from musicfs.model import Entry, Facts, Layout, Technical
from musicfs.store.catalog import Catalog, prepare
from musicfs.store.environment import mark_clean
from musicfs.store.records import OriginRecord, pack_facts
from musicfs.store.transaction import WriteTransaction
from musicfs.vfs.tree import TreeBuilder, TreeOptions
from musicfs.vfs.views import build_views

ALBUM_TRACKS = 12
ARTIST_ALBUMS = 4
BATCH_ALBUMS = 400
_SUBJECTS = (
    "River",
    "Window",
    "Engine",
    "Harvest",
    "Signal",
    "Paper",
    "Copper",
    "Winter",
    "Garden",
    "Static",
    "Lantern",
)
_MOODS = ("Slow", "Bright", "Hollow", "Second", "Broken", "Northern", "Quiet", "Electric", "Distant", "Golden", "Last")
_GENRES = ("Rock", "Jazz", "Electronic", "Folk", "Classical", "Metal", "Ambient")


def albums(tracks: int) -> Iterator[FinishedFolder]:
    """Folders with up to 12 tracks each, ``tracks`` in all, in listing order."""
    technical = Technical(215_000, 900_000, 44_100, 2, 16, "flac")
    for album in range(-(-tracks // ALBUM_TRACKS)):
        artist = f"Artist {album // ARTIST_ALBUMS:07d}"
        title = f"{_MOODS[album % 11]} {_SUBJECTS[album // 11 % 11]} {album:07d}"
        year = str(1960 + album % 60)
        folder = f"{artist}/{album:07d} {title}"
        count = min(ALBUM_TRACKS, tracks - album * ALBUM_TRACKS)
        files = [_track(folder, artist, title, year, album, number, technical) for number in range(1, count + 1)]
        yield FinishedFolder(folder.encode(), xxhash.xxh3_128_digest(folder.encode()), files)


def _track(
    folder: str, artist: str, album: str, year: str, album_number: int, number: int, technical: Technical
) -> Learned:
    unique = album_number * ALBUM_TRACKS + number
    title = f"{_SUBJECTS[unique % 11]} of the {_MOODS[unique // 11 % 11]} {_SUBJECTS[unique // 121 % 11]}"
    name = f"{number:02d} {title}.flac"
    size = 20_000_000 + unique % 9_999_991
    facts = Facts(
        "flac",
        {
            "title": (title,),
            "artist": (artist,),
            "album": (album,),
            "album_artist": (artist,),
            "track": (str(number),),
            "track_total": (str(ALBUM_TRACKS),),
            "date": (year,),
            "genre": (_GENRES[album_number % 7],),
            "label": ("Tidewater Records",),
            "mb_recording_id": (f"{unique:08x}-5d1a-4f0e-9c4b-{unique:012x}",),
        },
        technical,
        Layout("flac", 8_412, size),
        audio_id=xxhash.xxh3_64_intdigest(b"%d/%d" % (album_number, number)),
    )
    entry = Entry(f"{folder}/{name}", size, 1_600_000_000_000_000_000 + unique, str(unique), unique, unique)
    return Learned(name.encode(), entry, 0, ReadResult(pack_facts(facts)), identity=identity(entry))


def generate(tracks: int, cache_dir: str, origin_path: str, *, report: bool = False) -> float:
    """Fill ``cache_dir`` with ``tracks`` tracks; returns the seconds the writer took, without making the tracks up."""
    catalog_path = os.path.join(cache_dir, "catalog")
    os.makedirs(cache_dir, exist_ok=True)
    os.makedirs(origin_path, exist_ok=True)
    prepare(catalog_path)
    settings = Settings(origins=(OriginSettings(id=os.path.basename(origin_path.rstrip("/")), path=origin_path),))
    catalog = Catalog(catalog_path, readonly=False, durable=False)
    views = build_views(settings.tree, settings.views)
    builder = TreeBuilder(views, TreeOptions(), SystemClock(), lambda *_: b"")
    publisher = Publisher(catalog, builder, SystemClock(), lambda: {1: 100}, lambda: None)
    origin = settings.origins[0]
    writing = 0.0
    with WriteTransaction(catalog) as tx:
        record = OriginRecord(tx.new_origin_number(), "local", origin_path)
        tx.set_fingerprint(builder.fingerprint())
    made, size_bytes = 0, 0
    batch: list[FinishedFolder] = []

    def flush() -> None:
        nonlocal made, size_bytes, writing
        started = time.perf_counter()
        counts = publisher.publish(record.number, batch)
        with WriteTransaction(catalog) as tx:
            tx.trim_changes(catalog.last_change())
            tx.trim_touched(catalog.last_touched)
        writing += time.perf_counter() - started
        made += counts.files
        size_bytes += counts.size_bytes
        batch.clear()
        if report:
            print(f"\r{made:,} tracks, {made / writing:,.0f}/s", end="", file=sys.stderr)

    for folder in albums(tracks):
        batch.append(folder)
        if len(batch) == BATCH_ALBUMS:
            flush()
    if batch:
        flush()
    started = time.perf_counter()
    with WriteTransaction(catalog) as tx:
        tx.put_origin(origin.id, msgspec.structs.replace(record, files=made, size_bytes=size_bytes))
    catalog.env.sync(True)
    writing += time.perf_counter() - started
    catalog.close()
    mark_clean(catalog_path)
    return writing


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tracks", type=int, required=True)
    parser.add_argument("--cache-dir", required=True)
    parser.add_argument("--origin-path", required=True)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    seconds = generate(arguments.tracks, arguments.cache_dir, arguments.origin_path, report=not arguments.json)
    data = os.stat(os.path.join(arguments.cache_dir, "catalog", "data.mdb"))
    result = {
        "tracks": arguments.tracks,
        "seconds": round(seconds, 2),
        "tracks_per_s": round(arguments.tracks / seconds),
        "bytes_per_track": round(data.st_blocks * 512 / arguments.tracks),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(msgspec.json.encode(result).decode() if arguments.json else f"\n{result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
