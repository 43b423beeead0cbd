"""Correcting tags through a running mount, as programs do: by the typed client on the daemon's socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musicfs.api.client import Client, find_socket
from musicfs.api.metadata import ChangeResult, MetadataChange, TrackMetadata
from musicfs.api.paths import socket_candidates
from tests.faults.living import accept_originals
from tests.mounting import Mounted

Fields = Mapping[str, tuple[str, ...]]


def overlay_names(path: Path) -> set[str]:
    """The names of the corrected fields, as the file's xattr has them."""
    return set(filter(None, os.getxattr(path, "user.musicfs.overlay").decode().split(",")))


@dataclass(slots=True)
class Tagger:
    """Changes tags of one mount's tracks; each method returns where the (one) track is then, below the mount point."""

    mounted: Mounted
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """Connected when it is first needed, and to this mount's daemon."""
        if self._client is None:
            candidates = socket_candidates("config", str(self.mounted.folder / "state"), self.mounted.environment)
            self._client = self._stack.enter_context(Client(find_socket(candidates)))
        return self._client

    def close(self) -> None:
        """Let go of the connection."""
        self._stack.close()
        self._client = None

    def virtual(self, path: Path | str) -> str:
        """A path below the mount point, as seen from there."""
        return "/" + str(Path(path).relative_to(self.mounted.point)) if isinstance(path, Path) else path

    def apply(self, path: Path | str, **change: object) -> list[ChangeResult]:
        """One change of all tracks at and below a path; fails if one of them has an error."""
        wanted = MetadataChange(path=self.virtual(path), **change)  # type: ignore[arg-type] # named as in the struct
        results = list(self.client.change_metadata([wanted]))
        errors = [result.error for result in results if result.error]
        assert not errors, errors
        return results

    def set(self, path: Path | str, fields: Fields | None = None, /, **texts: str | Sequence[str]) -> Path:
        """Set fields of one track: a text, several, or an empty one to remove it."""
        given = {name: (text,) if isinstance(text, str) else tuple(text) for name, text in texts.items()}
        values = {name: tuple(filter(None, one)) for name, one in given.items()} | dict(fields or {})
        return self._at(self.apply(path, set=values))

    def cover(self, path: Path | str, image: bytes | None) -> Path:
        """Give one track a cover, or take its own away."""
        return self._at(self.apply(path, cover=image, remove_cover=image is None))

    def clear(self, path: Path | str) -> Path:
        """Revert everything of one track."""
        return self._at(self.apply(path, revert_all=True))

    def undo(self, path: Path | str, steps: int = 1) -> Path:
        """Take back the last changes of one track."""
        results = list(self.client.undo_metadata([self.virtual(path)], steps=steps))
        assert not [result.error for result in results if result.error]
        return self._at(results[-1:])

    def _at(self, results: Sequence[ChangeResult]) -> Path:
        assert len(results) == 1, results
        return self.mounted.point / results[0].new_path.lstrip("/")

    def get(self, path: Path | str) -> TrackMetadata:
        """All that is known of one track."""
        return self.client.metadata(self.virtual(path))


@contextlib.contextmanager
def tagging(mounted: Mounted) -> Iterator[Tagger]:
    """A tagger that is closed at the end."""
    tagger = Tagger(mounted)
    try:
        yield tagger
    finally:
        tagger.close()


def retag(mounted: Mounted, path: Path, **texts: str) -> None:
    """Change an original's own tags in place, as another program does."""
    import mutagen

    file = mutagen.File(path, easy=True)
    assert file is not None
    for name, text in texts.items():
        file[name] = [text]
    file.save()
    accept_originals(mounted)
