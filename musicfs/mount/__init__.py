"""The llfuse adapter: ``operations`` translates requests to the tree's reading side, ``session`` mounts and serves,
``mountpoint`` readies and guards the folder below. Only this room imports llfuse.

Handlers run on llfuse's worker threads, one at a time under its lock, which is released around everything that may wait.
"""
