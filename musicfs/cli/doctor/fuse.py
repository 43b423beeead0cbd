"""Whether this machine can mount at all."""

from __future__ import annotations

import importlib
import os
import shutil
import stat
from collections.abc import Iterator

from musicfs.cli.doctor.finding import Examination, Finding, fail, ok, warn

_HELPERS = ("fusermount3", "fusermount")


def device(examination: Examination) -> Iterator[Finding]:
    """The kernel's FUSE device exists and can be opened."""
    path = examination.system.fuse_device
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield fail(
            "fuse device", f"{path} does not exist", "run `modprobe fuse`; in a container, add `--device /dev/fuse`"
        )
    except PermissionError:
        # fusermount, which is setuid, opens it for others; without that nobody but root can mount.
        yield warn(
            "fuse device",
            f"{path} cannot be opened by this user",
            "fine as long as fusermount is setuid; else chmod 0666",
        )
    except OSError as error:
        yield fail("fuse device", f"{path}: {error.strerror}", "load the kernel module: `modprobe fuse`")
    else:
        yield ok("fuse device", f"{path} can be opened")


def helper(examination: Examination) -> Iterator[Finding]:
    """The helper that mounts on behalf of users is there, and setuid unless root mounts."""
    system = examination.system
    paths = [found for name in _HELPERS if (found := shutil.which(name, path=system.search_path))]
    if not paths:
        # Root mounts by itself; others cannot without it.
        judge = warn if system.is_root else fail
        yield judge("fusermount", "neither fusermount3 nor fusermount is installed", "install the package fuse3")
        return
    # libfuse 2 calls it by its old name only.
    if not any(os.path.basename(path) == "fusermount" for path in paths):
        yield fail(
            "fusermount",
            f"{paths[0]} is there, but not under the name fusermount",
            "install fuse3 of your system, or link it",
        )
    elif not system.is_root and not any(os.stat(path).st_mode & stat.S_ISUID for path in paths):
        yield fail(
            "fusermount", f"{paths[0]} is not setuid root", f"run `chmod u+s {paths[0]}` as root, or reinstall fuse3"
        )
    else:
        yield ok("fusermount", paths[0])


def allow_other(examination: Examination) -> Iterator[Finding]:
    """fuse.conf lets users share a mount, if one is to be shared."""
    if not examination.settings.mount.allow_other:
        return
    path = examination.system.fuse_conf
    if examination.system.is_root:
        yield ok("allow_other", "root may always share a mount")
    elif "user_allow_other" in _settings_of(path):
        yield ok("allow_other", f"{path} permits it")
    else:
        yield fail(
            "allow_other",
            f"allow_other is set, but {path} does not permit it",
            f"add the line `user_allow_other` to {path}",
        )


def binding(_examination: Examination) -> Iterator[Finding]:
    """Python's binding to libfuse can be imported."""
    try:
        module = importlib.import_module("llfuse")
    except ImportError as error:
        yield fail(
            "llfuse", f"cannot be imported: {error}", "install libfuse2 (Debian: libfuse2), then `pip install llfuse`"
        )
    else:
        yield ok("llfuse", f"version {module.__version__}")


def apparmor(examination: Examination) -> Iterator[Finding]:
    """AppArmor's profile of fusermount3 admits the mount point."""
    try:
        with open(examination.system.apparmor_profiles, encoding="utf-8", errors="replace") as stream:
            confined = any("fusermount" in line for line in stream)
    except OSError:
        return  # no AppArmor, or not ours to read: then it cannot be told, and most systems have no such profile
    mount_point = examination.settings.mount_point
    if not confined or not mount_point:
        return
    home = examination.environment.get("HOME", "/home")
    # The mount rules of the profile that Ubuntu ships for fusermount3 since 25.04.
    allowed = (home, "/home", "/mnt", "/media", "/tmp", "/run", "/cvmfs")
    if any(mount_point.startswith(folder.rstrip("/") + "/") for folder in allowed):
        yield ok("apparmor", f"fusermount3 is confined; {mount_point} is a place it may mount at")
    else:
        yield fail(
            "apparmor",
            f"fusermount3 is confined by AppArmor and may not mount at {mount_point}",
            f"mount below {home}, /mnt, /media, /tmp or /run, or extend /etc/apparmor.d/local/fusermount3",
        )


def _settings_of(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return [line.strip() for line in stream]
    except OSError:
        return []
