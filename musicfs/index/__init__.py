"""The query language of searches, collections and ``--query``, and what a query means.

Owns the syntax (``help`` shows it, ``parser`` reads it, ``rendering`` writes it), the fields that can be asked for
(``fields``), what a value of a date, age or duration stands for (``values``), how text becomes words (``words``), and the
meaning of a query for one track (``evaluate``). And the full-text index: how a track lies in it (``schema``, ``entries``),
``writer``, ``reader``, and between them ``compiling``, from a query to tantivy's, with exactly the matches that ``evaluate``
has, ``ranking``, what comes first, and ``segments``, whether its files are whole; ``highlights`` shows why a track matches.

Promises: every text either parses or raises :class:`~musicfs.errors.QueryError` with the column, in time that grows with
its length and no faster; the text that is rendered of a tree parses to that tree. A commit of the index is there as a whole
or not at all, with the sequence of the catalog that it stands for. A reader finds what the last commit holds or raises
:class:`~musicfs.errors.StoreError`; a writer begins a damaged index anew.

Threads: all functions are pure, on any thread; a reader may be used from any thread, a writer from one, in one process.
Only ``schema``, ``entries``, ``compiling``, ``ranking``, ``segments``, ``writer`` and ``reader`` import tantivy (14 MB):
import them where they are used. Imports floors 0 and 1 only, anyone above may import it.
"""
