"""The part of a fake backend that knows tags: tracks in a dict, changed as the contract of the backend says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from musicfs.api.metadata import (
    ChangeResult,
    Cover,
    FieldChange,
    Fields,
    HistoryItem,
    MetadataChange,
    Served,
    TrackMetadata,
)
from musicfs.errors import NotFoundError
from musicfs.model import Technical

TECHNICAL = Technical(
    duration_ms=241_000, bitrate=900_000, sample_rate=44_100, channels=2, bits_per_sample=16, codec="flac"
)
OWN: Fields = {
    "title": ("One",),
    "artist": ("Björk", "Another"),
    "album": ("Début",),
    "track": ("3",),
    "date": ("1993-07-05",),
    "replaygain_track_gain": ("-6.54 dB",),
    "replaygain_track_peak": ("0.988553",),
    "mood": ("calm",),
}


def track(file_id: int, path: str, own: Fields = OWN) -> TrackMetadata:
    """A track that nothing was changed of."""
    return TrackMetadata(
        file_id=file_id,
        path=path,
        origin_id="nas",
        origin_path=f"in{path}",
        format="flac",
        technical=TECHNICAL,
        own=own,
        effective=own,
    )


TRACKS = (
    track(1, "/Björk/Début/01.flac"),
    track(2, "/Björk/Début/02.flac", {**OWN, "title": ("Two",), "mb_recording_id": ("b-2",)}),
    track(3, "/Other/\\xff.flac", {}),
)


@dataclass
class FakeMetadata:
    """``tracks_by_id`` is the library. A path is matched as text; ``slow_s`` is what each track takes."""

    tracks_by_id: dict[int, TrackMetadata] = field(default_factory=lambda: {one.file_id: one for one in TRACKS})
    history: list[HistoryItem] = field(default_factory=list)
    held: list[TrackMetadata] = field(default_factory=list)
    seen: list[tuple[MetadataChange, ...]] = field(default_factory=list)
    asked: list[Mapping[str, object]] = field(default_factory=list)
    slow_s: float = 0.0
    metadata_error: BaseException | None = None
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # once for each iterator

    def metadata(self, path: str, file_id: int) -> TrackMetadata:
        self._note(path=path, file_id=file_id)
        for one in self.tracks_by_id.values():
            if one.path == path or (not path and one.file_id == file_id):
                return one
        raise NotFoundError(f"there is no track {path or file_id}", remedy="`musicfs tag list` shows them")

    def tracks(self, paths: Sequence[str], query: str) -> Iterator[TrackMetadata | None]:
        self._note(paths=tuple(paths), query=query)
        try:
            yield None
            for path in paths or ("/",):
                for one in self._below(path):
                    yield from self._wait()
                    yield one
        finally:
            self.ended.release()

    def change_metadata(
        self, changes: Sequence[MetadataChange], *, query: str, action: str, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        self._note(query=query, action=action, author=author, dry_run=dry_run)
        self.seen.append(tuple(changes))
        try:
            for index, change in enumerate(changes):
                yield None
                found = self._targets(change)
                if not found:
                    yield ChangeResult(index=index, path=change.path, error="there is no such track", remedy="look")
                for one in found:
                    yield from self._wait()
                    yield self._change(index, one, change, author, action, dry_run, len(changes))
        finally:
            self.ended.release()

    def undo_metadata(
        self, paths: Sequence[str], *, steps: int, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        self._note(paths=tuple(paths), steps=steps, author=author, dry_run=dry_run)
        try:
            for index, path in enumerate(paths):
                for one in self._below(path):
                    yield None
                    change = MetadataChange(file_id=one.file_id, revert_all=True)
                    yield self._change(index, one, change, author, "undo", dry_run, 0)
        finally:
            self.ended.release()

    def metadata_log(self, path: str, limit: int) -> tuple[HistoryItem, ...]:
        self._note(path=path, limit=limit)
        return tuple(item for item in reversed(self.history) if item.path.startswith(path))[:limit]

    def _note(self, **asked: object) -> None:
        self.asked.append(asked)
        if self.metadata_error is not None:
            raise self.metadata_error

    def _wait(self) -> Iterator[None]:
        stop = time.monotonic() + self.slow_s
        while time.monotonic() < stop:
            threading.Event().wait(0.01)
            yield None

    def _below(self, path: str) -> list[TrackMetadata]:
        folder = path.rstrip("/") + "/"
        found = [one for one in self.tracks_by_id.values() if one.path == path or one.path.startswith(folder)]
        if not found:
            raise NotFoundError(f"there is no {path}")
        return found

    def held_metadata(self) -> Iterator[TrackMetadata | None]:
        yield None
        yield from self.held

    def _targets(self, change: MetadataChange) -> list[TrackMetadata]:
        every = self.tracks_by_id.values()
        if change.file_id:
            return [one for one in every if one.file_id == change.file_id]
        if change.path:
            return [one for one in every if one.path == change.path or one.path.startswith(change.path + "/")]
        return [one for one in every if all(one.own.get(name) == (text,) for name, text in change.match.items())]

    def _change(
        self,
        index: int,
        one: TrackMetadata,
        change: MetadataChange,
        author: str,
        action: str,
        dry_run: bool,
        total: int,
    ) -> ChangeResult:
        overlay = {} if change.revert_all else dict(one.overlay)
        overlay.update(change.set)
        for name in change.revert:
            overlay.pop(name, None)
        effective = {name: values for name, values in {**one.own, **overlay}.items() if values}
        changes = tuple(
            FieldChange(name, one.effective.get(name, ()), effective.get(name, ()))
            for name in sorted({*one.effective, *effective})
            if one.effective.get(name) != effective.get(name)
        )
        if not dry_run:
            self.tracks_by_id[one.file_id] = msgspec.structs.replace(
                one,
                overlay=overlay,
                effective=effective,
                author=author,
                changed_ms=1_700_000_000_000,
                cover=Cover.SET if change.cover else Cover.REMOVED if change.remove_cover else one.cover,
                served=Served.CORRECTED if overlay else Served.ORIGINAL,
            )
            self.history.append(
                HistoryItem(
                    sequence=len(self.history) + 1,
                    time_ms=1_700_000_000_000,
                    author=author,
                    action=action,
                    path=one.path,
                    origin_id=one.origin_id,
                    origin_path=one.origin_path,
                    changes=changes,
                )
            )
        return ChangeResult(
            index=index,
            file_id=one.file_id,
            path=one.path,
            new_path=one.path,
            changes=changes,
            cover_changed=change.cover is not None,
            total=total,
        )
