"""The promises of MusicFS, measured: one module per promise, one table for all of them.

``benchmarks/run`` measures every row whose peers are installed, prints goal, measured and peer side by side, and writes
all numbers to ``benchmarks/results/``. How it is done, so that a number means something on a noisy machine:

- A speed is a ratio to a peer that reads the same bytes in the same run. Rounds are interleaved (us, peer, peer, us, ...), in
  turning order, five or more; what counts is the median. CPU seconds of the server (user + system, the process and all it
  started) stand beside it, for they suffer less from neighbours than wall time does.
- *Kernel cold* means that the pages of the mount are not in the page cache while those of the underlying files are: each
  request reaches the server, and the disk has no say. ``posix_fadvise(DONTNEED)`` on a file *of the mount* drops the pages
  of that inode alone; ``mincore`` then proves that none is left (:mod:`benchmarks.pagecache`). A walk is made cold by
  mounting anew: a new superblock knows no names and no attributes.
- Clients are C programs (``find``, ``ls``) or Python threads that read a megabyte at a time, so that the client's own cost
  is small.
- A server far away is a real one behind :class:`musicfs.testing.proxy.CountingProxy`, which makes the round trip and the rate
  of the line, and counts what passes (:mod:`benchmarks.remotes`). Content is cold when the store was cleared and every
  round reads a file of its own.
- What cannot be measured here is a row all the same, with the reason.
- ``benchmarks/run --null`` puts bindfs in the place of MusicFS: what it then shows beside 1.0x is noise.

``libraries`` makes the music, ``servers`` runs MusicFS and its peers, ``measure`` times, ``report`` prints. Every server is a
child of this process, is ended by its process id, and whatever is mounted is unmounted, also when a measurement fails.
"""
