"""Which keys of an ``[[origins]]`` table belong to which type of origin."""

from __future__ import annotations

from dataclasses import dataclass

from musicfs.config.settings import OriginSettings


@dataclass(frozen=True, slots=True)
class OriginKeys:
    """The keys of one kind of origin, beside those that all have."""

    kind: str  # as it stands in a sentence
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        """Every key that means something."""
        return frozenset(self.required + self.optional)

    @property
    def needs(self) -> str:
        """The required keys, as they stand in a sentence."""
        return " and ".join(self.required)


_LOCAL = OriginKeys("a local origin", ("path",))
_MOUNTED = {
    "nfs": OriginKeys("an nfs origin without host", ("path",)),
    "smb": OriginKeys("an smb origin without host", ("path",)),
}
_DIRECT = {
    "nfs": OriginKeys("an nfs origin", ("host", "export"), ("path", "port", "mount_port")),
    "smb": OriginKeys("an smb origin", ("host", "share"), ("path", "port", "username", "user", "password")),
    "s3": OriginKeys(
        "an s3 origin",
        ("bucket",),
        ("prefix", "region", "endpoint", "profile", "access_key_id", "secret_access_key"),
    ),
    "sftp": OriginKeys(
        "an sftp origin",
        ("host",),
        ("path", "port", "username", "user", "password", "key_file", "key_passphrase", "known_hosts"),
    ),
    "webdav": OriginKeys("a webdav origin", ("url",), ("username", "user", "password")),
}

KEYS_OF_TYPES = frozenset(name for keys in (_LOCAL, *_DIRECT.values()) for name in keys.allowed)
"""Every key that means something for some types only."""


def keys_of(origin: OriginSettings) -> OriginKeys:
    """The keys that suit an origin of this type; where nfs or smb name a host, they need no mounted path."""
    if origin.origin_type in _MOUNTED and not (origin.host or origin.share or origin.export):
        return _MOUNTED[origin.origin_type]
    return _DIRECT.get(origin.origin_type, _LOCAL)
