"""One export of one NFS server: connections, mounting, and what to do when they break.

Connections are made when they are needed, kept while idle, and belong to one call at a time. One that fails is thrown away,
and so are the idle ones, for what ended it ended them: the next call begins afresh, also after a restart of the server.
Since nothing here changes anything on the server, a call whose idle connection turns out to be dead is made once more.

Raises UnreachableError and DeniedError of its own accord; StatusError, what the server says of a handle, is for the caller.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

import msgspec

from musicfs.errors import DeniedError, OriginError, UnreachableError
from musicfs.origins import nfs_protocol as nfs
from musicfs.origins.failures import Server, closed, denied, name_of, no_root
from musicfs.origins.nfs_rpc import Call, RpcConnection, RpcError, StatusError, own_credential
from musicfs.origins.nfs_xdr import XdrError
from musicfs.origins.paths import encode_path

T = TypeVar("T")

NFS_PORT = 2049  # RFC 1813, section 2.1
PORTMAP_PORT = 111  # RFC 1833, section 3.1
MOUNT_PORT = 20048  # IANA's for mountd, where a server has no port mapper
_AUTH_NONE, _AUTH_SYS = 0, 1
# RFC 1813, section 3.3.6: never more than the server's rtmax; larger pieces gain nothing and delay the first answer.
MAX_READ_BYTES = 1 << 20
_MIN_READ_BYTES = 4096
_MAX_FOLDER_BYTES = 1 << 18
_MIN_FOLDER_BYTES = 8192
_INSECURE = (
    "give this machine access to the export, with sec=sys and for ports above 1023 (`insecure` on a Linux server)"
)


class Address(msgspec.Struct, frozen=True):
    """Where an export is. Ports may be zero: NFS then has its own, and MOUNT is looked for."""

    host: str
    export: str
    port: int = 0
    mount_port: int = 0


class Mount(msgspec.Struct, frozen=True):
    """The handle of the export's root, and the sizes that suit the server."""

    root: bytes
    limits: nfs.Limits


