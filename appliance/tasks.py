"""The worker: answers the bell, does jobs, and looks after them.

Every error of the worker ends here, in `perform`.

Not here: the bell itself (bell), what is done with a job (workloads), when it is due (recover).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from appliance import daemon, delegation, journal, limits, logbook, pulse, recover, report
from appliance.bell import Bell
from appliance.box import Box, open_box
from appliance.errors import (
    AlreadyRunning,
    ApplianceError,
    Budget,
    Bug,
    ChildKilled,
    DecoderCrash,
    DecoderUnreachable,
    DiskFull,
    EngineLost,
    Fenced,
    LedgerBusy,
    LedgerDamaged,
    NodeIO,
    ShareError,
    Stalled,
    WorkerDied,
    on_the_box,
)
from appliance.health import holding, isolation, models
from appliance.limits import Place
from appliance.logbook import Book
from appliance.nouns import display
from appliance.porter import SILENCE_SECONDS
from appliance.roster import Roster
from appliance.settings import Settings, Share
from appliance.states import ALLOWANCE, LIVE, State, Verdict, after
from appliance.store import gates, jobs, repair
from appliance.store.jobs import Job
from appliance.workloads import WORKLOADS

log = logging.getLogger("appliance.worker")
T = TypeVar("T")
HANG_SECONDS: Final = 300.0  # without a sign from a thread that has a job
_RECONCILE_SECONDS: Final = 5.0
_WRITE_AGAIN_SECONDS: Final = 5.0
_CHECKPOINT_EVERY: Final = 12  # rounds of reconcile
_NOTHING_LEFT: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN}
    | {errno.EIO, errno.ENOSPC, errno.EDQUOT}
)
_SHUTDOWN_SECONDS: Final = 50.0


def answer(box: Box, roster: Roster) -> None:
    """The bell has rung: do the jobs that are next, until there is none for this thread.

    Not the job whose number is on the message: a better one may have come since. Whatever is
    rung for and not taken now is taken by the thread that is free next.
    """
    while not box.stopping.is_set():
        try:
            with roster.next() as job_id:
                if job_id is None:
                    return
                perform(job_id, box)
                after = jobs.get(box.ledger, job_id)  # None: it is forgotten
                if after is not None and after.state is State.QUEUED:
                    return  # the ledger took no claim: recover rings again
        except ApplianceError as error:
            log.warning("no job was taken: %s", error, extra={"code": error.code})
            return


def perform(job_id: int, box: Box) -> None:
    """Do one job and write down how it ended: every error of the worker ends here."""
    box.at_work.append(job_id)  # before the claim, or recover could take it for an orphan
    try:
        job = _written(box, job_id, lambda: jobs.claim(box.ledger, job_id, owner=box.owner.id))
        if job is not None:  # else rung twice, cancelled meanwhile, or its gate is closed
            logs = box.settings.state("logs")
            with journal.about(**job.about), logbook.kept(logs, job.id, job.attempt) as book:
                _perform(job, box, book)
    except ApplianceError as error:  # not even its end could be written: recover takes it back
        log.warning("job %d: %s", job_id, error, extra={"job": job_id, "code": error.code})
    finally:
        box.at_work.remove(job_id)
        if job_id not in box.at_work:  # else it was rung twice, and the other thread has it
            box.signs.pop(job_id, None)
            box.owner.progress(job_id)


def _written(box: Box, job_id: int, write: Callable[[], T]) -> T:
    """Write to the ledger, however long that takes; raises what stops it once we are to stop.

    While the ledger takes nothing (a full disk), this thread could do nothing else, and a
    job must not pay for that.
    """
    while True:
        box.sign(job_id)
        try:
            return box.ledger.insist(write)
        except (DiskFull, LedgerBusy, NodeIO) as error:
            log.warning("job %d: %s", job_id, error, extra={"job": job_id, "code": error.code})
            if box.stopping.wait(_WRITE_AGAIN_SECONDS):
                raise


def _perform(job: Job, box: Box, book: Book) -> None:
    facts = {"recording": display(job.source.path), "size": job.source.size}
    log.info("claimed", extra=facts)
    book.add("claimed", **job.about, **facts, epoch=job.epoch, worker=os.getpid())
    try:
        if job.losses >= ALLOWANCE[Budget.LOSSES]:
            raise WorkerDied  # not once more: recover has left us to tell its owner
        WORKLOADS[job.workload](job, box)
        book.end(state=State.DONE, code=None)
    except Fenced:
        log.info("fenced")
        book.end(state="fenced", code=Fenced.code)
    except ApplianceError as error:
        _end(box, job, error, book)
    except Exception as raised:
        named = _named(raised, job)
        # A traceback is for us: what the box is short of needs none.
        log.exception("%s", named, exc_info=isinstance(named, Bug), extra={"code": named.code})
        _end(box, job, named, book)


def _named(raised: Exception, job: Job) -> ApplianceError:
    """Call what nobody expected a bug, unless it is the kernel that has nothing left to give.

    A share cannot be meant: porters alone touch it, and name what it answers.
    """
    if isinstance(raised, OSError) and raised.errno in _NOTHING_LEFT:
        return NodeIO(where=raised.filename or "what it works with", why=os.strerror(raised.errno))
    return Bug(name=display(job.source.name), what=type(raised).__name__)


def _end(box: Box, job: Job, error: ApplianceError, book: Book) -> None:
    """Write down what stopped a job; the note beside the file first, as with every export."""
    most = box.settings.worker.max_attempts
    verdict, error = _judge(job, error, most=most)
    with contextlib.suppress(Fenced):
        try:
            _report(box, job, error, verdict)
        except (ShareError, NodeIO) as unwell:
            # It ends when its note can be left; one that nobody can leave is not waited for.
            again, trouble = _judge(job, unwell, most=most)
            verdict, error = (again, trouble) if again.state in LIVE else (verdict, error)
        end = functools.partial(jobs.end, box.ledger, job, verdict, error, who=box.owner.id)
        _written(box, job.id, end)
        book.end(state=verdict.state, code=error.code)


def _report(box: Box, job: Job, error: ApplianceError, verdict: Verdict) -> None:
    share = box.settings.share_named(job.source.share)
    if share is not None:
        note = functools.partial(_note, box, share, job, error, verdict.state)
        report.report(job, error, became=verdict.state, note=note)


def _note(box: Box, share: Share, job: Job, error: ApplianceError, became: State) -> None:
    """Have a note put beside the recording, where one is due."""
    if report.is_note_due(box.ledger, share, job, error, became):
        box.porters.carry("note", job, share, error, stop=lambda: box.sign(job.id))


def _judge(job: Job, error: ApplianceError, *, most: int) -> tuple[Verdict, ApplianceError]:
    verdict = after(error, spent=job.spent(error.budget), jitter=random.uniform)
    failures = job.errors + job.crashes + job.losses + 1  # waiting for a gate is none
    if verdict.state is State.RETRY_WAIT and failures >= most:
        verdict = Verdict(State.DEAD)
    if verdict.state is State.DEAD and isinstance(error, ChildKilled | Stalled | EngineLost):
        # Three children died on it, or one window of it ended the engine three times, each
        # time alone: it is the file, and its owner should know.
        error = DecoderCrash(name=display(job.source.name), times=job.crashes + 1)
        verdict = Verdict(State.FAILED)
    return verdict, error


def work(
    settings: Settings, *, silence: float = SILENCE_SECONDS, hang: float = HANG_SECONDS
) -> None:
    """Be the worker until TERM. Raises AlreadyRunning.

    `silence` is how many seconds nothing may move at a share, `hang` in a thread of ours.
    """
    delegated = delegation.settle_in()  # before the first child is born, who would stay behind
    with (
        daemon.only_one(settings.state_dir, "worker") as alone,
        contextlib.ExitStack() as opened,
    ):
        if not alone:
            raise AlreadyRunning(where=settings.state_dir)
        place = hold_jobs_in(settings, delegated)
        box = opened.enter_context(open_box(settings, silence=silence, place=place))
        look_at_the_walls(settings)
        repair.discard_broken_queue(settings.state_dir)
        bell = Bell(settings.state_dir)
        threads = settings.worker.threads
        roster = Roster(
            box.ledger,
            threads=threads,
            speed=lambda: pulse.speed(settings.run_dir),
            slow=box.porters.slow,
        )
        bell.answer = lambda _job_id: answer(box, roster)
        consumer = bell.consumer(workers=threads, patience=_SHUTDOWN_SECONDS)
        damaged = threading.Event()
        rounds = threading.Thread(
            target=_reconcile_until,
            args=(box, bell, consumer.stop_flag, damaged, hang),
            name="reconcile",
        )
        daemon.stopped(consumer.stop_flag)  # until its own handlers stand, a moment after READY
        ready = threading.Thread(target=_get_ready, args=(box,), name="ready", daemon=True)
        daemon.ready()
        ready.start()
        rounds.start()
        consumer.run()
        box.stopping.set()
        rounds.join()
        bell.close()
        if damaged.is_set():
            raise LedgerDamaged(
                where=settings.state_dir, why="it, or the queue beside it, is damaged"
            )


def _get_ready(box: Box) -> None:
    """Do what the first job would wait for; what is wrong is told by the job that meets it.

    But that no recording can be opened at all is told before one comes: whoever judges a new
    release does not wait for that.
    """
    with contextlib.suppress(ApplianceError):
        box.porters.get_ready()
    with contextlib.suppress(ApplianceError):
        try:
            box.decoders.get_ready()
        except DecoderUnreachable as error:
            log.warning("%s", error, extra={"code": error.code})
            if not box.stopping.is_set():
                gates.close(box.ledger, error)
    models.read(box.settings)


def hold_jobs_in(settings: Settings, delegated: str | None) -> Place:
    """Choose how jobs are held to their limits. Raises LimitsWeak where that is not enough."""
    place = limits.choose(delegated)
    with on_the_box(settings.run_dir):
        os.makedirs(settings.run_dir, mode=0o770, exist_ok=True)
        holding.keep(settings.run_dir, place)
    log.info("limits: %s", place.mode, extra={"limits": place.mode})
    if settings.worker.require_cgroups and (weak := holding.weakness(place.mode)):
        raise weak
    return place


def look_at_the_walls(settings: Settings) -> None:
    """Find out how well strangers' files are held in here. Raises IsolationWeak where it must."""
    weak = isolation.weakness(isolation.ask(settings.run_dir))
    if weak is None:
        log.info("the decoder works behind every wall")
        return
    if settings.worker.require_isolation:
        raise weak
    log.warning("%s", weak.sentence, extra={"code": weak.code, **weak.detail})


