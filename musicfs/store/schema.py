"""Every table of the catalog: key, value, who writes it, what a crash leaves.

All integers in keys are big-endian so that byte order is numeric order. Everything is written by the keeper in one
transaction a batch; a crash leaves the last committed batch. ``G`` is the tree's generation number modulo
:data:`TREE_SLOTS`: LMDB keeps a handle for every table name a process has opened, and never gives it back.

Facts (costly to learn, kept when templates change):

=============  ========================================  ==================================================================
table          key                                       value
=============  ========================================  ==================================================================
meta           name                                      msgpack; the names are below
origins        origin id, UTF-8                          msgpack :class:`~musicfs.store.records.OriginRecord`
folder_ids     origin number u16, path with ``/`` as     folder id u32. Children follow their parent directly, siblings in
               NUL (cut and hashed over 500 bytes)       byte order: the order in which an origin lists.
folders        folder id u32                             msgpack :class:`~musicfs.store.records.FolderRecord`
object_ids     folder id u32, file name                  object id u64, fingerprint u64 of all that listing says
objects        object id u64                             msgpack :class:`~musicfs.store.records.ObjectRecord`
identities     identity u64, object id u64               empty; finds a file that moved
problems       object id u64                             reason, UTF-8: the file is served, its tags could not be read
blobs          blob id u64                               bytes made once: a converted cover, a playlist
corrections    object id u64                             msgpack :class:`~musicfs.store.corrections.Correction`
plans          object id u64                             how its bytes are made, packed by ``musicfs.formats.plans``
extras         hash of the bytes, 128 bits               how many plans use it u32, then the bytes: a new picture
claims         audio id u64, object id u64               empty: has the audio of an overlay that another file holds
former         entry: 0, inode u64, name                 names that an edit has ended, for who still uses them: until when
               folder: 1, inode u64                      u64 (ns), then object id u64 and view u8, or inode u64 of a folder;
                                                         of a folder its node
trash          see :mod:`musicfs.store.trashed`              tracks that are gone from every origin
=============  ========================================  ==================================================================

Tree (derived from the facts; rebuilt beside the served one, then swapped):

=============  ========================================  ==================================================================
nodes.G        inode u64                                 :data:`~musicfs.store.records.NODE` struct, then the name
entries.G      parent inode u64, name (at most 255)      inode u64, kind u8
places.G       object id u64, view u8                    inode u64: where the object appears in that view; objects that
                                                         are one track have one
anchors.G      folder id u32, view u8, dir inode u64     u32: how many of the folder's tracks lie in that directory
albums.G       album key u64, object id u64              disc u16, disc total u16
art.G          dir inode u64, rank u8, name              object id u64: candidates for cover.jpg, best first
sources.G      inode u64, object id u64                  empty: the objects that are one track, if there are several, also
                                                         the one its node refers to
links.G        object id u64, inode u64                  empty: the links of collections that lead to the object
=============  ========================================  ==================================================================

Between the processes:

=============  ========================================  ==================================================================
changes        sequence u64                              msgpack list of (op, parent inode, name, inode); trimmed by the
                                                         keeper once the mount has replayed it
touched        sequence u64                              msgpack list of runs of object ids (gap, length, gap, ...): of
                                                         these something changed that can be searched for; empty: of all.
                                                         Trimmed by the keeper once the index has them.
=============  ========================================  ==================================================================

``meta`` holds ``schema`` (this module's :data:`SCHEMA`), ``identity`` (a random number of 63 bits), ``generation``, ``tree``
(fingerprint of templates, names and views the generation was built for), ``next_object``, ``next_folder``, ``next_origin``,
``totals`` (files, bytes), ``collections`` (list of :class:`~musicfs.store.records.CollectionRecord`), and up to where the
logs are trimmed.
"""

from __future__ import annotations

from enum import IntEnum

# Raised whenever a key or value changes its form, or a table comes. An older one is migrated or, where that cannot be, put
# aside and rebuilt.
SCHEMA = 5
MIGRATED_SCHEMAS = (2, 3, 4)  # they lack tables and an identity, nothing else

FACT_TABLES = (
    "meta", "origins", "folder_ids", "folders", "object_ids", "objects", "identities", "problems", "blobs", "changes",
    "corrections", "plans", "extras", "claims", "former", "touched", "trash",
)  # fmt: skip
TREE_TABLES = ("nodes", "entries", "places", "anchors", "albums", "art", "sources", "links")

TREE_SLOTS = 2  # the served tree, and the one that is built or was served before

ROOT_INODE = 1


class ChangeOp(IntEnum):
    """What the mount must tell the kernel."""

    ENTRY = 1  # the entry (parent, name) is gone or leads elsewhere
    INODE = 2  # attributes of the inode changed
    CONTENT = 3  # the inode is gone: drop its pages
    SWAP = 4  # another generation of the tree is served
