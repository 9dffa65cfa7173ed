"""Watching files that nobody expects: none of them may stop the watch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import stage
from appliance.admit.folder import FolderOptions
from appliance.box import open_box
from appliance.errors import ApplianceError, Cancelled, SourceMissing
from appliance.nouns import Options
from appliance.states import State, after
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.workloads.transcription import _stopper
from tests.watched import Watched, settings_for

BEYOND_THE_LEDGER = 13_569_465_600  # 1 January 2400: more nanoseconds than 63 bits hold


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    box = Watched(tmp_path, settings_for(tmp_path))
    box.adopt()
    yield box
    box.close()


@pytest.mark.parametrize("seconds", [BEYOND_THE_LEDGER, -BEYOND_THE_LEDGER])
def test_a_file_of_another_century_is_a_file(watched: Watched, seconds: int) -> None:
    file = watched.drop("far.wav")
    os.utime(file, (seconds, seconds))
    watched.until(lambda: watched.queued("far.wav"))
    job = jobs.claim(watched.ledger, 1, owner="worker")
    assert job is not None
    assert job.state is State.RUNNING
    spool = str(watched.folder / "spool")
    staged = stage.stage(str(watched.root), job.source, spool, job=1, spool_bytes=10**12)
    assert staged.size == 5
    watched.look_again()
    assert len(watched.rung) == 1


def test_a_folder_file_is_read_before_the_ledger_is_locked(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[bool] = []
    real = FolderOptions.options

    def looked(*args: Any) -> Options:
        depths.append(watched.ledger.db.conn.in_transaction)
        return real(*args)

    monkeypatch.setattr(FolderOptions, "options", looked)
    watched.drop("a/.transcribe.toml", b'language = "de"')
    watched.drop("a/talk.wav")
    watched.until(lambda: watched.queued("a/talk.wav"))
    assert depths
    assert not any(depths)


# --- away for a moment --------------------------------------------------------------------------


def claimed(watched: Watched, name: str) -> Job:
    """A worker has taken the job of a file dropped a moment ago."""
    watched.drop(name)
    watched.until(lambda: watched.queued(name))
    job = jobs.claim(watched.ledger, 1, owner="worker")
    assert job is not None
    return job


def end(watched: Watched, job: Job, error: ApplianceError) -> None:
    verdict = after(error, spent=0, jitter=lambda low, _high: low)
    jobs.end(watched.ledger, job, verdict, error, who="worker")


def test_a_file_that_was_away_while_its_job_looked_is_queued_again(watched: Watched) -> None:
    job = claimed(watched, "a/talk.wav")
    end(watched, job, SourceMissing(name="talk.wav"))
    watched.skip(10)
    watched.until(lambda: watched.queued("a/talk.wav"))
    watched.look_again()
    assert watched.rung == [1, 1]


def test_one_that_was_away_long_ago_is_found_by_the_full_scan(watched: Watched) -> None:
    end(watched, claimed(watched, "talk.wav"), SourceMissing(name="talk.wav"))
    with watched.ledger.writing() as db:
        db.execute("UPDATE job SET updated_ms = 0")
    watched.skip(1000)
    watched.until(lambda: watched.queued("talk.wav"))


def test_one_that_stays_away_is_not_asked_for_again(watched: Watched) -> None:
    job = claimed(watched, "talk.wav")
    (watched.root / "talk.wav").unlink()
    end(watched, job, SourceMissing(name="talk.wav"))
    watched.until(lambda: watched.sightings == {"talk.wav": "gone"})
    watched.look_again()
    assert watched.jobs == {"talk.wav": State.SOURCE_MISSING}


def away_and_back(watched: Watched, job: Job) -> None:
    talk, aside = watched.root / "talk.wav", watched.folder / "aside"
    talk.rename(aside)
    watched.until(lambda: jobs.must(watched.ledger, job.id).cancel)
    aside.rename(talk)
    watched.until(lambda: watched.sightings == {"talk.wav": "settled"})


def test_a_file_moved_away_and_back_while_its_job_runs_is_queued_again(watched: Watched) -> None:
    job = claimed(watched, "talk.wav")
    away_and_back(watched, job)
    with open_box(watched.settings) as box, pytest.raises(SourceMissing) as stopped:
        _stopper(job, box)()
    end(watched, job, stopped.value)
    watched.skip(10)
    watched.until(lambda: watched.queued("talk.wav"))


def test_what_a_person_cancelled_stays_cancelled(watched: Watched) -> None:
    job = claimed(watched, "talk.wav")
    jobs.cancel(watched.ledger, job, who="me")
    away_and_back(watched, job)
    with open_box(watched.settings) as box, pytest.raises(Cancelled) as stopped:
        _stopper(job, box)()
    end(watched, job, stopped.value)
    watched.look_again()
    assert watched.jobs == {"talk.wav": State.CANCELLED}
