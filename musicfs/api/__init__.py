"""The control interface: gRPC on a Unix socket and on ports, its server and its client.

``backend`` and its parts (``metadata``, ``search``, ``collections``, ``library``, ``trash``, ``service``) say what a daemon
must be able to do, in plain values; ``server`` and the ``_server`` module of each part translate calls into it, ``client``
and the ``_client`` modules translate answers back into the same values, so that neither side of the house sees a protobuf
message.
``answering`` is what all calls of the server share, ``connection`` what all of a client do. ``generated`` is made from
``proto/`` by ``python -m musicfs.api.regenerate``. ``backend``, its parts and ``paths`` are light; the servers, the clients
and what makes messages import grpc and protobuf, and nothing else in the house does.

``listening`` makes a server for each kind of listener, with ``access`` (who may make which call: a table of all) and
``limits`` before it, ``introspection`` beside our services, and ``certificates`` where there is TLS. ``tokens``,
``endpoint``, ``tcp`` and ``unix_socket`` are light too, and used by both sides.

The server's threads: gRPC's own, for each listener a pool of 32 that grows as calls come, one short-lived daemon thread for
each unary call, and on a network another for each call while its request is awaited.
"""
