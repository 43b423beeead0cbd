"""The log of both processes: where records go, in what form, from which level, and what is never in them.

Owns the handlers of the root logger and the levels of all loggers, in the processes of the daemon only. Promises: a record is
one line, whatever its text holds (control characters are escaped, tracebacks indented), written by one system call, so that
several processes may share a file; a log that cannot be written costs its records and nothing else; a secret that was looked
up is in none. For ``daemon`` alone. Threads: none, any may log.

``setup`` says what the configuration asks for, ``forms`` makes text of records, ``files`` and ``journal`` take it to where it
goes, ``filters`` knows the levels.
"""

from __future__ import annotations

from musicfs.daemon.logs.setup import Logs, LogSetup, plan_logs

__all__ = ("LogSetup", "Logs", "plan_logs")
