"""Public tools for tests: conformance suites, fakes, tiny audio files and sample libraries.

Owns nothing at run time and is imported by no other room. May import any room, and mutagen to *write* tags: what the
tools write is then an independent witness of what ``formats`` reads. Everything here is deterministic.
"""
