"""A daemon with four tracks whose tags can be corrected, and whose paths follow their titles."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from musicfs.api.metadata import ChangeResult, MetadataChange, Served, TrackMetadata
from tests.api.backend import FakeBackend
from tests.api.metadata_backend import OWN, TRACKS, track

PLAIN = "its audio begins in a way that is not understood"


@dataclass
class TagBackend(FakeBackend):
    """The fake with what commands can tell apart: a track that is served plain, the root, files of origins."""

    def __post_init__(self) -> None:
        own = {**OWN, "lyrics": ("la\nla",)}
        self.tracks_by_id[4] = msgspec.structs.replace(
            track(4, "/Plain/odd.ogg", own),
            overlay={"title": ("Odd",), "mood": ()},
            effective={**{name: values for name, values in own.items() if name != "mood"}, "title": ("Odd",)},
            served=Served.PLAIN,
            reason=PLAIN,
            unfit={"bpm": "Ogg cannot hold it"},
        )

    def _targets(self, change: MetadataChange) -> list[TrackMetadata]:
        if change.path == "/":
            return list(self.tracks_by_id.values())
        if "origin_path" in change.match:
            wanted = change.match["origin_path"]
            found = [one for one in self.tracks_by_id.values() if one.origin_path == wanted.removeprefix("/srv/")]
            rest = {name: text for name, text in change.match.items() if not name.startswith("origin_")}
            return found or (super()._targets(MetadataChange(match=rest)) if rest else [])
        return super()._targets(change)

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
        total = len(self._targets(change)) if total == 1 else total
        result = super()._change(index, one, change, author, action, dry_run, total)
        title = next((each.after for each in result.changes if each.field == "title"), ())
        new_path = f"{one.path.rpartition('/')[0]}/{title[0]}.flac" if title else one.path
        if not dry_run:
            self.tracks_by_id[one.file_id] = msgspec.structs.replace(self.tracks_by_id[one.file_id], path=new_path)
        reason = PLAIN if one.served is Served.PLAIN and result.changes else ""
        return msgspec.structs.replace(result, new_path="" if dry_run else new_path, reason=reason)


assert len(TRACKS) == 3
