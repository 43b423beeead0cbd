"""How MusicFS reaches a machine: the scripts under ``dist/``."""
