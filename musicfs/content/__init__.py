"""A track's bytes: from an open file to exactly the bytes that were asked for, wherever they lie.

An open file holds a :class:`~musicfs.content.readers.Reader` that is bound to one version of one object for as long as
it is open: it returns that version's bytes or raises, never another's.

``sources`` opens readers. A file of this machine is read in place (``readers``). Anything else goes through ``cached``: what
the content store has, else what was fetched just now (``recent``), else ``fetch``, which asks the best source (``ranking``)
once for all who wait, on threads of its own for each origin (``crew``), and hands what came to ``keeping`` and so to the
store. ``readahead`` says what to fetch before it is asked for, ``patience`` how many may wait and how long. ``proof`` finds
out which sources hold the same bytes, so that one may go on for another (``failover``). ``delta`` plans what a new version
can take over from an old one, ``chunker`` cuts contents into chunks for the keeper, ``scanned`` keeps what scans have read.
A file whose tags are corrected is read through its plan (``spliced``), over whichever reader its original has. Of a file
that its origin has no more, what is stored can be read (``remembered``).

Threads: ``fetch-*`` for flights, ``keep`` for writing, ``proof`` for comparing; each starts when it is needed and ends with
:meth:`~musicfs.content.sources.Sources.close`. Handlers wait in one place only, with the caller's lock let go.

Imports ``origins``, ``store``, ``formats`` and what lies below; only this room imports fastcdc. ``vfs``, ``mount`` and
``daemon`` use it.
"""
