"""AWS Signature Version 4 for requests without a body. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import msgspec

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(msgspec.Struct, frozen=True):
    """An access key. ``expires_at`` is in seconds since the epoch; 0 is never."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expires_at: float = 0.0

    def __repr__(self) -> str:  # neither the key nor its name belong in a log
        return "Credentials(...)"

    __str__ = __repr__


def encode_path(path: str) -> str:
    """``path`` percent-encoded as both the request line and the signature need it; slashes stay."""
    return quote(path, safe="/-_.~")


def encode_query(query: Mapping[str, str]) -> str:
    """``query`` sorted and percent-encoded as both the request line and the signature need it."""
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items()))


def sign(
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    credentials: Credentials,
    region: str,
    now: datetime,
    payload_sha256: str = EMPTY_SHA256,
) -> dict[str, str]:
    """``headers`` (names in lower case) with those that authorise the request.

    ``path`` and ``query`` come from :func:`encode_path` and :func:`encode_query`; ``now`` is in UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": time}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = sorted(signed)
    canonical = "\n".join(
        (
            method,
            path,
            query,
            *(f"{name}:{signed[name].strip()}" for name in names),
            "",
            ";".join(names),
            payload_sha256,
        )
    )
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join((_ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.digest(_signing_key(credentials.secret_access_key, time[:8], region), to_sign.encode(), "sha256")
    del signed["host"]  # whoever sends the request names it
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature.hex()}"
    )
    return signed


def _signing_key(secret_access_key: str, date: str, region: str) -> bytes:
    key = b"AWS4" + secret_access_key.encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
