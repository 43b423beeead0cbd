"""The certificate of a listener that other machines reach: checked in words, and read anew when it is renewed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from musicfs.errors import ConfigError

if TYPE_CHECKING:
    import grpc

_log = logging.getLogger(__name__)


def check_certificate(path: str, key_path: str) -> None:
    """Raises ConfigError unless the two PEM files can be read, and the key is that of the certificate."""
    import ssl

    for file in (path, key_path):
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f"{file} cannot be read: {error.strerror}", remedy="check grpc.tls_cert, grpc.tls_key and permissions"
            ) from error
    try:
        # An empty password: OpenSSL would ask whoever sits at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key_path, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigError(
            f"{path} and {key_path} are no certificate and its key: {str(reason).replace('_', ' ').lower()}",
            remedy="give PEM files: the certificate with its chain, and its key without a password",
        ) from error


class Certificate:
    """A certificate and its key. Renewed files are used from the next connection on."""

    def __init__(self, path: str, key_path: str) -> None:
        self._path = path
        self._key_path = key_path
        self._stamp: tuple[object, ...] = ()
        self._complaint = ""

    def credentials(self) -> grpc.ServerCredentials:
        """What a server needs. Raises as :func:`check_certificate`."""
        import grpc

        # None is for no change; the stubs do not know it.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._renewed)
        return grpc.dynamic_ssl_server_credentials(self._read(), fetch)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        import grpc

        self._stamp = self._look()
        check_certificate(self._path, self._key_path)
        with open(self._path, "rb") as chain, open(self._key_path, "rb") as key:
            return grpc.ssl_server_certificate_configuration([(key.read(), chain.read())])

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC at every handshake; None is for what it has."""
        if self._look() == self._stamp:
            return None
        try:
            found = self._read()
        except (ConfigError, OSError) as error:
            # One of the two files may not have been replaced yet: then they change once more.
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("the certificate was not renewed: %s", error)
            return None
        self._complaint = ""
        _log.info("took over the certificate in %s", self._path)
        return found

    def _look(self) -> tuple[object, ...]:
        stamp: list[object] = []
        for path in (self._path, self._key_path):
            try:
                found = os.stat(path)
                stamp += (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            except OSError as error:
                stamp.append(error.errno)
        return tuple(stamp)
