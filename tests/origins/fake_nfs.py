"""An NFS server in this process that does what real ones may do and nfs-ganesha does not: leave out, cut short, put off."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from musicfs.origins import nfs_protocol as nfs
from musicfs.origins.nfs_rpc import StatusError
from musicfs.origins.nfs_xdr import Reader, hyper, opaque, uint

ROOT = b"root"


class FakeNfs:
    """Port mapper, MOUNT and NFS on one port of 127.0.0.1, with one folder of files; runs while it is entered.

    Handles are names with ``generation`` appended; files are bytes, folders None (empty, on a filesystem of their own).
    """

    def __init__(self, files: dict[bytes, bytes | None]) -> None:
        self.files = files
        self.generation = b""
        self.attributes = True  # whether answers have any where they need not
        self.readdirplus = True
        self.most_bytes = 1 << 20  # of one READ
        self.names_per_page = 2
        self.fragment_bytes = 1 << 30
        self.flavors: tuple[int, ...] = (1,)
        self.failures: dict[tuple[int, int], list[int]] = {}  # (program, procedure) -> statuses still to be answered
        self.raw: list[bytes] = []  # sent as they are, in place of the next answers
        self.submount_fsid = 2
        self.unlinked: set[bytes] = set()  # deleted, but still open on the server: the handle works
        self.calls: list[tuple[int, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FakeNfs:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as stream:  # the client went, or it was shut down
            while header := stream.read(4):
                size = int.from_bytes(header, "big") & 0x7FFF_FFFF
                message = self._answer(Reader(memoryview(stream.read(size))))
                if self.raw:
                    client.sendall(self.raw.pop(0))
                    client.shutdown(socket.SHUT_WR)
                    return
                pieces = [message[at : at + self.fragment_bytes] for at in range(0, len(message), self.fragment_bytes)]
                for number, piece in enumerate(pieces, 1):
                    last = 0x8000_0000 if number == len(pieces) else 0
                    client.sendall(uint(last | len(piece)) + piece)

    def _answer(self, call: Reader) -> bytes:
        xid, _, _, program, _, procedure = (call.uint() for _ in range(6))
        for _ in range(2):  # credential, verifier
            call.uint()
            call.opaque()
        self.calls.append((program, procedure))
        accepted = uint(xid) + uint(1) + uint(0) + uint(0) + opaque(b"")
        statuses = self.failures.get((program, procedure))
        if statuses:
            return accepted + uint(0) + self._failure(program, procedure, statuses.pop(0))
        try:
            return accepted + uint(0) + self._run(program, procedure, call)
        except StatusError as error:
            return accepted + uint(0) + self._failure(program, procedure, error.status)

    def _failure(self, program: int, procedure: int, status: int) -> bytes:
        return uint(status) + (uint(0) if program == nfs.NFS_PROGRAM and procedure != 1 else b"")

    def _run(self, program: int, procedure: int, call: Reader) -> bytes:
        match program, procedure:
            case nfs.PORTMAP_PROGRAM, 3:
                return uint(self.port)
            case nfs.MOUNT_PROGRAM, 1:
                return (
                    uint(0) + opaque(self._handle(ROOT)) + uint(len(self.flavors)) + b"".join(map(uint, self.flavors))
                )
            case nfs.MOUNT_PROGRAM, 5:
                return uint(1) + opaque(b"/shown") + uint(1) + opaque(b"everyone") + uint(0) + uint(0)
        name = self._name(call.opaque())
        match procedure:
            case 1:
                return uint(0) + self._attributes_of(name)
            case 3:
                wanted = call.opaque()
                if wanted not in self.files or wanted in self.unlinked:
                    raise StatusError(nfs.NOENT)
                return uint(0) + opaque(self._handle(wanted)) + self._optional(wanted) + self._optional(name)
            case 6:
                start, size = call.hyper(), call.uint()
                content = self.files[name] or b""
                data = content[start : start + min(size, self.most_bytes)]
                end = uint(start + len(data) >= len(content))
                return uint(0) + self._optional(name) + uint(len(data)) + end + opaque(data)
            case 16 | 17:
                return self._page(name, call.hyper(), plus=procedure == 17)
            case 19:
                return uint(0) + self._optional(name) + b"".join(map(uint, (1 << 20,) * 7)) + bytes(8 + 8 + 4)
        raise StatusError(nfs.NOTSUPP)

    def _page(self, folder: bytes, cookie: int, *, plus: bool) -> bytes:
        if plus and not self.readdirplus:
            raise StatusError(nfs.NOTSUPP)
        names = sorted(self.files, reverse=True) if folder == ROOT else []
        shown = names[cookie : cookie + self.names_per_page]
        parts = [uint(0), self._optional(folder), bytes(8)]
        for number, name in enumerate(shown, cookie + 1):
            parts += [uint(1), hyper(number), opaque(name), hyper(number)]
            if plus:
                parts += [self._optional(name), uint(1) + opaque(self._handle(name)) if self.attributes else uint(0)]
        return b"".join(parts) + uint(0) + uint(cookie + len(shown) >= len(names))

    def _handle(self, name: bytes) -> bytes:
        return name + b"/" + self.generation

    def _name(self, handle: bytes) -> bytes:
        name, _, generation = handle.rpartition(b"/")
        if generation != self.generation or (name != ROOT and name not in self.files):
            raise StatusError(nfs.STALE)
        return name

    def _optional(self, name: bytes) -> bytes:
        return uint(1) + self._attributes_of(name) if self.attributes else uint(0)

    def _attributes_of(self, name: bytes) -> bytes:
        content = None if name == ROOT else self.files[name]
        kind = 2 if content is None else 1
        fsid = self.submount_fsid if content is None and name != ROOT else 1
        numbers = b"".join(map(uint, (kind, 0o755, int(name not in self.unlinked), 0, 0)))
        sizes = hyper(len(content or b"")) * 2 + bytes(8) + hyper(fsid) + hyper(len(name))
        return numbers + sizes + b"".join(map(uint, (1, 0, 1_000_000, 5, 1_000_000, 5)))
