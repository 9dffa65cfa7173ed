"""Whoever looks into the folder learns how it ended; whoever reads the journal learns no text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from folder import Folder

from appliance.errors import SourceEmpty
from appliance.report import report
from appliance.states import State


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(str(tmp_path / "share"), str(tmp_path / "state"))
    yield made
    made.ledger.close()


def test_a_failure_leaves_a_note_and_success_takes_it_back(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    report(share.ledger, share.share, job, SourceEmpty(name="talk.mp4"), became=State.FAILED)
    assert list(share.exports()) == [b"talk.mp4.ERROR.txt"]
    report(share.ledger, share.share, share.again(job))
    assert share.exports() == {}
