"""What the library looks like as files: names, templates, views, the tree they make, and the nodes that serve it.

Two sides of one thing. The writing side (``tree`` and what it calls) runs in the keeper: given objects that changed it
derives folders and names and writes them into the catalog, in the caller's transaction. The reading side (``nodes``) runs
in the mount process and answers from the catalog (``catalog_tree``), and makes up what no catalog holds: the hidden folders
``/.prefetch`` (``mirror``) and ``/.search`` (``searches``). Files whose tags are corrected are seen as they are served;
``former`` keeps the names that corrections end; ``collections`` are folders of links, and what is in them is decided
elsewhere, as it is for deleted tracks (``trash``). No FUSE here, and nothing outside this room decides a name.
"""
