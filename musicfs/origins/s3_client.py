"""The four requests to an S3 store that an origin needs, and what its answers mean.

Written against HTTP itself, not an SDK: keys are any text here (SDKs that normalise paths fail on a whole listing because of
one ``a//b``), a refusal is told by its code and not by searching printed errors, and no thread, no fork-unsafe runtime and no
secret in an exception comes with it. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import msgspec

from musicfs.config.settings import OriginSettings
from musicfs.errors import DeniedError, OriginError, UnreachableError
from musicfs.origins.failures import ROOT, Server, changed, closed, denied, gone, name_of, no_bytes, no_root
from musicfs.origins.http_pool import HttpPool, Response
from musicfs.origins.paths import printable
from musicfs.origins.s3_access import Access, AccessSource
from musicfs.origins.s3_signing import encode_path, encode_query, sign

# A page has 1000 keys of 1024 bytes at most, each byte of which may be percent-encoded.
_PAGE_BYTES_MAX = 16 * 1024 * 1024
_ERROR_BYTES_MAX = 64 * 1024
_DENIALS: Mapping[str, tuple[str, str]] = {
    "InvalidAccessKeyId": ("it does not know it", "check access_key_id, or the profile"),
    "SignatureDoesNotMatch": ("its secret is another one", "check secret_access_key, or the profile"),
    "ExpiredToken": ("it has expired", "log in again, for the profile or the environment"),
    "InvalidToken": ("its session token is wrong", "log in again, for the profile or the environment"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "AuthorizationHeaderMalformed": ("the bucket lies in another region", "set region to the bucket's"),
    "InvalidObjectState": ("an archive holds it", "restore it, or leave it out with exclude"),
    "RequestExpired": ("this machine's clock is wrong", "set the clock"),
}


class StoredObject(msgspec.Struct, frozen=True, gc=False):
    """One object. ``mtime_ns`` has whole seconds: a listing knows them more precisely than the object's own answer."""

    key: str
    size: int
    mtime_ns: int
    etag: str  # without quotes


class Page(msgspec.Struct, frozen=True):
    """A page of a listing; ``prefixes`` are the folders, with their slash, where it was asked for level by level."""

    objects: list[StoredObject]
    prefixes: list[str]
    next_token: str


