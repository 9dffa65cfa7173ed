"""What a person asks of a job: each a step of the table of states, or refused by name.

In: a job as somebody has seen it. Out: the job as it is now; whoever asked rings the bell
where it is queued. Nobody here asks whether they may.

Not here: the table (states), the steps themselves (store.jobs), edits of a text (revise).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from appliance.errors import Fenced, NotReady, StepRefused
from appliance.nouns import Options
from appliance.states import ENDED, NEXT, State
from appliance.store import forgetting, jobs, revisions, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


def retry(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Queue a job again; one that is done is asked for anew, without the edits of its text.

    What was recorded of the same content, asked for in the same way, is not computed twice.
    Raises StepRefused.
    """
    with _step(ledger, job, State.QUEUED, "queued"):
        return jobs.requeue(ledger, job, who=who)


def deliver_again(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Queue a job that has ended for its last stage alone: its files are written anew.

    Raises StepRefused, and NotReady where nothing is recorded that could be written.
    """
    if job.state not in ENDED:
        raise StepRefused(job=job.id, state=job.state, wanted="delivered again")
    if transcripts.of_job(ledger, job) is None:
        raise NotReady(job=job.id, state=job.state)
    with _step(ledger, job, State.QUEUED, "delivered again"):
        return revisions.export_again(ledger, job, who)


def rerun(ledger: Ledger, job: Job, options: Options, *, who: str) -> Job:
    """Queue a job with other options: a new epoch. Raises StepRefused."""
    with _step(ledger, job, State.QUEUED, "queued"):
        return jobs.requeue(ledger, job, who=who, options=options)


def cancel(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Stop a job: at once when it waits, at its next window when it runs. Raises StepRefused."""
    if job.state in ENDED:
        raise StepRefused(job=job.id, state=job.state, wanted="cancelled")
    with _named(job, "cancelled"):
        return jobs.cancel(ledger, job, who=who)


def hold(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Let a job wait until somebody releases it. Raises StepRefused."""
    with _step(ledger, job, State.HELD, "held"):
        return jobs.move(ledger, job, State.HELD, who=who)


def release(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Let a job that is held go on. Raises StepRefused."""
    if job.state is not State.HELD:
        raise StepRefused(job=job.id, state=job.state, wanted="released")
    with _named(job, "released"):
        return jobs.move(ledger, job, State.QUEUED, who=who)


def forget(ledger: Ledger, job: Job) -> None:
    """Forget a job that has ended, and its transcripts. Raises StepRefused."""
    if job.state not in ENDED:
        raise StepRefused(job=job.id, state=job.state, wanted="forgotten")
    with _named(job, "forgotten"):
        forgetting.forget(ledger, job)


def forget_with_files(ledger: Ledger, job: Job, *, who: str) -> Job:
    """Queue a job that has ended to be forgotten, with files of ours that nobody changed.

    Raises StepRefused.
    """
    if job.state not in ENDED:
        raise StepRefused(job=job.id, state=job.state, wanted="forgotten")
    fresh = {"errors": 0, "crashes": 0, "losses": 0, "cancel": 0, "workload": jobs.FORGET}
    with _step(ledger, job, State.QUEUED, "forgotten"):
        return jobs.move(ledger, job, State.QUEUED, who=who, values=fresh)


@contextlib.contextmanager
def _step(ledger: Ledger, job: Job, to: State, wanted: str) -> Iterator[None]:
    """Around a step: one that is not in the table, or that somebody else took, is refused."""
    if to not in NEXT[job.state] or (job.state is State.RUNNING and to is State.QUEUED):
        raise StepRefused(job=job.id, state=job.state, wanted=wanted)
    with _named(job, wanted), ledger.writing():
        yield


@contextlib.contextmanager
def _named(job: Job, wanted: str) -> Iterator[None]:
    try:
        yield
    except Fenced as fenced:
        raise StepRefused(job=job.id, state="being changed", wanted=wanted) from fenced
