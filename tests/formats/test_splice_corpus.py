"""Tags of odd files that other people collected, changed; each is judged by programs that know nothing of MusicFS."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.corpus import fetch
from tests.formats.odd_files import BLIND, DEVIATIONS, READ, REFUSED, SHARES, UNREAD
from tests.formats.proving import EDITS, Proof, unread


def test_all_files_are_accounted_for(odd_files: Path) -> None:
    facts, reasons = unread(sorted(odd_files.iterdir()))
    assert sorted(facts) == sorted(READ)
    assert reasons.keys() == UNREAD.keys()
    assert {name: text for name, text in reasons.items() if not text.endswith(UNREAD[name])} == {}
    shares: dict[str, Counter[bool]] = {}
    for name, one in facts.items():
        refused = REFUSED.get(name, {})
        shares.setdefault(one.layout.container, Counter()).update(edit in refused for edit in EDITS)
    assert {container: (count[False], count[True]) for container, count in shares.items()} == SHARES


@pytest.mark.parametrize("name", READ)
def test_every_edit_is_made_and_nothing_else(name: str, odd_files: Path, tmp_path: Path) -> None:
    proof = Proof(odd_files / name, tmp_path, DEVIATIONS.get(name, ()))
    assert proof.blind() == BLIND.get(name, frozenset())
    assert proof.prove(EDITS) == REFUSED.get(name, {})


def test_without_an_index_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(AssertionError, match=r"give pip an index(.|\n)*pip said:(.|\n)*mutagen"):
        fetch(tmp_path)
