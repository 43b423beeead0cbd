"""Bytes we keep: the catalog of what music there is and the tree it is served as, the content store, and the user's state.

``environment`` opens LMDB by the house's rules (one fixed map size, length checked before mapping, damaged files put
aside). Only this room imports lmdb. Every operation reads in a transaction of its own that never lasts across a wait.

The catalog (``cache_dir/catalog``): ``schema`` names every table with its key and value; ``records`` encodes them;
``catalog`` reads and ``transaction`` writes facts and tree, ``survey`` reads all of it, a stretch at a time; ``trashed`` and
``trash_tables`` have what was deleted. Only the keeper writes it, on one thread; all processes read.

The content store (``cache_dir/chunks``): ``chunks_schema`` says what is in it; ``chunks_tables`` opens it, ``chunks`` is
the mount's side (reading from any thread; adding blocks from one that may wait), ``chunks_upkeep`` the keeper's (one
thread), made of ``chunks_recut``, ``chunks_adopted``, ``chunks_evict`` and ``chunks_verify``; all change contents through
``chunks_edit``, and manifests are ``chunks_manifest``. Bytes that leave it have been verified, and whatever happens to it
costs a fetch.

The state (``state_dir``) is what the user made, opened by the keeper alone, through ``state``: ``overlays`` says what is
in it; ``frames`` and ``journal`` write it down so that damage is found and nothing acknowledged is lost; ``state_tables``
has the same where it is found fast, ``images`` the pictures. ``state_engine`` writes both and heals what it meets;
``state_changes`` plans what a change writes; ``state_recovery`` and ``state_build`` open what a crash or a damaged disk
left; ``state_upgrade`` keeps what an older version wrote before it is changed, and ``state_lock`` notes who wrote last.
"""
