"""The control interface over real sockets, in front of a backend whose answers a test sets."""
