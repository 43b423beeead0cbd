"""An MP4 parser of the tests' own, which shares nothing with the one under test: boxes, samples, and where these lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator

CONTAINERS = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"dinf",
    b"stbl",
    b"moof",
    b"traf",
    b"mfra",
    b"udta",
    b"ilst",
    b"meta",
}


class Atom:
    def __init__(self, data: bytes, start: int, stop: int, path: tuple[bytes, ...]) -> None:
        (size,) = struct.unpack_from(">I", data, start)
        self.name = data[start + 4 : start + 8]
        self.header = 16 if size == 1 else 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
        self.start, self.stop = start, start + size if size else stop
        assert start + self.header <= self.stop <= stop, (path, self.name, size)
        self.body = data[start + self.header : self.stop]
        self.path = (*path, self.name)
        self.inner: list[Atom] = []
        if self.name in CONTAINERS and (self.name != b"meta" or path[-1:] == (b"udta",)):
            skip = 4 if self.name == b"meta" and self.body[4:8] != b"hdlr" else 0
            self.inner = parse(data, start + self.header + skip, self.stop, self.path)

    def all(self, *names: bytes) -> Iterator[Atom]:
        """The atoms of these names, one below the other."""
        for atom in self.inner:
            if atom.name == names[0]:
                if len(names) == 1:
                    yield atom
                else:
                    yield from atom.all(*names[1:])

    def one(self, *names: bytes) -> Atom:
        return next(self.all(*names))


def parse(data: bytes, start: int = 0, stop: int | None = None, path: tuple[bytes, ...] = ()) -> list[Atom]:
    stop = len(data) if stop is None else stop
    atoms = []
    while start + 8 <= stop:
        atoms.append(Atom(data, start, stop, path))
        start = atoms[-1].stop
    return atoms


def leaves(atoms: list[Atom]) -> Iterator[Atom]:
    """The atoms without boxes in them, in the file's order; items of a metadata list count as such."""
    for atom in atoms:
        if atom.inner and atom.path[-2:-1] != (b"ilst",):
            yield from leaves(atom.inner)
        elif atom.path[-2:] != (b"meta", b"ilst"):
            yield atom


def table(body: bytes, layout: str, at: int = 4) -> list[tuple[int, ...]]:
    (count,) = struct.unpack_from(">I", body, at)
    return [struct.unpack_from(layout, body, at + 4 + index * struct.calcsize(layout)) for index in range(count)]


def samples(data: bytes) -> list[list[bytes]]:
    """The bytes of every sample, track by track: by chunks, and then by fragments."""
    top = parse(data)
    movie = next(atom for atom in top if atom.name == b"moov")
    tracks: dict[int, list[bytes]] = {}
    for track in movie.all(b"trak"):
        head = track.one(b"tkhd").body
        (number,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
        tracks[number] = list(chunked(data, track.one(b"mdia", b"minf", b"stbl")))
    for fragment in top:
        if fragment.name == b"moof":
            for number, sample in fragmented(data, movie, fragment):
                tracks[number].append(sample)
    return list(tracks.values())


def chunked(data: bytes, stbl: Atom) -> Iterator[bytes]:
    sizes_box = stbl.one(b"stsz").body
    same, count = struct.unpack_from(">II", sizes_box, 4)
    sizes = iter([same] * count if same else [size for (size,) in table(sizes_box, ">I", 8)])
    wide = list(stbl.all(b"co64"))
    offsets = table(wide[0].body, ">Q") if wide else table(stbl.one(b"stco").body, ">I")
    runs = table(stbl.one(b"stsc").body, ">III")
    for index, (start,) in enumerate(offsets, 1):
        offset = start
        per_chunk = [per for first, per, _ in runs if first <= index][-1]
        for _ in range(per_chunk):
            size = next(sizes)
            assert offset + size <= len(data)
            yield data[offset : offset + size]
            offset += size
    assert next(sizes, None) is None


def fragmented(data: bytes, movie: Atom, fragment: Atom) -> Iterator[tuple[int, bytes]]:
    defaults = {fields[1]: fields[4] for trex in movie_trex(movie) for fields in [struct.unpack(">6I", trex)]}
    for traf in fragment.all(b"traf"):
        head = traf.one(b"tfhd").body
        flags, number = struct.unpack_from(">II", head)
        at, base, size = 8, fragment.start, defaults.get(number, 0)
        if flags & 1:
            (base,) = struct.unpack_from(">Q", head, at)
        at += 8 * (flags & 1) + 4 * (flags >> 1 & 1) + 4 * (flags >> 3 & 1)
        if flags & 0x10:
            (size,) = struct.unpack_from(">I", head, at)
        for run in traf.all(b"trun"):
            flags, count, distance = struct.unpack_from(">IIi", run.body)
            assert flags & 1
            at, offset = 12 + (flags & 4), base + distance
            for _ in range(count):
                at += 4 if flags & 0x100 else 0
                own = struct.unpack_from(">I", run.body, at)[0] if flags & 0x200 else size
                at += 4 * (flags >> 9 & 1) + 4 * (flags >> 10 & 1) + 4 * (flags >> 11 & 1)
                assert offset + own <= len(data)
                yield number, data[offset : offset + own]
                offset += own


def movie_trex(movie: Atom) -> list[bytes]:
    return [atom.body for mvex in movie.all(b"mvex") for atom in parse(mvex.body) if atom.name == b"trex"]


def fragment_places(data: bytes) -> list[list[bytes]]:
    """What the entries of each ``tfra`` point at: the first bytes there."""
    places = []
    for mfra in (atom for atom in parse(data) if atom.name == b"mfra"):
        for tfra in mfra.all(b"tfra"):
            wide = tfra.body[0] == 1
            lengths, count = struct.unpack_from(">II", tfra.body, 8)
            entry = (16 if wide else 8) + sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
            found = []
            for index in range(count):
                _, offset = struct.unpack_from(">QQ" if wide else ">II", tfra.body, 16 + index * entry)
                found.append(data[offset : offset + 8])
            places.append(found)
    return places
