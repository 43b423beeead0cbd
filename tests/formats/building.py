"""Builds containers byte by byte, for what the usual programs do not write."""

from __future__ import annotations

import struct


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3_frame(name: str, body: bytes, *, version: int = 4, flags: int = 0, plain_size: bool = False) -> bytes:
    if version == 2:
        return name.encode() + len(body).to_bytes(3) + body
    size = synchsafe(len(body)) if version == 4 and not plain_size else struct.pack(">I", len(body))
    return name.encode() + size + bytes((0, flags)) + body


def id3_tag(*frames: bytes, version: int = 4, flags: int = 0, padding: int = 0) -> bytes:
    body = b"".join(frames) + bytes(padding)
    return b"ID3" + bytes((version, 0, flags)) + synchsafe(len(body)) + body


def text_frame(name: str, text: str, *, version: int = 4) -> bytes:
    return id3_frame(name, b"\x03" + text.encode(), version=version)


def apic(image: bytes, *, kind: int = 3) -> bytes:
    return b"\x00image/jpeg\x00" + bytes((kind,)) + b"cover\x00" + image


def mp3_frames(count: int = 10) -> bytes:
    """MPEG 1 layer III, 128 kbit/s, 44.1 kHz, stereo: 417 bytes a frame."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * count


def unsync(data: bytes) -> bytes:
    """The scheme of "ID3 tag version 2.4.0 - Main Structure", 6.1, byte by byte."""
    out = bytearray()
    for index, byte in enumerate(data):
        out.append(byte)
        following = data[index + 1] if index + 1 < len(data) else 0
        if byte == 0xFF and (following >= 0xE0 or following == 0):
            out.append(0)
    return bytes(out)


def vorbis_comments(*comments: bytes) -> bytes:
    parts = [struct.pack("<I", 4) + b"test", struct.pack("<I", len(comments))]
    parts += [struct.pack("<I", len(comment)) + comment for comment in comments]
    return b"".join(parts)


def picture_block(image: bytes, *, kind: int = 3, mime: bytes = b"image/jpeg", description: bytes = b"") -> bytes:
    head = struct.pack(">II", kind, len(mime)) + mime + struct.pack(">I", len(description)) + description
    return head + struct.pack(">IIIII", 1, 1, 24, 0, len(image)) + image


def flac_block(kind: int, body: bytes, *, last: bool = False, size: int | None = None) -> bytes:
    return bytes((kind | (0x80 if last else 0),)) + (len(body) if size is None else size).to_bytes(3) + body


def flac_file(*blocks: bytes, audio: bytes = b"\xff\xf8" + bytes(500)) -> bytes:
    """STREAMINFO (44.1 kHz, 2 channels, 16 bits, one second) and ``blocks``, of which the last must say so."""
    packed = 44100 << 44 | 1 << 41 | 15 << 36 | 44100
    streaminfo = struct.pack(">HH", 4096, 4096) + bytes(6) + struct.pack(">Q", packed) + bytes(16)
    return b"fLaC" + flac_block(0, streaminfo, last=not blocks) + b"".join(blocks) + audio


def ogg_pages(packets: list[bytes], *, serial: int = 1, granule: int = 0, sequence: int = 0, flags: int = 0) -> bytes:
    """Pages of these packets, as full as can be; a checksum of zero, which readers of tags do not look at."""
    lacing: list[int] = []
    for packet in packets:
        lacing += [255] * (len(packet) // 255) + [len(packet) % 255]
    payload, pages, at = b"".join(packets), [], 0
    for first in range(0, len(lacing), 255):
        segments = lacing[first : first + 255]
        size = sum(segments)
        continued = 1 if first and lacing[first - 1] == 255 else 0
        position = granule if any(segment < 255 for segment in segments) else -1
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags | continued, position, serial, sequence, 0, len(segments))
        pages.append(head + bytes(segments) + payload[at : at + size])
        at, sequence = at + size, sequence + 1
    return b"".join(pages)


def vorbis_file(comments: bytes, *, serial: int = 1) -> bytes:
    """Vorbis headers around ``comments``, one second of 44.1 kHz stereo that is no real audio."""
    ident = b"\x01vorbis" + struct.pack("<IBIiiiB", 0, 2, 44100, 0, 128000, 0, 0xB8) + b"\x01"
    head = ogg_pages([ident], serial=serial, flags=2)
    comment, setup = b"\x03vorbis" + comments + b"\x01", b"\x05vorbis" + bytes(4000)
    headers = ogg_pages([comment, setup], serial=serial, sequence=1)
    last = ogg_pages([bytes(1000)], serial=serial, granule=44100, sequence=900, flags=4)
    return head + headers + last


def box(name: bytes, body: bytes, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, name, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, name) + body


def mp4_data(kind: int, payload: bytes) -> bytes:
    return box(b"data", struct.pack(">II", kind, 0) + payload)


def mp4_movie(*items: bytes, entry: bytes = b"", handler: bytes = b"soun", seconds: int = 2) -> bytes:
    """A ``moov`` box with one track of ``seconds`` and the metadata ``items``."""
    sample = b"mp4a" + bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 2, 16, 0, 0, 44100 << 16) + entry
    description = box(b"stsd", struct.pack(">II", 0, 1) + struct.pack(">I", len(sample) + 4) + sample)
    media = box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, 1000, seconds * 1000) + bytes(4))
    media += box(b"hdlr", bytes(8) + handler + bytes(12)) + box(b"minf", box(b"stbl", description))
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(25)) + box(b"ilst", b"".join(items)))
    return box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", box(b"mdia", media)) + box(b"udta", meta))


def mp4_file(*items: bytes, brand: bytes = b"M4A ") -> bytes:
    return box(b"ftyp", brand + bytes(4)) + box(b"mdat", bytes(2000)) + mp4_movie(*items)


def chunk(name: bytes, body: bytes, *, big_endian: bool = False) -> bytes:
    return name + struct.pack(">I" if big_endian else "<I", len(body)) + body + bytes(len(body) % 2)


def wav_file(*chunks: bytes, data: bytes = bytes(4 * 44100)) -> bytes:
    """One second of silence at 44.1 kHz, 16 bits, stereo, with ``chunks`` behind it."""
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16))
    body = b"WAVE" + fmt + chunk(b"data", data) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def aiff_file(*chunks: bytes, kind: bytes = b"AIFF", compression: bytes = b"", frames: int = 44100) -> bytes:
    common = struct.pack(">hIh", 2, frames, 16) + b"\x40\x0e\xac\x44" + bytes(6) + compression
    body = kind + chunk(b"COMM", common, big_endian=True)
    body += chunk(b"SSND", bytes(8) + bytes(400), big_endian=True) + b"".join(chunks)
    return b"FORM" + struct.pack(">I", len(body)) + body
