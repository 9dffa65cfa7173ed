"""The worker's last catch: however a job ends, its row says so, or recover takes it back."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance import recover, tasks
from appliance.bell import Bell
from appliance.box import Box, open_box
from appliance.decoders import Decoders
from appliance.errors import (
    ApplianceError,
    Cancelled,
    ChildKilled,
    DecoderUnreachable,
    DiskFull,
    EngineLost,
    EngineUnreachable,
    Fenced,
    GpuLost,
    Interrupted,
    LedgerBusy,
    NodeIO,
    ShareReadOnly,
    SourceChanged,
    SourceEmpty,
    SourceUnreadable,
)
from appliance.health import checks
from appliance.health.gates import is_well
from appliance.limits import Limits
from appliance.nouns import Options, Source
from appliance.settings import NodeSettings, Settings, Share
from appliance.states import State
from appliance.store import gates, jobs
from appliance.store.jobs import Job
from appliance.workloads import WORKLOADS

ENDS: list[tuple[ApplianceError | Exception, State]] = [
    (SourceUnreadable(name="talk.wav"), State.FAILED),
    (ShareReadOnly(name="talk.wav", share="inbox"), State.WAITING),
    (EngineLost(), State.RETRY_WAIT),
    (Cancelled(), State.CANCELLED),
    (Interrupted(), State.QUEUED),
    (SourceChanged(name="talk.wav"), State.DISCOVERED),
    (ZeroDivisionError("a bug"), State.FAILED),
    (OSError(errno.EMFILE, "no descriptor left"), State.RETRY_WAIT),
    (OSError(errno.ENOMEM, "no memory left"), State.RETRY_WAIT),
    (OSError(errno.EBADF, "a bug"), State.FAILED),
]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    root = tmp_path / "inbox"
    root.mkdir()
    (root / "talk.wav").write_bytes(b"sound")
    share = Share(name="inbox", root=str(root), require_marker=False)
    settings = Settings(node=NodeSettings(state_dir=str(tmp_path / "state")), share=(share,))
    with open_box(settings) as opened:
        yield opened


def born(box: Box) -> Job:
    look = os.stat(os.path.join(box.settings.share[0].root, "talk.wav"))
    source = Source("inbox", b"talk.wav", look.st_size, look.st_mtime_ns)
    job = jobs.add(box.ledger, source, Options(), correlation="c")
    assert job is not None
    return job


def performed(box: Box, monkeypatch: pytest.MonkeyPatch, ending: BaseException) -> Job:
    return ended(box, monkeypatch, born(box), ending)


def ended(
    box: Box,
    monkeypatch: pytest.MonkeyPatch,
    job: Job,
    ending: BaseException = SourceEmpty(name="talk.wav"),  # noqa: B008 - a value
) -> Job:
    def line(_job: Job, _box: Box) -> None:
        raise ending

    monkeypatch.setitem(WORKLOADS, "transcription", line)
    tasks.perform(job.id, box)
    assert box.at_work == []
    return jobs.must(box.ledger, job.id)


@pytest.mark.parametrize(("ending", "state"), ENDS, ids=lambda one: type(one).__name__)
def test_every_way_to_end_is_written_down(
    box: Box, monkeypatch: pytest.MonkeyPatch, ending: BaseException, state: State
) -> None:
    job = performed(box, monkeypatch, ending)
    assert job.state is state
    note = os.path.exists(os.path.join(box.settings.share[0].root, "talk.wav.ERROR.txt"))
    assert note is (state is State.FAILED)


def test_a_job_whose_note_cannot_be_left_waits_for_its_share(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = box.settings.share[0].root

    job = born(box)
    os.rename(root, f"{root}.away")
    waiting = ended(box, monkeypatch, job)
    assert (waiting.state, waiting.gate) == (State.WAITING, "share:inbox")
    os.rename(f"{root}.away", root)
    gates.open_again(box.ledger, "share:inbox")
    again = jobs.move(box.ledger, waiting, State.QUEUED, who="test")
    assert ended(box, monkeypatch, again).state is State.FAILED
    assert os.path.exists(os.path.join(root, "talk.wav.ERROR.txt"))


def test_a_note_that_the_box_cannot_leave_is_tried_a_few_times(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise NodeIO(where=box.settings.state_dir, why="a bad disk")

    monkeypatch.setattr("appliance.report.report", refuse)
    job = born(box)
    for _ in range(4):
        waiting = ended(box, monkeypatch, job)
        assert (waiting.state, waiting.code) == (State.RETRY_WAIT, "node.io")
        job = jobs.move(box.ledger, waiting, State.QUEUED, who="test")
    last = ended(box, monkeypatch, job)
    assert (last.state, last.code) == (State.FAILED, "source.empty")


def test_one_that_lost_its_worker_too_often_is_ended_with_a_note_and_not_begun(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = born(box)
    with box.ledger.writing() as db:
        db.execute("UPDATE job SET losses = 5 WHERE id = ?", [job.id])
    dead = ended(box, monkeypatch, job, ending=AssertionError("it was begun"))
    assert (dead.state, dead.code) == (State.DEAD, "node.worker-died")
    note = os.path.join(box.settings.share[0].root, "talk.wav.ERROR.txt")
    with open(note, encoding="utf-8") as stream:
        assert "node.worker-died" in stream.read()


def test_a_fenced_worker_writes_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    assert performed(box, monkeypatch, Fenced(job=1, attempt=1)).state is State.RUNNING


def test_a_third_crash_on_a_file_is_the_files_fault(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = performed(box, monkeypatch, ChildKilled(name="talk.wav", why="signal 11"))
    for _ in range(2):
        assert job.state is State.RETRY_WAIT
        jobs.move(box.ledger, job, State.QUEUED, who="test")
        tasks.perform(job.id, box)
        job = jobs.must(box.ledger, job.id)
    assert (job.state, job.code, job.detail["times"]) == (State.FAILED, "source.decoder-crash", 3)


def test_a_site_may_ask_for_fewer_failures(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = box.settings.worker.model_copy(update={"max_attempts": 1})
    monkeypatch.setattr(
        type(box), "settings", box.settings.model_copy(update={"worker": worker}), raising=False
    )
    assert performed(box, monkeypatch, GpuLost()).state is State.DEAD


def test_an_end_that_cannot_be_written_is_written_as_soon_as_it_can_be(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_WRITE_AGAIN_SECONDS", 0.01)
    troubles: list[ApplianceError] = [LedgerBusy(seconds=15.0), DiskFull(where="/", free_gb=0.0)]
    end = jobs.end

    def seldom(*facts: Any, **more: Any) -> Job:
        if troubles:
            raise troubles.pop()
        return end(*facts, **more)

    monkeypatch.setattr(jobs, "end", seldom)
    job = performed(box, monkeypatch, EngineUnreachable())
    assert (job.state, job.gate) == (State.WAITING, "engine")
    assert (job.errors, job.crashes, job.losses) == (0, 0, 0)


def test_a_box_without_decoders_says_so_before_a_job_comes_and_loses_none(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release whose libraries this processor cannot run must not be found well."""
    job = born(box)
    with Decoders(Limits(), argv=["/nowhere/python"]) as nothing:
        tasks._get_ready(replace(box, decoders=nothing))
        with pytest.raises(DecoderUnreachable), nothing.take():
            pass
    gate = gates.named(box.ledger, "decoder")
    assert gate is not None
    assert "/nowhere/python" in gate.error.sentence
    assert checks.look(box.ledger, box.settings).ready is False
    assert not is_well(gate, box.settings, closed_for=20)
    assert is_well(gate, box.settings, closed_for=40)
    assert jobs.claim(box.ledger, job.id, owner="tests") is None, "it waits"
    gates.open_again(box.ledger, "decoder")
    job = ended(box, monkeypatch, job, DecoderUnreachable(why="it dies at once"))
    assert (job.state, job.gate, job.errors) == (State.WAITING, "decoder", 0)


