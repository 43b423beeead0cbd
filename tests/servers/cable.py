"""Two machines with a cable between them: network namespaces and a veth pair, seen by nobody else."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

# RFC 5737: addresses of nobody.
SERVER, CLIENT = "198.51.100.1", "198.51.100.2"
_DEADLINE_S = 10.0


class Cable:
    """Each end has a loopback interface of its own, and its address of the two above."""

    def __init__(self) -> None:
        self._ends: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Block until both ends can be reached. Raises RuntimeError for who is not root."""
        if os.geteuid() != 0:
            raise RuntimeError("network namespaces are made by root: run these tests as root")
        ours = os.readlink("/proc/self/ns/net")
        # A namespace lasts as long as a process in it.
        self._ends = [subprocess.Popen(["unshare", "--net", "--kill-child", "sleep", "infinity"]) for _ in range(2)]
        stop = time.monotonic() + _DEADLINE_S
        while any(os.readlink(f"/proc/{end.pid}/ns/net") == ours for end in self._ends):
            if time.monotonic() > stop:
                raise RuntimeError("no network namespaces were made")
            time.sleep(0.01)
        self._ip(0, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(self._ends[1].pid))
        for end, address in enumerate((SERVER, CLIENT)):
            self._ip(end, "address", "add", f"{address}/24", "dev", "cable")
            self._ip(end, "link", "set", "cable", "up")
            self._ip(end, "link", "set", "lo", "up")

    def stop(self) -> None:
        """Both machines are gone, as soon as what runs there has ended."""
        for end in self._ends:
            end.kill()
            end.wait(_DEADLINE_S)

    @property
    def at_server(self) -> tuple[str, ...]:
        """What is put before a command that is to run on the one machine."""
        return self._at(0)

    @property
    def at_client(self) -> tuple[str, ...]:
        """The same for the other."""
        return self._at(1)

    def _at(self, end: int) -> tuple[str, ...]:
        return "nsenter", f"--net={Path('/proc', str(self._ends[end].pid), 'ns', 'net')}"

    def _ip(self, end: int, *arguments: str) -> None:
        subprocess.run([*self._at(end), "ip", *arguments], check=True, timeout=_DEADLINE_S)
