"""The queue destroyed under a running worker while jobs pend: none is lost, none done twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.states import State
from appliance.store import events, jobs
from tests.faults.ledger_lost import WAYS, Bench

PENDING = 30  # ten were done between two looks on a fast processor


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_job_is_lost_with_the_queue(tmp_path: Path, way: Callable[[str], None]) -> None:
    with Bench(str(tmp_path)) as bench:
        bench.start()
        for number in range(PENDING):
            bench.record(number)
        bench.until(lambda: bench.done() > 0, "the first", seconds=120)
        assert bench.done() < PENDING, "none pends: this proves nothing"
        way(os.path.join(bench.settings.state_dir, "huey.db"))
        bench.until(lambda: bench.done() == PENDING, "all of them", seconds=240)
        bench.stop()
        with bench.ledger() as ledger:
            for job in jobs.listing(ledger):
                steps = [event.became for event in events.of_job(ledger, job.id)]
                assert steps.count(State.DONE) == 1
        assert len(bench.share()) == PENDING * 7 + 1  # and the marker
