"""Logging of both processes: one line an event on standard error, where the terminal, the log file or journald takes it."""

from __future__ import annotations

import logging

_LEVELS = {"trace": logging.DEBUG, "debug": logging.DEBUG, "info": logging.INFO}


def set_up(level: str, process: str) -> None:
    """Send records from ``level`` up to standard error, marked with the process's name; of other packages warnings only.

    What libraries say of their connections is for nobody who reads our log, and may name more than it should.
    """
    logging.getLogger("musicfs").setLevel(_LEVELS.get(level) or getattr(logging, level.upper()))
    logging.basicConfig(
        level=logging.WARNING,
        format=f"%(asctime)s %(levelname)s {process} %(name)s: %(message)s",
        force=True,
    )
