"""From when to when a certificate is good, which the standard library tells only of one that it has verified.

Its dates lie in DER (X.690) at a fixed place, RFC 5280 4.1: ``Certificate { TBSCertificate { [0] version, serialNumber,
signature, issuer, validity { notBefore, notAfter }, ...``.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

import msgspec

from musicfs.errors import ConfigError

_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END (?:X509 |TRUSTED )?CERTIFICATE-----"
)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_CENTURY_SINCE = 50  # a UTCTime from here on is of the century before (RFC 5280 4.1.2.5.1)


class Validity(msgspec.Struct, frozen=True):
    """The first and the last second, since 1970 UTC."""

    start_s: float
    stop_s: float


def validity_of(path: str) -> Validity:
    """Of the first certificate in the PEM file at ``path``. Raises ConfigError for a file that holds none; OSError."""
    with open(path, "rb") as file:
        found = _PEM.search(file.read())
    try:
        if found is None:
            raise ValueError("no PEM")
        return _read(base64.b64decode(found[1]))
    except (ValueError, IndexError, binascii.Error) as error:
        raise ConfigError(f"{path} holds no certificate", remedy="give a PEM file") from error


def _read(data: bytes) -> Validity:
    at = _enter(data, _enter(data, 0))
    if data[at] == _VERSION:
        at = _skip(data, at)
    for _ in range(3):  # serial number, algorithm, issuer
        at = _skip(data, at)
    at = _enter(data, at)
    return Validity(_time(data, at), _time(data, _skip(data, at)))


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at ``at`` begin and end."""
    first = data[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    start = at + 2 + (first & 0x7F)
    return start, start + int.from_bytes(data[at + 2 : start], "big")


def _enter(data: bytes, at: int) -> int:
    if data[at] != _SEQUENCE:
        raise ValueError("no sequence")
    return _length(data, at)[0]


def _skip(data: bytes, at: int) -> int:
    return _length(data, at)[1]


def _time(data: bytes, at: int) -> float:
    start, stop = _length(data, at)
    text = data[start:stop].decode("ascii")
    if data[at] == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _CENTURY_SINCE else "20") + text
    elif data[at] != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