def test_a_claim_that_cannot_be_written_is_made_as_soon_as_it_can_be(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_WRITE_AGAIN_SECONDS", 0.01)
    troubles: list[ApplianceError] = [DiskFull(where="/", free_gb=0.0)]
    claim = jobs.claim

    def seldom(*facts: Any, **more: Any) -> Job | None:
        if troubles:
            raise troubles.pop()
        return claim(*facts, **more)

    monkeypatch.setattr(jobs, "claim", seldom)
    assert performed(box, monkeypatch, Cancelled()).state is State.CANCELLED


def test_a_worker_that_stops_leaves_what_it_cannot_write_to_the_next(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_more: object) -> Job:
        raise LedgerBusy(seconds=15.0)

    box.stopping.set()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "end", busy)
        job = performed(box, patch, EngineLost())
    assert job.state is State.RUNNING
    rung: list[int] = []
    recover.reconcile(box.ledger, box.settings, ring=rung.append, pending=0, minded=box.minds)
    assert jobs.must(box.ledger, job.id).state is State.QUEUED


def test_a_job_that_is_rung_twice_stays_with_whoever_has_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch rings, recover rings as well: the second thread finds nothing and goes."""
    job = born(box)

    def line(job: Job, box: Box) -> None:
        tasks.perform(job.id, box)  # another thread would do the same
        assert box.signs.keys() == {job.id}
        round_ = {"ring": lambda _job: None, "pending": 0, "minded": box.minds}
        recover.reconcile(box.ledger, box.settings, **round_)  # type: ignore[arg-type]
        raise Cancelled

    monkeypatch.setitem(WORKLOADS, "transcription", line)
    tasks.perform(job.id, box)
    ended = jobs.must(box.ledger, job.id)
    assert (ended.state, ended.losses, ended.attempt) == (State.CANCELLED, 0, 1)
    assert (box.at_work, box.signs) == ([], {})


STUCK = """
import sys, threading
from appliance import tasks
from appliance.settings import Settings
from appliance.workloads import WORKLOADS
tasks._RECONCILE_SECONDS = 0.2
WORKLOADS["transcription"] = lambda _job, _box: threading.Event().wait()
tasks.work(Settings.model_validate_json(sys.argv[1]), hang=1.0)
"""


def test_a_thread_that_is_stuck_ends_its_worker_and_the_job_is_taken_back(box: Box) -> None:
    job = born(box)
    with contextlib.closing(Bell(box.settings.state_dir)) as bell:
        bell.ring(job.id)
    command = [sys.executable, "-c", STUCK, box.settings.model_dump_json()]
    ended = subprocess.run(command, check=False, timeout=60, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert b"its thread is stuck" in ended.stderr
    assert jobs.must(box.ledger, job.id).state is State.RUNNING
    recover.reconcile(box.ledger, box.settings, ring=lambda _job: None, pending=0)
    assert jobs.must(box.ledger, job.id).losses == 1


def test_a_thread_that_gives_signs_again_was_only_held_up(box: Box) -> None:
    """As after SIGSTOP and SIGCONT of the whole worker: one look is not believed."""
    box.signs[7] = time.monotonic() - 1000
    suspects = tasks._end_if_stuck(box, frozenset(), 300.0)
    assert [job for job, _ in suspects] == [7]
    box.sign(7)
    assert tasks._end_if_stuck(box, suspects, 300.0) == frozenset()


def test_a_job_a_thread_of_ours_is_at_is_not_taken_away(box: Box) -> None:
    job = born(box)
    box.at_work.append(job.id)
    claimed = jobs.claim(box.ledger, job.id, owner=box.owner.id)
    assert claimed is not None
    recover.reconcile(box.ledger, box.settings, ring=lambda _job: None, pending=0, minded=box.minds)
    assert jobs.must(box.ledger, job.id).state is State.RUNNING


def test_a_job_that_cannot_be_claimed_is_left_as_it_is(box: Box) -> None:
    job = born(box)
    jobs.cancel(box.ledger, job, who="me")
    tasks.perform(job.id, box)
    assert jobs.must(box.ledger, job.id).state is State.CANCELLED
