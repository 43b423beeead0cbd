"""The two requests to a WebDAV server that an origin needs (RFC 4918), and what its answers mean."""

from __future__ import annotations

import base64
import re
import threading
from email.utils import parsedate_to_datetime
from enum import Enum
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import msgspec

from musicfs.config.secrets import remember
from musicfs.config.settings import OriginSettings
from musicfs.errors import OriginError, UnreachableError
from musicfs.origins.failures import ROOT, Server, changed, denied, gone, name_of, no_bytes, no_root
from musicfs.origins.http_pool import Endpoint, HttpPool, Response
from musicfs.origins.paths import encode_path, printable
from musicfs.origins.secrets import find_secret

_FOLDER_BYTES_MAX = 64 * 1024 * 1024  # some 100,000 files
_ERROR_BYTES_MAX = 64 * 1024
_PROPFIND = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ABSENT = frozenset({404, 410, 414})  # 414: a path so long that the server does not even read it
_OK = re.compile(r"HTTP/\d\.\d 2\d\d\b")


class Resource(msgspec.Struct, frozen=True, gc=False):
    """One file or folder as the server describes it. ``problem`` says why nothing more is known about it."""

    path: str  # relative to the origin; the root is empty
    is_folder: bool
    size: int = 0
    mtime_ns: int = 0
    version: str = ""
    problem: str = ""


class Depth(Enum):
    """How far a description goes (RFC 4918, 10.2). Servers commonly refuse to describe a whole tree."""

    ITSELF = "0"
    CHILDREN = "1"


