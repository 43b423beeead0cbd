"""Files with changes of tags that a client names: which of them may be read, and what is in them.

They are read with the daemon's rights, so they, and the images that they name, must lie in folders that the configuration
names. A file is opened first, and then looked at where it is: what is a symbolic link now and another one a moment later is
decided once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from musicfs.api.metadata import MAX_COVER_BYTES
from musicfs.api.tagfiles.reading import TagFormat, form_of_name, guess_format, read_changes
from musicfs.api.tagfiles.rows import ChangeRow, Covers, RowError
from musicfs.errors import ConfigError, DeniedError, MusicFSError, NotFoundError

_REMEDY = "name its folder in `[grpc] import_folders` of the configuration, or use `musicfs metadata import`"


@dataclass(frozen=True, slots=True)
class OpenFile:
    """``path`` as it was named, ``place`` where it really is, ``name`` what it is opened by, whatever becomes of these."""

    path: str
    place: str
    name: str


@contextlib.contextmanager
def opened(path: str, folders: Sequence[str]) -> Iterator[OpenFile]:
    """The file at ``path``, kept open meanwhile.

    DeniedError unless it is a file in one of ``folders``, which are absolute; NotFoundError if there is none.
    """
    if not _is_within(os.path.normpath(path), [os.path.normpath(folder) for folder in folders]):
        raise _outside(path)  # before anything is said about what is there
    try:
        # Not to wait for a writer, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no file {path}", remedy="the path is one of the daemon's machine") from None
    except OSError as error:
        raise DeniedError(f"{path} cannot be read: {error.strerror}", remedy="check its permissions") from None
    try:
        name = f"/proc/self/fd/{descriptor}"
        place = os.readlink(name)
        if not _is_within(place, [os.path.realpath(folder) for folder in folders]):
            raise _outside(path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DeniedError(f"{path} is no regular file", remedy="name a file with changes of tags")
        yield OpenFile(path, place, name)
    finally:
        os.close(descriptor)


def read_rows(
    file: OpenFile, form: TagFormat | None, folders: Sequence[str], *, reads_covers: bool
) -> Iterator[ChangeRow]:
    """The rows of ``file``; images that they name lie in ``folders`` too. ConfigError for a file that makes no sense."""
    form = form or _form(file)
    # What SQLite has not yet written into a database lies beside it.
    path = file.place if form is TagFormat.BEETS else file.name
    images = _ConfinedCovers(os.path.dirname(file.place), folders, is_read=reads_covers)
    try:
        yield from read_changes(path, form, covers=images)
    except ConfigError as error:
        raise ConfigError(str(error).replace(path, file.path), remedy=error.remedy) from None
    except OSError as error:
        raise MusicFSError(f"{file.path} cannot be read: {error.strerror}") from error


def form_named(name: str) -> TagFormat | None:
    """The format of this name, None for an empty one. ConfigError for one that there is not."""
    if name and name not in set(TagFormat):
        raise ConfigError(f'there is no format "{name}"', remedy=f"the formats are: {', '.join(TagFormat)}")
    return TagFormat(name) if name else None


class _ConfinedCovers(Covers):
    """Images in the folders that files are imported from. With ``is_read`` false nothing is looked for."""

    def __init__(self, folder: str, folders: Sequence[str], *, is_read: bool) -> None:
        super().__init__(folder, is_read=is_read)
        self._folders = folders

    def load(self, name: str) -> bytes:
        path = os.path.join(self._folder, name)
        if not self._is_read:
            return b""
        if path != self._last[0]:
            self._last = (path, self._image(path))
        return self._last[1]

    def _image(self, path: str) -> bytes:
        try:
            if "\0" in path:
                raise ConfigError("a path holds a NUL character")
            with opened(path, self._folders) as file, open(file.name, "rb") as stream:
                data = stream.read(MAX_COVER_BYTES + 1)
        except MusicFSError as error:
            raise RowError(str(error), column="cover", remedy=error.remedy) from None
        except OSError as error:
            raise RowError(f"{path}: {error.strerror}", column="cover") from None
        if not 0 < len(data) <= MAX_COVER_BYTES:
            reason = f"{path} is no picture: it has {len(data)} bytes or more, 1 to {MAX_COVER_BYTES} are possible"
            raise RowError(reason, column="cover", remedy="make it smaller, or name another one")
        return data


def _form(file: OpenFile) -> TagFormat:
    form = guess_format(file.name)  # by the content: the name has no suffix
    return (form_of_name(file.path) or form) if form is TagFormat.CSV else form


def _is_within(path: str, folders: Sequence[str]) -> bool:
    return any(path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _outside(path: str) -> DeniedError:
    return DeniedError(f"{path} does not lie in a folder from which files are imported", remedy=_REMEDY)
