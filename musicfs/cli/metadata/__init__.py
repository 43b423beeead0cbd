"""``musicfs metadata``: reading, correcting and exchanging tags.

``command`` is the group; ``show`` (get, diff, log), ``change`` (set, clear, undo) and ``files`` (import, export) are its
commands, ``arguments`` says which tracks they are about, ``results`` and ``tracks`` how that is shown.
"""
