"""Files with changes of tags that a client names: which of them may be read, and what is in them.

The file is read with the daemon's rights, so it must lie in a folder that the configuration names. It is opened first, and
then looked at where it is: what is a symbolic link now and another one a moment later is decided once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from musicfs.api.metadata import MetadataChange
from musicfs.errors import ConfigError, DeniedError, NotFoundError

_REMEDY = "name its folder in `[grpc] import_folders` of the configuration, or use `musicfs tag import`"


class BadRow(msgspec.Struct, frozen=True):
    """A row of the file that is no change, and why."""

    row: int
    reason: str


Row = tuple[int, MetadataChange] | BadRow


class ReadRows(Protocol):
    """How a file of a format becomes changes, each with the number of its row. ConfigError for what is no such file."""

    def __call__(self, path: Path, file_format: str) -> Iterator[Row]: ...


def unread(path: Path, file_format: str) -> Iterator[Row]:
    """What reads files as long as nothing else does."""
    raise ConfigError(f"{path}: files of the format {file_format!r} cannot be imported")


@contextlib.contextmanager
def opened(source_path: str, folders: Sequence[str]) -> Iterator[Path]:
    """A name under which the file can be read, again and again, whatever becomes of its path.

    DeniedError unless it is a file in one of ``folders``, which are absolute; NotFoundError if there is none.
    """
    _refuse_outside(source_path, os.path.normpath(source_path), folders, resolved=False)
    try:
        # Not to wait for a writer, should it be a pipe.
        descriptor = os.open(source_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"there is no file {source_path}", remedy="the path is one of the daemon's machine"
        ) from None
    except OSError as error:
        raise DeniedError(f"{source_path} cannot be read: {error.strerror}", remedy="check its permissions") from error
    try:
        name = f"/proc/self/fd/{descriptor}"
        _refuse_outside(source_path, os.readlink(name), folders, resolved=True)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DeniedError(f"{source_path} is not a file", remedy="name a file with changes of tags")
        yield Path(name)
    finally:
        os.close(descriptor)


def format_of(source_path: str, file_format: str) -> str:
    """The format that is asked for, else what the name ends in, in lower case."""
    return (file_format or os.path.splitext(source_path)[1].removeprefix(".")).lower()


def _refuse_outside(source_path: str, place: str, folders: Sequence[str], *, resolved: bool) -> None:
    for folder in folders:
        within = os.path.realpath(folder) if resolved else os.path.normpath(folder)
        if place.startswith(within.rstrip("/") + "/"):
            return
    raise DeniedError(f"{source_path} does not lie in a folder from which files are imported", remedy=_REMEDY)
