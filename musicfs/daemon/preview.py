"""What templates would make of a library, without mounting it: for ``musicfs config check``."""

from __future__ import annotations

import os
import stat

from musicfs import formats
from musicfs.config.settings import Settings
from musicfs.errors import FormatError, OriginError
from musicfs.library.classify import is_audio_name
from musicfs.origins.contract import LocalPaths
from musicfs.origins.registry import open_origin
from musicfs.store.records import stored_facts
from musicfs.vfs.names import numbered, split_suffix
from musicfs.vfs.templates import Subject
from musicfs.vfs.views import View, build_views, discs


def preview(settings: Settings, limit: int = 10) -> list[tuple[str, str]]:
    """(path in the origin, virtual path) of the first ``limit`` tracks of each view; raises OriginError."""
    views = build_views(settings.tree, settings.views)
    shown: list[tuple[str, str]] = []
    for path, own_name, subject in _samples(settings, limit):
        for view in views:
            shown.append((path, _virtual_path(view, path, own_name, subject)))
    return shown


def _samples(settings: Settings, limit: int) -> list[tuple[str, str, Subject | None]]:
    found: list[tuple[str, str, Subject | None]] = []
    for origin in map(open_origin, (one for one in settings.origins if one.enabled)):
        if not isinstance(origin, LocalPaths):
            continue
        for folder in origin.list():
            for entry in folder.files:
                name = entry.path.rpartition("/")[2]
                if len(found) == limit:
                    return found
                if is_audio_name(os.fsencode(name)):
                    found.append((entry.path, name, _subject(origin.local_path(entry.path), name)))
    return found


def _subject(path: bytes, name: str) -> Subject | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OriginError(f"{os.fsdecode(path)!r} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        facts = formats.read(formats.LocalSource(descriptor, status.st_size), name)
    except FormatError:
        return None
    finally:
        os.close(descriptor)
    tags = stored_facts(facts).tags
    disc, total = discs(tags)
    return Subject(tags, split_suffix(name)[0], facts.format, str(disc) if total > 1 and disc else "")


def _virtual_path(view: View, path: str, own_name: str, subject: Subject | None) -> str:
    raw = os.fsencode(own_name)
    if view.folders:
        wish = view.wish_in(view.origin_folders(os.fsencode(path.rpartition("/")[0])), raw)
    elif subject is None:
        wish = view.wish_for_opaque(raw)
    else:
        wish = view.wish_for_track(subject, raw)
    return "/" + os.fsdecode(b"/".join((*wish.folders, numbered(wish.stem, wish.suffix, 1))))
