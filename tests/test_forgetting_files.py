"""A job forgotten with its files: ours go, a person's stay, and the recording always does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import admit, moves, tasks
from appliance.box import Box, open_box
from appliance.states import State
from appliance.store import gates, jobs, sightings
from tests.test_reexport import FILES, done, now, path, settings_of, there


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with open_box(settings_of(tmp_path)) as opened:
        yield opened


def test_files_that_nobody_changed_go_and_nothing_else(box: Box) -> None:
    job = done(box)
    with open(path(box, "talk.srt"), "a", encoding="utf-8") as stream:
        stream.write("my own words")
    with open(path(box, "notes.txt"), "w", encoding="utf-8") as stream:
        stream.write("nobody's business")
    moves.forget_with_files(box.ledger, job, who="t")
    tasks.perform(job.id, box)
    assert jobs.get(box.ledger, job.id) is None
    assert there(box) == {"talk.wav", "talk.srt", "notes.txt"}
    assert not os.path.exists(box.settings.state("logs", str(job.id)))


def test_where_the_recording_is_another_one_every_file_stays(box: Box) -> None:
    job = done(box)
    with open(path(box, "talk.wav"), "ab") as stream:
        stream.write(b"more")
    moves.forget_with_files(box.ledger, job, who="t")
    tasks.perform(job.id, box)
    assert jobs.get(box.ledger, job.id) is None
    assert there(box) == FILES


def test_it_waits_for_a_share_that_is_away_and_goes_on_afterwards(box: Box) -> None:
    job = done(box)
    root = box.settings.share[0].root
    os.rename(root, f"{root}.away")
    moves.forget_with_files(box.ledger, job, who="t")
    tasks.perform(job.id, box)
    assert now(box, job).state is State.WAITING
    os.rename(f"{root}.away", root)
    gates.open_again(box.ledger, "share:inbox")
    jobs.move(box.ledger, now(box, job), State.QUEUED, who="t")
    tasks.perform(job.id, box)
    assert jobs.get(box.ledger, job.id) is None
    assert there(box) == {"talk.wav"}


def test_whoever_retries_it_wants_it_back(box: Box) -> None:
    job = moves.forget_with_files(box.ledger, done(box), who="t")
    job = moves.retry(box.ledger, moves.cancel(box.ledger, job, who="t"), who="t")
    assert job.workload == jobs.LINE
    tasks.perform(job.id, box)
    assert (now(box, job).state, there(box)) == (State.DONE, FILES)


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_recording_that_goes_meanwhile_does_not_keep_it(box: Box, comes_back: bool) -> None:
    job = done(box)
    sightings.note(box.ledger, job.source, sightings.SETTLED, correlation="c")
    moves.forget_with_files(box.ledger, job, who="t")
    admit.gone(box.ledger, "inbox", b"talk.wav")
    if comes_back:
        admit.admit(box.ledger, job.source, job.options)
    else:
        os.unlink(path(box, "talk.wav"))
    tasks.perform(job.id, box)
    assert jobs.get(box.ledger, job.id) is None