def _reconcile_until(
    box: Box, bell: Bell, stopped: threading.Event, damaged: threading.Event, hang: float
) -> None:
    """Look after every job each few seconds, and tell the threads when it is time to go."""
    count = 0
    suspects: frozenset[tuple[int, float]] = frozenset()
    while True:
        suspects = _end_if_stuck(box, suspects, hang)
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
        except (LedgerDamaged, sqlite3.DatabaseError) as error:
            log.warning("reconcile: %s", error)
            if not isinstance(error, sqlite3.OperationalError):
                # The ledger or the queue is damaged under our hands: only a start mends that.
                damaged.set()
                stopped.set()
        except ApplianceError as error:  # the next round may be luckier
            log.warning("reconcile: %s", error)
        count += 1
        daemon.progressed(_at_work(len(set(box.at_work))))
        if stopped.wait(_RECONCILE_SECONDS):
            break
    daemon.stopping()
    box.stopping.set()
    bell.close()


def _at_work(jobs_in_hand: int) -> str:
    return {0: "no job in hand", 1: "1 job in hand"}.get(jobs_in_hand, f"{jobs_in_hand} in hand")


def _end_if_stuck(
    box: Box, before: frozenset[tuple[int, float]], hang: float
) -> frozenset[tuple[int, float]]:
    """End this process when a thread that has a job is stuck: nothing less ends a thread.

    Its children die with it, the kernel frees its lock, and whoever starts next takes the
    jobs back. Two rounds must find the same, or a process that was stopped for a while
    (SIGSTOP, a debugger) would not live to see its threads go on.
    """
    now = time.monotonic()
    suspects = frozenset(one for one in list(box.signs.items()) if now - one[1] > hang)
    for job_id, _ in before & suspects:
        log.critical("job %d: its thread is stuck; the worker ends", job_id, extra={"job": job_id})
        os.kill(os.getpid(), signal.SIGKILL)
    return suspects
