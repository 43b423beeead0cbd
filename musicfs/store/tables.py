"""The catalog's tables as LMDB handles, and their creation. What they hold is written down in :mod:`musicfs.store.schema`."""

from __future__ import annotations

import os

import lmdb
import msgspec

from musicfs.store.schema import FACT_TABLES, SCHEMA, TREE_SLOTS, TREE_TABLES

_encode = msgspec.msgpack.encode


class Tables:
    """Handles of the fact tables, and of the tree tables of one generation."""

    def __init__(self, env: lmdb.Environment, generation: int, *, create: bool) -> None:
        def table(name: str) -> lmdb._Database:
            return env.open_db(name.encode(), create=create)

        self.generation = generation
        self.meta, self.origins, self.folder_ids, self.folders = map(table, FACT_TABLES[:4])
        self.object_ids, self.objects, self.identities, self.problems = map(table, FACT_TABLES[4:8])
        self.blobs, self.changes = map(table, FACT_TABLES[8:10])
        self.corrections, self.plans, self.extras, self.claims, self.former = map(table, FACT_TABLES[10:15])
        self.touched, self.trash = map(table, FACT_TABLES[15:17])
        self.nodes, self.entries, self.places, self.anchors, self.albums, self.art, self.sources, self.links = (
            table(f"{name}.{generation % TREE_SLOTS}") for name in TREE_TABLES
        )

    def clear_tree(self, txn: lmdb.Transaction[bytes]) -> None:
        """Empty the tables of this generation."""
        tables = (
            self.nodes, self.entries, self.places, self.anchors, self.albums, self.art, self.sources, self.links,
        )  # fmt: skip
        for table in tables:
            txn.drop(table, delete=False)


def create(env: lmdb.Environment) -> None:
    """Write the empty catalog: all tables, generation 1, a root without entries."""
    tables = Tables(env, 1, create=True)
    with env.begin(write=True) as txn:
        for name, value in (("schema", SCHEMA), ("generation", 1), ("tree", b""), ("identity", new_identity())):
            txn.put(name.encode(), _encode(value), db=tables.meta)
        for name in ("next_object", "next_folder", "next_origin"):
            txn.put(name.encode(), _encode(1), db=tables.meta)


def new_identity() -> int:
    """A number, 63 bits, by which a catalog is known from every other."""
    return int.from_bytes(os.urandom(8)) >> 1  # as secrets would, which loads all of hashlib in every process
