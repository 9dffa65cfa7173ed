"""Processes that die or are stopped in the middle: the job goes on, its files come once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.daemon import progress_board
from appliance.states import State
from appliance.store import events, jobs
from tests.line import sounds
from tests.line.running import FORMATS, Running

pytestmark = pytest.mark.line
MINUTES = 12  # of recording: long enough to be caught in the middle


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    with Running(str(tmp_path)) as running:
        yield running


def in_the_middle(box: Running, path: bytes) -> None:
    """Wait until the recording is being transcribed and something of it is done."""

    def half_done() -> bool:
        job = box.job(path)
        facts = progress_board(box.settings.run_dir).get(job.id, {}) if job else {}
        return bool(facts.get("done", 0) > 20)

    box.until(half_done, "in the middle")


def six(stem: str) -> list[str]:
    return sorted([f"{stem}.{name}" for name in FORMATS])


@pytest.mark.parametrize("victim", ["worker", "engine", "watch"])
def test_a_killed_process_costs_the_job_nothing(own: Running, victim: str) -> None:
    sounds.write(own.path("talk.wav"), sounds.long(60 * MINUTES))
    in_the_middle(own, b"talk.wav")
    own.kill(victim)
    job = own.ended(b"talk.wav", seconds=120)
    assert job.state is State.DONE, (job, own.printed[-20:])
    assert sorted(set(own.names()) - {".transcribe-id", "talk.wav"}) == six("talk")
    assert (job.errors, job.crashes) == (0, 0)
    own.until(lambda: not os.listdir(own.settings.state("spool")), "the spool is empty")


def test_a_worker_that_is_stopped_hands_its_job_back(own: Running) -> None:
    sounds.write(own.path("talk.wav"), sounds.long(60 * MINUTES * 2))
    in_the_middle(own, b"talk.wav")
    own.kill("worker", signal.SIGTERM)
    job = own.ended(b"talk.wav", seconds=180)
    assert job.state is State.DONE
    steps = [(event.was, event.became) for event in events.of_job(own.ledger, job.id)]
    assert ("running", "retry-wait") not in steps
    assert (job.errors, job.crashes, job.losses) == (0, 0, 0)


def test_a_cancelled_job_stops_soon_and_leaves_nothing(own: Running) -> None:
    sounds.write(own.path("talk.wav"), sounds.long(60 * MINUTES * 2))
    in_the_middle(own, b"talk.wav")
    job = own.job(b"talk.wav")
    assert job is not None
    jobs.cancel(own.ledger, job, who="test")
    assert own.ended(b"talk.wav", seconds=10).state is State.CANCELLED
    assert own.names() == [".transcribe-id", "talk.wav"]
    own.until(lambda: not os.listdir(own.settings.state("spool")), "the spool is empty")


def test_a_recording_moved_away_and_back_gets_its_text_all_the_same(own: Running) -> None:
    sounds.write(own.path("talk.wav"), sounds.long(60 * MINUTES * 2))
    in_the_middle(own, b"talk.wav")
    aside = os.path.join(os.path.dirname(own.root), "aside")
    os.rename(own.path("talk.wav"), aside)

    def noticed() -> bool:
        job = own.job(b"talk.wav")
        return job is not None and (job.cancel or job.state is not State.RUNNING)

    own.until(noticed, "the watch has noticed")
    os.rename(aside, own.path("talk.wav"))
    own.until(lambda: "talk.txt" in own.names(), "the text is there", seconds=180)
    assert own.ended(b"talk.wav").state is State.DONE
