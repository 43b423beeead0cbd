"""A track's bytes: from the plan of an open file to exactly the bytes that were asked for.

An open file holds a :class:`~musicfs.content.readers.Reader` that is bound to one version of one object for as long as
it is open: it returns that version's bytes or raises, never another's. Local origins are read directly from their files.
"""
