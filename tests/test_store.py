"""The ledger: one truth per job, moved by the table, fenced by the attempt."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.bell import Bell
from appliance.errors import (
    DiskFull,
    EngineLost,
    Fenced,
    LedgerBusy,
    ModelMissing,
    NodeIO,
    ShareReadOnly,
    SpoolFull,
    WorkerDied,
)
from appliance.nouns import Notice, Options, Source
from appliance.states import ENDED, State, Verdict, after
from appliance.store import board, events, gates, jobs, overdue, schema
from appliance.store import ledger as ledger_module
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment

SOURCE = Source("inbox", b"caf\xe9/talk.wav", 10, 5)


@dataclass
class Clock:
    """Time as the test says."""

    wall_ms: int = 1_700_000_000_000
    boot_s: float = 100.0
    boot_id: str = "first boot"

    def __call__(self) -> Moment:
        return Moment(self.wall_ms, self.boot_s, self.boot_id)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path), clock=clock) as opened:
        yield opened


def born(ledger: Ledger, source: Source = SOURCE) -> Job:
    job = jobs.add(ledger, source, Options(), correlation="c")
    assert job is not None
    return job


def claimed(ledger: Ledger, source: Source = SOURCE) -> Job:
    job = jobs.claim(ledger, born(ledger, source).id, owner="me")
    assert job is not None
    return job


def jitter(_low: float, high: float) -> float:
    return high


def test_a_source_has_one_job_however_often_it_is_seen(ledger: Ledger) -> None:
    assert born(ledger).state is State.QUEUED
    assert jobs.add(ledger, SOURCE, Options(), correlation="c") is None
    assert jobs.add(ledger, replace(SOURCE, mtime_ns=6), Options(), correlation="c") is not None


def test_a_job_reads_back_as_it_was_written(ledger: Ledger) -> None:
    options = Options(language="de", vocabulary=("Käse",), formats=("txt",))
    job = jobs.add(ledger, SOURCE, options, correlation="c", priority=3)
    assert job is not None
    assert (job.source, job.options, job.priority) == (SOURCE, options, 3)
    assert jobs.find(ledger, SOURCE) == jobs.get(ledger, job.id) == job


def test_two_workers_cannot_take_the_same_job(ledger: Ledger) -> None:
    job = born(ledger)
    assert jobs.claim(ledger, job.id, owner="one") is not None
    assert jobs.claim(ledger, job.id, owner="two") is None


def test_a_late_worker_touches_nothing(ledger: Ledger) -> None:
    late = claimed(ledger)
    jobs.end(ledger, late, Verdict(State.RETRY_WAIT), EngineLost(), who="recover")
    newer = jobs.move(ledger, jobs.must(ledger, late.id), State.QUEUED, who="recover")
    newer = jobs.claim(ledger, newer.id, owner="newer") or newer
    for write in (
        lambda: jobs.finish(ledger, late, [], rss_peak=None),
        lambda: jobs.enter(ledger, late, newer.stage or late.stage, sha256="x"),  # type: ignore[arg-type]
        lambda: jobs.end(ledger, late, Verdict(State.FAILED), EngineLost(), who="late"),
        lambda: jobs.cancel_asked(ledger, late),
    ):
        with pytest.raises(Fenced):
            write()
    assert jobs.get(ledger, late.id) == newer


def test_a_step_that_is_not_in_the_table_is_refused_by_code_and_database(ledger: Ledger) -> None:
    job = born(ledger)
    with pytest.raises(ValueError, match="cannot become"):
        jobs.move(ledger, job, State.DONE, who="me")
    with pytest.raises(sqlite3.IntegrityError, match="not a step"), ledger.writing() as db:
        db.execute("UPDATE job SET state = 'done' WHERE id = ?", [job.id])


def test_what_happened_and_what_was_asked_can_never_be_changed(ledger: Ledger) -> None:
    job = born(ledger)
    assert [event.became for event in events.of_job(ledger, job.id)] == ["discovered", "queued"]
    for statement in ("UPDATE event SET became = 'done'", "UPDATE epoch SET options = '{}'"):
        with pytest.raises(sqlite3.IntegrityError), ledger.writing() as db:
            db.execute(statement)


def test_a_failed_write_leaves_nothing_behind(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.writing():
            born(ledger)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert jobs.listing(ledger) == []


def test_a_closed_gate_holds_back_the_jobs_it_concerns(ledger: Ledger) -> None:
    gates.close(ledger, ShareReadOnly(share="inbox", name="talk.wav"))
    held, free = born(ledger), born(ledger, replace(SOURCE, share="other"))
    assert jobs.claim(ledger, held.id, owner="me") is None
    assert jobs.must(ledger, held.id).state is State.WAITING
    assert jobs.claim(ledger, free.id, owner="me") is not None
    assert overdue.behind_open_gates(ledger) == []
    gates.open_again(ledger, "share:inbox")
    assert [job.id for job in overdue.behind_open_gates(ledger)] == [held.id]


def test_what_does_not_fit_into_the_spool_waits_alone(ledger: Ledger) -> None:
    gates.close(ledger, SpoolFull(name="big.wav", size=10**12, free=0))
    assert gates.before(ledger, share="inbox", model="small") is None
    gates.close(ledger, DiskFull(where="/", free_gb=0.0))
    assert gates.before(ledger, share="inbox", model="small") == "disk"


def test_an_error_that_waits_costs_no_budget_and_names_its_gate(ledger: Ledger) -> None:
    job = claimed(ledger)
    error = ModelMissing(model="large", where="/models")
    ended = jobs.end(ledger, job, after(error, spent=0, jitter=jitter), error, who="me")
    assert (ended.state, ended.gate) == (State.WAITING, "model:large")
    assert (ended.errors, ended.crashes, ended.losses) == (0, 0, 0)
    assert [gate.error.code for gate in gates.closed(ledger)] == ["node.model-missing"]


def test_three_crashes_exhaust_the_budget_and_a_person_gets_a_fresh_one(
    ledger: Ledger, clock: Clock
) -> None:
    job, states = claimed(ledger), []
    for _ in range(3):
        error = EngineLost()
        verdict = after(error, spent=job.spent(error.budget), jitter=jitter)
        job = jobs.end(ledger, job, verdict, error, who="me")
        states.append(job.state)
        if job.state is State.RETRY_WAIT:
            clock.boot_s += 10_000
            job = jobs.move(ledger, overdue.due(ledger, clock())[0], State.QUEUED, who="recover")
            job = jobs.claim(ledger, job.id, owner="me") or job
    assert states == [State.RETRY_WAIT, State.RETRY_WAIT, State.DEAD]
    again = jobs.requeue(ledger, job, who="person")
    assert (again.state, again.crashes, again.epoch) == (State.QUEUED, 0, 1)


def test_waiting_is_by_the_clock_that_cannot_jump(ledger: Ledger, clock: Clock) -> None:
    job = claimed(ledger)
    jobs.end(ledger, job, Verdict(State.RETRY_WAIT, delay=60), EngineLost(), who="me")
    clock.wall_ms += 10 * 365 * 86_400_000
    assert overdue.due(ledger, clock()) == []
    clock.boot_s += 61
    assert [due.id for due in overdue.due(ledger, clock())] == [job.id]


def test_after_a_reboot_every_wait_is_over(ledger: Ledger, clock: Clock) -> None:
    job = claimed(ledger)
    jobs.end(ledger, job, Verdict(State.RETRY_WAIT, delay=60), EngineLost(), who="me")
    clock.boot_s, clock.boot_id = 1.0, "second boot"
    assert [due.id for due in overdue.due(ledger, clock())] == [job.id]


def test_a_lost_bell_is_rung_again_after_a_minute_and_not_before(
    ledger: Ledger, clock: Clock
) -> None:
    job = born(ledger)
    assert overdue.unheard(ledger, clock(), older_than=60, limit=9) == [job.id]
    overdue.rung(ledger, [job.id])
    assert overdue.unheard(ledger, clock(), older_than=60, limit=9) == []
    clock.boot_s += 61
    assert overdue.unheard(ledger, clock(), older_than=60, limit=9) == [job.id]


def test_done_again_is_a_new_epoch_and_keeps_the_old_options(ledger: Ledger) -> None:
    job = claimed(ledger)
    done = jobs.finish(ledger, job, [Notice("warning.no-speech")], rss_peak=1)
    assert done.warnings == (Notice("warning.no-speech"),)
    again = jobs.requeue(ledger, done, who="me", options=Options(language="de"))
    assert (again.epoch, again.options.language, again.attempt) == (2, "de", done.attempt)


def test_five_deaths_of_the_worker_within_an_hour_are_too_many(
    ledger: Ledger, clock: Clock
) -> None:
    def die() -> State:
        job = jobs.listing(ledger)[0]
        if job.state is State.RETRY_WAIT:
            job = jobs.move(ledger, job, State.QUEUED, who="recover")
        job = jobs.claim(ledger, job.id, owner="me") or job
        error = WorkerDied()
        verdict = after(error, spent=job.spent(error.budget), jitter=jitter)
        return jobs.end(ledger, job, verdict, error, who="recover").state

    born(ledger)
    assert [die() for _ in range(4)] == [State.RETRY_WAIT] * 4
    clock.wall_ms += 2 * 3_600_000
    overdue.forgive_losses(ledger, before_ms=clock.wall_ms - 3_600_000)
    assert jobs.listing(ledger)[0].losses == 0
    assert [die() for _ in range(4)] == [State.RETRY_WAIT] * 4
    clock.wall_ms -= 20 * 365 * 86_400_000  # somebody sets the clock right
    overdue.forgive_losses(ledger, before_ms=clock.wall_ms - 3_600_000)
    assert jobs.listing(ledger)[0].losses == 0
    assert [die() for _ in range(5)][-1] is State.DEAD


def test_what_ended_lately_is_found_without_walking_past_what_waits(ledger: Ledger) -> None:
    assert sorted(re.findall("'([a-z-]+)'", schema.HAS_ENDED)) == sorted(ENDED)
    asked: list[str] = []
    ledger.db.conn.set_trace_callback(asked.append)
    board.lately_ended(ledger)
    board.tally(ledger, since_ms=5)
    ledger.db.conn.set_trace_callback(None)
    told = [sql for sql in asked if "census" in sql]
    assert len(told) == 2
    for sql in told:
        plan = [row["detail"] for row in ledger.rows(f"EXPLAIN QUERY PLAN {sql}")]
        assert any("job_by_end" in step for step in plan), plan


# --- the file and its lock ----------------------------------------------------------------------


def _write_many(folder: str, number: int, count: int) -> None:
    with Ledger(folder) as ledger:
        for n in range(count):
            jobs.add(ledger, Source("s", b"%d-%d" % (number, n), 1, 1), Options(), correlation="c")


def test_four_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    schema.prepare(str(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_many, args=(str(tmp_path), n, 40)) for n in range(4)]
    for writer in writers:
        writer.start()
    with Ledger(str(tmp_path)) as ledger:
        while any(writer.is_alive() for writer in writers):
            ledger.checkpoint()
        for writer in writers:
            writer.join()
        assert [writer.exitcode for writer in writers] == [0] * 4
        assert sum(jobs.counts(ledger).values()) == 160
        assert ledger.row("PRAGMA integrity_check") == {"integrity_check": "ok"}


def test_a_lock_nobody_gives_back_is_a_named_error(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "PATIENCE_SECONDS", 0.2)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with Ledger(str(tmp_path)) as other, other.writing():
            held.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(LedgerBusy):
        born(ledger)
    let_go.set()
    thread.join()
    assert born(ledger).state is State.QUEUED


def refuses(monkeypatch: pytest.MonkeyPatch, operation: int) -> None:
    """Have the kernel fail one kind of flock."""
    flock = fcntl.flock

    def unwell(fd: int, asked: int) -> None:
        if asked == operation:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flock(fd, asked)

    monkeypatch.setattr(fcntl, "flock", unwell)


def test_a_lock_that_cannot_be_taken_is_a_named_error(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuses(patch, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(NodeIO):
            born(ledger)
    assert born(ledger).state is State.QUEUED


def test_a_lock_that_cannot_be_given_back_is_given_back_all_the_same(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "PATIENCE_SECONDS", 0.2)
    refuses(monkeypatch, fcntl.LOCK_UN)
    job = born(ledger)
    with Ledger(str(tmp_path)) as other:
        assert jobs.must(other, job.id).state is State.QUEUED
        assert jobs.claim(other, job.id, owner="me") is not None


@pytest.mark.parametrize("name", ["ledger.db", "ledger.lock", "migrate.lock"])
def test_a_state_directory_that_cannot_be_opened_is_a_named_error(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "state" / name).mkdir(parents=True)
    with pytest.raises(NodeIO):
        schema.prepare(str(tmp_path / "state"))


def test_a_checkpoint_waits_for_no_reader(ledger: Ledger, tmp_path: Path) -> None:
    born(ledger)
    reader = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM job").fetchall()
    begun = time.monotonic()
    ledger.checkpoint()
    assert time.monotonic() - begun < 5
    reader.close()
    assert ledger.row("PRAGMA busy_timeout") == {"timeout": 15_000}


def test_the_journal_is_what_the_design_says(ledger: Ledger) -> None:
    modes = {
        name: ledger.row(f"PRAGMA {name}")
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
    }
    assert [next(iter(row.values())) for row in modes.values() if row] == ["wal", 2, 0]


def test_prepare_may_be_called_by_everybody_at_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    spawn = multiprocessing.get_context("spawn")
    starters = [spawn.Process(target=schema.prepare, args=(folder,)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert [starter.exitcode for starter in starters] == [0] * 4
    assert os.path.exists(os.path.join(folder, "ledger.db"))


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_group_may_write_what_several_accounts_share(tmp_path: Path, umask: int) -> None:
    """The pages and the messenger run as others than the worker, in its group."""
    before = os.umask(umask)
    try:
        state = tmp_path / "state"
        schema.prepare(str(state))
        with Ledger(str(state)) as opened:
            opened.checkpoint()
            Bell(str(state)).close()
            modes = {
                file.relative_to(tmp_path): file.stat().st_mode & 0o777
                for file in (state, *state.rglob("*"))
            }
    finally:
        os.umask(before)
    assert {path.name for path in modes} >= {"ledger.db", "ledger.db-wal", "huey.db", "ledger.lock"}
    for path, mode in modes.items():
        wanted = 0o770 if (tmp_path / path).is_dir() else 0o660
        assert mode == wanted, f"{path}: {mode:o}"
