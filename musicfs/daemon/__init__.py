"""The composition root: two processes, their parts, their beginning and their end.

``run`` is the mount process: it serves the tree from the catalog and does nothing else. ``keeper`` is the other: it scans,
watches, writes the catalog and answers the control socket. ``supervisor`` starts the second from the first, again and
again if need be; ``link`` is what they say to each other. A dead keeper is a log line, never an outage; a dead mount
process takes the keeper and its workers with it.

Both read content with the parts of ``reading``. The keeper's side of the content store is ``cache``, with ``upkeep``
(re-cutting, evicting), ``cache_control`` (what clients ask for) and ``delta`` (what a changed file keeps). ``trash`` keeps
what was deleted. ``health`` watches over origins.
"""
