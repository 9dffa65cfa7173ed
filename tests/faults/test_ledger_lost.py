"""The ledger destroyed after its work was done: restored, found again, 0 transcribed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger_lost import drill


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("way", "live"), [("garbage", False), ("deleted", True)])
def test_nothing_is_transcribed_again(tmp_path: Path, way: str, *, live: bool) -> None:
    outcome = drill(str(tmp_path), recordings=16, way=way, live=live)
    assert outcome.violations == ()
    assert outcome.asked_again == 0
    assert outcome.since_backup > 0, "the backup knew everything: this proves nothing"
