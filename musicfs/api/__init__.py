"""The control interface: gRPC on a Unix socket, its server and its client.

``backend`` and its parts ``metadata``, ``search`` and ``collections`` say what a daemon must be able to do, in plain values;
``server`` and the ``_server`` module of each part translate calls into it, ``client`` and the ``_client`` modules translate
answers back into the same values, so that neither side of the house sees a protobuf message. ``answering`` is what all calls
of the server share, ``connection`` what all of a client do. ``generated`` is made from ``proto/`` by
``python -m musicfs.api.regenerate``. ``backend``, its parts and ``paths`` are light; the servers, the clients and what makes
messages import grpc and protobuf, and nothing else in the house does.

The server's threads: gRPC's own, a pool of a few that handle calls, and one short-lived daemon thread for each call.
"""
