"""The query language of searches, collections and ``--query``, and what a query means.

Owns the syntax (``help`` shows it, ``parser`` reads it, ``rendering`` writes it), the fields that can be asked for
(``fields``), what a value of a date, age or duration stands for (``values``), how text becomes words (``words``), and the
meaning of a query for one track (``evaluate``). The full-text index is to compile the same ``syntax`` tree, with the same
``words``, ``fields``, ``values`` and ``documents`` readers; ``evaluate`` is what its answers are compared with.

Promises: every text either parses or raises :class:`~musicfs.errors.QueryError` with the column, in time that grows with
its length and no faster; the text that is rendered of a tree parses to that tree. All functions are pure, on any thread.
Imports floors 0 and 1 only, anyone above may import it.
"""
