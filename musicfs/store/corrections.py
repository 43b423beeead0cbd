"""What the catalog keeps of a file whose tags the user corrected, and the file as the tree sees it then.

Derived from the user's overlays (:mod:`musicfs.store.state`) and the file itself; lost, it is made again.
"""

from __future__ import annotations

import msgspec

from musicfs.model import FIELDS, Layout, Picture, Technical
from musicfs.store.records import ObjectRecord, StoredFacts, encode_record, unpack_stored

OWN_COVER, NO_COVER = "", "-"
# A given cover is a picture of this coding and the key of the image: the range counts the image's own bytes.
GIVEN_CODING = "given:"
_FRONT_COVER = 3


class Correction(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One object's overlay, applied.

    ``tags`` are the changed fields as :class:`~musicfs.store.records.StoredFacts` has them, an empty list where one is
    removed. ``base`` is the :func:`content_version` that the plan was made for; ``mark`` tells its bytes from any others,
    and is empty while there is no plan: the file is then served as it is, for the ``reason`` given, or ``pending``.
    """

    overlay: int
    tags: dict[int | str, str | list[str]]
    changed_ns: int
    cover: str = OWN_COVER  # as musicfs.store.overlays has it: own, removed, or the key of an image
    cover_mime: str = ""
    cover_bytes: int = 0
    base: bytes = b""
    mark: bytes = b""
    size: int = 0
    extra: bytes = b""  # key in the table of extras, empty without
    reason: str = ""
    pending: bool = False
    unfit: dict[str, str] = {}

    @property
    def changes_bytes(self) -> bool:
        """Whether the overlay asks for other bytes than the file's own."""
        return bool(self.tags) or self.cover != OWN_COVER


encode_correction = msgspec.msgpack.Encoder().encode
decode_correction = msgspec.msgpack.Decoder(Correction).decode


def content_version(record: ObjectRecord) -> bytes:
    """What distinguishes one content of a file from another, without saying where it lies."""
    return b"%d\0%s" % (record.size, record.version or b"%d" % record.mtime_ns)


def is_spliced(record: ObjectRecord, correction: Correction | None) -> bool:
    """Whether the file with this record of its own is read through the correction's plan."""
    return correction is not None and bool(correction.mark) and correction.base == content_version(record)


def corrected(record: ObjectRecord, correction: Correction) -> ObjectRecord:
    """The object as the tree sees it: its tags with the changes on top, the size and version of what is served.

    A file whose tags could not be read has facts of its own then, for the tree alone.
    """
    stored = unpack_stored(record.facts)
    if stored is None and correction.tags:
        suffix = record.name.rpartition(b".")[2].decode("ascii", "replace").lower()
        stored = StoredFacts(suffix, {}, Technical(), Layout("", 0, 0))
    size, version = record.size, record.version
    if is_spliced(record, correction):
        size = correction.size
        version = (record.version or b"%d" % record.mtime_ns) + b"\0" + correction.mark
    return msgspec.structs.replace(
        record,
        size=size,
        version=version,
        mtime_ns=max(record.mtime_ns, correction.changed_ns),
        facts=record.facts if stored is None else msgspec.Raw(encode_record(_with_changes(stored, correction))),
    )


def _with_changes(stored: StoredFacts, correction: Correction) -> StoredFacts:
    tags = dict(stored.tags)
    for field, values in correction.tags.items():
        if values:
            tags[field] = values
        else:
            tags.pop(field, None)
    return msgspec.structs.replace(stored, tags=tags, pictures=_pictures(stored.pictures, correction))


def _pictures(own: tuple[Picture, ...], correction: Correction) -> tuple[Picture, ...]:
    if correction.cover == OWN_COVER:
        return own
    others = tuple(one for one in own if one not in front_covers(own))
    if correction.cover == NO_COVER:
        return others
    coding = GIVEN_CODING + correction.cover
    return (Picture(_FRONT_COVER, correction.cover_mime, 0, correction.cover_bytes, coding), *others)


def front_covers(pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """The pictures that another cover replaces: the front covers, else those of no kind."""
    fronts = tuple(one for one in pictures if one.kind == _FRONT_COVER)
    return fronts or tuple(one for one in pictures if one.kind == 0)


def stored_fields(fields: dict[str, tuple[str, ...]]) -> dict[int | str, str | list[str]]:
    """Fields and their values as :attr:`Correction.tags` has them."""
    return {
        FIELDS.get(field, field): values[0] if len(values) == 1 else list(values) for field, values in fields.items()
    }
