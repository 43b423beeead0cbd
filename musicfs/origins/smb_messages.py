"""The few SMB2 messages a read-only origin sends, and what it takes from the answers.

Requests are the library's structures. Answers are read with :mod:`struct`, as a listing has too many of them for anything
slower. Layouts: [MS-SMB2] 2.2.13 to 2.2.38 for the messages, [MS-FSCC] 2.4 for what they carry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from smbprotocol.connection import SMB2Echo
from smbprotocol.open import (
    SMB2CloseRequest,
    SMB2CreateRequest,
    SMB2QueryDirectoryRequest,
    SMB2QueryInfoRequest,
    SMB2ReadRequest,
)

from musicfs.model import Entry

Message = Any  # a Structure of the library, which has no types

RELATED_FILE_ID = b"\xff" * 16  # in a compound: the file that the request before opened
CREDIT_BYTES = 65536  # what one credit pays for, [MS-SMB2] 3.1.5.2

_SHARE_ALL = 0x7  # others may read, write and delete what is open here
_OPEN = 1  # disposition: what is there, or nothing
_IMPERSONATION = 2
_READ_DATA_AND_ATTRIBUTES = 0x81  # FILE_READ_DATA (for a folder: list it) and FILE_READ_ATTRIBUTES
_READ_ATTRIBUTES = 0x80  # alone: allowed to who may list the folder, even if not to read the file
_FOLDER_ONLY = 0x00000001
_FILE_ONLY = 0x00000040
_FILE_INTERNAL_INFORMATION = 6
_FILE_ID_BOTH_DIRECTORY_INFORMATION = 37
_INTERNAL_INFORMATION_BYTES = 8
_POSTQUERY_ATTRIB = 0x1

ATTRIBUTE_DIRECTORY = 0x10
ATTRIBUTE_REPARSE_POINT = 0x400
_NAME_SURROGATE = 0x20000000  # the bit of a reparse tag for links and junctions, [MS-FSCC] 2.1.2.1

_HEADER_BYTES = 64
_UNIX_EPOCH = 116_444_736_000_000_000  # 1970 in 100 ns since 1601
_BUFFER = struct.Struct("<2xHI")  # offset from the header, length
_READ = struct.Struct("<2xBxI")
_FACTS = struct.Struct("<8x4Q8xQI")  # the same place in the answers to CREATE and to CLOSE
_ID = struct.Struct("<Q")
_LISTED = struct.Struct("<I4x4QQ8xIII2x24x2xQ")  # FileIdBothDirectoryInformation; the name follows


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What the server says about a file or folder. Times are in 100 ns since 1601."""

    size_bytes: int
    created: int
    written: int
    changed: int
    attributes: int
    file_id: int
    reparse_tag: int = 0

    @property
    def is_folder(self) -> bool:
        return bool(self.attributes & ATTRIBUTE_DIRECTORY)

    @property
    def is_link(self) -> bool:
        """A link or junction that the server leaves to its clients; other reparse points open like any file."""
        return bool(self.attributes & ATTRIBUTE_REPARSE_POINT and self.reparse_tag & _NAME_SURROGATE)

    @property
    def version(self) -> str:
        """Size and time of the last write, in hexadecimal."""
        return f"{self.size_bytes:x}-{self.written:x}"

    def entry(self, path: str) -> Entry:
        """The listing's entry for a file."""
        written_ns, changed_ns = ((time - _UNIX_EPOCH) * 100 for time in (self.written, self.changed))
        return Entry(path, self.size_bytes, written_ns, self.version, self.file_id, changed_ns)


def open_file(path: str, *, for_data: bool) -> Message:
    """CREATE for an existing file, relative to the share."""
    return _create(path, _READ_DATA_AND_ATTRIBUTES if for_data else _READ_ATTRIBUTES, _FILE_ONLY)


def open_folder(path: str) -> Message:
    """CREATE for an existing folder, to be listed; an empty path is the share's root."""
    return _create(path, _READ_DATA_AND_ATTRIBUTES, _FOLDER_ONLY)


def _create(path: str, access: int, options: int) -> Message:
    message = SMB2CreateRequest()
    message["impersonation_level"] = _IMPERSONATION
    message["desired_access"] = access
    message["share_access"] = _SHARE_ALL
    message["create_disposition"] = _OPEN
    message["create_options"] = options
    message["buffer_path"] = path.encode("utf-16-le") or b"\0\0"  # the library's way to say no path
    return message