class WebdavClient:
    """A folder of a WebDAV server. Building it does no I/O; every call is one request, but where it says otherwise."""

    def __init__(self, settings: OriginSettings, endpoint: Endpoint) -> None:
        self._id = settings.id
        self._server = Server(settings.id, endpoint.authority, "url", "username and password")
        self._settings = settings
        self._endpoint = endpoint
        self._base = unquote(endpoint.path, errors="surrogateescape").rstrip("/")
        self._pool = HttpPool(endpoint, origin_id=settings.id, address_key="url", timeout_s=settings.timeout_s)
        self._lock = threading.Lock()
        self._authorization: str | None = None

    def prove(self) -> None:
        """Return if the origin's folder is there; else raise UnreachableError or DeniedError."""
        found = self._describe("", Depth.ITSELF, folder=True)
        if found is None or not found[0].is_folder:
            raise no_root(self._id, f"folder {self._endpoint}", "check url, and that its disk is mounted on the server")

    def stat(self, path: str) -> Resource | None:
        """The file or folder now; None when the server is there and it is not. Two requests for what is not there."""
        found = self._describe(path, Depth.ITSELF, folder=False)
        if found is None:
            self.prove()
            return None
        return found[0]

    def list_folder(self, folder: str) -> list[Resource] | None:
        """What is in the folder; None when the server is there and it is not, or is a file."""
        found = self._describe(folder, Depth.CHILDREN, folder=True)
        itself = next((each for each in found or () if each.path == folder), None)
        if found is not None and itself is None:
            raise self._foreign()
        if found is None or itself is None or not itself.is_folder:
            self.prove()
            return None
        return [each for each in found if each is not itself]

    def get(self, path: str, start: int, stop: int, version: str) -> bytes:
        """Exactly the bytes ``[start, stop)``, of which there is at least one, of that ``version`` (empty: any).

        Raises what :meth:`musicfs.origins.contract.Origin.read` raises.
        """
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        if version.startswith('"'):
            headers["If-Match"] = version
        size_max = max(stop - start, _ERROR_BYTES_MAX)
        response = self._request("GET", path, folder=False, headers=headers, body_max=size_max)
        what = name_of(self._id, path)
        if response.status == 206:
            span, _, total = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
            if total.isdecimal():
                mtime_ns = _mtime_ns(response.headers.get("last-modified", ""))
                if version and version != make_version(int(total), mtime_ns, response.headers.get("etag", "")):
                    self._compare_without_etag(path, version, int(total), mtime_ns)
                if int(total) < stop:
                    raise no_bytes(self._id, path, start, stop, int(total))
            if span != f"{start}-{stop - 1}" or len(response.body) != stop - start or not total.isdecimal():
                raise UnreachableError(
                    f"{what}: the server answered with another range than it was asked for", remedy="check url"
                )
            return response.body
        if response.status == 412:
            raise changed(self._id, path)
        if response.status == 416:
            raise no_bytes(self._id, path, start, stop)
        if response.status in _ABSENT or _leads_to_folder(response):
            self.prove()
            raise gone(self._id, path)
        if response.status == 200:
            found = self.stat(path)
            if found is None or found.is_folder:  # the page that a browser would show
                raise gone(self._id, path)
            if stop > found.size:
                raise no_bytes(self._id, path, start, stop, found.size)
            raise UnreachableError(f"{what}: the server answers with whole files, not with ranges", remedy="check url")
        raise self._refusal(response, path)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._pool.close()

    def _compare_without_etag(self, path: str, version: str, size: int, mtime_ns: int) -> None:
        """A young file's ETag may be weak and become strong later: what was known without one is compared so."""
        if version != make_version(size, mtime_ns, ""):
            raise changed(self._id, path)

    def _describe(self, path: str, depth: Depth, *, folder: bool) -> list[Resource] | None:
        """None when the server says that there is nothing there."""
        headers = {"Depth": depth.value, "Content-Type": "application/xml; charset=utf-8"}
        response = self._request(
            "PROPFIND", path, folder=folder, headers=headers, body=_PROPFIND, body_max=_FOLDER_BYTES_MAX
        )
        if response.status in _ABSENT:
            return None
        if not folder and _leads_to_folder(response):
            return [Resource(path, is_folder=True)]
        if response.status == 400 and path and self._is_absent(path, folder=folder):
            return None
        if response.status != 207:
            raise self._refusal(response, path)
        if not response.whole:
            raise UnreachableError(
                f"{name_of(self._id, path)}: too many files in one folder",
                remedy="divide it, or leave it out with exclude",
            )
        try:
            document = ElementTree.fromstring(response.body)
        except ElementTree.ParseError:
            raise self._foreign() from None
        found = [self._parse(element) for element in document.iter("{DAV:}response")]
        if not found:
            raise self._foreign()
        return found

    def _is_absent(self, path: str, *, folder: bool) -> bool:
        """Whether the folder around it does not have it: below a file, Apache finds fault with the URL itself."""
        around = self.list_folder(path.rpartition("/")[0])
        return around is None or not any(each.path == path and (each.is_folder or not folder) for each in around)

    def _parse(self, element: ElementTree.Element) -> Resource:
        href = urlsplit((element.findtext("{DAV:}href") or "").strip()).path
        path = unquote(href, errors="surrogateescape")
        if f"{path.rstrip('/')}/" != f"{self._base}/" and not path.startswith(f"{self._base}/"):
            raise self._foreign()
        path = path[len(self._base) :].strip("/")
        for propstat in element.iter("{DAV:}propstat"):
            properties = propstat.find("{DAV:}prop")
            if properties is not None and _OK.match(propstat.findtext("{DAV:}status") or ""):
                return _parse_properties(path, properties)
        return Resource(path, is_folder=href.endswith("/"), problem="the server does not describe it")

    def _request(
        self, method: str, path: str, *, folder: bool, headers: dict[str, str], body: bytes = b"", body_max: int
    ) -> Response:
        inner = quote(encode_path(path), safe="/-_.~")
        target = f"{self._endpoint.path}/{inner}" + ("/" if folder and inner else "")
        if authorization := self._authorize():
            headers = {**headers, "Authorization": authorization}
        return self._pool.request(method, target, headers, body=body, body_max=body_max)

    def _authorize(self) -> str:
        """The header of Basic authentication (RFC 7617); looked up at its first use, and again after a refusal."""
        with self._lock:
            if self._authorization is None:
                password = find_secret(self._settings, "password").reveal()
                login = self._settings.login
                pair = base64.b64encode(f"{login}:{password}".encode()).decode()
                if password:
                    remember(pair)
                self._authorization = f"Basic {pair}" if login or password else ""
            return self._authorization

    def _refusal(self, response: Response, path: str) -> OriginError:
        server, what = self._server, printable(path) or ROOT
        if response.status == 401:
            with self._lock:
                known, self._authorization = self._authorization, None
            if not known:
                return server.login_refused("requests without a user's name", "set username and password")
            return server.login_refused(f"the user {self._settings.login!r}", "the user name or the password is wrong")
        if response.status == 403:
            remedy = "give the user that username names the right to read it, or leave it out with exclude"
            return denied(self._id, path, remedy)
        if response.status in _REDIRECTS:
            return UnreachableError(f"{server.name} says that {what} is elsewhere", remedy="set url to where it leads")
        if response.status in {200, 405, 501}:
            return server.stranger("does not speak WebDAV there")
        return UnreachableError(
            f"{server.name} answered {response.status} when asked for {what}", remedy="check url, and the server's log"
        )

    def _foreign(self) -> UnreachableError:
        return self._server.stranger("does not answer as a WebDAV server does")


def make_version(size: int, mtime_ns: int, etag: str) -> str:
    """The ETag, in its quotes, if it is a strong one (RFC 9110, 8.8.1); else size and time."""
    strong = etag.startswith('"') and etag.isascii() and etag.isprintable()
    return etag if strong else f"{size:x}-{mtime_ns // 1_000_000_000:x}"


def _parse_properties(path: str, properties: ElementTree.Element) -> Resource:
    if properties.find("{DAV:}resourcetype/{DAV:}collection") is not None:
        return Resource(path, is_folder=True)
    size, etag = properties.findtext("{DAV:}getcontentlength") or "", properties.findtext("{DAV:}getetag") or ""
    mtime_ns = _mtime_ns(properties.findtext("{DAV:}getlastmodified") or "")
    if not size.strip().isdecimal():
        return Resource(path, is_folder=False, problem="the server does not say how large it is")
    version = make_version(int(size), mtime_ns, etag.strip())
    return Resource(path, is_folder=False, size=int(size), mtime_ns=mtime_ns, version=version)


def _mtime_ns(text: str) -> int:
    """Zero when the server does not say."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except ValueError:
        return 0


def _leads_to_folder(response: Response) -> bool:
    """A folder that was asked for without its slash leads to itself with one."""
    return response.status in _REDIRECTS and urlsplit(response.headers.get("location", "")).path.endswith("/")
