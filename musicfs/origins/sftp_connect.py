"""From settings to a connection: host key, login, and two SFTP sessions on one connection.

One session moves files, the other looks at names: the server runs a process for each, so a listing and a large read do not
wait for each other. Everything belongs to the event loop's thread. Imports asyncssh: import it late.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import asyncssh

from musicfs.config.settings import OriginSettings
from musicfs.errors import DeniedError, OriginError, UnreachableError
from musicfs.origins.failures import Server
from musicfs.origins.secrets import find_secret
from musicfs.origins.sftp_session import CHANNEL_WINDOW_BYTES, PACKET_BYTES, SftpSession
from musicfs.origins.sftp_thread import as_new

# A connection that is not used notices within half a minute that the server is gone, and is replaced before it is asked.
KEEPALIVE_INTERVAL_S = 15.0
KEEPALIVE_COUNT = 2
SSH_PORT = 22  # RFC 4253
SYSTEM_KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
# Twice the speed of chacha20 here, with the hardware that nearly every machine has; ^ puts it before the others.
_CIPHERS = "^aes128-gcm@openssh.com"


class Connection:
    """A live connection: ``files`` for opening and reading, ``names`` for all else; one session where a server allows one."""

    def __init__(self, ssh: asyncssh.SSHClientConnection) -> None:
        self._ssh = ssh
        self.files: SftpSession
        self.names: SftpSession

    @property
    def alive(self) -> bool:
        return not (self.files.lost or self.names.lost)

    async def open_sessions(self, server: Server, timeout_s: float) -> None:
        """Start both sessions at once. Raises what asyncssh raises, or UnreachableError."""

        async def open_one() -> SftpSession:
            session = SftpSession(server, timeout_s, self.abort)
            await self._ssh.create_session(
                lambda: session,
                subsystem="sftp",
                encoding=None,
                window=CHANNEL_WINDOW_BYTES,
                max_pktsize=PACKET_BYTES,
            )
            await session.start()
            return session

        first, second = await asyncio.gather(open_one(), open_one(), return_exceptions=True)
        if isinstance(first, asyncssh.ChannelOpenError):
            first = second
        if isinstance(first, BaseException):
            raise first
        if isinstance(second, BaseException) and not isinstance(second, asyncssh.ChannelOpenError):
            raise second
        self.files = first
        self.names = second if isinstance(second, SftpSession) else first

    def abort(self) -> None:
        """Drop the connection at once, whatever is on its way."""
        self._ssh.abort()

    async def close(self) -> None:
        """Drop the connection and wait until its socket is closed."""
        self._ssh.abort()
        await self._ssh.wait_closed()


class Link:
    """The one connection of an origin, made when it is needed and made again when it was lost."""

    def __init__(self, settings: OriginSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None

    async def get(self) -> Connection:
        """The live connection. Whoever comes while it is being made waits for the same attempt, and fails with it."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(connect(self._settings))
            self._connecting.add_done_callback(self._connected)
        try:
            return await asyncio.shield(self._connecting)
        except OriginError as error:
            raise as_new(error) from error

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    def _connected(self, task: asyncio.Task[Connection]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()


class _Client(asyncssh.SSHClient):
    """Notes why a host key was refused."""

    def __init__(self, known: asyncssh.SSHKnownHosts) -> None:
        self._known = known
        self.refused_fingerprint = ""
        self.other_key_known = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused_fingerprint = key.get_fingerprint()
        self.other_key_known = bool(self._known.match(host, addr, port)[0])
        return False


async def connect(settings: OriginSettings) -> Connection:
    """Connect, log in and start SFTP within the settings' timeout. Raises UnreachableError or DeniedError."""
    attempt = _Attempt(settings)
    try:
        options = await _load(attempt, settings)
        async with asyncio.timeout(settings.timeout_s):
            return await attempt.connect(options)
    except OriginError:
        raise
    except (OSError, asyncssh.Error) as error:  # a TimeoutError is an OSError
        raise attempt.explain(error) from error


async def _load(attempt: _Attempt, settings: OriginSettings) -> dict[str, Any]:
    try:
        async with asyncio.timeout(settings.timeout_s):
            return await asyncio.get_running_loop().run_in_executor(None, attempt.load)
    except TimeoutError as error:
        raise UnreachableError(
            f"origin {settings.id!r}: its keys and secrets were not found within {settings.timeout_s:g} s",
            remedy="unlock the keyring, or keep the secret where nobody must be asked",
        ) from error


class _Attempt:
    """One attempt to connect, and what its failure means."""

    def __init__(self, settings: OriginSettings) -> None:
        self._settings = settings
        self._known_files: list[str] = []
        self._client: _Client | None = None
        self._tried: list[str] = []

    @property
    def _port(self) -> int:
        return self._settings.port or SSH_PORT

    @property
    def _server(self) -> Server:
        return Server(
            self._settings.id,
            f"{self._settings.host}:{self._port}",
            "host and port",
            "username, key_file, key_passphrase and password, and the server's authorized_keys",
        )

    def load(self) -> dict[str, Any]:
        """Read what the disk, the environment and the keyring hold; blocks. Options for asyncssh."""
        settings = self._settings
        options: dict[str, Any] = {"known_hosts": self._load_known_hosts(), "password": None}
        if settings.key_file:
            passphrase = find_secret(settings, "key_passphrase").reveal() or None
            options["client_keys"] = self._load_key(os.path.expanduser(settings.key_file), passphrase)
            options["agent_path"] = None
            self._tried.append(f"the key {settings.key_file}")
        else:
            if os.environ.get("SSH_AUTH_SOCK"):
                self._tried.append("the keys of the ssh agent")
            self._tried.append("the keys in ~/.ssh")
        if settings.password:
            options["password"] = find_secret(settings, "password").reveal()
            self._tried.append("the password")
        if settings.login:
            options["username"] = settings.login
        return options

    async def connect(self, options: dict[str, Any]) -> Connection:
        """Raises what asyncssh and sockets raise."""
        self._client = client = _Client(options["known_hosts"])
        ssh, _ = await asyncssh.create_connection(
            lambda: client,
            self._settings.host,
            self._port,
            config=None,  # the settings say it all: what ~/.ssh/config says may differ for the daemon and its user
            encryption_algs=_CIPHERS,
            compression_algs=["none"],  # music does not compress
            keepalive_interval=KEEPALIVE_INTERVAL_S,
            keepalive_count_max=KEEPALIVE_COUNT,
            gss_host=None,
            x509_trusted_certs=None,
            **options,
        )
        connection = Connection(ssh)
        try:
            await connection.open_sessions(self._server, self._settings.timeout_s)
        except asyncssh.ChannelOpenError as error:
            is_lost = ssh.is_closed()  # a channel that is not opened because there is no line any more is not refused
            connection.abort()
            if is_lost:
                raise asyncssh.ConnectionLost(error.reason) from error
            raise
        except BaseException:
            connection.abort()
            raise
        return connection

    def explain(self, error: OSError | asyncssh.Error) -> OriginError:
        """What went wrong, as one of our own errors."""
        server, where = self._server, self._server.name
        match error:
            case TimeoutError():
                return server.silent(self._settings.timeout_s)
            case asyncssh.HostKeyNotVerifiable():
                return self._explain_host_key(where)
            case asyncssh.PermissionDenied():
                return server.login_refused(self._user, f"tried {', '.join(self._tried)}")
            case asyncssh.KeyExchangeFailed():
                return DeniedError(
                    f"{where} and this machine agree on no algorithm: {error.reason}",
                    remedy=f"if the server has a host key of a new type, compare and add it: {self._scan()}",
                )
            case asyncssh.ChannelOpenError():
                return DeniedError(
                    f"{where} offers no SFTP: {error.reason}", remedy="enable the sftp subsystem on the server"
                )
            case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
                return UnreachableError(
                    f"{where} ended the connection before SFTP had begun",
                    remedy=f"look into its log; if it has a host key of a new type, compare and add it: {self._scan()}",
                )
            case socket.gaierror():
                return server.unknown()
            case OSError():
                reason = os.strerror(error.errno) if error.errno else str(error)
            case asyncssh.DisconnectError():
                reason = error.reason
            case _:
                reason = str(error)
        return server.not_reached(reason)

    def _explain_host_key(self, where: str) -> DeniedError:
        client, files = self._client, " and ".join(self._known_files)
        fingerprint = client.refused_fingerprint if client is not None else ""
        if not fingerprint:
            return DeniedError(f"{where} shows a host key that {files} revokes", remedy="ask who runs the server")
        if client is not None and client.other_key_known:
            return DeniedError(
                f"{where} shows another host key than {files} has for it: {fingerprint}",
                remedy="ask who runs the server: only if the key was changed on purpose, remove the old one with "
                f"ssh-keygen -R '{self._bracketed}' -f {self._known_files[0]} and add the new one with {self._scan()}",
            )
        return DeniedError(
            f"{where} has a host key that {files} does not know: {fingerprint}",
            remedy=f"compare the fingerprint with the server's own, then add it: {self._scan()}",
        )

    def _scan(self) -> str:
        return f"ssh-keyscan -p {self._port} {self._settings.host} >> {self._known_files[0]}"

    @property
    def _bracketed(self) -> str:
        return self._settings.host if self._port == SSH_PORT else f"[{self._settings.host}]:{self._port}"

    @property
    def _user(self) -> str:
        return f"the user {self._settings.login!r}" if self._settings.login else "this user"

    def _load_known_hosts(self) -> asyncssh.SSHKnownHosts:
        """The known host keys; none if no default file exists. Raises DeniedError for a file that cannot be used."""
        configured = self._settings.known_hosts
        self._known_files = [os.path.expanduser(name) for name in ([configured] if configured else SYSTEM_KNOWN_HOSTS)]
        present = [name for name in self._known_files if configured or os.path.exists(name)]
        try:
            return asyncssh.read_known_hosts(present) if present else asyncssh.import_known_hosts("")
        except (OSError, ValueError) as error:
            raise self._unusable("known_hosts", " and ".join(present), error) from error

    def _load_key(self, path: str, passphrase: str | None) -> Any:
        try:
            return asyncssh.load_keypairs([path], passphrase)
        except (OSError, ValueError) as error:  # KeyImportError and KeyEncryptionError are ValueErrors
            raise self._unusable("key_file", path, error) from error

    def _unusable(self, key: str, path: str, why: Exception) -> DeniedError:
        reason = (why.strerror if isinstance(why, OSError) else None) or str(why)
        return DeniedError(
            f"origin {self._settings.id!r}: the {key} {path} cannot be used: {reason}",
            remedy=f"check {key}" + (" and key_passphrase" if key == "key_file" else ""),
        )
