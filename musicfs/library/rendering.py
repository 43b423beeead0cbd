"""From a file and its overlay to how its corrected bytes are made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

import msgspec
import xxhash

from musicfs.errors import ChangedError, FormatError, GoneError, OriginError
from musicfs.formats import RangeReader
from musicfs.formats.images import describe_image
from musicfs.formats.plans import Edit, Image, Plan, pack_pieces
from musicfs.formats.splicing import splice
from musicfs.library.overlays import NO_COVER, OWN_COVER
from musicfs.model import Facts
from musicfs.store.corrections import Correction, content_version, stored_fields
from musicfs.store.overlays import Overlay
from musicfs.store.records import ObjectRecord, unpack_facts

log = logging.getLogger(__name__)

_BLOCK_BYTES = 64 * 1024


class Originals(Protocol):
    """Opens files as their origins have them; lives on a higher floor. Safe from any thread."""

    def open(self, object_id: int) -> OriginalFile:
        """The file of an object, by the version that the catalog knows. Raises OriginError, StoreError."""
        ...


class OriginalFile(RangeReader, Protocol):
    """A file that is open, bound to one version."""

    def close(self) -> None:
        """Release it."""
        ...


class Rendered(msgspec.Struct, frozen=True):
    """What the catalog keeps of one object's overlay: see :class:`~musicfs.store.corrections.Correction`."""

    object_id: int
    correction: Correction
    plan: bytes = b""
    extra: bytes = b""


class Remembering:
    """A file's blocks, each read once: a splice looks at the head several times."""

    def __init__(self, source: RangeReader) -> None:
        self._source = source
        self._blocks: dict[int, bytes] = {}
        self.size = source.size

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes ``[start, stop)``."""
        first, last = start // _BLOCK_BYTES, -(-stop // _BLOCK_BYTES)
        missing = [number for number in range(first, last) if number not in self._blocks]
        if missing:  # one read for all, also of what is known in between
            begin, end = missing[0] * _BLOCK_BYTES, min((missing[-1] + 1) * _BLOCK_BYTES, self.size)
            data = self._source.read(begin, end)
            for number in range(missing[0], missing[-1] + 1):
                at = number * _BLOCK_BYTES - begin
                self._blocks[number] = data[at : at + _BLOCK_BYTES]
        data = b"".join(self._blocks[number] for number in range(first, last))
        return data[start - first * _BLOCK_BYTES : stop - first * _BLOCK_BYTES]


class Renderer:
    """Makes plans. Safe from any thread; blocks on the origin for the head and the tail of a file."""

    def __init__(self, originals: Originals, images: Images) -> None:
        self._originals = originals
        self._images = images
        self._last_image: tuple[str, Image] | None = None  # the tracks of an album follow each other

    def unrendered(self, object_id: int, record: ObjectRecord, overlay: Overlay) -> Rendered:
        """The overlay for the tree alone: the bytes follow when :meth:`render` has been able to."""
        return Rendered(object_id, self._correction(record, overlay, pending=self._asks_for_bytes(record, overlay)))

    def render(self, object_id: int, record: ObjectRecord, overlay: Overlay) -> Rendered:
        """The overlay of the file that has this record of its own. An origin that cannot be read leaves it pending."""
        correction = self._correction(record, overlay)
        facts = unpack_facts(record.facts)
        if not self._asks_for_bytes(record, overlay):
            return Rendered(object_id, correction)
        if facts is None:
            reason = "its own tags could not be read"
            return Rendered(object_id, msgspec.structs.replace(correction, reason=reason))
        try:
            plan = self._plan(object_id, record, self._edit(facts, overlay))
        except FormatError as error:
            return Rendered(object_id, msgspec.structs.replace(correction, reason=str(error)))
        except (ChangedError, GoneError):
            reason = "the file has changed; it is looked at again by the next scan"
            return Rendered(object_id, msgspec.structs.replace(correction, reason=reason, pending=True))
        except OriginError as error:
            return Rendered(object_id, msgspec.structs.replace(correction, reason=str(error), pending=True))
        except Exception as error:  # what one odd file reveals in a parser must not keep all others from being served
            log.exception("%r cannot be corrected", record.name)
            reason = f"it is not understood ({type(error).__name__}); please report this"
            return Rendered(object_id, msgspec.structs.replace(correction, reason=reason))
        pieces = pack_pieces(plan.pieces)
        mark = xxhash.xxh3_128_digest(pieces + b"\0" + xxhash.xxh3_128_digest(plan.extra))
        done = msgspec.structs.replace(correction, mark=mark, size=plan.size, unfit=dict(plan.unfit))
        return Rendered(object_id, done, pieces, plan.extra)

    def _plan(self, object_id: int, record: ObjectRecord, edit: Edit) -> Plan:
        original = self._originals.open(object_id)
        try:
            return splice(Remembering(original), record.name.decode("utf-8", "surrogateescape"), edit)
        finally:
            original.close()

    def _asks_for_bytes(self, record: ObjectRecord, overlay: Overlay) -> bool:
        """Whether the bytes are to say anything else than they do."""
        return bool(_differing(unpack_facts(record.facts), overlay.fields)) or overlay.cover != OWN_COVER

    def _correction(self, record: ObjectRecord, overlay: Overlay, *, pending: bool = False) -> Correction:
        image = self._image(overlay)
        return Correction(
            overlay.id,
            stored_fields(overlay.fields),
            overlay.changed_ns,
            overlay.cover if image is not None or overlay.cover == NO_COVER else OWN_COVER,
            image.mime if image is not None else "",
            len(image.data) if image is not None else 0,
            content_version(record),
            pending=pending,
        )

    def _edit(self, facts: Facts, overlay: Overlay) -> Edit:
        fields = _differing(facts, overlay.fields)
        return Edit(fields, self._image(overlay), remove_cover=overlay.cover == NO_COVER)

    def _image(self, overlay: Overlay) -> Image | None:
        """The picture that was given; None without one, or if it is damaged on disk, which is said in the log."""
        if overlay.cover in (OWN_COVER, NO_COVER):
            return None
        last = self._last_image
        if last is not None and last[0] == overlay.cover:
            return last[1]
        data = self._images.image(overlay.cover)
        if data is None:
            return None
        image = describe_image(data)
        self._last_image = overlay.cover, image
        return image


class Images(Protocol):
    """Where given pictures are kept."""

    def image(self, key: str) -> bytes | None:
        """A picture by its key; None if it is lost."""
        ...


def _differing(facts: Facts | None, fields: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    own = facts.tags if facts is not None else {}
    return {field: values for field, values in fields.items() if values != own.get(field, ())}
