"""Where the control socket lies."""

from __future__ import annotations

import os
from collections.abc import Mapping

SYSTEM_RUNTIME_DIR = "/run/musicfs"  # what systemd makes for RuntimeDirectory=musicfs of a system unit


def socket_path(instance: str, state_dir: str, environment: Mapping[str, str]) -> str:
    """Where a daemon puts its socket: ``<instance>.sock`` in ``$RUNTIME_DIRECTORY``, else ``$XDG_RUNTIME_DIR/musicfs``, else
    ``state_dir``.
    """
    return os.path.join(_folders(state_dir, environment)[0], f"{instance}.sock")


def socket_candidates(instance: str, state_dir: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where a client looks, in order: a shell's environment is not that of a service, so every place is tried."""
    folders = [*_folders(state_dir, environment), SYSTEM_RUNTIME_DIR]
    return tuple(dict.fromkeys(os.path.join(folder, f"{instance}.sock") for folder in folders))


def _folders(state_dir: str, environment: Mapping[str, str]) -> list[str]:
    folders: list[str] = []
    # systemd joins several RuntimeDirectory= with colons; the first is ours.
    runtime = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        folders.append(runtime)
    user_runtime = environment.get("XDG_RUNTIME_DIR", "")
    if user_runtime:
        folders.append(os.path.join(user_runtime, "musicfs"))
    folders.append(state_dir)
    return folders
