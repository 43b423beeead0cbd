"""One listing of a bucket as folders: few requests, bounded memory, and the contract's order.

S3 lists keys, a thousand a request, in the order of whole keys; the contract wants folders, parents first, siblings in the
order of their names: ``a/x`` before ``a b/x``, where S3 has it the other way round. So:

- Up to ``keys_max`` keys are read as they come and regrouped; for most libraries that is all, one request a thousand files.
- When there are more, the folder that is too large is asked for its own files and the names of its sub-folders (one more
  request a thousand of them), and each sub-folder is handed out once the stream of keys has passed it. What came too early
  waits; a sub-folder that is itself too large is treated the same way, and one that would have to wait for too much is
  listed on its own. The stream goes on all the while: the whole still costs about a request a thousand keys.
- A store that does not sort its keys (seaweedfs, directory buckets) is told by the first key that is out of order: then every
  sub-folder of a large folder is listed on its own.

Keys that are no paths (``a//b``, ``../x``) are skipped where they would be; a key that ends in a slash says no more than that
the folder exists. What is created while a listing runs may be missed, as everywhere.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

import msgspec

from musicfs.errors import UnreachableError
from musicfs.model import Entry
from musicfs.origins.contract import Folder
from musicfs.origins.failures import gone_folder
from musicfs.origins.paths import NO_PATH, reject_name, walk_order
from musicfs.origins.s3_client import Page, StoredObject
from musicfs.origins.selection import Selection, is_junk

KEYS_MAX = 50_000  # some 15 MB
_NOT_UTF8 = "a name that is not UTF-8"
_ALSO_A_FOLDER = "a folder has the same name"
_by_key = attrgetter("key")

FetchPages = Callable[[str, bool], Iterator[Page]]
"""Pages of the keys that begin with a text, as :meth:`S3Client.pages` gives them; True is with a delimiter."""


class S3Listing:
    """A single walk; not to be shared between threads. Paths are relative to ``root``, which is empty or ends in a slash."""

    def __init__(
        self, origin_id: str, fetch_pages: FetchPages, root: str, selection: Selection, *, keys_max: int = KEYS_MAX
    ) -> None:
        self._origin_id = origin_id
        self._fetch_pages = fetch_pages
        self._root = root
        self._selection = selection
        self._keys_max = keys_max

    def run(self, folder: str) -> Iterator[Folder]:
        """Every folder at and below ``folder``; GoneError when there is no key below it, but at the root."""
        found = False
        for each in self._walk(folder):
            found = True
            yield each
        if not found:
            if folder:
                raise gone_folder(self._origin_id, folder)
            yield Folder("", ())

    def _walk(self, folder: str) -> Iterator[Folder]:
        """Nothing at all when no key lies below ``folder``."""
        stream = KeyStream(self._origin_id, self._flat_pages(folder), self._keys_max)
        if stream.read_whole():
            objects = stream.take_all()
            if objects:
                yield from self._regroup(folder, objects)
        else:
            yield from self._walk_large(folder, stream)
            stream.finish()

    def _walk_large(self, folder: str, stream: KeyStream) -> Iterator[Folder]:
        level, children = self._list_level(folder)
        yield level
        stream.enter(_with_slash(folder))
        for child in children:
            prefix = _with_slash(child)
            if stream.read_past(prefix):
                objects = stream.take(prefix)
                if objects:  # else it was created, or emptied, since the stream began
                    yield from self._regroup(child, objects)
            elif stream.is_inside(prefix):
                yield from self._walk_large(child, stream)
            else:
                stream.drop(prefix)
                yield from self._walk(child)
        stream.leave()

    def _list_level(self, folder: str) -> tuple[Folder, list[str]]:
        """The folder without what is below it, and the paths of its sub-folders in order."""
        groups = _Groups(folder, self._selection)
        prefix = _with_slash(folder)
        for page in self._fetch_pages(self._root + prefix, True):
            groups.add_all(self._relative(page.objects))
            for found in page.prefixes:
                groups.add_folder(found[len(self._root) : -1])
        level, *below = groups.folders()
        return level, [each.path for each in below]

    def _flat_pages(self, folder: str) -> Iterator[list[StoredObject]]:
        for page in self._fetch_pages(self._root + _with_slash(folder), False):
            yield self._relative(page.objects)

    def _relative(self, objects: list[StoredObject]) -> list[StoredObject]:
        if not self._root:
            return objects
        cut = len(self._root)
        return [msgspec.structs.replace(each, key=each.key[cut:]) for each in objects]

    def _regroup(self, folder: str, objects: Iterable[StoredObject]) -> Iterator[Folder]:
        groups = _Groups(folder, self._selection)
        groups.add_all(objects)
        return iter(groups.folders())


class KeyStream:
    """The keys below a folder as they come, buffered until they are taken.

    ``sorted`` turns False with the first key that is out of order. Then nothing is known to be complete before the end, and
    what is not taken yet has to be listed anew.
    """

    def __init__(self, origin_id: str, pages: Iterator[list[StoredObject]], keys_max: int) -> None:
        self._origin_id = origin_id
        self._pages = pages
        self._keys_max = keys_max
        self._buffer: list[StoredObject] = []
        self._last = ""
        self._ended = False
        self._taken = False
        self._allowances = [keys_max]  # how much may be buffered, one for each folder that was entered
        self._entered: set[str] = set()
        self._dropped: list[str] = []
        self.sorted = True

    def read_whole(self) -> bool:
        """Read until the end or too much; True when it was the end."""
        while not self._ended and len(self._buffer) <= self._keys_max:
            self._read_page()
        return self._ended

    def take_all(self) -> list[StoredObject]:
        """Everything, once the end was reached."""
        taken, self._buffer = self._buffer, []
        return taken

    def enter(self, prefix: str) -> None:
        """What lies directly in the folder is known from elsewhere; what lies before it may wait beside a full buffer."""
        if not self.sorted:
            self._buffer.clear()
        self._entered.add(prefix)
        self._buffer = [each for each in self._buffer if _parent(each.key) not in self._entered]
        start, stop = self._span(prefix)
        self._allowances.append(len(self._buffer) - (stop - start) + self._keys_max)

    def leave(self) -> None:
        """Done with the folder that was entered last."""
        self._allowances.pop()

    def read_past(self, prefix: str) -> bool:
        """Read until every key below ``prefix`` is in the buffer; False when that is too much or cannot be known."""
        stop = _after(prefix)
        while self.sorted and not self._ended and self._last < stop:
            if len(self._buffer) > self._allowances[-1]:
                return False
            self._read_page()
        return self.sorted

    def is_inside(self, prefix: str) -> bool:
        """Whether the stream has come into ``prefix``, and not through it."""
        return self.sorted and self._last.startswith(prefix)

    def take(self, prefix: str) -> list[StoredObject]:
        """What was buffered below ``prefix``."""
        self._taken = True
        start, stop = self._span(prefix)
        taken = self._buffer[start:stop]
        del self._buffer[start:stop]
        return taken

    def drop(self, prefix: str) -> None:
        """Forget what comes below ``prefix``."""
        if self.sorted:
            start, stop = self._span(prefix)
            del self._buffer[start:stop]
            self._dropped.append(prefix)

    def finish(self) -> None:
        """Read to the end, for only that shows that the keys were in order. Raises UnreachableError if they were not."""
        while self.sorted and not self._ended:
            self._buffer.clear()
            self._read_page()

    def _read_page(self) -> None:
        page = next(self._pages, None)
        if page is None:
            self._ended = True
            return
        for each in page:
            if each.key <= self._last and self._last:
                self.sorted = False
            self._last = each.key
        if not self.sorted and self._taken:
            # What was taken as complete may have had more: this listing proves nothing.
            raise UnreachableError(
                f"origin {self._origin_id!r}: the store lists its keys in no order", remedy="check endpoint"
            )
        self._dropped = [prefix for prefix in self._dropped if not page or page[0].key < _after(prefix)]
        dropped = tuple(self._dropped)
        for each in page:
            if not (dropped and each.key.startswith(dropped)) and _parent(each.key) not in self._entered:
                self._buffer.append(each)

    def _span(self, prefix: str) -> tuple[int, int]:
        start = bisect_left(self._buffer, prefix, key=_by_key)
        return start, bisect_left(self._buffer, _after(prefix), start, key=_by_key)


class _Groups:
    """Objects sorted into the folders at and below one folder."""

    def __init__(self, top: str, selection: Selection) -> None:
        self._top = top
        self._selection = selection
        self._files: dict[str, list[Entry]] = {top: []}
        self._skipped: dict[str, dict[str, str]] = {}

    def add_all(self, objects: Iterable[StoredObject]) -> None:
        everything = self._selection.everything
        known, served = "", False  # neighbours share their folder
        for each in objects:
            folder, slash, name = each.key.rpartition("/")
            if slash and (folder != known or not served):
                known, served = folder, self.add_folder(folder)
            if not name or (slash and not served):
                continue
            if reason := _reject(name):
                self._skip(folder, name, reason)
            elif not is_junk(name) and (everything or self._selection.serves_file(each.key)):
                self._files[folder].append(Entry(each.key, each.size, each.mtime_ns, each.etag))

    def add_folder(self, path: str) -> bool:
        """Note a folder that a slash names, and those above it; False when it is not served."""
        if not path:  # a key that begins with a slash
            self._skip("", "/", NO_PATH)
            return False
        if path in self._files:
            return True
        parent, slash, name = path.rpartition("/")
        if slash and not self.add_folder(parent):
            return False
        if reason := _reject(name):
            self._skip(parent, f"{name}/", reason)
            return False
        if is_junk(name) or not self._selection.enters_folder(path):
            return False
        self._files[path] = []
        return True

    def folders(self) -> list[Folder]:
        """All of them, in the contract's order."""
        return [self._folder(path) for path in sorted(self._files, key=walk_order)]

    def _folder(self, path: str) -> Folder:
        files = []
        for entry in sorted(self._files[path], key=attrgetter("path")):
            if entry.path in self._files:
                self._skip(path, entry.path.rpartition("/")[2], _ALSO_A_FOLDER)
            else:
                files.append(entry)
        return Folder(path, tuple(files), tuple(sorted(self._skipped.get(path, {}).items())))

    def _skip(self, folder: str, name: str, reason: str) -> None:
        self._skipped.setdefault(folder, {})[name] = reason


def _reject(name: str) -> str:
    """Why no component of a path can be called ``name``; empty when it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return _NOT_UTF8
    return reject_name(name)


def _with_slash(folder: str) -> str:
    return f"{folder}/" if folder else ""


def _parent(key: str) -> str:
    """The folder that a key lies in, with its slash."""
    return key[: key.rfind("/") + 1]


def _after(prefix: str) -> str:
    """The least text that sorts after everything that begins with ``prefix``, which ends in a slash."""
    return prefix[:-1] + "0"
