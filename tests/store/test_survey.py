"""A look at many files decodes less of a record than there is in it, by the same places."""

from __future__ import annotations

import msgspec
import pytest

from musicfs.store.records import ObjectRecord, StoredFacts
from musicfs.store.survey import Glance, GlancedFacts, glance_at


@pytest.mark.parametrize(("glanced", "whole"), [(Glance, ObjectRecord), (GlancedFacts, StoredFacts)])
def test_a_glance_has_the_fields_of_a_record_in_their_order(
    glanced: type[msgspec.Struct], whole: type[msgspec.Struct]
) -> None:
    assert glanced.__struct_fields__ == whole.__struct_fields__


def test_a_file_without_facts() -> None:
    record = ObjectRecord(1, b"a.flac", 2, 3, 4, b"version", 5, 6)
    assert glance_at(msgspec.msgpack.encode(record)) == Glance(1, b"a.flac", 2, 3, 4, b"version", 5, 6, None)
