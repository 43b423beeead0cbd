"""What settings mean together: ids, names, and how the folders lie to each other.

Runs on settings that already have the right types and absolute paths. A *problem* is something that cannot work; a *warning*
is something that works, but hardly as intended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import combinations

from musicfs.config.addresses import Address, parse_address
from musicfs.config.layers import Layers
from musicfs.config.origin_keys import KEYS_OF_TYPES, keys_of
from musicfs.config.reach import Reach
from musicfs.config.settings import CustomCollection, OriginSettings, Settings
from musicfs.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from musicfs.config.places import KeyPath

TemplateCheck = Callable[[str], Problem | None]
"""Says what is wrong with a path template; given by the caller, as templates live on a higher floor."""

CollectionCheck = Callable[[CustomCollection], "Sequence[tuple[KeyPath, Problem]]"]
"""Says all that is wrong with what a collection holds, each with the key below its table; queries live on a higher floor."""

HIDDEN_COLLECTIONS = ".collections"
_NAME_BYTES = 255  # NAME_MAX of Linux


class Checks:
    """All checks on one configuration; ``problems`` and ``warnings`` collect."""

    def __init__(self, layers: Layers, settings: Settings) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._layers = layers
        self._settings = settings

    def names(self) -> None:
        """Ids of origins and names of views are unique, and a view's name can be a folder."""
        seen: dict[str, KeyPath] = {}
        for index, origin in enumerate(self._settings.origins):
            key: KeyPath = ("origins", index, "id")
            if origin.id in seen:
                first = self._layers.place(seen[origin.id])
                self._problem(key, f'origin id "{origin.id}" is used twice', f"first at {first}; ids must differ")
            seen.setdefault(origin.id, key)
        views: set[str] = set()
        for index, view in enumerate(self._settings.views):
            key = ("views", index, "name")
            name = view.name.casefold() if self._settings.tree.names == "windows" else view.name
            wrong = _wrong_name(view.name)
            if wrong:
                self._problem(key, f'view name "{view.name}" {wrong}', "a view is one folder at the root of the mount")
            elif name in views:
                self._problem(key, f'view name "{view.name}" is used twice', "names of views must differ")
            views.add(name)

    def origin_keys(self, written: tuple[OriginSettings, ...]) -> None:
        """Every origin, as it was written, has the keys its type needs, and none that its type does not know."""
        for index, origin in enumerate(written):
            keys = keys_of(origin)
            for name in keys.required:
                if not getattr(origin, name):
                    self._problem(
                        ("origins", index),
                        f'origin "{origin.id}": {name} is missing',
                        f"{keys.kind} needs {keys.needs}",
                    )
            for name in sorted(KEYS_OF_TYPES - keys.allowed):
                if getattr(origin, name) not in {"", 0}:
                    self._problem(
                        ("origins", index, name),
                        f'origin "{origin.id}": {name} means nothing for {keys.kind}',
                        f"allowed: {', '.join(sorted(keys.allowed))}",
                    )

    def reporting(self) -> None:
        """Metrics have an address that only this machine can reach, unless more is meant; webhooks have one as well."""
        metrics = self._settings.metrics
        if metrics.address:
            self._metrics_address(metrics.address, allow_remote=metrics.allow_remote)
        known = {origin.id for origin in self._settings.origins}
        for index, webhook in enumerate(self._settings.webhooks):
            if webhook.url.startswith(("http://", "https://")):
                wrong = _wrong_url(webhook.url)
                if wrong:  # not shown: it may hold a token
                    self._problem(
                        ("webhooks", index, "url"),
                        f"the url of webhook {index + 1} {wrong}",
                        "such as https://host/path",
                    )
            for origin_id in webhook.origins:
                if origin_id not in known:
                    key: KeyPath = ("webhooks", index, "origins")
                    self._problem(key, f'webhook {index + 1}: there is no origin "{origin_id}"', _listed(known))

    def _metrics_address(self, text: str, *, allow_remote: bool) -> None:
        key: KeyPath = ("metrics", "address")
        try:
            address = parse_address(text)
        except ValueError as error:
            self._problem(key, f'metrics.address: "{text}" {error}', 'such as "127.0.0.1:50053"; "" for no metrics')
            return
        if not (allow_remote or address.is_loopback):
            message = f'metrics.address: other machines can reach "{text}", and there is no password'
            self._problem(key, message, "listen on 127.0.0.1, or set metrics.allow_remote = true")

    def templates(self, check: TemplateCheck) -> None:
        """Every template that will be used parses."""
        tree = self._settings.tree
        used: list[tuple[KeyPath, str]] = [] if tree.folders else [(("tree", "template"), tree.template)]
        for index, view in enumerate(self._settings.views):
            if not view.folders:
                used.append((("views", index, "template"), view.template))
        for key, template in used:
            found = check(template)
            if found is not None:
                where = f"{found.place}: " if found.place else ""
                self._problem(key, f'template "{template}": {where}{found.message}', found.suggestion)

    def collections(self, check: CollectionCheck | None) -> None:
        """Collections have names that folders can have, each its own, and what they hold makes sense."""
        collections = self._settings.collections
        wrong = _wrong_directory(collections.directory)
        if wrong:
            self._problem(
                ("collections", "directory"),
                f'collections.directory "{collections.directory}" {wrong}',
                f'a folder of the mount, such as "Collections"; empty for the root, "{HIDDEN_COLLECTIONS}" to hide them',
            )
        seen: dict[str, KeyPath] = {}
        for index, collection in enumerate(collections.custom):
            table: KeyPath = ("collections", "custom", index)
            key: KeyPath = (*table, "name")
            name = collection.name.casefold() if self._settings.tree.names == "windows" else collection.name
            wrong = _wrong_name(collection.name)
            if wrong:
                self._problem(key, f'collection name "{collection.name}" {wrong}', "a collection is one folder")
            elif name in seen:
                first = self._layers.place(seen[name])
                self._problem(
                    key, f'collection name "{collection.name}" is used twice', f"first at {first}; names must differ"
                )
            seen.setdefault(name, key)
            for below, problem in check(collection) if check is not None else ():
                where = f"{problem.place}: " if problem.place else ""
                self._problem(
                    (*table, *below), f'collection "{collection.name}": {where}{problem.message}', problem.suggestion
                )

    def listeners(self) -> None:
        """Every address is one, and only once; what other machines can reach has TLS."""
        grpc = self._settings.grpc
        has_tls = bool(grpc.tls_cert and grpc.tls_key)
        if not has_tls and (grpc.tls_cert or grpc.tls_key):
            given, missing = ("tls_cert", "tls_key") if grpc.tls_cert else ("tls_key", "tls_cert")
            self._problem(
                ("grpc", given), f"grpc.{given} is of no use without grpc.{missing}", "set both, to PEM files"
            )
        seen: set[Address] = set()
        for index, text in enumerate(grpc.addresses):
            key: KeyPath = ("grpc", "addresses", index)
            try:
                address = parse_address(text)
            except ValueError as error:
                self._problem(key, f'grpc.addresses: "{text}" {error}', 'such as "127.0.0.1:50052" or "[::1]:50052"')
                continue
            if address in seen:
                self._problem(key, f'grpc.addresses: "{text}" is there twice', "once is enough")
            elif not (has_tls or address.is_loopback):
                message = f'grpc.addresses: other machines can reach "{text}", which takes TLS'
                self._problem(key, message, "set grpc.tls_cert and grpc.tls_key, or listen on 127.0.0.1 only")
            seen.add(address)

    def places(self, reach: Reach) -> None:
        """The mount point, our own folders and the origins do not lie in each other."""
        settings = self._settings
        ours = [(key, reach.real(path)) for key, path in _own_folders(settings)]
        origins: list[tuple[KeyPath, str, str]] = [
            (("origins", index, "path"), origin.id, reach.real(origin.folder))
            for index, origin in enumerate(settings.origins)
            if origin.enabled and origin.folder
        ]
        mount_point = reach.real(settings.mount_point) if settings.mount_point else ""
        for key, path in ours:
            if mount_point and _is_within(path, mount_point):
                wrong = self._chosen((key,), ("mount_point",))
                self._problem(
                    wrong, f"{key} {path} lies inside the mount point {mount_point}", "the mount would cover it"
                )
            elif mount_point and _is_within(mount_point, path):
                wrong = self._chosen(("mount_point",), (key,))
                self._problem(wrong, f"mount_point {mount_point} lies inside {key} {path}", "mount somewhere else")
        for origin_key, identifier, path in origins:
            self._origin_place(origin_key, identifier, path, mount_point, ours)
        self._overlaps(origins)

    def existence(self, reach: Reach) -> None:
        """Every origin's folder is there, if this is the first mount; later an origin may be away for a while."""
        known = os.path.isdir(os.path.join(self._settings.cache_dir, "catalog"))
        for index, origin in enumerate(self._settings.origins):
            if not origin.enabled or not origin.folder:
                continue
            wrong = reach.wrong(origin.folder)
            if not wrong:
                continue
            key: KeyPath = ("origins", index, "path")
            message = f'origin "{origin.id}": {origin.folder} {wrong}'
            if known or wrong == Reach.NO_ANSWER:
                self._warning(key, message, "what was known about it is served until it is back")
            else:
                self._problem(key, message, "create it, mount it, or correct the path")

    def _origin_place(
        self, key: KeyPath, identifier: str, path: str, mount_point: str, ours: list[tuple[str, str]]
    ) -> None:
        if mount_point and _is_within(mount_point, path):
            self._problem(("mount_point",), f'mount_point {mount_point} lies inside origin "{identifier}"', _LOOP)
        elif mount_point and _is_within(path, mount_point):
            self._problem(key, f'origin "{identifier}" lies inside the mount point {mount_point}', _LOOP)
        for name, folder in ours:
            if _is_within(path, folder):
                self._problem(key, f'origin "{identifier}" lies inside {name} {folder}', f"choose another {name}")
            elif _is_within(folder, path):
                message = f'{name} {folder} lies inside origin "{identifier}": MusicFS will see its own files there'
                self._warning((name,), message, f"choose another {name}, or exclude it")

    def _overlaps(self, origins: list[tuple[KeyPath, str, str]]) -> None:
        for (_, first_id, first), (second_key, second_id, second) in combinations(origins, 2):
            if _is_within(first, second) or _is_within(second, first):
                message = f'origins "{first_id}" and "{second_id}" overlap: {first} and {second}'
                self._warning(second_key, message, "files in both are served twice")

    def _chosen(self, key: KeyPath, other: KeyPath) -> KeyPath:
        """``key``, unless it is a default and ``other`` was written: a place that somebody can correct."""
        is_default = self._layers.value_source(key).kind == "default"
        return other if is_default and self._layers.value_source(other).kind != "default" else key

    def _problem(self, key: KeyPath, message: str, suggestion: str = "") -> None:
        self.problems.append(Problem(self._layers.place(key), message, suggestion))

    def _warning(self, key: KeyPath, message: str, suggestion: str = "") -> None:
        self.warnings.append(Problem(self._layers.place(key), message, suggestion))


