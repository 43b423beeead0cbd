"""Bytes we keep: the catalog of what music there is and the tree it is served as, the content store, and the user's state.

``environment`` opens LMDB by the house's rules (one fixed map size, length checked before mapping, damaged files put
aside). Only this room imports lmdb. Every operation reads in a transaction of its own that never lasts across a wait.

The catalog (``cache_dir/catalog``): ``schema`` names every table with its key and value; ``records`` encodes them;
``catalog`` reads and ``transaction`` writes facts and tree. Only the keeper writes it, on one thread; all processes read.

The content store (``cache_dir/chunks``): ``chunks_schema`` says what is in it; ``chunks_tables`` opens it, ``chunks`` is
the mount's side (reading from any thread; adding blocks from one that may wait), ``chunks_upkeep`` the keeper's (one
thread), made of ``chunks_recut``, ``chunks_adopted``, ``chunks_evict`` and ``chunks_verify``; all change contents through
``chunks_edit``, and manifests are ``chunks_manifest``. Bytes that leave it have been verified, and whatever happens to it
costs a fetch.

The state (``state_dir/state``) is what the user made: ``state``, opened by the keeper alone.
"""
