"""Files of tags: what a spreadsheet, a script or another program says about tracks, as changes, and tracks as such a file.

Owns CSV, JSON and JSON lines in both directions, and reading beets' database. Promises that what :func:`write_export` writes
is what :func:`read_changes` reads, value for value; that a row which makes no sense is a row with a problem that names its
column and what to do, while a file that makes no sense raises before its first row is used; that of CSV, JSON lines and
databases no more than one row is in memory; and that what is read is never written to.

It lies in ``api`` because it is nothing but another notation for the values of :mod:`musicfs.api.metadata`: whoever can send
those can send a file. No grpc in it. ``cli`` imports it. No threads; every iterator belongs to the thread that asks it.

``names`` knows what columns are called, ``cells`` how several values share a cell of CSV, ``rows`` makes a change of a row;
``csv_rows``, ``json_rows`` and ``beets`` read, ``reading`` tells them apart, ``exporting`` writes.
"""
