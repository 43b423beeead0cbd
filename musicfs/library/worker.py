"""``python -m musicfs.library.worker``: reads tags, one job after the other, until its standard input closes.

A worker holds nothing but what it is reading. Its memory is limited, so that a file that claims four gigabytes of tags
kills this process and not the machine; the pool notices and reads on without that file.
"""

from __future__ import annotations

import os
import resource
import stat
import sys
from typing import BinaryIO

from musicfs import formats
from musicfs.errors import ChangedError, FormatError, MusicFSError
from musicfs.library.protocol import LENGTH, CoverJob, ReadJob, ReadResult, frame, job_decoder, printable
from musicfs.store.records import pack_facts

_MEMORY_LIMIT_BYTES = 1 << 30
_NICE = 5  # on top of the keeper's: a scan takes what players and the mount leave
_MAX_IMAGE_BYTES = 64 << 20
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def main() -> int:
    """Serve jobs from standard input; replies go to standard output."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT_BYTES, _MEMORY_LIMIT_BYTES))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        body = _receive(source)
        if body is None:
            return 0
        job = job_decoder.decode(body)
        reply = [_read_file(*file) for file in job.files] if isinstance(job, ReadJob) else _make_cover(job)
        try:
            sink.write(frame(reply))
            sink.flush()
        except BrokenPipeError:  # the keeper died; what the interpreter would flush at its end has no reader either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sink.fileno())
            return 0


def _receive(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return source.read(LENGTH.unpack(head)[0])


def _read_file(path: bytes, size: int, mtime_ns: int) -> ReadResult:
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        return _failed(error)
    try:
        if not _unchanged(descriptor, size, mtime_ns):
            return ReadResult(reason="changed while it was read", retry=True)
        name = os.path.basename(path).decode("utf-8", "surrogateescape")
        try:
            result = ReadResult(facts=pack_facts(formats.read(formats.LocalSource(descriptor, size), name)))
        except FormatError as error:
            result = ReadResult(reason=printable(error))
        except ChangedError as error:
            result = ReadResult(reason=printable(error), retry=True)
        except OSError as error:
            result = _failed(error)
        if not _unchanged(descriptor, size, mtime_ns):
            return ReadResult(reason="changed while it was read", retry=True)
        return result
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> ReadResult:
    """Only a refusal is said about the file itself; anything else (a disk, a network) may go well next time."""
    return ReadResult(reason=os.strerror(error.errno or 0), retry=not isinstance(error, PermissionError))


def _unchanged(descriptor: int, size: int, mtime_ns: int) -> bool:
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and found.st_size == size and found.st_mtime_ns == mtime_ns


def _make_cover(job: CoverJob) -> bytes:
    """The JPEG, or nothing where it cannot be made; the reason goes to the log through standard error."""
    try:
        data = job.data or _image(job)
        return data if not data or formats.image_kind(data) == "jpeg" else formats.to_jpeg(data)
    except (MusicFSError, OSError) as error:
        sys.stderr.write(f"cover of {os.fsdecode(job.path)!r}: {error}\n")
        return b""


def _image(job: CoverJob) -> bytes:
    """The image in a file of this machine; empty if that is too large for one."""
    descriptor = os.open(job.path, _OPEN_FLAGS)
    try:
        source = formats.LocalSource(descriptor, job.size)
        if job.picture is not None:
            return formats.extract_picture(source, job.picture)
        return source.read(0, job.size) if job.size <= _MAX_IMAGE_BYTES else b""
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
