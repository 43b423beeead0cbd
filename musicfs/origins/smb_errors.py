"""What an SMB server's answers and the library's exceptions mean: the one place that knows NTSTATUS.

Codes: [MS-ERREF] 2.3.1. Messages name the server and the path, never a user's secret.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping

from musicfs.config.settings import OriginSettings
from musicfs.errors import DeniedError, OriginError, UnreachableError
from musicfs.origins import failures
from musicfs.origins.failures import Server

SUCCESS = 0x00000000
PENDING = 0x00000103
NO_MORE_FILES = 0x80000006
END_OF_FILE = 0xC0000011
ACCESS_DENIED = 0xC0000022
BAD_NETWORK_NAME = 0xC00000CC

# The path names nothing that this origin serves.
ABSENT = frozenset(
    {
        0xC000000F,  # NO_SUCH_FILE
        0xC0000024,  # OBJECT_TYPE_MISMATCH
        0xC0000033,  # OBJECT_NAME_INVALID
        0xC0000034,  # OBJECT_NAME_NOT_FOUND
        0xC0000039,  # OBJECT_PATH_INVALID
        0xC000003A,  # OBJECT_PATH_NOT_FOUND
        0xC000003B,  # OBJECT_PATH_SYNTAX_BAD
        0xC0000056,  # DELETE_PENDING
        0xC00000BA,  # FILE_IS_A_DIRECTORY
        0xC0000103,  # NOT_A_DIRECTORY
        0xC0000106,  # NAME_TOO_LONG
        0x8000002D,  # STOPPED_ON_SYMLINK: a link that this client would have to follow itself
        0xC0000279,  # IO_REPARSE_TAG_NOT_HANDLED
    }
)
# The server will not show this to this user; what it holds is not known.
HIDDEN = frozenset(
    {
        ACCESS_DENIED,
        0xC0000061,  # PRIVILEGE_NOT_HELD
        0xC0000257,  # PATH_NOT_COVERED: a DFS link to another server
    }
)
# The session or the share went away under an open connection: nothing more can be asked on it.
SESSION_LOST = frozenset(
    {
        0xC00000C9,  # NETWORK_NAME_DELETED
        0xC0000203,  # USER_SESSION_DELETED
        0xC000035C,  # NETWORK_SESSION_EXPIRED
    }
)

_LOGON: Mapping[int, str] = {
    0xC000006D: "the user name or the password is wrong",
    0xC0000064: "there is no such user",
    0xC000006A: "the password is wrong",
    0xC000006E: "the account is restricted",
    0xC000006F: "the account may not be used at this hour",
    0xC0000070: "the account may not be used from this machine",
    0xC0000071: "the password has expired",
    0xC0000072: "the account is disabled",
    0xC000015B: "the account may not log on over the network",
    0xC0000193: "the account has expired",
    0xC0000224: "the password must be changed first",
    0xC0000234: "the account is locked",
    ACCESS_DENIED: "access is denied",
}
_REASONS: Mapping[int, str] = {
    0xC0000043: "another program on the server keeps it for itself",  # SHARING_VIOLATION
    0xC0000054: "another program on the server has locked it",  # FILE_LOCK_CONFLICT
    0xC000009A: "the server has no resources left",  # INSUFFICIENT_RESOURCES
    0xC00000B5: "the server's own wait timed out",  # IO_TIMEOUT
    0xC00000D0: "the server accepts no more connections",  # REQUEST_NOT_ACCEPTED
    0xC0000185: "the server's device fails",  # IO_DEVICE_ERROR
    0xC0000257: "it lies on another server",  # PATH_NOT_COVERED
}


def status_name(status: int) -> str:
    """Words for a status, or its number where there are none."""
    return _REASONS.get(status) or f"the server answers with status {status:#010x}"


def path_error(status: int, origin_id: str, path: str) -> OriginError:
    """What ``status`` means for ``path``. Absence is for the caller to judge: it asks whether the root is there."""
    if status in ABSENT:
        return failures.gone(origin_id, path)
    if status == END_OF_FILE:
        return failures.changed(origin_id, path, "ends earlier than it did")
    if status in {ACCESS_DENIED, 0xC0000061}:
        remedy = "give the user that username names the right to read it, or leave it out with exclude"
        return failures.denied(origin_id, path, remedy)
    return UnreachableError(
        f"{failures.name_of(origin_id, path)}: {status_name(status)}",
        remedy="check the log of the server that host names",
    )


def server_of(settings: OriginSettings) -> Server:
    """The server as messages speak of it."""
    return Server(settings.id, settings.host, "host and port", "username and password")


def logon_error(status: int, server: Server, user: str) -> OriginError:
    """Why a session could not be set up; ``user`` is empty for a guest."""
    who = f"the user {user!r}" if user else "a guest"
    if status in _LOGON:
        return server.login_refused(who, _LOGON[status])
    return server.stranger(f"could not log on {who}: {status_name(status)}")


def share_error(status: int, server: Server, share: str) -> OriginError:
    """Why a share could not be entered."""
    if status == BAD_NETWORK_NAME:
        return failures.no_root(
            server.origin_id, f"share {share!r} on {server.shown}", "check share, and that the server offers it"
        )
    if status == ACCESS_DENIED:
        return DeniedError(
            f"{server.name} refuses the share {share!r}: permission denied",
            remedy="check username, and give that user the right to use the share",
        )
    return UnreachableError(
        f"{server.name} cannot open the share {share!r}: {status_name(status)}",
        remedy="check share, and the server's log",
    )


@contextlib.contextmanager
def sensible(origin_id: str, path: str) -> Iterator[None]:
    """Around the reading of an answer: one that is malformed is the server's fault, and says nothing about ``path``."""
    try:
        yield
    except (struct.error, UnicodeDecodeError) as error:
        raise UnreachableError(
            f"{failures.name_of(origin_id, path)}: the server's answer makes no sense", remedy="check host and port"
        ) from error