_LOOP = "the mount would show itself; keep the two apart"


def _own_folders(settings: Settings) -> Iterator[tuple[str, str]]:
    for key in ("cache_dir", "state_dir"):
        path = getattr(settings, key)
        if path:
            yield key, path


def _wrong_url(url: str) -> str:
    from urllib.parse import urlsplit  # late: few configurations have one

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no valid host or port"
    if not parts.hostname or port == 0:
        return "has no valid host or port"
    return "names a user: requests are signed instead" if parts.username is not None else ""


def _listed(ids: Collection[str]) -> str:
    return f"the origins are: {', '.join(sorted(ids))}" if ids else "there are no origins"


def _wrong_name(name: str) -> str:
    if "/" in name or "\0" in name:
        return "contains a slash or NUL"
    if name.startswith("."):
        return "begins with a dot"
    if len(name.encode(errors="surrogateescape")) > _NAME_BYTES:
        return f"is longer than {_NAME_BYTES} bytes"
    return ""


def _wrong_directory(path: str) -> str:
    if path in {"", HIDDEN_COLLECTIONS}:
        return ""
    if path.startswith("/"):
        return "begins with a slash"
    wrong = (_wrong_name(name) or ("" if name else "has an empty part") for name in path.split("/"))
    return next(filter(None, wrong), "")


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
