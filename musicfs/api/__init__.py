"""The control interface: gRPC on a Unix socket, its server and its client.

``backend`` says what a daemon must be able to do, in plain values; ``server`` translates calls into it, ``client``
translates answers back into the same values, so that neither side of the house sees a protobuf message. ``generated`` is
made from ``proto/`` by ``python -m musicfs.api.regenerate``. ``backend`` and ``paths`` are light; only ``server``,
``client`` and ``messages`` import grpc and protobuf, and nothing else in the house does.

The server's threads: gRPC's own, a pool of a few that handle calls, and one short-lived daemon thread for each call.
"""