class NfsServer:
    """Safe from many threads. Constructing it does no I/O."""

    def __init__(self, origin_id: str, address: Address, *, timeout_s: float, connections: int) -> None:
        """``timeout_s`` is for one answer, and for getting a connection; ``connections`` may exist at once."""
        self._origin_id = origin_id
        self._address = address
        self._port = address.port or NFS_PORT
        self._timeout_s = timeout_s
        self._server = Server(origin_id, f"{address.host}:{self._port}", "host and port")
        self._slots = threading.BoundedSemaphore(connections)
        self._mounting = threading.Lock()
        self._lock = threading.Lock()  # guards what follows; never held across I/O
        self._idle: list[RpcConnection] = []
        self._busy: set[RpcConnection] = set()
        self._mount: Mount | None = None
        self._closed = False

    def mount(self) -> Mount:
        """The export, mounted at the first use."""
        mount = self._mount
        if mount is not None:
            return mount
        if not self._mounting.acquire(timeout=self._timeout_s):
            raise self._server.silent(self._timeout_s)
        try:
            if self._mount is None:
                self._mount = self._make_mount()
            return self._mount
        finally:
            self._mounting.release()

    def forget(self, mount: Mount) -> None:
        """The root's handle has become stale: mount again at the next use, unless that was done since."""
        with self._lock:
            if self._mount is mount:
                self._mount = None

    def call(self, call: Call[T]) -> T:
        """One call to the NFS program. Raises StatusError too."""
        (outcome,) = self.call_all((call,))
        if isinstance(outcome, StatusError):
            raise outcome
        return outcome

    def call_all(self, calls: Sequence[Call[T]]) -> list[T | StatusError]:
        """Calls that travel together: the outcome of each, in their order."""
        if not self._slots.acquire(timeout=self._timeout_s):
            raise self._server.silent(self._timeout_s)
        try:
            return self._attempt(calls)
        finally:
            self._slots.release()

    def close(self) -> None:
        """End the calls under way; idempotent. What is asked afterwards raises UnreachableError."""
        with self._lock:
            self._closed = True
            for connection in self._busy:
                connection.abort()
        self._drop_idle()

    def _attempt(self, calls: Sequence[Call[T]]) -> list[T | StatusError]:
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._use(connection, lambda: connection.call_all(calls))
            except TimeoutError as error:
                self._fail(error)
            except OSError:
                self._drop_idle()  # closed while it was idle: all of them were
        try:
            fresh = self._connect(self._port)
            return self._use(fresh, lambda: fresh.call_all(calls))
        except OSError as error:
            self._fail(error)

    def _use(self, connection: RpcConnection, action: Callable[[], T]) -> T:
        """Run a call on the connection, which is kept if that went well."""
        with self._lock:
            self._busy.add(connection)
            was_closed = self._closed
        kept = False
        try:
            if was_closed:
                raise closed(self._origin_id)
            result = action()
            kept = True
            return result
        except (RpcError, XdrError) as error:
            self._fail(error)
        finally:
            with self._lock:
                self._busy.discard(connection)
                kept = kept and not self._closed
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _take_idle(self) -> RpcConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _drop_idle(self) -> None:
        with self._lock:
            dropped, self._idle = self._idle, []
        for connection in dropped:
            connection.close()

    def _connect(self, port: int) -> RpcConnection:
        return RpcConnection(self._address.host, port, timeout_s=self._timeout_s, credential=own_credential())

    def _make_mount(self) -> Mount:
        mounted = self._ask_mount()
        if mounted.flavors and not {_AUTH_SYS, _AUTH_NONE}.intersection(mounted.flavors):
            raise DeniedError(
                f"{self._server.name} wants Kerberos for the export {self._address.export!r}",
                remedy="let the server offer it with sec=sys too, or mount it here and give the origin its path",
            )
        try:
            limits = self.call(nfs.fsinfo(mounted.handle))
        except StatusError as error:
            raise self.refusal(error, "") from error
        read = max(_MIN_READ_BYTES, min(limits.read, MAX_READ_BYTES))
        folder = max(_MIN_FOLDER_BYTES, min(limits.read, _MAX_FOLDER_BYTES))
        return Mount(mounted.handle, nfs.Limits(read=read, folder=folder))

    def _ask_mount(self) -> nfs.Mounted:
        """Ask the MOUNT service for the export's root, wherever the service is."""
        call = nfs.mount(encode_path(self._address.export))
        for port in (self._address.mount_port,) if self._address.mount_port else self._mount_ports():
            try:
                return self._once(port, call)
            except StatusError as error:
                raise self._not_mounted(error, port) from error
            except RpcError as error:
                if not error.no_program or self._address.mount_port:
                    self._fail(error, "its MOUNT service")
            except ConnectionRefusedError as error:
                if self._address.mount_port:
                    self._fail(error, f"its MOUNT service at port {port}")
            except (OSError, XdrError) as error:
                self._fail(error, "its MOUNT service")
        raise UnreachableError(
            f"{self._server.name} has no MOUNT service that can be found",
            remedy="let the server's port mapper (port 111) through, or set mount_port, or mount it here and use path",
        )

    def _mount_ports(self) -> Sequence[int]:
        """Where the MOUNT service may be: what the port mapper says, or else with NFS itself, or at its usual port."""
        try:
            port = self._once(PORTMAP_PORT, nfs.getport(nfs.MOUNT_PROGRAM, nfs.MOUNT_VERSION))
        except TimeoutError:
            port = 0  # a firewall drops what it does not let through
        except (OSError, RpcError, XdrError) as error:
            if isinstance(error, socket.gaierror):
                self._fail(error)
            port = 0
        return (port,) if port else (self._port, MOUNT_PORT)

    def _once(self, port: int, call: Call[T]) -> T:
        connection = self._connect(port)
        try:
            return connection.call(call)
        finally:
            connection.close()

    def _not_mounted(self, error: StatusError, port: int) -> OriginError:
        export = f"export {self._address.export!r}"
        if error.status in nfs.DENIED and not self._shows_export(port):
            return DeniedError(
                f"{self._server.name} has no {export} for this machine",
                remedy=f"check export; `showmount -e {self._address.host}` lists what it exports to it",
            )
        if error.status in nfs.DENIED:
            return DeniedError(f"{self._server.name} refuses the {export}: permission denied", remedy=_INSECURE)
        if error.status in nfs.ABSENT:
            return no_root(
                self._origin_id,
                f"{export} on {self._server.shown}",
                f"check export; `showmount -e {self._address.host}` lists what it exports",
            )
        return self.refusal(error, "")

    def _shows_export(self, port: int) -> bool:
        """Whether the server names the export, or a folder around it, as its own: many refuse what they do not have."""
        try:
            paths = self._once(port, nfs.exports())
        except (OSError, RpcError, StatusError, XdrError):
            return True  # it does not tell
        wanted = encode_path(self._address.export).rstrip(b"/") + b"/"
        return any(wanted.startswith(path.rstrip(b"/") + b"/") for path in paths)

    def refusal(self, error: StatusError, path: str) -> OriginError:
        """What a status means that says neither yes nor no; an empty path is the root folder."""
        if error.status in nfs.DENIED:
            remedy = "give the user who mounts (by uid and gid) the right to read it, or leave it out with exclude"
            return denied(self._origin_id, path, remedy)
        reason = nfs.STATUS_TEXTS.get(error.status, f"error {error.status}")
        return UnreachableError(
            f"{name_of(self._origin_id, path)}: {reason}",
            remedy=f"check the server's log, that of {self._server.shown}",
        )

    def _fail(self, error: Exception, what: str = "") -> NoReturn:
        """Raise what ``error`` of a connection means."""
        self._drop_idle()
        if isinstance(error, RpcError) and error.denied:
            raise DeniedError(f"{self._server.name} {error}", remedy=_INSECURE) from error
        server = msgspec.structs.replace(self._server, shown=f"{self._server.shown} ({what})") if what else self._server
        if isinstance(error, TimeoutError):
            raise server.silent(self._timeout_s) from error
        if isinstance(error, socket.gaierror):
            raise server.unknown() from error
        if isinstance(error, OSError):
            raise server.not_reached(error.strerror or str(error)) from error
        raise server.stranger(f"does not answer as NFS version 3 does: {error}") from error