class S3Client:
    """A bucket. Building it does no I/O; every call is one request, but where it says otherwise."""

    def __init__(self, settings: OriginSettings, root: str = "") -> None:
        """``root`` is what the keys of interest begin with; the access key may be good for these only."""
        self._root = root
        self._id = settings.id
        self._name = f"origin {settings.id!r}"
        self._bucket = settings.bucket
        self._timeout_s = settings.timeout_s
        self._source = AccessSource(settings)
        self._lock = threading.Lock()
        self._pool: HttpPool | None = None
        self._closed = False

    def prove(self) -> None:
        """Return if the bucket is there and may be listed; else raise UnreachableError or DeniedError."""
        self._list_page({"max-keys": "1", **({"prefix": self._root} if self._root else {})})

    def head(self, key: str) -> StoredObject | None:
        """The object now; None when the bucket is there and it is not. Two requests for what is not there."""
        response, access = self._request("HEAD", key)
        if response.status == 404:  # has no body, so it does not say of what
            self.prove()
            return None
        if response.status in {401, 403}:
            self.prove()  # which says what the key has to do with it
        if response.status != 200:
            raise self._refusal(response, access, printable(key.removeprefix(self._root)))
        return StoredObject(
            key, self._number(response, "content-length"), self._mtime_ns(response), self._etag(response)
        )

    def get(self, key: str, start: int, stop: int, etag: str) -> bytes:
        """Exactly the bytes ``[start, stop)``, of which there is at least one, of that ``etag`` (empty: any).

        Raises what :meth:`musicfs.origins.contract.Origin.read` raises.
        """
        headers = {"range": f"bytes={start}-{stop - 1}"}
        if etag:
            headers["if-match"] = f'"{etag}"'
        response, access = self._request("GET", key, headers=headers, body_max=max(stop - start, _ERROR_BYTES_MAX))
        path = key.removeprefix(self._root)
        what = name_of(self._id, path)
        if response.status == 206:
            if etag and self._etag(response) != etag:
                raise changed(self._id, path)
            span, _, total = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
            if total.isdecimal() and int(total) < stop:
                raise no_bytes(self._id, path, start, stop, int(total))
            if span != f"{start}-{stop - 1}" or len(response.body) != stop - start:
                raise UnreachableError(
                    f"{what}: the store answered with another range than it was asked for", remedy="check endpoint"
                )
            return response.body
        if response.status == 200:
            raise UnreachableError(
                f"{what}: the store answers with whole objects, not with ranges", remedy="use a store that knows ranges"
            )
        if response.status == 404:
            code = _error_code(response)
            if code == "NoSuchKey":
                raise gone(self._id, path)
            if not code:
                self.prove()
                raise gone(self._id, path)
        if response.status == 412:
            raise changed(self._id, path)
        if response.status == 416:
            raise no_bytes(self._id, path, start, stop)
        raise self._refusal(response, access, printable(path))

    def pages(self, prefix: str, *, delimiter: bool) -> Iterator[Page]:
        """Every key that begins with ``prefix``, 1000 a request; with ``delimiter`` only up to the next slash."""
        query = {"encoding-type": "url"}  # XML has no way to say some characters
        if prefix:
            query["prefix"] = prefix
        if delimiter:
            query["delimiter"] = "/"
        while True:
            page = self._list_page(query)
            yield page
            if not page.next_token:
                return
            if page.next_token == query.get("continuation-token"):
                raise UnreachableError(
                    f"{self._name}: the store's listing does not come to an end", remedy="check endpoint"
                )
            query["continuation-token"] = page.next_token

    def close(self) -> None:
        """Close every connection. Idempotent."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _list_page(self, query: Mapping[str, str]) -> Page:
        response, access = self._request("GET", "", {"list-type": "2", **query}, body_max=_PAGE_BYTES_MAX)
        if response.status != 200:
            raise self._refusal(response, access, "")
        try:
            return _parse_page(response.body)
        except (ElementTree.ParseError, ValueError):
            raise UnreachableError(
                f"{self._name}: {access.endpoint.authority} does not answer as an S3 store does",
                remedy="check the endpoint",
            ) from None

    def _request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body_max: int = _ERROR_BYTES_MAX,
    ) -> tuple[Response, Access]:
        access = self._source.get()
        path, encoded = access.endpoint.path, encode_query(query or {})
        path = encode_path(f"{path}/{key}" if key else path or "/")
        signed = dict(headers or {})
        if access.credentials is not None:
            signed = sign(
                method, access.endpoint.authority, path, encoded, signed,
                credentials=access.credentials, region=access.region, now=datetime.now(UTC),
            )  # fmt: skip
        target = f"{path}?{encoded}" if encoded else path
        return self._open_pool(access).request(method, target, signed, body_max=body_max), access

    def _open_pool(self, access: Access) -> HttpPool:
        with self._lock:
            if self._closed:
                raise closed(self._id)
            if self._pool is None:
                self._pool = HttpPool(
                    access.endpoint,
                    origin_id=self._id,
                    address_key="endpoint",
                    timeout_s=self._timeout_s,
                    ca_file=access.ca_file,
                )
            return self._pool

    def _refusal(self, response: Response, access: Access, path: str) -> OriginError:
        """What an answer that is no success means, beside what the one who asked knows better."""
        code = _error_code(response)
        store = Server(
            self._id, access.endpoint.authority, "endpoint", "access_key_id and secret_access_key, or profile"
        )
        region = response.headers.get("x-amz-bucket-region", "")
        if region and region != access.region and response.status in {301, 307, 400, 403}:
            return UnreachableError(
                f"{self._name}: the bucket {self._bucket!r} lies in the region {region}",
                remedy=f'set region = "{region}"',
            )
        if response.status in {401, 403} or code in _DENIALS:
            if code not in {"AccessDenied", "InvalidObjectState"}:  # about what was asked for, not about the key
                self._source.forget()
            if access.credentials is None and code not in _DENIALS:
                return store.login_refused("requests without an access key", "none was found")
            if code not in _DENIALS:
                return denied(
                    self._id, path, f"give the access key the right to list bucket and to read {path or 'it'}"
                )
            reason, remedy = _DENIALS[code]
            if code == "InvalidObjectState":
                return DeniedError(f"{name_of(self._id, path)}: {reason}", remedy=remedy)
            return DeniedError(f"{store.name} refuses the access key: {reason}", remedy=remedy)
        if code in {"NoSuchBucket", "InvalidBucketName"} or (response.status == 404 and not code):
            return no_root(self._id, f"bucket {self._bucket!r} on {store.shown}", "check bucket and endpoint")
        said = f"{response.status} {code}".rstrip()
        return UnreachableError(
            f"{store.name} answered {said} when asked for {path or ROOT}", remedy="check endpoint, and the store's log"
        )

    def _etag(self, response: Response) -> str:
        etag = _bare_etag(response.headers.get("etag", ""))
        if not etag:
            raise UnreachableError(
                f"{self._name}: the store does not say which version of an object it serves", remedy="check endpoint"
            )
        return etag

    def _number(self, response: Response, header: str) -> int:
        text = response.headers.get(header, "")
        if not text.isdecimal():
            raise UnreachableError(f"{self._name}: the store's answer has no {header}", remedy="check endpoint")
        return int(text)

    def _mtime_ns(self, response: Response) -> int:
        try:
            return int(parsedate_to_datetime(response.headers.get("last-modified", "")).timestamp()) * 1_000_000_000
        except ValueError:
            raise UnreachableError(
                f"{self._name}: the store's answer has no last-modified", remedy="check endpoint"
            ) from None


def _parse_page(body: bytes) -> Page:
    """Raises ParseError or ValueError for anything but a complete ListBucketResult."""
    root = ElementTree.fromstring(body)
    if _tag(root) != "ListBucketResult":
        raise ValueError("another document")
    fields: dict[str, str] = {}
    raw_objects: list[dict[str, str]] = []
    raw_prefixes: list[str] = []
    for element in root:
        match _tag(element):
            case "Contents":
                raw_objects.append({_tag(child): child.text or "" for child in element})
            case "CommonPrefixes":
                raw_prefixes += [child.text or "" for child in element if _tag(child) == "Prefix"]
            case tag:
                fields[tag] = element.text or ""
    truncated, token = fields.get("IsTruncated"), fields.get("NextContinuationToken", "")
    if truncated not in {"true", "false"} or (truncated == "true" and not token):
        raise ValueError("it does not say whether there is more")
    encoded = fields.get("EncodingType") == "url"
    return Page(
        objects=[_parse_object(raw, encoded=encoded) for raw in raw_objects],
        prefixes=[_decode(raw) if encoded else raw for raw in raw_prefixes],
        next_token=token if truncated == "true" else "",
    )


def _parse_object(raw: Mapping[str, str], *, encoded: bool) -> StoredObject:
    try:
        key, size, when, etag = raw["Key"], int(raw["Size"]), raw["LastModified"], _bare_etag(raw["ETag"])
    except KeyError:
        raise ValueError("an object without what every object has") from None
    if not etag:
        raise ValueError("an object without a version")
    # 2026-11-21T06:07:47.000Z, with or without the fraction
    mtime_s = int(datetime.fromisoformat(f"{when[:19]}+00:00").timestamp())
    return StoredObject(_decode(key) if encoded else key, size, mtime_s * 1_000_000_000, etag)


def _decode(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]  # some stores leave the namespace out


def _bare_etag(text: str) -> str:
    """Without its quotes; empty for what could not be sent back."""
    etag = text.strip().removeprefix("W/").strip('"')
    return etag if etag.isascii() and etag.isprintable() else ""


def _error_code(response: Response) -> str:
    """The ``Code`` of an error's document; empty where there is none. Only a word: nothing else of it is ever shown."""
    try:
        code = next((child.text or "" for child in ElementTree.fromstring(response.body) if _tag(child) == "Code"), "")
    except ElementTree.ParseError:
        return ""
    return code if code.isalnum() and len(code) <= 64 else ""