def close_file(file_id: bytes = RELATED_FILE_ID, *, with_facts: bool = False) -> Message:
    """CLOSE; ``with_facts`` asks for what is known about the file after it, which a server may leave out."""
    message = SMB2CloseRequest()
    message["flags"] = _POSTQUERY_ATTRIB if with_facts else 0
    message["file_id"] = file_id
    return message


def read_file(start: int, stop: int, file_id: bytes = RELATED_FILE_ID) -> Message:
    """READ of the bytes ``[start, stop)``; an answer may hold fewer only at the file's end."""
    message = SMB2ReadRequest()
    message["offset"] = start
    message["length"] = stop - start
    message["minimum_count"] = stop - start
    message["file_id"] = file_id
    return message


def query_id(file_id: bytes = RELATED_FILE_ID) -> Message:
    """QUERY_INFO for the file's id on its volume."""
    message = SMB2QueryInfoRequest()
    message["info_type"] = 1  # SMB2_0_INFO_FILE
    message["file_info_class"] = _FILE_INTERNAL_INFORMATION
    message["output_buffer_length"] = _INTERNAL_INFORMATION_BYTES
    message["file_id"] = file_id
    return message


def list_folder(buffer_bytes: int, file_id: bytes = RELATED_FILE_ID) -> Message:
    """QUERY_DIRECTORY for the next names, as many as fit into ``buffer_bytes``."""
    message = SMB2QueryDirectoryRequest()
    message["file_information_class"] = _FILE_ID_BOTH_DIRECTORY_INFORMATION
    message["output_buffer_length"] = buffer_bytes
    message["file_id"] = file_id
    message["buffer"] = "*".encode("utf-16-le")
    return message


def echo() -> Message:
    """ECHO: is somebody there?"""
    return SMB2Echo()


def credits_of(message: Message) -> int:
    """The credits that a server with large transfers charges for ``message``, [MS-SMB2] 3.2.4.1.5."""
    size_bytes = data_bytes_of(message)
    if isinstance(message, SMB2QueryDirectoryRequest):
        size_bytes = message["output_buffer_length"].get_value()
    return max(0, size_bytes - 1) // CREDIT_BYTES + 1


def data_bytes_of(message: Message) -> int:
    """How much of a file the answer to ``message`` will hold."""
    return int(message["length"].get_value()) if isinstance(message, SMB2ReadRequest) else 0


def file_id_of(body: bytes) -> bytes:
    """The handle in the answer to a CREATE."""
    return body[64:80]


def data_of(body: bytes) -> memoryview:
    """The bytes in the answer to a READ."""
    offset, length = _READ.unpack_from(body)
    return memoryview(body)[offset - _HEADER_BYTES :][:length]


def facts_of(body: bytes, file_id: int = 0) -> Facts:
    """The answer to a CREATE, or to a CLOSE with facts. Raises struct.error when it is too short."""
    created, _, written, changed, size, attributes = _FACTS.unpack_from(body)
    return Facts(size, created, written, changed, attributes, file_id)


def has_facts(body: bytes) -> bool:
    """Whether the answer to a CLOSE has them."""
    return len(body) >= _FACTS.size and bool(body[2] & _POSTQUERY_ATTRIB)


def id_of(body: bytes) -> int:
    """The answer to :func:`query_id`. Raises struct.error when it is too short."""
    return int(_ID.unpack_from(_buffer(body))[0])


def names_of(body: bytes) -> Iterator[tuple[str, Facts]]:
    """The answer to :func:`list_folder`, in the server's order. A name that is not Unicode has lone surrogates."""
    buffer = _buffer(body)
    at = 0
    while len(buffer) - at >= _LISTED.size:
        step, created, _, written, changed, size, attributes, name_bytes, tag, file_id = _LISTED.unpack_from(buffer, at)
        name = bytes(buffer[at + _LISTED.size :][:name_bytes]).decode("utf-16-le", "surrogatepass")
        yield name, Facts(size, created, written, changed, attributes, file_id, tag)
        if not step:
            return
        at += step


def _buffer(body: bytes) -> memoryview:
    offset, length = _BUFFER.unpack_from(body)
    return memoryview(body)[offset - _HEADER_BYTES :][:length]
