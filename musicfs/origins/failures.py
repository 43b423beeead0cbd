"""What origins say when something fails: the same situation reads the same, whichever origin it is. Pure.

Every message begins with the origin and names the server, folder or file; every remedy names the setting to look at, or the
command that helps. What only one protocol knows (a revoked host key, an expired account) is said in its own file.
"""

from __future__ import annotations

import msgspec

from musicfs.errors import ChangedError, ConfigError, DeniedError, GoneError, UnreachableError
from musicfs.origins.paths import printable

ROOT = "its root folder"


def name_of(origin_id: str, path: str = "") -> str:
    """A file or folder as the beginning of a message; an empty path is the root."""
    return f"origin {origin_id!r}: {printable(path) or ROOT}"


def gone(origin_id: str, path: str) -> GoneError:
    """The origin answers, and has no such file."""
    return GoneError(f"{name_of(origin_id, path)} is not there", remedy=_rescan(origin_id))


def gone_folder(origin_id: str, path: str) -> GoneError:
    """The origin answers, and has no such folder."""
    return GoneError(f"origin {origin_id!r}: there is no folder {printable(path)}", remedy=_rescan(origin_id))


def changed(origin_id: str, path: str, what: str = "is not the version it was") -> ChangedError:
    """The file is another one than the caller knows."""
    return ChangedError(f"{name_of(origin_id, path)} {what}", remedy=_rescan(origin_id))


def changed_meanwhile(origin_id: str, path: str) -> ChangedError:
    """The file was one version at the beginning of a read, and another at its end."""
    return changed(origin_id, path, "was changed while it was read")


def no_bytes(origin_id: str, path: str, start: int, stop: int, size: int | None = None) -> ChangedError:
    """The range is not one of the file, which has ``size`` bytes, if that is known."""
    return changed(origin_id, path, f"has no bytes {start} to {stop}" + ("" if size is None else f" in {size}"))


def denied(origin_id: str, path: str, remedy: str) -> DeniedError:
    """The origin lets this user in, and does not let them read this."""
    return DeniedError(f"{name_of(origin_id, path)}: permission denied", remedy=remedy)


def no_root(origin_id: str, what: str, remedy: str) -> UnreachableError:
    """The origin's own folder (bucket, export, share) is missing: ``what`` says which, and where."""
    return UnreachableError(f"origin {origin_id!r}: there is no {what}", remedy=remedy)


def no_secret(origin_id: str, error: ConfigError, key: str = "") -> DeniedError:
    """A secret is not where the settings say; ``key`` is the setting, where ``error`` does not name it."""
    where = f"{key}: " if key else ""
    return DeniedError(f"origin {origin_id!r}: {where}{error}", remedy=error.remedy)


def closed(origin_id: str) -> UnreachableError:
    """The origin was closed: nothing can be asked any more."""
    return UnreachableError(f"origin {origin_id!r} is closed", remedy="open it again")


class Server(msgspec.Struct, frozen=True):
    """The server of an origin, as messages speak of it."""

    origin_id: str
    shown: str  # host:port, or what the origin has instead
    address_keys: str  # the settings that lead to it, as they stand in a sentence
    login_keys: str = ""  # those that say who asks, and prove it

    @property
    def name(self) -> str:
        """The beginning of a message about it."""
        return f"origin {self.origin_id!r}: {self.shown}"

    def silent(self, timeout_s: float) -> UnreachableError:
        """It takes longer than that to answer."""
        return UnreachableError(
            f"{self.name} does not answer within {timeout_s:g} s",
            remedy=f"check {self.address_keys}, the network and the server, or raise timeout_s",
        )

    def not_reached(self, reason: str) -> UnreachableError:
        """There is no connection: ``reason`` is what the system says."""
        return UnreachableError(
            f"{self.name} cannot be reached: {reason}",
            remedy=f"check {self.address_keys}, and that the server runs and its firewall lets you",
        )

    def unknown(self) -> UnreachableError:
        """Its name has no address."""
        return self.not_reached("its name is not known here")

    def hung_up(self, when: str = "") -> UnreachableError:
        """It ended the connection; ``when`` goes on with the sentence."""
        return UnreachableError(
            f"{self.name} ended the connection{when and ' '}{when}",
            remedy=f"check that the server runs, what its log says, and {self.address_keys}",
        )

    def stranger(self, what: str) -> UnreachableError:
        """Something answers, but not the way the protocol has it: ``what`` ends the sentence."""
        return UnreachableError(f"{self.name} {what}", remedy=f"check {self.address_keys}")

    def login_refused(self, who: str, reason: str) -> DeniedError:
        """It answers, and lets ``who`` not in."""
        return DeniedError(f"{self.name} refuses {who}: {reason}", remedy=f"check {self.login_keys}")


def _rescan(origin_id: str) -> str:
    return f"it is looked at again by itself, or now with: musicfs origin rescan {origin_id}"
