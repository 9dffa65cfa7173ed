"""Look after jobs that nobody else looks after: dead owners, due retries, open gates, lost bells.

Asked every few seconds by the worker, once a minute by a timer, and any number of times
by anybody: it does only what the rows say is due.

Not here: doing a job (workloads), closing a gate (store.jobs.end).
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from appliance import choices, daemon, stage
from appliance.errors import Budget, Fenced, WorkerDied, on_the_box
from appliance.health.gates import is_well
from appliance.settings import GB, Profile, Settings
from appliance.states import ALLOWANCE, State, Verdict, after
from appliance.store import gates, jobs, overdue, reserve, search
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

log = logging.getLogger("appliance.recover")
HINTS: Final = 64  # rings in the queue at most; the ledger is the queue
_RING_AGAIN_SECONDS: Final = 60.0
_INDEX_SECONDS: Final = 1.0  # of a round of five, and others write between its transactions
_UNTOLD: Final = 2 * ALLOWANCE[Budget.LOSSES] - 1  # then it ends without a note, after all
_WHO: Final = "recover"


class Ring(Protocol):
    """The bell (tasks.Bell.ring)."""

    def __call__(self, job_id: int, /) -> None: ...


def reconcile(
    ledger: Ledger,
    settings: Settings,
    *,
    ring: Ring,
    pending: int,
    minded: Callable[[Job], bool] | None = None,
) -> None:
    """One round. `pending` rings lie unanswered in the queue.

    `minded` tells whether somebody alive is at a running job; without it, whether its
    owner's process lives. A worker knows better: it may live on while the thread that had
    the job could not write down how it ended (a full disk, a locked ledger). Raises node.*;
    the next round may be luckier.
    """
    with on_the_box(settings.state_dir):
        _round(ledger, settings, ring=ring, pending=pending, minded=minded)


def _round(
    ledger: Ledger,
    settings: Settings,
    *,
    ring: Ring,
    pending: int,
    minded: Callable[[Job], bool] | None,
) -> None:
    _bury_the_dead(ledger, minded or (lambda job: _owner_lives(settings.run_dir, job)))
    daemon.forget_the_dead(settings.run_dir)
    _wake(ledger, overdue.due(ledger, ledger.clock()))
    _try_gates(ledger, settings)
    _ask_another_model(ledger, choices.in_force(ledger, settings))
    _wake(ledger, overdue.behind_open_gates(ledger))
    _sweep_spool(ledger, settings.state("spool"))
    _keep_reserve(settings)
    overdue.forgive_losses(ledger, before_ms=ledger.clock().wall_ms - 3_600_000)
    _ring_again(ledger, ring, room=HINTS - pending)
    _index(ledger)


def _owner_lives(run_dir: str, job: Job) -> bool:
    return job.owner is not None and daemon.alive(run_dir, job.owner)


def _bury_the_dead(ledger: Ledger, minded: Callable[[Job], bool]) -> None:
    """Take back jobs that nobody is at any more.

    One that has lost its worker too often ends, but its end is told beside the recording, and
    only a worker goes there: the next one to claim it does nothing else.
    """
    boot_id = ledger.clock().boot_id
    for job in overdue.running(ledger):
        if job.boot_id == boot_id and minded(job):
            continue
        error = WorkerDied()
        verdict = after(error, spent=job.spent(error.budget), jitter=random.uniform)
        if verdict.state is State.DEAD and job.losses < _UNTOLD:
            verdict = Verdict(State.RETRY_WAIT)  # whoever claims it ends it, and leaves the note
        log.warning("its worker died", extra={**job.about, "code": error.code})
        with contextlib.suppress(Fenced):
            jobs.end(ledger, job, verdict, error, who=_WHO)


def _sweep_spool(ledger: Ledger, spool: str) -> None:
    """Remove our copies of recordings that no running job reads any more.

    Under the ledger's lock: a job that is claimed while we look would lose its new copy.
    """
    if not os.path.isdir(spool):
        return
    for job_id in sorted(int(name) for name in os.listdir(spool) if name.isdigit()):
        with ledger.writing():
            job = jobs.get(ledger, job_id)
            if job is None or job.state is not State.RUNNING:
                stage.free(spool, job_id)


def _index(ledger: Ledger) -> None:
    """Go on with the index of what was recorded before there was one, for a moment a round."""
    until = time.monotonic() + _INDEX_SECONDS
    while search.build(ledger) and time.monotonic() < until:
        pass


def _keep_reserve(settings: Settings) -> None:
    """Make the reserve again that a full disk took, once work goes on beside it."""
    spare = int(settings.disk.stop_below_gb * GB)
    reserve.keep(settings.state_dir, settings.disk.reserve_mb * 1_000_000, spare=spare)


def _wake(ledger: Ledger, sleeping: list[Job]) -> None:
    for job in sleeping:
        with contextlib.suppress(Fenced):
            jobs.move(ledger, job, State.QUEUED, who=_WHO)


def _try_gates(ledger: Ledger, settings: Settings) -> None:
    now = ledger.clock().wall_ms
    for gate in list(gates.closed(ledger)):
        closed_for = abs(now - gate.since_ms) / 1000  # below 0: the wall clock was set back
        if is_well(gate, settings, closed_for=closed_for):
            log.info("gate open again", extra={"gate": gate.name})
            gates.open_again(ledger, gate.name)


def _ask_another_model(ledger: Ledger, settings: Settings) -> None:
    """Let jobs that wait for a model that no longer stands in their profile ask for the new one."""
    every = {"default": Profile(), **settings.profile}
    for job in overdue.waiting(ledger):
        profile = every.get(job.options.profile)
        if profile is None:
            continue  # it is gone: nobody says what its jobs should ask for instead
        if job.gate == f"model:{job.options.model}" and profile.model != job.options.model:
            options = replace(job.options, model=profile.model)
            with contextlib.suppress(Fenced):
                jobs.requeue(ledger, job, who=_WHO, options=options)
    named = {profile.model for profile in every.values()} | {Profile().model}
    for gate in list(gates.closed(ledger)):
        kind, _, model = gate.name.partition(":")
        if kind == "model" and model not in named and not overdue.behind(ledger, gate.name):
            gates.open_again(ledger, gate.name)


def _ring_again(ledger: Ledger, ring: Callable[[int], None], *, room: int) -> None:
    if room <= 0:
        return
    unheard = overdue.unheard(ledger, ledger.clock(), older_than=_RING_AGAIN_SECONDS, limit=room)
    for job_id in unheard:
        ring(job_id)
    if unheard:
        overdue.rung(ledger, unheard)
