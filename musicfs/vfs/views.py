"""Where a file wants to be: a view turns an object's facts into folders and a name, before siblings have a say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import xxhash

from musicfs.config.settings import TreeSettings, ViewSettings
from musicfs.model import FIELDS
from musicfs.store.records import StoredTags, tag
from musicfs.vfs.names import clean, encode, fit, split_suffix
from musicfs.vfs.templates import Subject, Template, disc_number, parse

UNKNOWN_FOLDERS = ("Unknown Artist", "Unknown Album")
# Fields that encoders write by themselves: a file with nothing else has no tags.
_ENCODER_FIELDS = frozenset((FIELDS["encoder"], "encoded_by", "encodersettings", "encoder_settings", "tlen"))
_ALBUM, _ALBUM_ARTIST, _COMPILATION = FIELDS["album"], FIELDS["album_artist"], FIELDS["compilation"]
_ARTIST, _DATE, _DISC, _DISC_TOTAL = FIELDS["artist"], FIELDS["date"], FIELDS["disc"], FIELDS["disc_total"]
_CACHED_FOLDERS = 4096


class Wish(msgspec.Struct, frozen=True, gc=False):
    """The folders below the view's root, and the name as stem and suffix (so that a number can come between)."""

    folders: tuple[bytes, ...]
    stem: str
    suffix: str


class View:
    """One tree of the mount: its number in the catalog, its folder (empty for the root), and its template."""

    def __init__(self, number: int, name: str, template: str, *, folders: bool, names: str) -> None:
        self.number = number
        self.name = name
        self.folders = folders
        self.names = names
        self.template: Template = parse(template)
        self.root: tuple[bytes, ...] = (fit(clean(name, names)),) if name else ()
        self._folders: dict[Hashable, tuple[bytes, ...]] = {}

    def fingerprint(self) -> str:
        """Changes whenever the view would name something differently."""
        return f"{self.number}\0{self.name}\0{self.folders}\0{self.names}\0{self.template.source}"

    def wish_for_track(self, subject: Subject, own_name: bytes) -> Wish:
        """The place of an audio file with facts; ``own_name`` is its name in the origin."""
        if untagged(subject.tags):
            return self.wish_for_opaque(own_name)
        key = self.template.folder_key(subject)
        folders = self._folders.get(key)
        if folders is None:
            folders = self.root + self._clean_all(self.template.render_folders(subject))
            if len(self._folders) >= _CACHED_FOLDERS:
                self._folders.clear()
            self._folders[key] = folders
        name = self.template.render_name(subject)
        if "/" in name:
            more, _, name = name.rpartition("/")
            folders += self._clean_all(more)
        suffix = f".{subject.format}"
        stem = name[: -len(suffix)] if name.endswith(suffix) else name
        return Wish(folders, clean(stem, self.names), suffix)

    def _clean_all(self, folders: str) -> tuple[bytes, ...]:
        return tuple(fit(clean(part, self.names)) for part in folders.split("/") if part)

    def wish_for_opaque(self, own_name: bytes) -> Wish:
        """The place of a file without tags, or whose tags cannot be read: under its own name."""
        return self.wish_in(self.root + tuple(map(encode, UNKNOWN_FOLDERS)), own_name)

    def wish_in(self, folders: tuple[bytes, ...], own_name: bytes) -> Wish:
        """A file under its own name in given folders."""
        stem, suffix = split_suffix(own_name.decode("utf-8", "surrogateescape"))
        return Wish(folders, clean(stem, self.names), f".{clean(suffix[1:], self.names)}" if suffix else "")

    def origin_folders(self, path: bytes) -> tuple[bytes, ...]:
        """An origin's folder as it appears in a folders view."""
        parts = path.decode("utf-8", "surrogateescape").split("/") if path else []
        return self.root + tuple(fit(clean(part, self.names)) for part in parts)


def untagged(tags: StoredTags) -> bool:
    """True for a file that says nothing about itself."""
    return not tags or _ENCODER_FIELDS.issuperset(tags)


def build_views(tree: TreeSettings, views: Sequence[ViewSettings]) -> tuple[View, ...]:
    """The views of a configuration; without any named one, the one unnamed view at the root."""
    if not views:
        return (View(0, "", tree.template, folders=tree.folders, names=tree.names),)
    return tuple(
        View(number, view.name, view.template, folders=view.folders, names=tree.names)
        for number, view in enumerate(views, start=1)
    )


def album_key(tags: StoredTags) -> int:
    """What makes two tracks siblings of one album, as 64 bits; 0 for a track without an album."""
    album = tag(tags, _ALBUM)
    if not album:
        return 0
    artist = tag(tags, _ALBUM_ARTIST) or ("" if tag(tags, _COMPILATION) else tag(tags, _ARTIST))
    return xxhash.xxh3_64_intdigest(encode(f"{album}\0{artist}\0{tag(tags, _DATE)[:4]}")) or 1


def discs(tags: StoredTags) -> tuple[int, int]:
    """(disc, disc total), 0 where unknown."""
    return disc_number(tag(tags, _DISC)), disc_number(tag(tags, _DISC_TOTAL))


def names_several_discs(members: Sequence[tuple[int, int, int]]) -> bool:
    """True if an album has more than one disc: a total above 1, or tracks that name different discs."""
    return any(total > 1 for _, _, total in members) or len({disc for _, disc, _ in members if disc}) > 1
