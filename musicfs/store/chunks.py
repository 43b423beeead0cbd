import msgspec

BLOCK_BYTES = 128 * 1024


class Content(msgspec.Struct, frozen=True):
    key: bytes
    size: int
