"""FLAC with changed tags: RFC 9639, 8. Every block but the comments stays as it is and where it is, padding included."""

from __future__ import annotations

from functools import partial

from musicfs.formats.flac import Block, walk_blocks
from musicfs.formats.metablocks import MadeBlock, SourceBlock, edit_blocks
from musicfs.formats.plans import Edit, Literal, Piece, Plan, Range, joined, shifted
from musicfs.formats.source import View
from musicfs.formats.tagset import TagSet
from musicfs.model import Facts


def splice_flac(view: View, start: int, own: Facts, edit: Edit) -> Plan:
    """The plan for the file whose ``fLaC`` marker is at ``start``; FormatError if it cannot be changed without loss."""
    blocks = walk_blocks(view, start + 4, TagSet(), [])
    sources = [SourceBlock(block.kind, block.stop - block.start, partial(_read_body, view, block)) for block in blocks]
    made = edit_blocks(sources, own.tags, edit)
    pieces: list[Piece] = [Range(0, start + 4)]
    for index, made_block in enumerate(made.blocks):
        header = block_header(made_block, last=index == len(made.blocks) - 1)
        if made_block.source < 0:
            pieces += [Literal(header), *made_block.body]
            continue
        origin = blocks[made_block.source]
        kept = view.read(origin.header, origin.start) == header
        pieces.append(Range(origin.header, origin.start) if kept else Literal(header))
        pieces += shifted(made_block.body, origin.start)
    pieces.append(Range(blocks[-1].stop, view.size))
    return Plan(joined(pieces), made.extra, made.unfit)


def block_header(block: MadeBlock, *, last: bool) -> bytes:
    """The four bytes before a block's body."""
    return bytes((block.kind | (0x80 if last else 0),)) + block.size.to_bytes(3)


def _read_body(view: View, block: Block, start: int, stop: int) -> bytes:
    return view.read(block.start + start, block.start + stop)
