"""One concern each, around any origin: retry, limit, breaker, trace. A wrapper is an origin and passes the same suite.

They are put together in one place, :func:`musicfs.origins.compose.compose`. Each is one method, ``_call``, through which
every operation on the inner origin goes; optional powers of the inner origin are powers of its wrapper. Safe from many
threads, without threads of their own; time comes from a :class:`~musicfs.clock.Clock`.
"""
