"""What a daemon can be asked about tags: the part of the :class:`~musicfs.api.backend.Backend` that reads and corrects them.

A *track* is named by its virtual path (with or without a leading slash, ``\\xNN`` for bytes that are not UTF-8) or by its
``file_id``; a folder's path stands for every track below it. Fields are those of :data:`musicfs.model.FIELDS`, any other
name is a custom tag; values are a tuple, because most fields can have several, and an empty tuple means *removed*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from musicfs.model import Technical

Fields = Mapping[str, tuple[str, ...]]

MAX_BATCH = 500  # changes in one message; a client sends more in several
MAX_COVER_BYTES = 16 * 1024 * 1024 - 1024  # a FLAC block holds 2^24 - 1 bytes, its header included


class Cover(StrEnum):
    """What the front cover of a track is."""

    OWN = "own"  # the file's own, or none if it has none
    SET = "set"  # another one was given
    REMOVED = "removed"


class Served(StrEnum):
    """How the bytes of a track are served."""

    ORIGINAL = "original"  # nothing is changed: byte for byte
    CORRECTED = "corrected"  # its tags are rewritten on the way
    PLAIN = "plain"  # it has changes that its bytes do not show; the reason says why
    PENDING = "pending"  # they will, when its origin can be read


class TrackMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one track's tags.

    ``own`` is what the file says, ``overlay`` what was changed (an empty tuple: removed), ``effective`` the one on top of
    the other. ``unfit`` names changed fields that its container cannot hold, with the reason: the tree has them, its
    bytes do not. Times are milliseconds since 1970 UTC, 0 for never.
    """

    file_id: int
    path: str
    origin_id: str
    origin_path: str
    format: str
    technical: Technical
    own: Fields
    effective: Fields
    overlay: Fields = {}
    cover: Cover = Cover.OWN
    served: Served = Served.ORIGINAL
    reason: str = ""
    unfit: Mapping[str, str] = {}
    changed_ms: int = 0
    author: str = ""


class MetadataChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change, of the track with ``file_id``, else of everything at ``path``, else of the one track that ``match`` finds.

    ``match`` has fields and the value they must have (for imports: ``mb_recording_id``, ``mb_track_id``, ``isrc``).
    ``origin_path`` in it names the file itself: with ``origin_id`` the path below that origin's root, as
    :class:`TrackMetadata` has it; alone an absolute path that lies below the root of a local origin, or a relative one below
    any origin's. Where there is such a file it decides alone, else the other fields do, if there are any. ``set``
    gives fields new values, an empty tuple removes one; ``revert`` gives them back the file's own. ``revert_all`` does so
    with everything, the cover included, before the rest is applied. ``cover`` is an image file (JPEG, PNG, GIF, WebP).
    """

    file_id: int = 0
    path: str = ""
    match: Mapping[str, str] = {}
    set: Fields = {}
    revert: tuple[str, ...] = ()
    revert_all: bool = False
    cover: bytes | None = None
    remove_cover: bool = False
    revert_cover: bool = False


class FieldChange(msgspec.Struct, frozen=True):
    """One field of a track before and after, as it reads."""

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class ChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one track of a change. ``index`` is the change's place in what was sent.

    ``path`` is where the track was, ``new_path`` where it is now. ``error`` is empty when it worked: the change is on disk.
    ``total`` is how many results there will be, 0 while that is not known.
    """

    index: int
    file_id: int = 0
    path: str = ""
    new_path: str = ""
    changes: tuple[FieldChange, ...] = ()
    cover_changed: bool = False
    reason: str = ""  # why its bytes do not show all of it, if they do not
    error: str = ""
    remedy: str = ""
    total: int = 0


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """One change that was made. ``action`` is set, clear, undo or import; ``path`` is the track's path now."""

    sequence: int
    time_ms: int
    author: str
    action: str
    path: str
    origin_id: str
    origin_path: str
    changes: tuple[FieldChange, ...] = ()  # of the overlay: before and after are empty where it had no say
    cover: str = ""  # "set", "removed", "own" if that changed


class MetadataBackend(Protocol):
    """A running MusicFS. Called from several threads at once; raises MusicFSError and its children.

    Iterators yield at least once a second (None where there is nothing to say), and work goes on only while they are asked:
    closing one ends it after the track it is at. What was yielded as done is on disk.
    """

    def metadata(self, path: str, file_id: int) -> TrackMetadata:
        """One track by its path, or (path empty) by its id. NotFoundError if there is none, or it is no audio file."""
        ...

    def tracks(self, paths: Sequence[str], query: str) -> Iterator[TrackMetadata | None]:
        """The tracks at and below these paths (none: all) that match a query (empty: all), in the order of the tree.

        NotFoundError for an unknown path, ConfigError with the column for a query that makes no sense.
        """
        ...

    def change_metadata(
        self, changes: Sequence[MetadataChange], *, query: str, action: str, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        """Apply changes in order; one result for each track of each change, or one with the error.

        ``query`` narrows what the paths of the changes mean. ``dry_run`` says what would change (without ``new_path``) and
        changes nothing. A change that changes nothing is a result without changes. Errors of one change do not stop the rest.
        """
        ...

    def undo_metadata(
        self, paths: Sequence[str], *, steps: int, author: str, dry_run: bool
    ) -> Iterator[ChangeResult | None]:
        """Take back the last ``steps`` changes of each track that were not taken back yet; each is a change of its own."""
        ...

    def held_metadata(self) -> Iterator[TrackMetadata | None]:
        """Corrections whose files are gone, and not in the trash: they wait for these, without id, path and own tags."""
        ...

    def metadata_log(self, path: str, limit: int) -> tuple[HistoryItem, ...]:
        """The last changes, newest first, of the track (or all below the folder) at ``path``; of all with an empty path."""
        ...
