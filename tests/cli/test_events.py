"""``musicfs events``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.backend import serving
from tests.api.test_events import Flooded
from tests.cli.conftest import Run


def test_who_does_not_keep_up_is_told_so(run: Run, tmp_path: Path) -> None:
    command = ("--endpoint", str(tmp_path / "s"), "events", "--type", "file_added")
    with serving(Flooded(), tmp_path / "s"):
        shown = run(*command)
        as_json = run("--json", *command)
    assert (shown.code, shown.err) == (0, "")
    gap, first, _ = shown.out.splitlines()
    assert gap.split()[1:] == ["gap", "lost=500"]
    assert first.split()[1:] == ["file_added", "nas", "/501"]
    documents = [json.loads(line) for line in as_json.out.splitlines()]
    assert (documents[0]["type"], documents[0]["details"]) == ("gap", {"lost": "500"})
    assert [one["file_id"] for one in documents] == [0, 501, 502]
