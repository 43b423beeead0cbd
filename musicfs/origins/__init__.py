"""Bytes from elsewhere: the contract, one file per kind of origin, the wrappers around them, and the registry.

``contract`` says what an origin promises; ``registry.open_origin`` builds one from its settings, importing its module only
then; ``compose`` puts the wrappers around it. What the kinds share has its own place: ``paths``, ``failures`` (their words),
``secrets``, ``unserved``, ``walk_ahead``. Every origin is safe to call from many threads and raises nothing but
:class:`~musicfs.errors.OriginError`. Its threads are those of a running watch or listing, of the loop behind an
asynchronous SDK, and the one that listens to the process of a mounted share; close() joins them.

Imports ``errors``, ``model``, ``clock`` and ``config``; everything above may import it, by ``contract`` and ``registry``.
Only this room imports network SDKs and watchdog.
"""
