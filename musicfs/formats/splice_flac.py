"""FLAC with changed tags."""

from __future__ import annotations

from musicfs.errors import FormatError
from musicfs.formats.plans import Edit, Plan
from musicfs.formats.source import View
from musicfs.model import Facts


def splice_flac(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    raise FormatError("not yet")
