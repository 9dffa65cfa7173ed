"""The ledger deleted under the running appliance: noticed, restored, 0 transcribed again.

The drill with a ledger that is destroyed while all is stopped: the lane, test_lanes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger_lost import drill


@pytest.mark.timeout(600)
def test_nothing_is_transcribed_again(tmp_path: Path) -> None:
    outcome = drill(str(tmp_path), recordings=12, way="deleted", live=True)
    assert outcome.violations == ()
    assert outcome.since_backup > 0, "the backup knew everything: this proves nothing"
