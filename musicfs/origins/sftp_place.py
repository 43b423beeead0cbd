"""Where an SFTP origin is on its server: how paths are written there, and what its answers mean.

Paths on the wire are bytes. What only REALPATH can tell (is a link on the way, where does it lead) is believed as far as the
server resolves links, which OpenSSH does.
"""

from __future__ import annotations

from typing import cast

from musicfs.errors import OriginError, UnreachableError
from musicfs.model import Entry
from musicfs.origins import unserved
from musicfs.origins.failures import denied, name_of, no_root
from musicfs.origins.paths import encode_path
from musicfs.origins.sftp_messages import Answer, Attrs, Code, Kind, StatusError
from musicfs.origins.sftp_session import SftpSession

# NAME_MAX and PATH_MAX, limits.h(0P) of Linux.
NAME_BYTES = 255
PATH_BYTES = 4096


class Place:
    """Where an origin is on its server: how paths are written there, and what answers mean."""

    def __init__(self, origin_id: str, path: str, host: str) -> None:
        """``path`` as configured: absolute, or from the folder that a login begins in, which ``~`` is too."""
        inner = path[1:].lstrip("/") if path == "~" or path.startswith("~/") else path
        self.origin_id = origin_id
        self.root = encode_path(inner.rstrip("/") or ("/" if inner.startswith("/") else "."))
        self._host = host
        self._shown = f"{path or '~'} on {host}"

    def full(self, path: str) -> bytes:
        """The server's path for an origin path; empty is the root."""
        return join(self.root, encode_path(path)) if path else self.root

    def is_absent(self, error: StatusError, path: str) -> bool:
        """Whether the server says that nothing has this path: to be believed once the root is proven.

        Some servers answer a plain failure to a name that no disk of theirs could hold.
        """
        overlong = len(encode_path(path)) > PATH_BYTES or any(
            len(encode_path(name)) > NAME_BYTES for name in path.split("/")
        )
        return error.names_nothing or (overlong and error.code == Code.FAILURE)

    def explain(self, error: StatusError, path: str) -> OriginError:
        """What an answer that says nothing about existence means. Only a refusal is no UnreachableError."""
        if error.is_denied:
            remedy = "give the user that username names the right to read it, or leave it out with exclude"
            return denied(self.origin_id, path, remedy)
        return UnreachableError(
            f"{name_of(self.origin_id, path)}: {error}", remedy=f"check the server's log, that of {self._host}"
        )

    async def prove(self, session: SftpSession) -> None:
        """Return if the root is a folder now: what was missing below it is missing. Raises UnreachableError, DeniedError."""
        try:
            attrs = await session.attrs(Kind.STAT, self.root)
        except StatusError as error:
            if not error.names_nothing:
                raise self.explain(error, "") from error
            raise self._no_root() from error
        if attrs.mode >= 0 and not attrs.is_folder:
            raise self._no_root()

    def _no_root(self) -> UnreachableError:
        return no_root(
            self.origin_id, f"folder {self._shown}", "check path, and that its disk is mounted on the server"
        )


def join(folder: bytes, name: bytes) -> bytes:
    """A path of the server in a folder of it."""
    return folder + name if folder.endswith(b"/") else folder + b"/" + name


def is_inside(real_path: bytes, real_root: bytes) -> bool:
    return real_path.startswith(real_root.rstrip(b"/") + b"/")


def make_version(attrs: Attrs) -> str:
    """Size in bytes and mtime in seconds, in hexadecimal."""
    return f"{attrs.size:x}-{attrs.mtime_s:x}"


def make_entry(path: str, attrs: Attrs) -> Entry:
    return Entry(path, attrs.size, attrs.mtime_s * 1_000_000_000, make_version(attrs))


def size_of(version: str) -> int | None:
    """The size that a version of ours says; None if it is none."""
    size, _, mtime = version.partition("-")
    try:
        return int(size, 16) if make_version(Attrs(int(size, 16), 0, int(mtime, 16))) == version else None
    except ValueError:
        return None


async def resolve_link(session: SftpSession, link: bytes, real_root: bytes) -> Attrs | str:
    """What the regular file is that a link leads to inside ``real_root``, or why it is not served. One round trip.

    Raises StatusError if the server would not say.
    """
    looking = session.attrs(Kind.STAT, link)
    resolving = session.ask(Kind.REALPATH, link)
    try:
        attrs = await looking
        target = real_path(await resolving)
    except StatusError as error:
        if error.names_nothing:
            return unserved.BROKEN
        raise
    if not is_inside(target, real_root):
        return unserved.LEAVES
    if attrs.is_folder:
        return unserved.TO_FOLDER
    return attrs if attrs.is_file and attrs.complete else unserved.TO_NO_FILE


def real_path(answer: Answer) -> bytes:
    """The path in the answer to REALPATH."""
    names = cast("list[tuple[bytes, Attrs]]", answer)
    if not isinstance(answer, list) or not names:
        raise StatusError(4, "no answer to REALPATH")
    return names[0][0]
