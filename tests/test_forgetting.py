"""A job forgotten goes whole, and nothing that named it comes to mean another; a paused queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import moves, revise
from appliance.admit import admit
from appliance.errors import Fenced, StepRefused
from appliance.nouns import Source
from appliance.roster import Roster
from appliance.states import State
from appliance.store import events, forgetting, jobs, marks, pause, queue, search, sightings
from tests.web.box import WELL, Box, settings_of


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box.made(settings_of(str(tmp_path)))
    yield made
    made.ledger.close()


def test_nothing_of_a_forgotten_job_is_left(box: Box) -> None:
    job = box.finish(b"a.wav")
    opened = revise.opened(box.ledger, job.id)
    revise.edit(
        box.ledger, job.id, on=opened.tag, task="transcribe", first=0, texts=["Good."], who="t"
    )
    job = jobs.claim(box.ledger, job.id, owner="w")  # type: ignore[assignment]
    job = jobs.finish(box.ledger, job, (), rss_peak=None)
    marks.tag(box.ledger, job, ["x"])
    assert search.find(box.ledger, "Good")
    moves.forget(box.ledger, job)
    assert jobs.get(box.ledger, job.id) is None
    assert search.find(box.ledger, "Good") == []
    tables = [
        row["name"]
        for row in box.ledger.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    for table in tables:
        columns = [row["name"] for row in box.ledger.rows(f"PRAGMA table_info({table})")]
        if "job" in columns:
            left = f"SELECT count(*) AS n FROM {table} WHERE job = ?"  # noqa: S608 - our own names
            assert box.ledger.row(left, [job.id]) == {"n": 0}, table


def test_numbers_are_not_given_again(box: Box) -> None:
    job = box.finish(b"a.wav")
    newest = events.newest(box.ledger)
    moves.forget(box.ledger, job)
    assert events.newest(box.ledger) == newest
    after = box.add(b"b.wav")
    assert after.id == job.id + 1
    assert events.newest(box.ledger) > newest


def test_its_recording_is_not_taken_for_a_new_one(box: Box) -> None:
    source = Source("meetings", b"a.wav", 10, 1)
    job = admit(box.ledger, source, WELL)
    assert job is not None
    job = jobs.move(box.ledger, job, State.CANCELLED, who="t")
    moves.forget(box.ledger, job)
    seen = sightings.get(box.ledger, "meetings", b"a.wav")
    assert seen is not None
    assert (seen.state, seen.why) == (sightings.IGNORED, forgetting.WHY)


def test_another_file_that_lies_there_by_now_is_left_as_it_is(box: Box) -> None:
    job = admit(box.ledger, Source("meetings", b"a.wav", 10, 1), WELL)
    newer = admit(box.ledger, Source("meetings", b"a.wav", 20, 2), WELL)
    assert job is not None
    assert newer is not None
    moves.forget(box.ledger, jobs.must(box.ledger, job.id))
    seen = sightings.get(box.ledger, "meetings", b"a.wav")
    assert seen is not None
    assert seen.state == sightings.SETTLED


def test_a_job_that_somebody_moved_meanwhile_is_not_forgotten(box: Box) -> None:
    job = box.finish(b"a.wav")
    jobs.requeue(box.ledger, job, who="t")
    with pytest.raises(StepRefused):
        moves.forget(box.ledger, job)
    with pytest.raises(Fenced):
        forgetting.forget(box.ledger, jobs.must(box.ledger, job.id))
    assert jobs.get(box.ledger, job.id) is not None


# --- paused -------------------------------------------------------------------------------------


def test_nothing_is_claimed_in_a_pause_and_nothing_is_paid(box: Box) -> None:
    job = box.add(b"a.wav")
    pause.begin(box.ledger, who="t", why="")
    roster = Roster(box.ledger, threads=2, speed=lambda: None)
    with roster.next() as number:
        assert number is None
    assert jobs.claim(box.ledger, job.id, owner="w") is None
    assert jobs.must(box.ledger, job.id) == job
    assert pause.end(box.ledger)
    assert not pause.end(box.ledger)
    assert queue.queued(box.ledger, short=False, limit=1) == [job.id]
    assert jobs.claim(box.ledger, job.id, owner="w") is not None


def test_a_pause_that_lasts_keeps_its_reason(box: Box) -> None:
    first = pause.begin(box.ledger, who="anna", why="backup")
    assert pause.begin(box.ledger, who="ben", why="") == first == pause.now(box.ledger)
