"""Giving memory back: what LMDB has touched counts as ours until somebody says otherwise, and so does what malloc keeps.

MADV_DONTNEED on a shared file mapping drops this process's page table entries and nothing else: the bytes stay in the page
cache, readers in other threads fault them in again, and no data is lost (madvise(2)).
"""

from __future__ import annotations

import os

_MADV_DONTNEED = 4  # Linux, every architecture: asm-generic/mman-common.h
# What a process at rest may keep: its program text and libraries are file pages too.
RESTING_BYTES = 24 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def mapped_bytes() -> int:
    """File pages that are mapped and present in this process, from /proc/self/statm."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[2]) * _PAGE_BYTES


def trim_heap() -> None:
    """Give back what the C library keeps of memory that was freed (malloc_trim(3)): after tantivy some hundred MB.

    Takes some ms. Does nothing where the C library knows no such thing.
    """
    import ctypes  # as below

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def trim_pages(folder: str, limit_bytes: int) -> bool:
    """Give the pages of the environment in ``folder`` back if more than ``limit_bytes`` are present; True if it did so."""
    if mapped_bytes() <= limit_bytes:
        return False
    import ctypes  # late: the mount process starts without it

    data = os.fsencode(os.path.realpath(os.path.join(folder, "data.mdb")))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[5].rstrip(b"\n") == data:
                start, stop = (int(edge, 16) for edge in fields[0].split(b"-"))
                if libc.madvise(start, stop - start, _MADV_DONTNEED):
                    raise OSError(ctypes.get_errno(), "madvise failed")
    return True
