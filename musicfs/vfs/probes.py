"""Names that programs look up in every folder they come by, whatever it holds: in a search folder these ask for nothing.

Of version control (git, CVS and others, which prompts and file managers look for), Windows and macOS as Samba passes them
on, media servers and players. That Thunar asks for ``.hidden`` was seen in a trace; the others are the files that these
programs are known to keep in folders. One that is missing here costs a search that finds nothing.
"""

from __future__ import annotations

import re

_PROBED = frozenset(
    (
        "cvs", "_darcs", "_mtn", "_fossil_",  # version control
        "$recycle.bin", "system volume information", "indexervolumeguid", "wpsettings.dat",  # Windows
        "icon\r", "backups.backupdb", "mach_kernel",  # macOS
        "lost+found", "autorun.sh", "autorun.exe",
    )
)  # fmt: skip
# Pictures, descriptions and settings of a folder: folder.jpg, AlbumArtSmall.jpg, artist.nfo, desktop.ini, Thumbs.db.
_DESCRIBING = re.compile(r'[^:"()\[\]<>]+\.(?:jpe?g|png|gif|webp|bmp|jxl|avif|svg|ico|tbn|nfo|ini|inf|db|lnk|url)')


def is_probe(name: str) -> bool:
    """Whether a name is asked for by habit. All that begin with a dot are, and what names a picture without a field."""
    folded = name.lower()
    return name.startswith(".") or folded in _PROBED or _DESCRIBING.fullmatch(folded) is not None
