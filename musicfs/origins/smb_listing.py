"""One walk over the folders of an SMB origin: one round trip a folder, and several folders asked for ahead of the walk.

The walk is depth first and its order is that of the contract, whatever order the server answers in. What will be needed
next is found by walking on through what has already come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from musicfs.errors import OriginError
from musicfs.model import Entry
from musicfs.origins import smb_messages as messages
from musicfs.origins.contract import Folder
from musicfs.origins.failures import gone_folder
from musicfs.origins.selection import Selection, is_junk
from musicfs.origins.smb_connection import Answer, Exchange, SmbConnection
from musicfs.origins.smb_errors import (
    ABSENT,
    HIDDEN,
    NO_MORE_FILES,
    SUCCESS,
    path_error,
    sensible,
    status_name,
)
from musicfs.origins.smb_messages import Facts
from musicfs.origins.smb_names import can_be_said, to_server
from musicfs.origins.smb_pool import Pool

AHEAD_MAX = 16  # folders asked for and not answered yet
HELD_MAX = 256  # folders known before the walk comes to them
_FIRST_BYTES = 4 * messages.CREDIT_BYTES  # about 2000 names: nearly every folder of music
_MORE_BYTES = 16 * messages.CREDIT_BYTES

Names = list[tuple[str, Facts]]


class _Node:
    """A folder on the way from a name in its parent to an item of the listing."""

    __slots__ = ("above", "children", "exchange", "folder", "identity", "path")

    def __init__(self, path: str, identity: tuple[int, ...] | None, above: _Node | None) -> None:
        self.path = path
        self.identity = identity
        self.above = above
        self.exchange: Exchange | None = None
        self.folder: Folder | None = None
        self.children: list[_Node] | None = None  # None until the folder has been read

    def is_inside(self, identity: tuple[int, ...]) -> bool:
        """Whether this folder or one above it is the one of ``identity``."""
        node: _Node | None = self
        while node is not None:
            if node.identity == identity:
                return True
            node = node.above
        return False


class SmbListing:
    """A single walk; not to be shared between threads. ``prove_root`` raises unless the origin's root is there now."""

    def __init__(
        self, origin_id: str, root: str, selection: Selection, pool: Pool, prove_root: Callable[[], None]
    ) -> None:
        self._origin_id = origin_id
        self._root = root
        self._selection = selection
        self._pool = pool
        self._prove_root = prove_root
        self._ahead: dict[_Node, None] = {}  # in the order they were asked for
        self._held = 0

    def run(self, prefix: str) -> Iterator[Folder]:
        """Every folder at and below ``prefix``."""
        first = _Node(prefix, None, None)
        pending = [first]
        try:
            while pending:
                self._ask_ahead(pending)
                node = pending.pop()
                self._settle(node, required=node is first)
                self._held -= 1
                if node.folder is not None:
                    yield node.folder
                pending.extend(reversed(node.children or ()))
                node.children = []
        finally:
            for node in self._ahead:
                if node.exchange is not None:
                    node.exchange.abandon()

    def _ask_ahead(self, pending: list[_Node]) -> None:
        """Ask for the folders that the walk comes to next, itself first, as far as there is room."""
        self._settle_arrived()
        if len(self._ahead) > AHEAD_MAX // 2 and pending[-1].exchange is not None:
            return
        upcoming = pending[-(AHEAD_MAX + HELD_MAX) :]  # no more than that can be asked for anyway
        while upcoming and len(self._ahead) < AHEAD_MAX and self._held < HELD_MAX:
            node = upcoming.pop()
            if node.children is not None:
                upcoming.extend(reversed(node.children))
            elif node.exchange is None:
                self._ask(node)

    def _settle_arrived(self) -> None:
        for node in [each for each in self._ahead if each.exchange is not None and each.exchange.arrived]:
            if node.above is not None:  # of the first, absence is an error: the walk itself looks at it
                self._settle(node, required=False)

    def _ask(self, node: _Node) -> None:
        buffer_bytes, rest_bytes = _FIRST_BYTES, messages.CREDIT_BYTES
        connection = self._pool.pick()
        if not connection.multi_credit:
            buffer_bytes = messages.CREDIT_BYTES
        node.exchange = connection.send(
            messages.open_folder(to_server(self._root, node.path)),
            messages.query_id(),
            messages.list_folder(buffer_bytes),
            messages.list_folder(rest_bytes),
            messages.close_file(),
        )
        self._ahead[node] = None
        self._held += 1

    def _settle(self, node: _Node, *, required: bool) -> None:
        """Turn the server's answer about ``node`` into a folder and its children; neither if the folder is gone."""
        if node.children is not None:
            return
        if node.exchange is None:
            self._ask(node)
        exchange = node.exchange
        assert exchange is not None
        self._ahead.pop(node, None)
        node.children = []
        opened, asked, names, more, _closed = exchange.collect()
        if opened.status != SUCCESS:
            node.folder = self._explain(opened.status, node.path, required=required)
            return
        try:
            with sensible(self._origin_id, node.path):
                if asked.status == SUCCESS:
                    node.identity = _identity(messages.facts_of(opened.body, messages.id_of(asked.body)))
                found = self._names(node.path, exchange.connection, names, more)
        except _RefusedError as error:
            node.folder = self._explain(error.status, node.path, required=required)
            return
        node.folder, node.children = self._sort_out(node, found)

    def _names(self, path: str, connection: SmbConnection, names: Answer, more: Answer) -> Names:
        if names.status == NO_MORE_FILES:
            return []
        if names.status != SUCCESS:
            raise _RefusedError(names.status)
        found = list(messages.names_of(names.body))
        if more.status == NO_MORE_FILES:
            return found
        if more.status != SUCCESS:
            raise _RefusedError(more.status)
        return self._large_folder(path, connection)

    def _large_folder(self, path: str, connection: SmbConnection) -> Names:
        """All names of a folder whose names do not fit into two answers: it is opened again, and read to its end."""
        (opened,) = connection.ask(messages.open_folder(to_server(self._root, path)))
        if opened.status != SUCCESS:
            raise _RefusedError(opened.status)
        file_id = messages.file_id_of(opened.body)
        found: Names = []
        try:
            while True:
                buffer_bytes = _MORE_BYTES if connection.multi_credit else messages.CREDIT_BYTES
                (answer,) = connection.ask(messages.list_folder(buffer_bytes, file_id))
                if answer.status == NO_MORE_FILES:
                    return found
                if answer.status != SUCCESS:
                    raise _RefusedError(answer.status)
                found += messages.names_of(answer.body)
        finally:
            connection.post(messages.close_file(file_id))

    def _explain(self, status: int, path: str, *, required: bool) -> Folder | None:
        """What a folder that cannot be read means for the listing."""
        if status in ABSENT:
            self._prove_root()
            if required:
                raise gone_folder(self._origin_id, path)
            return None
        if path and status in HIDDEN:
            return Folder(path, (), (("", _reason(status, self._origin_id, path)),), complete=False)
        raise path_error(status, self._origin_id, path)

    def _sort_out(self, node: _Node, found: Names) -> tuple[Folder, list[_Node]]:
        prefix = node.path + "/" if node.path else ""
        files: list[Entry] = []
        children: list[_Node] = []
        skipped: list[tuple[str, str]] = []
        for name, facts in sorted(_unique(found), key=lambda item: item[0].encode("utf-8", "surrogatepass")):
            if name in {"", ".", ".."} or is_junk(name):
                continue
            inner = prefix + name
            if not (self._selection.enters_folder if facts.is_folder else self._selection.serves_file)(inner):
                continue
            reason = _unserved(node, name, facts)
            if reason:
                skipped.append((name.encode("utf-8", "backslashreplace").decode("utf-8"), reason))
            elif facts.is_folder:
                children.append(_Node(inner, _identity(facts), node))
            else:
                files.append(facts.entry(inner))
        return Folder(node.path, tuple(files), tuple(skipped)), children


class _RefusedError(Exception):
    """A folder that was opened could not be listed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _unserved(node: _Node, name: str, facts: Facts) -> str:
    """Why a name is not served; empty when it is."""
    if not can_be_said(name):
        return "a name that SMB cannot open"
    if facts.is_link:
        return "a link"
    if facts.is_folder and facts.file_id and node.is_inside(_identity(facts)):
        return "a link to a folder above it"
    return ""


def _identity(facts: Facts) -> tuple[int, ...]:
    """What tells a folder from every other: file ids alone repeat where the share spans several filesystems.

    Not the time of creation, which Samba makes up from the others where it knows none, the last access among them.
    """
    return (facts.file_id, facts.written, facts.changed)


def _unique(found: Names) -> Names:
    """Without the names that came twice, as happens when a folder changes while it is read."""
    return list(dict(found).items())


def _reason(status: int, origin_id: str, path: str) -> str:
    error: OriginError = path_error(status, origin_id, path)
    return "the server refuses to read it" if error.errno else status_name(status)
