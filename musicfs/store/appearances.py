"""Where objects appear in the tree, and what is known of them there: for many at once, by one look at the catalog."""

from __future__ import annotations

from collections.abc import Iterable

import lmdb
import msgspec

from musicfs.store.catalog import Catalog
from musicfs.store.correction_tables import read_correction
from musicfs.store.corrections import corrected
from musicfs.store.records import U64, ObjectRecord, decode_object, unpack_node
from musicfs.store.tables import Tables
from musicfs.store.tree_tables import read_place


class Appearance(msgspec.Struct, frozen=True, gc=False):
    """A file of the tree: its inode, its name in its folder, and the object that is served there, as it is served."""

    inode: int
    name: bytes
    object_id: int
    record: ObjectRecord


def read_appearances(catalog: Catalog, object_ids: Iterable[int]) -> list[Appearance]:
    """Where these objects appear in the first view that has them, in their order.

    Those that appear nowhere are left out, and of objects that are one track all but the first. Some 10 microseconds each.
    """
    wanted = tuple(object_ids)
    while True:
        tables = catalog.tables
        with catalog.snapshot() as txn:
            found = _read(txn, tables, wanted)
        if tables is catalog.tables:  # else another tree was swapped in meanwhile, and this one may be empty by now
            return found


def _read(txn: lmdb.Transaction[bytes], tables: Tables, object_ids: Iterable[int]) -> list[Appearance]:
    has_corrections = bool(txn.stat(tables.corrections)["entries"])
    found: dict[int, Appearance] = {}
    for object_id in object_ids:
        inode = read_place(txn, tables, object_id)
        raw = txn.get(U64.pack(inode), db=tables.nodes) if inode and inode not in found else None
        if raw is None:
            continue
        node = unpack_node(inode, raw)
        stored = txn.get(U64.pack(node.ref), db=tables.objects)
        if stored is None:
            continue
        record = decode_object(stored)
        correction = read_correction(txn, tables, node.ref) if has_corrections else None
        served = record if correction is None else corrected(record, correction)
        found[inode] = Appearance(inode, node.name, node.ref, served)
    return list(found.values())
