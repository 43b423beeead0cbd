"""Debian's Prometheus, which scrapes an address of this machine every second and evaluates our alerts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.stopping import kill_processes, processes_of, stop_processes

START_TIMEOUT_S = 60.0
_CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: musicfs
    static_configs: [{{targets: ["{target}"]}}]
"""


class PrometheusServer:
    """Scrapes ``target``; answers queries on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, target: str, rules: Path) -> None:
        self._folder = folder
        self._target = target
        self._rules = rules
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on what it has stored; blocks until it is ready."""
        config = self._folder / "prometheus.yml"
        config.write_text(_CONFIG.format(rules=self._rules, target=self._target), encoding="utf-8")
        program = shutil.which("prometheus")
        assert program is not None, "install the package prometheus (dist/test does)"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=1h"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"prometheus ended with {code}: {self._log()}")
            with contextlib.suppress(OSError, urllib.error.URLError):
                self._get("/-/ready")
                return
            time.sleep(0.05)
        raise RuntimeError(f"prometheus did not start: {self._log()}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            data: bytes = answer.read()
        return data

    def ask(self, path: str, **parameters: str) -> Any:
        """The ``data`` of an answer of its API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""
        answer = json.loads(self._get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The samples of an instant query: (labels, value)."""
        result = self.ask("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def value(self, expression: str) -> float | None:
        """The value of a query with one sample; None if there is none."""
        samples = self.query(expression)
        assert len(samples) <= 1, samples
        return samples[0][1] if samples else None

    def stop(self) -> None:
        """End it; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(20)

    def kill(self) -> None:
        """SIGKILL; :meth:`start` brings it back."""
        process, self._process = self._process, None
        if process is not None:
            kill_processes(processes_of(process.pid))
            process.wait(10)

    def pause(self) -> None:
        assert self._process is not None
        stop_processes(processes_of(self._process.pid))

    def resume(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]
