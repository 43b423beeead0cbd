"""Arguments that may be files: ``@FILE`` stands for what is in it."""

from __future__ import annotations

from musicfs.errors import ConfigError

_MAX_BYTES = 4 << 20


def argument_text(argument: str) -> str:
    """The argument, or what is in the file it names with ``@``. Raises ConfigError for a file that is no text, OSError."""
    if not argument.startswith("@"):
        return argument
    path = argument[1:]
    with open(path, "rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than 4 MiB", remedy="give one object with the fields to set")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8", remedy="save it as UTF-8") from None
