"""What the shell offers when a user asks it to complete an argument. Whatever goes wrong here offers nothing."""

from __future__ import annotations

import os

import click

from musicfs.cli.invocation import Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_TRASHED_MAX = 1000  # tracks below the folder that is completed


def complete_origin(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """The configured ids. What is wrong with the configuration is of no interest here."""
    from click.shell_completion import CompletionItem

    settings = context.ensure_object(Invocation).glance().settings
    return [
        CompletionItem(origin.id, help=origin.address) for origin in settings.origins if origin.id.startswith(start)
    ]


def _is_of_the_shell(mount_point: str, start: str) -> bool:
    """Whether a path is in the mount as the shell sees it, or nobody knows where that is."""
    below = mount_point.rstrip("/") + "/"
    return (
        not mount_point or start.startswith("~") or f"{start}/".startswith(below) or f"{os.getcwd()}/".startswith(below)
    )


def complete_path(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names in the mount from its root; within the mount, or for a path that leads there, the shell's own file names."""
    from click.shell_completion import CompletionItem

    point = context.ensure_object(Invocation).glance().settings.mount_point
    if _is_of_the_shell(point, start):
        return [CompletionItem(start, type="file")]
    folder, _, name = start.rpartition("/")
    try:
        with os.scandir(os.path.join(point, folder.lstrip("/"))) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(name))
    except OSError:
        return []
    before = f"{folder}/" if "/" in start else ""
    return [CompletionItem(before + entry + ("/" if is_folder else "")) for entry, is_folder in found]


def complete_trashed(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Paths that deleted tracks had in the mount, a folder at a time; within the mount the shell's own file names."""
    from click.shell_completion import CompletionItem

    from musicfs.api.trash import TrashSelection
    from musicfs.errors import MusicFSError

    invocation = context.ensure_object(Invocation)
    if _is_of_the_shell(invocation.glance().settings.mount_point, start):
        return [CompletionItem(start, type="file")]
    folder = start.rpartition("/")[0]
    try:
        with invocation.client() as client:
            page = client.trash(TrashSelection(paths=("/" + folder.lstrip("/"),)), 0, _TRASHED_MAX)
    except MusicFSError:
        return []
    before = f"{folder}/" if "/" in start else ""
    below = "/" + before.lstrip("/")
    names = [entry.path.removeprefix(below).partition("/") for entry in page.entries if not entry.restored_ms]
    found = sorted({before + name + slash for name, slash, _ in names})
    return [CompletionItem(path) for path in found if path.startswith(start)]


def complete_pin(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """What is pinned."""
    from click.shell_completion import CompletionItem

    from musicfs.errors import MusicFSError

    try:
        with context.ensure_object(Invocation).client() as client:
            pins = client.pins()
    except MusicFSError:
        return []
    return [CompletionItem(pin.path) for pin in pins if pin.path.startswith(start)]


def complete_collection(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """The names of collections."""
    from click.shell_completion import CompletionItem

    from musicfs.errors import MusicFSError

    try:
        with context.ensure_object(Invocation).client() as client:
            found = client.collections()
    except MusicFSError:
        return []
    return [CompletionItem(one.name, help=one.source.value) for one in found if one.name.startswith(start)]


def complete_field(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """The fields of tracks, and how a tag of one's own begins."""
    from click.shell_completion import CompletionItem

    from musicfs.model import FIELD_NAMES

    return [CompletionItem(name) for name in (*FIELD_NAMES, "custom:") if name.startswith(start)]
