"""TOML, environment and flags become frozen structs; every problem is reported at once, with its place.

``settings`` says what may be set; ``load`` reads it. Flags beat ``MUSICFS_*`` variables beat the file beat the defaults.
``mounts`` knows which folders lie on other machines. ``load`` is used by the command line and the composition root only; the
other rooms are given values.
"""
