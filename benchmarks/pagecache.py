"""The kernel's page cache, one file at a time: fill it, drop it, and prove what is in it."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

PAGE_BYTES = mmap.PAGESIZE
_BUFFER_BYTES = 1 << 20

# int mincore(void *addr, size_t length, unsigned char *vec) and mmap itself: Python's mmap object hides its address.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
_MAP_FAILED = ctypes.c_void_p(-1).value


def resident_pages(path: Path) -> int:
    """How many pages of the file are in the page cache now."""
    size = path.stat().st_size
    if size == 0:
        return 0
    fd = os.open(path, os.O_RDONLY)
    try:
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    finally:
        os.close(fd)
    if address == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    try:
        answer = ctypes.create_string_buffer(-(-size // PAGE_BYTES))
        if _libc.mincore(address, size, answer) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        return sum(byte & 1 for byte in answer.raw[:-1])
    finally:
        _libc.munmap(address, size)


def drop(path: Path) -> None:
    """Take every page of this inode out of the page cache. On a FUSE mount the underlying file keeps its own pages."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def warm(path: Path) -> None:
    """Read the whole file, so that its pages are in the page cache."""
    buffer = bytearray(_BUFFER_BYTES)
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.readv(fd, [buffer]):
            pass
    finally:
        os.close(fd)


def drop_proven(path: Path) -> None:
    """Drop, and raise RuntimeError when pages stay all the same: a "cold" number must not be half warm."""
    drop(path)
    if left := resident_pages(path):
        raise RuntimeError(f"{path}: {left} pages stay in the page cache")
