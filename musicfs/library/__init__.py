"""What music there is: listing origins, reading tags, and keeping the catalog in step.

``plan`` compares a listing with the catalog and is pure; ``reading`` is how files are read: those of this machine by
``pool`` in spawned workers that may crash or hang without harm, those of remote origins by ``remote`` from the few ranges
that ``ranges`` plans, fewer of a changed file of which an older version is stored (``reading.Revisions`` compares the two);
``moves`` recognises what was only renamed; ``scan`` runs all that and hands finished folders to ``publish``,
which writes facts and tree in one transaction. Everything runs on the keeper's one scanning thread except the workers, which
are processes, and the threads of a remote reading, which end with the scan (or, where the origin lets them hang, with its
timeout) and write neither catalog nor tree.

What the user corrects comes by another way, on the threads of those who ask for it and in transactions of its own:
``correcting`` puts it into the state, ``rendering`` makes a plan of each file, ``attaching`` keeps corrections with their
files whatever scans find; ``overlays`` says what a change means.

Tracks whose files are gone from every origin go to the ``trash``, which scans fill and empty; ``trash_edits`` is what users
do with it.

Collections are defined by ``rules``, filled by ``collecting`` and sorted by ``ordering``.

``checkup`` looks a library over for what is wrong with the music, with ``albums`` and ``repeats``; ``drift`` compares an
origin with what is known of it. Both only read, on the threads of those who ask.
"""
