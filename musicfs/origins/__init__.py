"""Bytes from elsewhere: the contract, one file per kind of origin, the wrappers around them, and the registry.

Only this room imports network SDKs and watchdog's observers. ``contract`` says what an origin promises, ``registry``
builds one from its settings, importing its module only then.
"""
