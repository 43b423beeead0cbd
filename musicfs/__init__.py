"""MusicFS: a music library as a filesystem organised by its metadata.

Rooms, from the ground up; a room imports only from floors below its own (``tests/test_structure.py`` holds this):

====== ==========================================  =========================================================
floor  room                                        owns
====== ==========================================  =========================================================
0      ``errors`` ``model`` ``events`` ``clock``   the words: frozen values, the error tree, events; no I/O
       ``interpreter``                             how our own modules are started as processes
1      ``config``                                  TOML, environment and flags to frozen structs
2      ``origins`` ``store`` ``formats``           bytes from elsewhere; bytes we keep; containers
       ``index``                                   the query language
3      ``content`` ``library``                     a track's bytes; what music there is
4      ``vfs``                                     what the library looks like as files
5      ``mount`` ``api``                           the llfuse and gRPC adapters
6      ``daemon``                                  composition, processes, supervision
7      ``cli``                                     commands
====== ==========================================  =========================================================

``testing`` is public: conformance suites, fakes and tiny audio files for those who write origins and plugins.
"""

from __future__ import annotations

__version__ = "0.1.0"
