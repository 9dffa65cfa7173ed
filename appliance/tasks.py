"""The worker: answers the bell, does jobs, and looks after them.

Every error of the worker ends here, in `perform`.

Not here: the bell itself (bell), what is done with a job (workloads), when it is due (recover).
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sqlite3
import threading
from typing import Final

from appliance import daemon, marker, recover, report
from appliance.bell import Bell
from appliance.box import Box, open_box
from appliance.errors import (
    AlreadyRunning,
    ApplianceError,
    Bug,
    ChildKilled,
    DecoderCrash,
    Fenced,
    NodeIO,
    ShareError,
    Stalled,
)
from appliance.nouns import display
from appliance.settings import Settings
from appliance.states import State, Verdict, after
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.workloads import WORKLOADS

log = logging.getLogger("appliance.worker")
_RECONCILE_SECONDS: Final = 5.0
_CHECKPOINT_EVERY: Final = 12  # rounds of reconcile
_SHUTDOWN_SECONDS: Final = 50.0


def perform(job_id: int, box: Box) -> None:
    """Do one job and write down how it ended: every error of the worker ends here."""
    box.at_work.add(job_id)  # before the claim, or recover could take it for an orphan
    try:
        job = jobs.claim(box.ledger, job_id, owner=box.owner.id)
        if job is not None:  # else rung twice, cancelled meanwhile, or its gate is closed
            _perform(job, box)
    except ApplianceError as error:  # not even its end could be written: recover takes it back
        log.warning("job %d: %s", job_id, error, extra={"job": job_id, "code": error.code})
    finally:
        box.at_work.discard(job_id)
        box.owner.progress(job_id)


def _perform(job: Job, box: Box) -> None:
    try:
        WORKLOADS[job.workload](job, box)
    except Fenced:
        log.info("fenced", extra={"job": job.id, "attempt": job.attempt})
    except ApplianceError as error:
        _end(box, job, error)
    except Exception as bug:
        log.exception("bug", extra={"job": job.id, "correlation": job.correlation})
        _end(box, job, Bug(name=display(job.source.name), what=type(bug).__name__))


def _end(box: Box, job: Job, error: ApplianceError) -> None:
    """Write down what stopped a job; the note beside the file first, as with every export."""
    most = box.settings.worker.max_attempts
    verdict, error = _judge(job, error, most=most)
    with contextlib.suppress(Fenced):
        try:
            _note(box, job, error, verdict)
        except ShareError as unwell:  # it waits for its share, and ends when its note can be left
            verdict, error = _judge(job, unwell, most=most)
        jobs.end(box.ledger, job, verdict, error, who=box.owner.id)


def _note(box: Box, job: Job, error: ApplianceError, verdict: Verdict) -> None:
    share = box.settings.share_named(job.source.share)
    if share is not None:
        guard = marker.guard(box.ledger, share)
        report.report(box.ledger, share, job, error, became=verdict.state, guard=guard)


def _judge(job: Job, error: ApplianceError, *, most: int) -> tuple[Verdict, ApplianceError]:
    verdict = after(error, spent=job.spent(error.budget), jitter=random.uniform)
    failures = job.errors + job.crashes + job.losses + 1  # waiting for a gate is none
    if verdict.state is State.RETRY_WAIT and failures >= most:
        verdict = Verdict(State.DEAD)
    if verdict.state is State.DEAD and isinstance(error, ChildKilled | Stalled):
        # Three children died on it: it is the file, and its owner should know.
        error = DecoderCrash(name=display(job.source.name), times=job.crashes + 1)
        verdict = Verdict(State.FAILED)
    return verdict, error


def work(settings: Settings) -> None:
    """Be the worker until TERM. Raises AlreadyRunning."""
    with (
        daemon.only_one(settings.state_dir, "worker") as alone,
        contextlib.ExitStack() as opened,
    ):
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        box = opened.enter_context(open_box(settings))
        _discard_broken(settings.state("huey.db"))
        bell = Bell(settings.state_dir)
        bell.answer = lambda job_id: None if box.stopping.is_set() else perform(job_id, box)
        consumer = bell.huey.create_consumer(
            workers=settings.worker.count,
            worker_type="thread",
            periodic=False,
            initial_delay=0.05,
            max_delay=0.5,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            graceful_signal="TERM",
        )
        damaged = threading.Event()
        rounds = threading.Thread(
            target=_reconcile_until, args=(box, bell, consumer.stop_flag, damaged), name="reconcile"
        )
        rounds.start()
        daemon.ready()
        consumer.run()
        box.stopping.set()
        rounds.join()
        bell.close()
        if damaged.is_set():
            raise NodeIO(where=settings.state_dir, why="a database is damaged; we start again")


def _reconcile_until(
    box: Box, bell: Bell, stopped: threading.Event, damaged: threading.Event
) -> None:
    """Look after every job each few seconds, and tell the threads when it is time to go."""
    count = 0
    while True:
        try:
            recover.reconcile(
                box.ledger,
                box.settings,
                ring=bell.ring,
                pending=bell.unanswered(),
                minded=box.minds,
            )
            if count % _CHECKPOINT_EVERY == 0:
                box.ledger.checkpoint()
        except ApplianceError as error:  # the next round may be luckier
            log.warning("reconcile: %s", error)
        except sqlite3.OperationalError as error:
            log.warning("reconcile: %s", error)
        except sqlite3.DatabaseError:
            # The queue or the ledger is damaged under our hands: only a start mends that.
            log.exception("a database is damaged; the worker starts again")
            damaged.set()
            stopped.set()
        count += 1
        daemon.tell_systemd("WATCHDOG=1")
        if stopped.wait(_RECONCILE_SECONDS):
            break
    box.stopping.set()
    bell.close()


def _discard_broken(file: str) -> None:
    """Put a damaged queue aside: it holds nothing that the ledger does not know."""
    if not os.path.exists(file):
        return
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            sound = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        sound = False
    if not sound:
        log.warning("huey.db was damaged and is put aside; nothing is lost")
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(file + end, f"{file}.broken{end}")
